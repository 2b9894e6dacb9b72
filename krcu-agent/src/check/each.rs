//! `krcu check --each`: attaches once, then runs commands one after the other, each judged by itself.
//!
//! Between two commands one replay ends and the next begins ([`Watcher::part`]). The new one knows nothing of the time
//! before, as if the probes had been attached at that moment. Events between two commands belong to no command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use anyhow::Context as _;
use krcu_trace::{CutShort, How, Limits, Meta};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

use super::{
    Options,
    list::{Line, Lines},
};
use crate::{
    engine::{Keep, Probed, RunEnd, Watcher, attach_aloud, event_loop, now, start},
    error::VerbError,
    modules,
    outcome::{EXIT_FAILED, EXIT_INCONCLUSIVE, Policy},
    say::say,
    signals::{Came, Ending, Signals},
    sinks::Sinks,
    trace,
};

/// Runs the commands of a list. Returns the exit status: that of a fault if there is one, otherwise that of an
/// inconclusive verdict, otherwise that of the last command that failed.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options, list: &Path) -> Result<u8, VerbError> {
    // A file is read before anything is attached, so that no command runs if one of them is wrong.
    if list.is_file() {
        let mut lines = Lines::open(list)?;
        while lines.next().map_err(|error| usage(&error))?.is_some() {}
    }
    let lines = Lines::open(list)?;
    for folder in [&options.report.report, &options.events, &options.output].into_iter().flatten() {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot write into {}: name a folder that can be made", folder.display())
        })?;
    }
    let policy = options.report.policy(options.exit_flagged).map_err(|error| usage(&error))?;
    event_loop()?.block_on(watch(options, policy, lines))
}

pub(super) fn usage(error: &anyhow::Error) -> VerbError {
    VerbError::Usage(format!("{error:#}"))
}

/// The options, and the facts that all commands share.
struct Session<'a> {
    options: &'a Options,
    probed: Probed,
    meta: Meta,
    policy: Policy,
}

/// Reads the next line in a thread of its own, because reading a pipe may wait.
fn asked(mut lines: Lines) -> (mpsc::Sender<()>, mpsc::Receiver<anyhow::Result<Option<Line>>>) {
    let (ask, mut asked) = mpsc::channel(1);
    let (tell, told) = mpsc::channel(1);
    thread::spawn(
        move || {
            while asked.blocking_recv().is_some() && tell.blocking_send(lines.next()).is_ok() {}
        },
    );
    (ask, told)
}

async fn watch(options: &Options, policy: Policy, lines: Lines) -> Result<u8, VerbError> {
    let attached = attach_aloud(options.attach())?;
    let session = Session { options, probed: Probed::of(&attached), meta: attached.meta()?, policy };
    let mut watcher = attached.begin(Sinks::default());
    let status = session.each(&mut watcher, lines).await;
    // The list is over: whoever does not want to wait for the probes may say so.
    let ending = Ending::begin(false)?;
    watcher.finish(|| ending.has_come()).await?;
    status
}

impl Session<'_> {
    async fn each(&self, watcher: &mut Watcher, lines: Lines) -> Result<u8, VerbError> {
        let (ask, mut told) = asked(lines);
        let mut signals = Signals::new()?;
        let mut worst = Worst::default();
        loop {
            // Whoever was to hear it has ended with an error, which comes next.
            let _ = ask.send(()).await;
            let Some(line) = next(watcher, &mut told, &mut signals, &mut worst).await? else { break };
            let status = self.one(watcher, &line, &mut signals, &mut worst).await?;
            println!("{} {status}", line.name);
            worst.ran += 1;
            if worst.is_interrupted {
                break;
            }
        }
        if worst.is_interrupted {
            say(format_args!("a signal ended the list after {} of its commands", worst.ran));
        }
        Ok(worst.status(self.options.exit_flagged))
    }

    /// Runs one command and writes its report. Returns the status that `krcu check` would exit with.
    async fn one(
        &self,
        watcher: &mut Watcher,
        line: &Line,
        signals: &mut Signals,
        worst: &mut Worst,
    ) -> anyhow::Result<u8> {
        watcher.part().await?;
        let meta = self.meta(watcher, line);
        let setting = trace::setting(&meta, true);
        let cut_short = self.keep(watcher, line, meta)?;
        // The list may be what this program reads, and a signal has to reach all that the command has started.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &line.command]).stdin(Stdio::null()).process_group(0);
        let is_interrupted = &mut worst.is_interrupted;
        let hand_on = |signal: &Came, child: &Child| {
            signal.forward_to_group(child);
            *is_interrupted = true;
        };
        let command_status = watcher.command(start(command)?, signals, hand_on).await?;
        let settle = line.own.settle.unwrap_or(self.options.settle);
        let signal = async {
            signals.next().await;
        };
        worst.is_interrupted |= watcher.settle(settle, signal).await?;
        let mut policy = Policy {
            strict: line.own.strict || self.policy.strict,
            exit_flagged: line.own.exit_flagged.unwrap_or(self.policy.exit_flagged),
            ..self.policy.clone()
        };
        if !line.own.require_destroy.is_empty() {
            policy.require_destroy.clone_from(&line.own.require_destroy);
        }
        let end = RunEnd { at: now()?, how: How::Exit, command_status, setting, policy, cut_short };
        let outcome = self.probed.outcome(watcher.part().await?, end)?;
        let format = line.own.format.unwrap_or(self.options.report.format);
        if let Some(folder) = &self.options.report.report {
            let path = folder.join(format!("{}.{}", line.name, format.ending()));
            let text = format.render_for(&outcome, &self.options.report.plain());
            let text = text.context("cannot write the report in its format")?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        worst.is_flagged |= outcome.has_fault();
        let status = outcome.exit_status();
        worst.is_open |= status == EXIT_INCONCLUSIVE;
        if status != 0 {
            worst.last = status;
        }
        Ok(status)
    }

    /// The head of the trace of a command.
    fn meta(&self, watcher: &Watcher, line: &Line) -> Meta {
        Meta {
            trace: format!("{}-{}", self.meta.trace, line.name),
            watch: modules::seen(watcher.pipeline.state().watch()),
            command: vec![line.command.clone()],
            ..self.meta.clone()
        }
    }

    /// Begins the files of a command. There may be no room for the trace.
    fn keep(&self, watcher: &mut Watcher, line: &Line, meta: Meta) -> anyhow::Result<Option<CutShort>> {
        let named = |folder: &Option<PathBuf>, ending: &str| {
            folder.as_ref().map(|folder| folder.join(format!("{}.{ending}", line.name)))
        };
        let events = named(&self.options.events, "events");
        let trace = named(&self.options.output, "krcu");
        let keep = Keep::claim(events.as_deref(), trace.as_deref(), Limits::default())?;
        let watch = watcher.pipeline.state().watch().clone();
        let (sinks, cut_short) = keep.begin(&watch, &self.probed.release, || Ok(meta))?;
        *watcher.pipeline.sinks() = sinks;
        Ok(cut_short)
    }
}

/// Waits for the next line, and takes events meanwhile. Returns none at the end of the list, or when a signal ends krcu.
async fn next(
    watcher: &mut Watcher,
    told: &mut mpsc::Receiver<anyhow::Result<Option<Line>>>,
    signals: &mut Signals,
    worst: &mut Worst,
) -> Result<Option<Line>, VerbError> {
    let line = async {
        tokio::select! {
            line = told.recv() => line.unwrap_or(Ok(None)),
            _ = signals.next() => {
                worst.is_interrupted = true;
                Ok(None)
            }
        }
    };
    watcher.until(line).await?.map_err(|error| usage(&error))
}

/// The worst result so far.
#[derive(Debug, Default)]
struct Worst {
    is_flagged: bool,
    is_open: bool,
    /// The status of the last command that did not end with 0.
    last: u8,
    /// Whether a signal ended the list.
    is_interrupted: bool,
    /// Commands that ran.
    ran: usize,
}

impl Worst {
    fn status(&self, exit_flagged: u8) -> u8 {
        match self {
            Worst { is_flagged: true, .. } => exit_flagged,
            Worst { is_open: true, .. } => EXIT_INCONCLUSIVE,
            Worst { is_interrupted: true, last: 0, .. } => EXIT_FAILED,
            Worst { last, .. } => *last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        assert_eq!(Worst::default().status(10), 0);
        assert_eq!(Worst { last: 7, ..Worst::default() }.status(10), 7);
        assert_eq!(Worst { is_open: true, last: 7, ..Worst::default() }.status(10), 11);
        assert_eq!(Worst { is_flagged: true, is_open: true, last: 7, ..Worst::default() }.status(42), 42);
        assert_eq!(Worst { is_interrupted: true, ..Worst::default() }.status(10), 1);
    }
}
