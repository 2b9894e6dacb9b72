//! The verbs and options of `cargo xtask`, and nothing else.

mod vm_run;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::architecture::Architecture;
use crate::bench;
use crate::check::choice::Choice;
use crate::check::churn;
use crate::check::fleet;
use crate::check::fuzz;
use crate::check::model;
use crate::check::reliability;
use crate::check::scenarios::SERIES;
use crate::check::scenarios::surroundings;
use crate::check::test::{self, Asked};
use crate::check::traces;
use crate::check::truth;
use crate::check::truth::run::Extent;
use crate::command_line::vm_run::VmRun;
use crate::debian::built;
use crate::debian::kernel::Series;
use crate::debian::unwaited;
use crate::demo;
use crate::dist::install;
use crate::dist::twice;
use crate::progress::say;
use crate::run;
use crate::toolchain::build;
use crate::toolchain::setup;

/// Set-up, builds, kernels in virtual machines, tests and benchmarks of krcu.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what a fresh Debian or Ubuntu machine lacks; steps that are done already are skipped.
    Setup,
    /// Build the programs for people, beside each other: krcu with its probes inside, krcu-tui, and krcu-analyze.
    Build {
        /// Cargo's profile.
        #[arg(long, value_name = "NAME", default_value = "release")]
        profile: String,
        /// Leave out krcu-analyze, which takes the most time by far.
        #[arg(long)]
        no_analyze: bool,
    },
    /// Build the eBPF object only, to target/krcu-ebpf.o.
    BuildEbpf,
    /// Build krcu, then run it on this machine, with sudo unless you are root.
    Run {
        /// The arguments of krcu.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Show krcu at work: one module on two kernels gets two verdicts.
    Demo {
        /// What the kernels run on. On arm64, two modules on one kernel get two verdicts.
        #[arg(long, value_name = "ARCHITECTURE", value_enum, default_value_t)]
        arch: Architecture,
    },
    /// Run every test: formatting, lints, crates, kernels.
    Test {
        /// Run everything except the tests on kernels.
        #[arg(long, conflicts_with = "kernels_only")]
        no_kernels: bool,
        /// Run only the tests on kernels.
        #[arg(long)]
        kernels_only: bool,
        /// Run what every change needs before a commit: the rules of the sources, formatting, lints, the tests of
        /// the crates, and the scenarios of one kernel.
        #[arg(long, conflicts_with_all = ["no_kernels", "kernels_only", "kernel", "names"])]
        quick: bool,
        /// Instead, run the kernel's own tests under krcu, and krcu under the kernel's checkers, on kernels that are built
        /// for it: an hour the first time.
        #[arg(long, conflicts_with_all = ["no_kernels", "kernels_only", "quick", "force", "list"])]
        custom: bool,
        /// Instead, run krcu in every surrounding, on 6.1 and 6.12: in a container, beside another krcu, under lockdown, on
        /// a host that sleeps or has a thousand modules.
        #[arg(long, conflicts_with_all = ["no_kernels", "kernels_only", "quick", "custom", "force", "list", "names"])]
        surroundings: bool,
        /// Instead, replay and ask a fleet of a thousand host-days by Spark and others, while workers, drivers and disks
        /// fail: PySpark is some 400 MB, the first time. Of another size with --fleet=HOSTSxDAYS.
        #[arg(long, value_name = "HOSTSxDAYS", num_args = 0..=1, require_equals = true, default_missing_value = "100x10",
            conflicts_with_all = ["no_kernels", "kernels_only", "quick", "custom", "surroundings", "force", "list", "kernel", "names"])]
        fleet: Option<fleet::Extent>,
        /// Check the reference again, even if nothing that the check depends on has changed.
        #[arg(long)]
        force: bool,
        /// Only this series of kernels; repeat the option for more.
        #[arg(long, value_name = "SERIES")]
        kernel: Vec<String>,
        /// Run nothing: print the list of all tests, one in each line, as xtask/tests.txt has it.
        #[arg(long, conflicts_with_all = ["no_kernels", "kernels_only", "quick", "kernel", "names"])]
        list: bool,
        /// Run only these: scenarios, crates, checks, or tests whose names contain NAME.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Check every approach of "Waiting for kfree_rcu()" in every order of its steps.
    Model {
        /// Check larger worlds: some rows take hours and tens of gigabytes.
        #[arg(long)]
        deep: bool,
        /// Check only rows whose names contain NAME, and do not compare the result with docs/approaches.md.
        #[arg(long, value_name = "NAME", conflicts_with = "write")]
        only: Option<String>,
        /// Write docs/approaches.md and the counter-examples again; with --walk, docs/walks.md and what walks found.
        #[arg(long, conflicts_with = "deep")]
        write: bool,
        /// Print only what is wrong.
        #[arg(long)]
        brief: bool,
        /// Replay a script of events instead: a counter-example, or a file of `krcu check --events`.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["deep", "only", "write", "brief", "walk"])]
        replay: Option<PathBuf>,
        /// Take random walks instead, through large worlds of each generation of the kernel. NAME is a kernel then.
        #[arg(long, conflicts_with_all = ["deep", "brief"])]
        walk: bool,
        /// What determines the walks.
        #[arg(long, value_name = "N", requires = "walk", conflicts_with = "write")]
        seed: Option<u64>,
        /// How many steps each walk takes; a million, unless said otherwise.
        #[arg(long, value_name = "N", requires = "walk", conflicts_with = "write")]
        steps: Option<u64>,
        /// Leave this known fault on in the walks; repeat the option for more.
        #[arg(long, value_name = "FAULT", requires = "walk", conflicts_with = "write")]
        on: Vec<String>,
    },
    /// Run the truth table: every way to free late and every way to be wrong, on every kernel.
    Truth {
        /// Only this series of kernels; repeat the option for more.
        #[arg(long, value_name = "SERIES")]
        kernel: Vec<String>,
        /// Only this scenario; repeat the option for more. The result is not compared with docs/truth.md.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Write docs/truth.md and the golden traces again, from this run.
        #[arg(long)]
        write: bool,
        /// Boot nothing: judge what the last run left in target/kernel-tests.
        #[arg(long)]
        kept: bool,
        /// Run also the scenarios that take long, which an ordinary run names and leaves out, and the kernels of other
        /// architectures and flavours.
        #[arg(long)]
        all: bool,
    },
    /// Load and unload every module of a kernel package, with network namespaces and links that come and go beside,
    /// and hold krcu's verdicts against the kernel's log.
    Churn {
        /// The series of the kernel, as for `vm run`; `all` takes the four series, one after the other.
        #[arg(long, value_name = "SERIES", default_value = "6.12")]
        kernel: Kernels,
        /// How long modules are loaded and unloaded on each kernel, as 1h or 20m.
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        time: Duration,
        /// What determines the order of the modules.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// Boot nothing: judge what the last run left in target/churn.
        #[arg(long)]
        kept: bool,
    },
    /// List the modules of a kernel package that hand callbacks to RCU and import no function that waits for them.
    Unwaited {
        /// The series of the kernel, as for `vm run`; `all` lists the four series.
        #[arg(long, value_name = "SERIES", default_value = "6.12")]
        kernel: Kernels,
    },
    /// The traces of many hosts.
    #[command(subcommand)]
    Fleet(FleetVerb),
    /// Feed changed files and lines to what reads them, guided by the paths that they take.
    Fuzz {
        /// How long each target is fuzzed; 0 runs the corpus only.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
        /// Only this target: trace, meta, script, ask, line, config or import.
        #[arg(long, value_name = "TARGET")]
        only: Option<String>,
        /// Write the inputs that took new paths to fuzz/corpus.
        #[arg(long)]
        write: bool,
        /// The seed of the mutations: the same seed gives the same files.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Inject faults into the recorder and its disk, and write docs/reliability.md.
    Reliability {
        /// How often a recorder is killed.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        kills: u64,
    },
    /// Measure sizes, times and memory.
    Bench {
        /// Run only this benchmark.
        #[command(subcommand)]
        only: Option<BenchVerb>,
    },
    /// Record the events that the model's tests replay again, on two kernels.
    Traces,
    /// Install krcu, its unit, manual pages and completions; start nothing.
    Install {
        /// The prefix of the installation.
        #[arg(long, value_name = "FOLDER", default_value = install::PREFIX)]
        prefix: PathBuf,
    },
    /// Stop the agent, and remove what `install` installed.
    Uninstall {
        /// The prefix of the installation.
        #[arg(long, value_name = "FOLDER", default_value = install::PREFIX)]
        prefix: PathBuf,
    },
    /// Build a static tarball and a Debian package, with a bill of materials and checksums, in target/dist.
    Dist {
        /// For this architecture; repeat the option for more.
        #[arg(long, value_name = "ARCHITECTURE", value_enum, default_values_t = [Architecture::Amd64])]
        arch: Vec<Architecture>,
        /// Build a second time, in another folder, and compare the bytes.
        #[arg(long)]
        twice: bool,
    },
    /// Build kernels that Debian has no package of.
    #[command(subcommand)]
    Kernel(KernelVerb),
    /// Boot kernels in virtual machines.
    #[command(subcommand)]
    Vm(VmVerb),
}

#[derive(Subcommand)]
enum FleetVerb {
    /// Start a master of Spark and two workers on loopback, replay and ask a hundred synthetic host-days, write the page, and
    /// stop everything.
    Demo,
}

#[derive(Subcommand)]
enum KernelVerb {
    /// Build kernels from Debian's sources into the cache, each once: ten minutes and more of a processor's time.
    Build {
        /// Series and purpose: -test has the kernel's own tests and the checks of RCU, -kasan the same with KASAN, -single
        /// one processor and slub_kunit built in, -lazy RCU_LAZY with callbacks offloaded, -realtime PREEMPT_RT.
        #[arg(value_name = "SERIES-PURPOSE", default_values = ["6.12-test", "7.x-test", "6.12-kasan"])]
        kernels: Vec<Series>,
    },
}

#[derive(Subcommand)]
enum BenchVerb {
    /// Measure how long a what-if takes, under one row of each approach and under all rows, and compare it with a
    /// simulation whose every event is judged.
    Whatif {
        /// Events of the workload.
        #[arg(value_name = "EVENTS", default_value_t = 10_000_000)]
        events: u64,
    },
    /// Measure the agent's memory, processor time and losses, idle and at rising rates, and compare them with
    /// bpftrace's.
    Agent {
        /// The series of the kernel; the default is 6.12.
        #[arg(long, value_name = "SERIES")]
        kernel: Option<String>,
    },
    /// Count the instructions that the probes add in the kernel, and compare them with bpftrace's.
    Kernel {
        /// Only this series of kernels; repeat the option for more.
        #[arg(long, value_name = "SERIES")]
        kernel: Vec<String>,
    },
    /// Replay synthetic host-days, once, twice and four times as many, and state what an event and a trace cost.
    Fleet,
    /// Replay a generated trace and ask it questions, and compare with DuckDB and pandas.
    Analyze {
        /// The number of events; repeat the option for more. The default is five and fifty million.
        #[arg(long, value_name = "N")]
        events: Vec<u64>,
    },
}

#[derive(Subcommand)]
enum VmVerb {
    /// Boot a kernel, run a command on it as root, and exit with the command's status.
    Run(VmRun),
}

impl Arguments {
    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// What the verb says.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
        match self.verb {
            Verb::Setup => done(setup::run()),
            Verb::Build { profile, no_analyze } => {
                done(setup::ensure().and_then(|()| build::for_people(&profile, no_analyze)))
            }
            Verb::BuildEbpf => done(
                setup::ensure()
                    .and_then(|()| build::ebpf())
                    .map(|object| say(&format!("built {}", object.display()))),
            ),
            Verb::Run { arguments } => run::run(&arguments),
            Verb::Demo { arch } => demo::run(arch),
            Verb::Test { list: true, .. } => done(test::list()),
            Verb::Test { fleet: Some(extent), .. } => fleet::run(extent),
            Verb::Fleet(FleetVerb::Demo) => done(fleet::demo::run()),
            Verb::Test { surroundings: true, kernel, .. } => {
                test::run(&Asked { series: kernel, names: surroundings::names(), ..Asked::default() })
            }
            Verb::Test { no_kernels, kernels_only, quick, custom, force, kernel, names, .. } => {
                test::run(&Asked { no_kernels, kernels_only, quick, custom, force, series: kernel, names })
            }
            Verb::Model { replay: Some(script), .. } => model::replay(&script),
            Verb::Model { walk: true, seed, steps, on, only, write, .. } => {
                model::walk(&model::Walk { seed, steps, on, only, write })
            }
            Verb::Model { deep, only, write, brief, .. } => {
                model::run(&model::Extent { deep, only, write, brief })
            }
            Verb::Truth { kernel, only, write, kept, all } => truth::run::run(&Extent {
                choice: Choice { series: kernel, names: only, kept, all, ..Choice::default() },
                write,
            }),
            Verb::Churn { kernel, time, seed, kept } => {
                let series = kernel.series()?.iter().map(Series::to_string).collect();
                churn::run(&churn::Extent { series, time, seed, kept })
            }
            Verb::Unwaited { kernel } => done(unwaited::run(&kernel.series()?)),
            Verb::Fuzz { seconds, seed, only, write } => {
                fuzz::run(&fuzz::Extent { seconds, seed, only, write })
            }
            Verb::Reliability { kills } => reliability::run(kills),
            Verb::Bench { only: None } => done(bench::run()),
            Verb::Bench { only: Some(BenchVerb::Agent { kernel }) } => {
                done(bench::agent::run(kernel.as_deref()))
            }
            Verb::Bench { only: Some(BenchVerb::Whatif { events }) } => done(bench::what_if(events)),
            Verb::Bench { only: Some(BenchVerb::Kernel { kernel }) } => done(bench::kernel::run(&kernel)),
            Verb::Bench { only: Some(BenchVerb::Fleet) } => done(bench::fleet::run()),
            Verb::Install { prefix } => done(install::install(&prefix)),
            Verb::Uninstall { prefix } => done(install::uninstall(&prefix)),
            Verb::Dist { arch, twice: false } => done(install::dist(&arch)),
            Verb::Dist { arch, twice: true } => done(twice::dist(&arch)),
            Verb::Bench { only: Some(BenchVerb::Analyze { events }) } => done(bench::analyze::run(&events)),
            Verb::Traces => done(traces::run()),
            Verb::Kernel(KernelVerb::Build { kernels }) => done(built::build(&kernels)),
            Verb::Vm(VmVerb::Run(arguments)) => arguments.run(),
        }
    }
}

/// Which kernels to boot.
#[derive(Debug, Clone)]
enum Kernels {
    One(Series),
    All,
}

impl FromStr for Kernels {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

impl Kernels {
    fn series(&self) -> Result<Vec<Series>> {
        match self {
            Self::One(series) => Ok(vec![series.clone()]),
            Self::All => SERIES.iter().map(|series| series.parse()).collect(),
        }
    }
}
