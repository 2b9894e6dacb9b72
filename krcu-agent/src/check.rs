//! `krcu check`: runs a command between attach and detach. Every cache that is destroyed meanwhile gets a verdict.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;
use krcu_trace::Limits;

use ship::Ship;

use crate::{
    anonymise::in_place,
    command,
    engine::{self, AttachOptions, Job, Keep, Until},
    error::VerbError,
    outcome::{EXIT_FLAGGED, Outcome, Policy},
    probe::{LoadOptions, STACKS},
    quantity,
    report::options as report,
    trace,
};

mod each;
mod list;
mod ship;

/// Runs a command and says, for every slab cache that is destroyed while it runs, whether deferred frees were
/// outstanding.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How the run is judged, and where its report goes.
    #[command(flatten)]
    pub report: report::Options,
    /// Attach once, and judge each command of this file as if krcu had been attached just before it. `-` is
    /// standard input. A line is `NAME COMMAND`, or `NAME OPTIONS -- COMMAND` to give this command its own
    /// --strict, --format, --settle or --exit-flagged. A shell runs the command. krcu writes NAME.json (.txt,
    /// .tap, .xml) into the folder of --report, NAME.events into that of --events and NAME.krcu into that of
    /// --output, and then prints `NAME STATUS`. The commands get no standard input. All of them share the
    /// room of --stacks
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with_all = ["command", "also"])]
    pub each: Option<PathBuf>,
    /// Write every event to this file, one line of text each. The verdicts follow from these lines: attach
    /// the file to a bug report. It grows by some 90 bytes for each object that is queued and each that is
    /// freed
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Write a trace into this folder, for `krcu replay` and `krcu analyze`. It grows by some four bytes for
    /// each object that is queued and each that is freed
    #[arg(long, short, value_name = "TRACE")]
    pub output: Option<PathBuf>,
    /// How long to wait at most, after the command, for deferred frees that are still outstanding
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = quantity::span)]
    pub settle: Duration,
    /// When the run is over, leave out of its trace what says whose it is, as `krcu export --anonymise` does
    #[arg(long, requires = "output", conflicts_with_all = ["each", "events"])]
    pub anonymise: bool,
    /// When the run is over, bring its trace to a fleet, which is a folder or s3://BUCKET/PREFIX, by `krcu ship`. It has
    /// no privileges. If sudo runs krcu, it is your process, and the trace becomes yours. The exit status is that of
    /// the run, whether its trace is shipped or not
    #[arg(long, value_name = "FLEET", requires = "output", conflicts_with_all = ["each", "anonymise"])]
    pub ship: Option<String>,
    /// The exit status if something is flagged
    #[arg(long, value_name = "N", default_value_t = EXIT_FLAGGED)]
    pub exit_flagged: u8,
    /// The size of the ring, which holds events until krcu reads them: a power of two, at least 4K, with K, M
    /// or G
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = quantity::ring_bytes)]
    pub ring_bytes: u32,
    /// Do not take the stack of each queueing call. That is cheaper, but the report does not say where
    /// objects were queued
    #[arg(long)]
    pub no_stacks: bool,
    /// Follow each object from its allocation on, so that the report says where a leaked object was
    /// allocated. A probe then runs at every allocation and every free in the kernel, some 600 instructions
    /// each time. In a module's cache, each also makes an event, and each allocation takes its stack
    #[arg(long)]
    pub alloc_stacks: bool,
    /// Room for this many different stacks, a kilobyte of kernel memory each. An event whose stack finds no
    /// room is still judged, but the report does not say where it came from
    #[arg(long, value_name = "N", default_value_t = STACKS, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub stacks: u32,
    /// Print the probes' own diagnostics to standard error
    #[arg(long)]
    pub probe_log: bool,
    /// Print the whole of the verifier's log if the kernel refuses a probe
    #[arg(long)]
    pub verbose: bool,
    /// The command and its arguments, after `--`
    #[arg(required_unless_present = "each", last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Runs `check`. Returns the exit status.
///
/// # Errors
/// See [`VerbError`]; nothing stays attached.
pub fn run(options: &Options) -> Result<u8, VerbError> {
    if let Some(list) = &options.each {
        return each::run(options, list);
    }
    let files = options.report.claim()?;
    let ran = Ship::of(options).and_then(|ship| Ok((watched(options, ship.as_ref())?, ship)));
    match ran {
        Ok((outcome, ship)) => {
            let written = files.write(&outcome);
            if let Some(ship) = ship {
                ship.now();
            }
            written?;
            Ok(outcome.exit_status())
        }
        Err(error) => {
            let command = options.command.iter().map(|word| word.to_string_lossy().into_owned());
            let setting = trace::here(command.collect());
            let failed = Outcome::of_failure(error.to_string(), trace::release(), setting, Policy::default());
            // The error itself is told in any case.
            let _ = files.write_failure(&failed);
            Err(error)
        }
    }
}

/// Runs the command, and judges the run.
fn watched(options: &Options, ship: Option<&Ship>) -> Result<Outcome, VerbError> {
    let policy = options.report.policy(options.exit_flagged).map_err(|error| each::usage(&error))?;
    let program = match options.command.first() {
        Some(word) => command::find(word)?,
        None => return Err(anyhow::anyhow!("there is no command to run: give one after `--`").into()),
    };
    let outcome = engine::run(Job {
        attach: options.attach(),
        until: Until::Exit { program, words: options.command.clone(), settle: options.settle },
        keep: Keep::claim(options.events.as_deref(), options.output.as_deref(), Limits::default())?,
        policy,
        heir: ship.and_then(Ship::heir),
    })?;
    if let Some(trace) = options.output.as_deref().filter(|_| options.anonymise) {
        in_place(trace)?;
    }
    Ok(outcome)
}

impl Options {
    /// The options of the probes.
    fn attach(&self) -> AttachOptions {
        AttachOptions {
            load: LoadOptions {
                ring_bytes: self.ring_bytes,
                stacks: self.stacks,
                queue_stacks: !self.no_stacks,
                probe_log: self.probe_log,
            },
            alloc_stacks: self.alloc_stacks,
            verbose: self.verbose,
        }
    }
}
