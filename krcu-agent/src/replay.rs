//! `krcu replay`: prints the report of a run, from its trace.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use krcu_model::{
    Event, State,
    event::{Cpu, Losses, Task, What},
};
use krcu_report::verdicts;
use krcu_trace::{How, Reader, meta::Run};

use crate::{
    outcome::{EXIT_FLAGGED, Incomplete, Outcome},
    report::Format,
    trace,
};

/// Prints the report of the run that wrote this trace, and exits with that run's status.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The trace: a folder that `krcu check -o` or `krcu record -o` wrote
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// The format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Count `waited` and `unordered` as faults too, whatever the run did
    #[arg(long)]
    pub strict: bool,
    /// The exit status if something is flagged; the default is the run's
    #[arg(long, value_name = "N")]
    pub exit_flagged: Option<u8>,
    /// Write the report to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// A trace of fewer bytes is read so quickly that nobody needs a progress bar.
const LONG_BYTES: u64 = 8 << 20;

/// Runs `replay`. Returns the exit status.
///
/// # Errors
/// When the trace cannot be read to its end, or the report cannot be written.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let mut outcome = replay(&Reader::open(&options.trace)?)?;
    outcome.policy.strict |= options.strict;
    outcome.policy.exit_flagged = options.exit_flagged.unwrap_or(outcome.policy.exit_flagged);
    let text = options.format.render(&outcome).context("cannot write the report in its format")?;
    match &options.report {
        Some(path) => File::create(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write the report to {}", path.display()))?,
        None => std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write the report")?,
    }
    Ok(outcome.exit_status())
}

/// The outcome of the run whose trace this is.
///
/// If a trace ends before its run did, it gets a gap that begins at the last moment of which everything is known. A
/// verdict that depends on later events is inconclusive.
///
/// # Errors
/// When the trace cannot be read to its end.
pub fn replay(reader: &Reader) -> anyhow::Result<Outcome> {
    let meta = reader.meta();
    let watch = meta.watch()?;
    let mut state = State::new(watch.clone());
    let progress = progress(reader.bytes());
    let mut events = reader.events();
    let mut last = watch.attached;
    let mut read = 0_u64;
    while let Some(event) = events.next() {
        let event = event?;
        last = last.max(event.time);
        state.step(event);
        read += 1;
        if read.is_multiple_of(1 << 16) {
            progress.set_position(events.batches().bytes());
        }
    }
    progress.finish_and_clear();
    let whole = meta.ended.as_ref().filter(|ended| ended.how != How::CutShort);
    if let Some(ended) = whole {
        return trace::outcome(meta, &ended.run, &state, verdicts(&state));
    }
    for gap in reader.unaccounted(watch.attached, state.gaps())? {
        state.step(Event { time: last, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) });
    }
    let (incomplete, run) = match &meta.ended {
        Some(ended) => (Incomplete::CutShort, ended.run.clone()),
        None => {
            let probes = meta.probes.iter().filter(|probe| probe.offer == "offered").count();
            let duration_ns = last.since(watch.attached);
            let probes = probes as u64;
            let known = reader.accounted()?.unwrap_or_default();
            let lost = Losses {
                ring_full: known.lost,
                probe_missed: known.missed,
                map_full: known.map_full,
                destroys: 0,
            };
            (
                Incomplete::NoGoodbye,
                Run { probes, duration_ns, lost, exit_flagged: EXIT_FLAGGED, ..Run::default() },
            )
        }
    };
    let mut outcome = trace::outcome(meta, &run, &state, verdicts(&state))?;
    outcome.events_cut_short |= incomplete == Incomplete::CutShort;
    outcome.incomplete = Some(incomplete);
    Ok(outcome)
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
