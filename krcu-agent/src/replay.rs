//! `krcu replay`: prints the report of a run, from its trace.

use std::{
    fs::File,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use krcu_model::{State, event::Losses};
use krcu_report::verdicts;
use krcu_trace::{How, Part, Reader, TraceError, meta::Run};

use crate::{
    outcome::{EXIT_FLAGGED, Incomplete, Outcome},
    report::options as report,
    say::say,
    trace,
};

/// Prints the report of the run that wrote this trace, and exits with that run's status.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The trace: a folder that `krcu check -o` or `krcu record -o` wrote
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// How the run is judged, and where its report goes.
    #[command(flatten)]
    pub report: report::Options,
    /// The exit status if something is flagged; the default is the run's
    #[arg(long, value_name = "N")]
    pub exit_flagged: Option<u8>,
}

/// A trace of fewer bytes is read so quickly that nobody needs a progress bar.
const LONG_BYTES: u64 = 8 << 20;

/// Runs `replay`. Returns the exit status.
///
/// # Errors
/// When nothing of the trace can be read, or the report cannot be written.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let asked = options.report.policy(EXIT_FLAGGED)?;
    let reader = open(&options.trace)?;
    let files = options.report.claim()?;
    let (mut outcome, damage) = replay(&reader)?;
    if let Some(damage) = damage {
        say(format_args!("the trace is read up to here: {damage}"));
    }
    let policy = &mut outcome.policy;
    policy.strict |= asked.strict;
    policy.exit_flagged = options.exit_flagged.unwrap_or(policy.exit_flagged);
    // What is asked for now replaces what the run was asked for.
    if !asked.require_destroy.is_empty() {
        policy.require_destroy = asked.require_destroy;
    }
    if options.report.known.is_some() {
        policy.known = asked.known;
    }
    files.write(&outcome)?;
    Ok(outcome.exit_status())
}

/// Opens a trace. What is no trace is named by what it is, with what reads it.
fn open(path: &Path) -> anyhow::Result<Reader> {
    if !path.exists() {
        bail!("there is no trace {}: check the path", path.display());
    }
    if !path.is_file() {
        return Ok(Reader::open(path)?);
    }
    let mut head = vec![0; HEAD_BYTES];
    let read = File::open(path).and_then(|mut file| file.read(&mut head));
    head.truncate(read.with_context(|| format!("cannot read {}", path.display()))?);
    let text = String::from_utf8_lossy(&head);
    let holds_a_trace = |folder: &&Path| folder.join("meta.json").is_file();
    let (folder, path) = (path.parent().filter(holds_a_trace), path.display());
    let wrong = match folder {
        Some(folder) => format!("{path} is a file of a trace: name its folder, {}", folder.display()),
        None if text.starts_with("krcu-script") => format!(
            "{path} is a file of events, as `krcu check --events` writes it, and a trace is a folder: in krcu's \
             sources, cargo xtask model --replay {path} judges it"
        ),
        None if text.contains("Objects remaining") || text.contains("Slab cache still has objects") => {
            format!("{path} is a kernel log, and a trace is a folder: krcu explain {path} reads it")
        }
        None if text.starts_with("PERFILE2") => format!(
            "{path} is a file of perf, and a trace is a folder: make text of it by perf script -i {path}, and import \
             that by krcu analyze import"
        ),
        None if head.starts_with(b"\x17\x08\x44tracing") => format!(
            "{path} is a file of trace-cmd, and a trace is a folder: make text of it by trace-cmd report {path}, and \
             import that by krcu analyze import"
        ),
        None => {
            format!("{path} is a file, and a trace is a folder that krcu check -o or krcu record -o wrote")
        }
    };
    Err(anyhow!(wrong))
}

/// How much of a file tells what it is.
const HEAD_BYTES: usize = 1 << 16;

/// The outcome of the run whose trace this is, and what of the trace is damaged.
///
/// A trace that ends before its run did, or that is damaged, has a gap from the moment up to which everything is
/// accounted for: whatever could have come then, came or did not, and what depends on it is inconclusive.
///
/// # Errors
/// When not even the first event can be read.
pub fn replay(reader: &Reader) -> anyhow::Result<(Outcome, Option<TraceError>)> {
    let meta = reader.meta();
    let watch = meta.watch()?;
    let mut state = State::new(watch.clone());
    let progress = progress(reader.bytes());
    let mut events = reader.salvage()?;
    let mut parts = 0_u64;
    while let Some(part) = events.next_part() {
        match part {
            Part::Event(event) => state.step(event),
            Part::Run(run) => state.step_run(run),
        }
        parts += 1;
        if parts.is_multiple_of(1 << 10) {
            progress.set_position(events.bytes());
        }
    }
    progress.finish_and_clear();
    let (last, known) = (events.last_time(), events.accounted().unwrap_or_default());
    let damage = events.into_damage();
    let incomplete = match meta.ended.as_ref().map(|ended| ended.how) {
        None => Some(Incomplete::NoGoodbye),
        Some(How::CutShort) => Some(Incomplete::CutShort),
        Some(_) => damage.is_some().then_some(Incomplete::Damaged),
    };
    let run = match &meta.ended {
        Some(ended) => ended.run.clone(),
        None => {
            let probes = meta.probes.iter().filter(|probe| probe.offer == "offered").count();
            let duration_ns = last.since(watch.attached);
            let probes = probes as u64;
            let lost = Losses {
                ring_full: known.lost,
                probe_missed: known.missed,
                map_full: known.map_full,
                destroys: 0,
            };
            Run { probes, duration_ns, lost, exit_flagged: EXIT_FLAGGED, ..Run::default() }
        }
    };
    let mut outcome = trace::outcome(meta, &run, &state, verdicts(&state))?;
    outcome.events_cut_short |= incomplete == Some(Incomplete::CutShort);
    outcome.incomplete = incomplete;
    Ok((outcome, damage))
}

/// A progress bar for a long trace, if this is a terminal.
fn progress(bytes: u64) -> ProgressBar {
    if bytes < LONG_BYTES || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    match ProgressStyle::with_template("krcu: {wide_bar} {percent:>3} % of {total_bytes}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
