//! Engine: one run from the beginning to the end: attach, watch, settle, finish. Its result is an
//! [`Outcome`].
//!
//! `check` and `record` give the engine a [`Job`]. `check --each` attaches once, and uses the parts of the
//! engine for each command. The agent has a loop of its own; it uses [`attach`] and [`Watcher`] to attach,
//! read and detach.
//!
//! What is absent here: command lines, formats of a report, and the socket.

mod attach;
mod command;
mod keep;
mod watcher;

use std::{
    ffi::OsString,
    fs,
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use krcu_common::Fate;
use krcu_model::event::Time;
use krcu_report::verdicts;
use krcu_trace::{CutShort, How, Meta};
use tokio::{process::Command, runtime::Runtime, time::sleep};

pub(crate) use attach::{AttachOptions, Attached, attach, now};
pub(crate) use command::start;
pub(crate) use keep::Keep;
pub(crate) use watcher::{Ended, Watcher};

use crate::{
    outcome::{Incomplete, Outcome, Policy, Setting},
    pipeline::{Finished, accounts},
    privileges::{
        calls::{self, Caller},
        user::User,
    },
    say::say,
    signals::{Came, Ending, Signals},
    trace,
};

/// The task of one run.
#[derive(Debug)]
pub(crate) struct Job {
    /// Options of the probes.
    pub(crate) attach: AttachOptions,
    /// When it ends.
    pub(crate) until: Until,
    /// The files that it writes.
    pub(crate) keep: Keep,
    /// How the exit status is chosen.
    pub(crate) policy: Policy,
    /// Who will be given the trace.
    pub(crate) heir: Option<User>,
}

/// When a run ends.
#[derive(Debug)]
pub(crate) enum Until {
    /// The run ends when its command has ended and no verdict waits for a deferred free.
    Exit {
        /// The file of the program.
        program: PathBuf,
        /// The command as it was typed, including its first word.
        words: Vec<OsString>,
        /// How long the run waits at most for deferred frees, after the command.
        settle: Duration,
    },
    /// The run ends when a signal comes, or after this time if one was given.
    Told(Option<Duration>),
}

/// The facts that all runs with the same probes share.
#[derive(Debug)]
pub(crate) struct Probed {
    /// The kernel's release.
    pub(crate) release: String,
    probes: usize,
    attach_ns: u64,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct RunEnd {
    /// When detaching began.
    pub(crate) at: Time,
    /// What ended it.
    pub(crate) how: How,
    /// Status of the command, as a shell reports it.
    pub(crate) command_status: u8,
    /// Where and when it was.
    pub(crate) setting: Setting,
    /// How the exit status is chosen.
    pub(crate) policy: Policy,
    /// Why there is no trace, if one was asked for.
    pub(crate) cut_short: Option<CutShort>,
}

/// The event loop of a run.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn event_loop() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start the event loop")
}

/// Carries out a job. If krcu fails, it removes the folder of the trace, unless the folder has a file in it.
///
/// # Errors
/// When krcu failed; nothing stays attached.
pub(crate) fn run(job: Job) -> anyhow::Result<Outcome> {
    let folder = job.keep.folder().map(Path::to_owned);
    let outcome = event_loop().and_then(|event_loop| event_loop.block_on(watch(job)));
    if let (Err(_), Some(folder)) = (&outcome, folder) {
        // This fails if the folder has a file in it; then the folder stays.
        let _ = fs::remove_dir(folder);
    }
    outcome
}

async fn watch(job: Job) -> anyhow::Result<Outcome> {
    let attached = attach_aloud(job.attach)?;
    let probed = Probed::of(&attached);
    let command = match &job.until {
        Until::Exit { words, .. } => words.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        Until::Told(_) => Vec::new(),
    };
    let has_command = !command.is_empty();
    let meta = Meta { command, ..attached.meta()? };
    let setting = trace::setting(&meta, has_command);
    let (sinks, cut_short) = job.keep.begin(&attached.watch, &probed.release, || Ok(meta))?;
    let mut watcher = attached.begin(sinks);
    let (how, command_status, ending, is_interrupted) = match job.until {
        Until::Exit { program, words, settle } => {
            let mut command = Command::new(program);
            command.args(words.iter().skip(1));
            let mut signals = Signals::new()?;
            let child = start(command)?;
            give_up_calls(job.heir);
            let status = watcher.command(child, &mut signals, Came::forward).await?;
            let mut ending = Ending::begin(false)?;
            let is_interrupted = watcher.settle(settle, ending.came()).await?;
            (How::Exit, status, ending, is_interrupted)
        }
        Until::Told(limit) => {
            give_up_calls(job.heir);
            let how = told(&mut watcher, limit).await?;
            let is_interrupted = how == How::Signal;
            (how, 0, Ending::begin(is_interrupted)?, is_interrupted)
        }
    };
    let mut end = RunEnd { at: now()?, how, command_status, setting, policy: job.policy, cut_short };
    // A signal that has ended the run, or its settling, is done with; the next one ends the process.
    let Ended { mut finished, is_whole, attached, .. } =
        watcher.finish(|| !is_interrupted && ending.has_come()).await?;
    if !is_whole {
        say(format_args!("a signal ended the detaching: {attached} probes are left to the kernel"));
        end.how = How::CutShort;
        finished.leave_open();
    }
    let mut outcome = probed.outcome(finished, end)?;
    if !is_whole {
        outcome.events_cut_short = true;
        outcome.incomplete = Some(Incomplete::CutShort);
    }
    Ok(outcome)
}

/// Gives up the system calls that a run does not need any more. A command that runs keeps them, since it has been
/// started.
fn give_up_calls(heir: Option<User>) {
    if let Err(error) = calls::list_only(heir.map_or(Caller::Command, Caller::Giving)) {
        say(format_args!("{error:#}: krcu keeps all system calls"));
    }
}

/// Attaches, and prints which optional probes are missing.
///
/// # Errors
/// Those of [`attach`].
pub(crate) fn attach_aloud(options: AttachOptions) -> anyhow::Result<Attached> {
    let attached = attach(options)?;
    for why in &attached.withdrawn {
        say(format_args!("without an optional probe: {why}"));
    }
    Ok(attached)
}

/// Takes events until a signal comes or the time is over.
async fn told(watcher: &mut Watcher, limit: Option<Duration>) -> anyhow::Result<How> {
    let mut signals = Signals::new()?;
    let over = async {
        match limit {
            Some(limit) => sleep(limit).await,
            None => pending().await,
        }
    };
    let ended = async {
        tokio::select! {
            _ = signals.next() => How::Signal,
            () = over => How::Duration,
        }
    };
    watcher.until(ended).await
}

impl Probed {
    pub(crate) fn of(attached: &Attached) -> Probed {
        Probed {
            release: attached.release(),
            probes: attached.probes.attached(),
            attach_ns: attached.watch.attached.since(attached.begun),
        }
    }

    /// Returns the outcome of a run, and closes its trace with the outcome.
    ///
    /// # Errors
    /// When the clock cannot be read.
    pub(crate) fn outcome(&self, finished: Finished, end: RunEnd) -> anyhow::Result<Outcome> {
        let Finished { state, reading, kept, .. } = finished;
        if let Some(error) = &kept.cut_short {
            say(error);
        }
        let mut outcome = Outcome {
            setting: end.setting,
            release: self.release.clone(),
            probes: self.probes,
            events: state.events(),
            losses: reading.losses(),
            without_site: reading.all(Fate::NoSite),
            accounts: accounts(&reading.counters),
            attach_ns: self.attach_ns,
            duration_ns: end.at.since(state.watch().attached),
            verdicts: verdicts(&state),
            command_status: end.command_status,
            events_cut_short: kept.cut_short.is_some(),
            incomplete: None,
            failed: None,
            policy: end.policy,
        };
        let mut cut_short = end.cut_short;
        if let Some(writer) = kept.trace {
            cut_short = writer.finish(end.how, now()?, trace::run(&outcome)).err();
        }
        if let Some(error) = cut_short {
            say(error);
            outcome.events_cut_short = true;
        }
        Ok(outcome)
    }
}
