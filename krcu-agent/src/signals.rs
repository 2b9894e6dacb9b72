//! Signals: the signals that ask krcu to end, or to read its configuration again.

use anyhow::Context as _;
use nix::{
    sys::signal::{self, kill, killpg},
    unistd::Pid,
};
use tokio::{
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
};

/// The signals that ask krcu to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// A signal that came.
pub(crate) enum Came {
    /// It comes from the terminal, so the command gets it as well.
    Interrupt,
    Terminate,
    Hangup,
}

impl Signals {
    /// Handles the signals from here on. Call it inside the event loop.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn new() -> anyhow::Result<Signals> {
        let handle = |kind| signal(kind).context("cannot handle signals");
        Ok(Signals {
            interrupt: handle(SignalKind::interrupt())?,
            terminate: handle(SignalKind::terminate())?,
            hangup: handle(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Came {
        tokio::select! {
            _ = self.interrupt.recv() => Came::Interrupt,
            _ = self.terminate.recv() => Came::Terminate,
            _ = self.hangup.recv() => Came::Hangup,
        }
    }
}

impl Came {
    /// Hands a signal on to every process of a command that leads a group of its own.
    pub(crate) fn forward_to_group(&self, child: &Child) {
        self.hand_on(child, killpg);
    }

    /// Hands a signal on to a command, except an interrupt: that comes from the terminal, and the command gets it as well.
    pub(crate) fn forward(&self, child: &Child) {
        if !matches!(self, Came::Interrupt) {
            self.hand_on(child, kill);
        }
    }

    fn hand_on(&self, child: &Child, kill: fn(Pid, Option<signal::Signal>) -> nix::Result<()>) {
        let signal = match self {
            Came::Interrupt => signal::Signal::SIGINT,
            Came::Terminate => signal::Signal::SIGTERM,
            Came::Hangup => signal::Signal::SIGHUP,
        };
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended meanwhile, which is what was asked for.
            let _ = kill(Pid::from_raw(id), Some(signal));
        }
    }
}
