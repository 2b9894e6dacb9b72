//! `krcu check`: a command runs between attach and detach, and every cache that it destroys gets a
//! verdict.

use std::{ffi::OsString, fs::File, io::Write as _, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use krcu_trace::Limits;

use crate::{
    command,
    engine::{self, AttachOptions, Job, Keep, Until},
    error::VerbError,
    outcome::{EXIT_FLAGGED, Policy},
    probe::{LoadOptions, STACKS},
    quantity,
    report::Format,
};

mod each;
mod list;

/// Runs a command and says, for every slab cache destroyed meanwhile, whether deferred frees were
/// outstanding.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Take `waited` and `unordered` for faults too: the module is not safe on every kernel
    #[arg(long)]
    pub strict: bool,
    /// How to write the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write the report to this file, not to standard output; with --each, the reports into this folder
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Attach once, and judge each command of this file by itself, as if krcu had been attached just before it; `-`
    /// is standard input. A line is `NAME COMMAND`, or `NAME OPTIONS -- COMMAND` with --strict, --format, --settle
    /// or --exit-flagged of its own; a shell runs the command. What comes of it is NAME.json (.txt, .tap, .xml) in the
    /// folder of --report, NAME.events in that of --events and NAME.krcu in that of --output; `NAME STATUS` is
    /// printed when they are there. The commands read nothing from standard input. All of them share the room of --stacks
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with = "command")]
    pub each: Option<PathBuf>,
    /// Write every event to this file, as text, one a line: the verdicts follow from it, so it is what a
    /// bug report should carry. It grows by some 90 bytes for each object queued and each object freed
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Write a trace into this folder, which `krcu replay` and `krcu analyze` read. It grows by some four
    /// bytes for each object queued and each object freed
    #[arg(long, short, value_name = "TRACE")]
    pub output: Option<PathBuf>,
    /// How long to wait, after the command, for deferred frees that are still outstanding
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = quantity::span)]
    pub settle: Duration,
    /// Exit status when something is flagged
    #[arg(long, value_name = "N", default_value_t = EXIT_FLAGGED)]
    pub exit_flagged: u8,
    /// Room for events that wait to be read; a power of two of pages, with K, M or G
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = quantity::ring_bytes)]
    pub ring_bytes: u32,
    /// Do not take the stack of each queueing call: cheaper, and the report names no site
    #[arg(long)]
    pub no_stacks: bool,
    /// Follow each object of a cache from where it was allocated, so that a leaked one is told with that place.
    /// Every allocation and every free of the kernel then passes a probe, some 600 instructions each; one of a
    /// module's cache makes an event as well, and an allocation takes its stack
    #[arg(long)]
    pub alloc_stacks: bool,
    /// Room for this many different stacks, a kilobyte of the kernel's memory each. What finds none is judged
    /// all the same, and the report does not say where it came from
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

/// Runs `check`; gives the status to exit with.
///
/// # Errors
/// See [`VerbError`]; nothing stays attached.
pub fn run(options: &Options) -> Result<u8, VerbError> {
    if let Some(list) = &options.each {
        return each::run(options, list);
    }
    let program = match options.command.first() {
        Some(word) => command::find(word)?,
        None => return Err(anyhow::anyhow!("there is no command to run: give one after `--`").into()),
    };
    let report = options.report.as_ref().map(|path| {
        let file = File::create(path);
        file.with_context(|| {
            format!("cannot write the report to {}: name a file that can be", path.display())
        })
    });
    let report = report.transpose()?;
    let outcome = engine::run(Job {
        attach: options.attach(),
        until: Until::Exit { program, words: options.command.clone(), settle: options.settle },
        keep: Keep::claim(options.events.as_deref(), options.output.as_deref(), Limits::default())?,
        policy: Policy { strict: options.strict, exit_flagged: options.exit_flagged },
    })?;
    let text = options.format.render(&outcome).context("cannot write the report in its format")?;
    match report {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => std::io::stdout().lock().write_all(text.as_bytes()),
    }
    .context("cannot write the report")?;
    Ok(outcome.exit_status())
}

impl Options {
    /// What they ask of the probes.
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
