//! Signals: the signals that ask krcu to end, or to read its configuration again.

use std::{
    io,
    process::exit,
    sync::{
        OnceLock,
        atomic::{AtomicI32, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{self, kill, killpg},
    unistd::Pid,
};
use tokio::{
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::say::say;

/// What `si_code` says of a signal that the kernel sent by itself, as it does for a key of the terminal.
const SI_KERNEL: i32 = 0x80;

/// The `si_code` of the last SIGINT.
static ORIGIN: AtomicI32 = AtomicI32::new(0);

/// Has the origin of each SIGINT noted. Without that, none counts as one of the terminal.
fn note_origin() {
    static NOTED: OnceLock<io::Result<signal_hook_registry::SigId>> = OnceLock::new();
    let note = |info: &libc::siginfo_t| ORIGIN.store(info.si_code, Ordering::Relaxed);
    // SAFETY: the action runs in a signal handler; all that it does is to store a number, which is allowed there.
    NOTED.get_or_init(|| unsafe { signal_hook_registry::register_sigaction(libc::SIGINT, note) });
}

/// The signals that ask krcu to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// A signal that came.
pub(crate) enum Came {
    /// If a key of the terminal sent it, the command has it as well.
    Interrupt {
        /// Whether the terminal sent it.
        by_terminal: bool,
    },
    Terminate,
    Hangup,
}

impl Signals {
    /// Handles the signals from here on. Call it inside the event loop.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn new() -> anyhow::Result<Signals> {
        note_origin();
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
            _ = self.interrupt.recv() => {
                Came::Interrupt { by_terminal: ORIGIN.load(Ordering::Relaxed) == SI_KERNEL }
            }
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

    /// Hands it on to a command, unless the command has it from the terminal.
    pub(crate) fn forward(&self, child: &Child) {
        if !matches!(self, Came::Interrupt { by_terminal: true }) {
            self.hand_on(child, kill);
        }
    }

    fn signal(&self) -> signal::Signal {
        match self {
            Came::Interrupt { .. } => signal::Signal::SIGINT,
            Came::Terminate => signal::Signal::SIGTERM,
            Came::Hangup => signal::Signal::SIGHUP,
        }
    }

    fn hand_on(&self, child: &Child, kill: fn(Pid, Option<signal::Signal>) -> nix::Result<()>) {
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended meanwhile, which is what was asked for.
            let _ = kill(Pid::from_raw(id), Some(self.signal()));
        }
    }
}

/// The signals of a run that has nothing to wait for but itself. The first one ends the waiting. The second one
/// ends the process at once, whatever its event loop does, and the kernel detaches the probes.
pub(crate) struct Ending {
    first: watch::Receiver<bool>,
}

impl Ending {
    /// Listens from here on, in a thread of its own; `has_come` says that the first signal has ended the run.
    ///
    /// # Errors
    /// When the system does not let signals be handled, or has no thread.
    pub(crate) fn begin(has_come: bool) -> anyhow::Result<Ending> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let event_loop = builder.enable_all().build().context("cannot start the event loop of signals")?;
        let inside = event_loop.enter();
        let mut signals = Signals::new()?;
        drop(inside);
        let (told, first) = watch::channel(has_come);
        let listen = async move {
            if !has_come {
                signals.next().await;
                told.send_replace(true);
            }
            let second = signals.next().await;
            say("another signal: krcu ends at once, and the kernel detaches the probes");
            exit(128 + second.signal() as i32)
        };
        let thread = thread::Builder::new().name("krcu-signals".to_owned());
        thread.spawn(move || event_loop.block_on(listen)).context("cannot start the thread of signals")?;
        Ok(Ending { first })
    }

    /// Waits for the first signal.
    pub(crate) async fn came(&mut self) {
        // The thread has the other end as long as the process lives.
        let _ = self.first.wait_for(|came| *came).await;
    }

    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        *self.first.borrow()
    }
}

#[cfg(test)]
mod tests;
