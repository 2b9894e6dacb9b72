//! `krcu check`: a command runs between attach and detach, and every cache that it destroys gets a
//! verdict.

use std::{
    ffi::OsString,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use krcu_common::Fate;
use krcu_model::{event::Time, verdicts};
use krcu_trace::{How, Limits, Writer};
use tokio::{
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    command::{self, CommandError},
    pipeline::{Finished, accounts},
    probe::STACKS,
    recording::Recording,
    report::{Format, Policy, Report},
    signals::{Came, Signals},
    sinks::Sinks,
    trace,
    watcher::{self, Ask, Attached, LOOK_EVERY, Watcher, now},
};

mod each;

/// Runs a command and says, for every slab cache that is destroyed while it runs, whether deferred frees were
/// outstanding.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Count `waited` and `unordered` as faults too: the module is not safe on every kernel
    #[arg(long)]
    pub strict: bool,
    /// The format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write the report to this file instead of standard output; with --each, write the reports into this
    /// folder
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Attach once, and judge each command of this file as if krcu had been attached just before it. `-` is
    /// standard input. A line is `NAME COMMAND`, or `NAME OPTIONS -- COMMAND` to give this command its own
    /// --strict, --format, --settle or --exit-flagged. A shell runs the command. krcu writes NAME.json (.txt,
    /// .tap, .xml) into the folder of --report, NAME.events into that of --events and NAME.krcu into that of
    /// --output, and then prints `NAME STATUS`. The commands get no standard input. All of them share the
    /// room of --stacks
    #[arg(long, value_name = "FILE", requires = "report", conflicts_with = "command")]
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
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_span)]
    pub settle: Duration,
    /// The exit status if something is flagged
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub exit_flagged: u8,
    /// The size of the ring, which holds events until krcu reads them: a power of two, at least 4K, with K or
    /// M
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = parse_bytes)]
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

pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "a time is a number with ms, s or m, as in 15s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err("a time is a number with ms, s or m, as in 15s".to_owned()),
    }
}

pub(crate) fn parse_bytes(text: &str) -> Result<u32, String> {
    let wrong = || "a size is a power of two from 4K to 1024M, as in 16M".to_owned();
    let (number, unit) = match text.strip_suffix(['K', 'M']) {
        Some(number) => (number, if text.ends_with('K') { 1 << 10 } else { 1 << 20 }),
        None => (text, 1),
    };
    let bytes = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
    if bytes.is_power_of_two() && (4 << 10..=1 << 30).contains(&bytes) { Ok(bytes) } else { Err(wrong()) }
}

/// Why `check` did not get to a verdict.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// What was asked for cannot be: nothing was attached.
    #[error(transparent)]
    Usage(#[from] CommandError),
    /// krcu failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs `check`; gives the status to exit with.
///
/// # Errors
/// See [`CheckError`]; nothing stays attached.
pub fn run(options: &Options) -> Result<u8, CheckError> {
    if let Some(list) = &options.each {
        return each::run(options, list);
    }
    let program = match options.command.first() {
        Some(word) => command::find(word)?,
        None => return Err(anyhow::anyhow!("there is no command to run: give one after `--`").into()),
    };
    let output = match &options.report {
        Some(path) => {
            let file = File::create(path).with_context(|| {
                format!("cannot write the report to {}: name a file that can be", path.display())
            })?;
            Some(file)
        }
        None => None,
    };
    let recording = match &options.events {
        Some(path) => {
            let recording = Recording::create(path).with_context(|| {
                format!("cannot write the events to {}: name a file that can be", path.display())
            })?;
            Some(recording)
        }
        None => None,
    };
    let keep = Keep { recording, output: options.output.as_deref(), limits: Limits::default() };
    let report = watch_to_the_end(options, Until::Exit(program), keep)?;
    let text = options.format.render(&report).context("cannot write the report as JSON")?;
    match output {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => std::io::stdout().lock().write_all(text.as_bytes()),
    }
    .context("cannot write the report")?;
    Ok(report.exit_status())
}

/// When a run ends.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    /// This program, with the arguments of [`Options::command`], has ended.
    Exit(PathBuf),
    /// A signal came, or this time is over, if any was given.
    Told(Option<Duration>),
}

/// Where events are kept.
#[derive(Debug)]
pub(crate) struct Keep<'a> {
    pub(crate) recording: Option<Recording>,
    /// The folder of a trace, which is not there yet.
    pub(crate) output: Option<&'a Path>,
    pub(crate) limits: Limits,
}

/// Watches until it is time to end. A trace's folder in which nothing came to be is taken away again.
pub(crate) fn watch_to_the_end(options: &Options, until: Until, keep: Keep<'_>) -> anyhow::Result<Report> {
    let output = keep.output;
    if let Some(folder) = output {
        trace::claim(folder)?;
    }
    let report = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
        .and_then(|runtime| runtime.block_on(watch(options, until, keep)));
    if let (Err(_), Some(folder)) = (&report, output) {
        // It stays where something is in it.
        let _ = std::fs::remove_dir(folder);
    }
    report
}

async fn watch(options: &Options, until: Until, keep: Keep<'_>) -> anyhow::Result<Report> {
    let attached = attach(options)?;
    let (release, begun, watch) = (attached.release(), attached.begun, attached.watch.clone());
    let mut sinks = Sinks { recording: keep.recording, ..Sinks::default() };
    if let Some(recording) = &mut sinks.recording {
        recording.begin(&watch, &release);
    }
    let mut trace_error = None;
    if let Some(folder) = keep.output {
        let words: Vec<String> =
            options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let meta = trace::meta(&attached.facts, attached.probes.plan(), &watch, &words)?;
        match Writer::create(folder, meta, keep.limits) {
            Ok(writer) => sinks.trace = Some(writer),
            Err(error) => trace_error = Some(krcu_trace::CutShort::new(folder, error)),
        }
    }
    let attached_probes = attached.probes.attached();
    let mut run = attached.begin(sinks);

    let (how, command_status) = match &until {
        Until::Exit(program) => {
            let child = Command::new(program)
                .args(options.command.iter().skip(1))
                .spawn()
                .with_context(|| format!("cannot start {}", program.display()))?;
            let status = until_exit(&mut run, child, &mut Signals::new()?, Came::forward).await?;
            settle(&mut run, options.settle).await?;
            (How::Exit, command::shell_status(status))
        }
        Until::Told(limit) => (until_told(&mut run, *limit).await?, 0),
    };
    let end = now()?;
    let finished = run.finish(None).await?.finished;
    let run = Run {
        release,
        probes: attached_probes,
        attach_ns: watch.attached.since(begun),
        end,
        command_status,
        policy: Policy { strict: options.strict, exit_flagged: options.exit_flagged },
    };
    report(run, finished, how, trace_error)
}

fn attach(options: &Options) -> anyhow::Result<Attached> {
    let attached = watcher::attach(Ask {
        ring_bytes: options.ring_bytes,
        stacks: options.stacks,
        queue_stacks: !options.no_stacks,
        alloc_stacks: options.alloc_stacks,
        probe_log: options.probe_log,
        verbose: options.verbose,
    })?;
    for why in &attached.withdrawn {
        eprintln!("krcu: without an optional probe: {why}");
    }
    Ok(attached)
}

/// What a report has besides what the replay came to.
struct Run {
    release: String,
    probes: usize,
    attach_ns: u64,
    end: Time,
    command_status: u8,
    policy: Policy,
}

/// The report, and the end of the trace that has it.
fn report(
    run: Run,
    finished: Finished,
    how: How,
    mut trace_error: Option<krcu_trace::CutShort>,
) -> anyhow::Result<Report> {
    let Finished { state, reading, kept, .. } = finished;
    if let Some(error) = &kept.cut_short {
        eprintln!("krcu: {error}");
    }
    let mut report = Report {
        release: run.release,
        probes: run.probes,
        events: state.events(),
        losses: reading.losses(),
        without_site: reading.all(Fate::NoSite),
        accounts: accounts(&reading.counters),
        attach_ns: run.attach_ns,
        duration_ns: run.end.since(state.watch().attached),
        verdicts: verdicts(&state),
        command_status: run.command_status,
        events_cut_short: kept.cut_short.is_some(),
        incomplete: None,
        policy: run.policy,
    };
    if let Some(writer) = kept.trace {
        trace_error = writer.finish(how, now()?, trace::run(&report)).err();
    }
    if let Some(error) = trace_error {
        eprintln!("krcu: {error}");
        report.events_cut_short = true;
    }
    Ok(report)
}

/// Reads events until a signal comes or the time is over.
async fn until_told(run: &mut Watcher, limit: Option<Duration>) -> anyhow::Result<How> {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut signals = Signals::new()?;
    loop {
        run.take().await?;
        tokio::select! {
            _ = signals.next() => return Ok(How::Signal),
            ready = run.readable() => ready?,
            _ = look.tick() => {}
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(How::Duration);
        }
    }
}

/// Reads events until the command has ended. A signal to end krcu is handed on instead; the verdict follows when
/// the command has obeyed.
async fn until_exit(
    run: &mut Watcher,
    mut child: Child,
    signals: &mut Signals,
    mut hand_on: impl FnMut(&Came, &Child),
) -> anyhow::Result<ExitStatus> {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for the command"),
            ready = run.readable() => ready?,
            _ = look.tick() => {}
            signal = signals.next() => hand_on(&signal, &child),
        }
        run.take().await?;
    }
}

/// Reads events until no verdict depends on what is still to come, or the time is over.
async fn settle(run: &mut Watcher, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let mut look = interval(LOOK_EVERY);
    loop {
        run.take().await?;
        if !run.pipeline.state().is_unsettled() {
            return Ok(());
        }
        tokio::select! {
            () = sleep_until(deadline) => return Ok(()),
            _ = look.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        assert_eq!(parse_bytes("16M"), Ok(16 << 20));
        assert_eq!(parse_bytes("64K"), Ok(64 << 10));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        for wrong in ["", "3M", "2K", "4G", "99999M", "-4K"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong:?} was read as a size");
        }
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_span("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "1h", "-1s"] {
            assert!(parse_span(wrong).is_err(), "{wrong:?} was read as a time");
        }
    }
}
