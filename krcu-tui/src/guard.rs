//! Guard: a thread that ends the program when a signal says so or the terminal is gone, whatever the other
//! threads do.
//!
//! When a terminal has hung up, a read of a key returns an end of file or an error every time, and the
//! library that reads keys here tries again for ever. So the thread that reads keys cannot be the one that
//! notices.

use std::{
    fs::File,
    io::{IsTerminal as _, stdin, stdout},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::exit,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use crossterm::terminal::disable_raw_mode;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

/// Signals that tell the program to end.
const SIGNALS: [i32; 3] = [SIGTERM, SIGHUP, SIGINT];
/// A program that a signal ends has the same status as a command in a shell: this number plus the signal's
/// number.
const SIGNALLED: u8 = 128;
/// How long the drawing thread may take to give the terminal back, once it is told to.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the drawing thread and the guard tell each other.
#[derive(Debug, Default)]
pub struct Ending {
    is_told: AtomicBool,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Ending {
    /// Whether the program has been told to end.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// Says that the terminal is given back. If the program has been told to end, the thread that told it
    /// ends it, and prints the reason first.
    pub(crate) fn is_given_back(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.notify_all();
        while self.is_told() {
            thread::park();
        }
    }

    /// Makes the drawing thread give the terminal back between two frames. Returns whether that is done in
    /// time. The caller then ends the program.
    pub(crate) fn ends(&self) -> bool {
        self.is_told.store(true, Ordering::Relaxed);
        let over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.over.wait_timeout_while(over, PATIENCE, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts the guard; from here on signals end the program through it.
///
/// # Errors
/// When signals cannot be caught, or no thread can be started.
pub fn put_up() -> anyhow::Result<Arc<Ending>> {
    let ending = Arc::new(Ending::default());
    let mut told = Vec::new();
    for signal in SIGNALS {
        let (read, write) = UnixStream::pair().context("cannot catch signals")?;
        pipe::register(signal, write).context("cannot catch signals")?;
        told.push((read, signalled(signal)));
    }
    let terminals = terminals().context("cannot watch the terminal")?;
    let guarded = Arc::clone(&ending);
    thread::Builder::new()
        .name("guard".to_owned())
        .spawn(move || stand(&guarded, &told, &terminals))
        .context("cannot start a thread")?;
    Ok(ending)
}

/// Ends the program if its terminal is gone. There is nobody left to print an error to, and printing to a
/// lost terminal would panic.
pub fn end_if_gone() {
    let stdout = stdout();
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    if poll(&mut watched, PollTimeout::ZERO).is_ok_and(|gone| gone > 0) {
        exit(signalled(SIGHUP).into());
    }
}

fn signalled(signal: i32) -> u8 {
    SIGNALLED.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX))
}

/// The terminal that keys come from, and the terminal that is drawn on.
fn terminals() -> std::io::Result<Vec<OwnedFd>> {
    let keys = if stdin().is_terminal() {
        stdin().as_fd().try_clone_to_owned()?
    } else {
        File::open("/dev/tty")?.into()
    };
    Ok(vec![keys, stdout().as_fd().try_clone_to_owned()?])
}

fn stand(ending: &Ending, told: &[(UnixStream, u8)], terminals: &[OwnedFd]) {
    let signals = told.iter().map(|(stream, _)| PollFd::new(stream.as_fd(), PollFlags::POLLIN));
    // poll() always reports a hang-up, whether it is asked for or not.
    let gone = terminals.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty()));
    let mut watched: Vec<PollFd<'_>> = signals.chain(gone).collect();
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        }
        let has = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let (signals, gone) = watched.split_at(told.len());
        if gone.iter().any(has) {
            // There is no terminal left to give back.
            exit(signalled(SIGHUP).into());
        }
        if let Some((_, (_, status))) = signals.iter().zip(told).find(|(fd, _)| has(fd)) {
            if !ending.ends() {
                // The drawing thread is stuck: the terminal takes no more output, or is just going away. Do
                // what can be done without writing.
                let _ = disable_raw_mode();
            }
            exit((*status).into());
        }
    }
}
