//! `krcu record`: writes a trace until a command has ended, a time is over, or a signal comes.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use krcu_trace::{Limits, stream::Sender};

use crate::{
    anonymise::in_place,
    command,
    engine::{self, AttachOptions, Job, Keep, Until},
    error::VerbError,
    outcome::{EXIT_FAILED, Outcome, Policy},
    probe::{LoadOptions, STACKS},
    quantity,
    say::{causes, say},
    stream::{Address, Out},
};

/// Writes a trace until the command has ended, the time is over, or a signal comes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The folder of the trace; it must not exist yet
    #[arg(long, short, value_name = "TRACE", required_unless_present = "stream", conflicts_with = "stream")]
    pub output: Option<PathBuf>,
    /// Send the trace to `krcu receive` on another machine and keep nothing here: tcp:HOST:PORT, vsock:CID:PORT (CID 2 is
    /// the host of a virtual machine), or `-` for standard output, where nothing else is written then
    #[arg(long, value_name = "TO", conflicts_with = "anonymise")]
    pub stream: Option<Address>,
    /// How long to record; the default is until a signal comes
    #[arg(long, value_name = "TIME", value_parser = quantity::span, conflicts_with = "command")]
    pub duration: Option<Duration>,
    /// When the run is over, leave out of the trace what says whose it is, as `krcu export --anonymise` does
    #[arg(long)]
    pub anonymise: bool,
    /// Begin a new file of the trace when one has this size; at least 4K, with K, M or G
    #[arg(long, value_name = "BYTES", value_parser = quantity::file_bytes)]
    pub rotate_bytes: Option<u64>,
    /// Begin a new file of the trace when one covers this much time
    #[arg(long, value_name = "TIME", value_parser = quantity::span)]
    pub rotate_time: Option<Duration>,
    /// How long to wait at most, after the command, for deferred frees that are still outstanding
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = quantity::span)]
    pub settle: Duration,
    /// The size of the ring, which holds events until krcu reads them: a power of two, at least 4K, with K, M
    /// or G
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = quantity::ring_bytes)]
    pub ring_bytes: u32,
    /// Do not take the stack of each queueing call. That is cheaper, but the trace does not say where objects
    /// were queued
    #[arg(long)]
    pub no_stacks: bool,
    /// Follow each object from its allocation on, as `krcu check --alloc-stacks` does
    #[arg(long)]
    pub alloc_stacks: bool,
    /// Room for this many different stacks, a kilobyte of kernel memory each
    #[arg(long, value_name = "N", default_value_t = STACKS, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub stacks: u32,
    /// Print the whole of the verifier's log if the kernel refuses a probe
    #[arg(long)]
    pub verbose: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Runs `record`. Returns the exit status, which is the command's own unless the trace is cut short.
///
/// # Errors
/// See [`VerbError`]; nothing stays attached.
pub fn run(options: &Options) -> Result<u8, VerbError> {
    let until = match options.command.first() {
        Some(word) => Until::Exit {
            program: command::find(word)?,
            words: options.command.clone(),
            settle: options.settle,
        },
        None => Until::Told(options.duration),
    };
    let limits = Limits {
        segment_bytes: options.rotate_bytes,
        segment_time: options.rotate_time,
        ..Limits::default()
    };
    let (keep, out) = keep(options, limits)?;
    let outcome = engine::run(Job {
        attach: AttachOptions {
            load: LoadOptions {
                ring_bytes: options.ring_bytes,
                stacks: options.stacks,
                queue_stacks: !options.no_stacks,
                probe_log: false,
            },
            alloc_stacks: options.alloc_stacks,
            verbose: options.verbose,
        },
        until,
        keep,
        policy: Policy::default(),
        heir: None,
    })?;
    if let (true, Some(output)) = (options.anonymise, &options.output) {
        in_place(output)?;
    }
    let confirmed = match out {
        Some(out) if !outcome.events_cut_short => out.confirmed(),
        _ => Ok(()),
    };
    say(summary(&outcome, options));
    if let Err(error) = &confirmed {
        say(causes(error));
    }
    let is_whole = !outcome.events_cut_short && confirmed.is_ok();
    Ok(if is_whole { outcome.command_status } else { EXIT_FAILED })
}

/// Where the trace goes, and the connection if it is a stream.
fn keep(options: &Options, limits: Limits) -> anyhow::Result<(Keep, Option<Out>)> {
    let Some(address) = &options.stream else {
        return Ok((Keep::claim(None, options.output.as_deref(), limits)?, None));
    };
    let out = Out::to(address)?;
    let sender = out.writer().and_then(Sender::begin);
    let sender = sender.with_context(|| format!("cannot send the trace to {address}"))?;
    Ok((Keep::stream(sender, address, limits), Some(out)))
}

fn summary(outcome: &Outcome, options: &Options) -> String {
    let (events, lost) = (outcome.events, outcome.losses.total());
    match (&options.output, &options.stream) {
        (Some(output), _) => {
            let trace = output.display();
            format!("{events} events in {trace}, {lost} lost: see `krcu replay {trace}`")
        }
        (None, Some(address)) => format!("{events} events to {address}, {lost} lost"),
        (None, None) => format!("{events} events, {lost} lost"),
    }
}
