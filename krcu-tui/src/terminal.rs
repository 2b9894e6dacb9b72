//! Terminal: taken when the program begins and when it goes on after it was stopped, given back however it ends and
//! when it is to be stopped.

use std::{
    env,
    io::{self, IsTerminal as _, Stdout, stdout},
    panic,
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use crossterm::{
    cursor::Show,
    event::{DisableMouseCapture, EnableMouseCapture, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgrp, getsid, tcgetpgrp},
};
use ratatui::{Terminal, backend::CrosstermBackend};
use signal_hook::{
    consts::{SIGCONT, SIGTSTP},
    flag,
};

use crate::{
    guard::{self, Ending},
    keys::Key,
};

/// Status of a program that panicked, as Rust's own.
const EXIT_PANIC: i32 = 101;

/// How often one in the background looks whether it has the terminal.
const BEHIND: Duration = Duration::from_millis(100);

/// Whether the screen that is drawn on is there, to be left once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, until it is dropped.
pub struct Taken {
    /// What is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Whether somebody has told the program to end.
    pub ending: Arc<Ending>,
    mouse: bool,
    /// SIGTSTP came.
    is_to_stop: Arc<AtomicBool>,
    /// SIGCONT came.
    is_on_again: Arc<AtomicBool>,
}

impl Taken {
    /// Takes it.
    ///
    /// # Errors
    /// When there is none, or one that cannot move its cursor.
    pub fn take(mouse: bool) -> anyhow::Result<Taken> {
        if !stdout().is_terminal() {
            bail!("the output is no terminal");
        }
        if env::var_os("TERM").is_some_and(|name| name == "dumb") {
            bail!("the terminal is a dumb one, says TERM: it has to move its cursor");
        }
        let ending = guard::put_up()?;
        hook(Arc::clone(&ending));
        let (is_to_stop, is_on_again) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        for (signal, is_set) in [(SIGTSTP, &is_to_stop), (SIGCONT, &is_on_again)] {
            flag::register(signal, Arc::clone(is_set)).context("cannot catch signals")?;
        }
        let terminal = Terminal::new(CrosstermBackend::new(stdout())).context("cannot take the terminal")?;
        let mut taken = Taken { terminal, ending, mouse, is_to_stop, is_on_again };
        taken.enter()?;
        Ok(taken)
    }

    fn enter(&mut self) -> anyhow::Result<()> {
        enable_raw_mode().context("cannot take the terminal")?;
        if IS_TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        execute!(stdout(), EnterAlternateScreen)
            .and_then(|()| if self.mouse { execute!(stdout(), EnableMouseCapture) } else { Ok(()) })
            .context("cannot draw on the terminal")
    }

    /// Stops the program if SIGTSTP came, or if a key says so; takes the terminal again when the program goes on,
    /// whoever stopped it. Whether everything is to be drawn.
    ///
    /// # Errors
    /// When the terminal cannot be taken again.
    pub fn may_stop(&mut self, by_key: bool) -> anyhow::Result<bool> {
        let by_signal = self.is_to_stop.swap(false, Ordering::SeqCst);
        if (by_key || by_signal) && has_shell() {
            give_back();
            // A terminal sends it to all of a job, so that those who wait for this program stop as well. The call
            // returns when the program goes on. Nothing but SIGSTOP stops one that catches SIGTSTP.
            let whom = if by_key { Pid::from_raw(0) } else { Pid::this() };
            kill(whom, Signal::SIGSTOP).context("cannot stop")?;
            self.is_on_again.store(true, Ordering::SeqCst);
        }
        let is_on_again = self.is_on_again.swap(false, Ordering::SeqCst);
        if is_on_again {
            // Let go on in the background: whoever sets the terminal there is stopped anew, and cannot be told to end.
            while !is_in_front() {
                if self.ending.is_told() {
                    return Ok(false);
                }
                thread::sleep(BEHIND);
            }
            // A shell has had it: what it has set is what it gets back.
            disable_raw_mode().context("cannot take the terminal")?;
            self.enter()?;
            self.anew()?;
        }
        Ok(is_on_again)
    }

    /// Has the next frame drawn whole, at the size that the terminal has now.
    ///
    /// Never by [`Terminal::clear`]: that asks the terminal where its cursor is and waits for an answer, which not
    /// every terminal gives.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn anew(&mut self) -> anyhow::Result<()> {
        let size = self.terminal.size();
        size.and_then(|size| self.terminal.resize(size.into())).context("cannot draw on the terminal")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
        self.ending.is_given_back();
    }
}

/// A panic gives the terminal back before it says what it is.
fn hook(ending: Arc<Ending>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if thread::current().name() == Some("main") {
            give_back();
            before(what);
            return;
        }
        // Without the thread that panicked the rest would wait for ever. What is said is not to be drawn over.
        if !ending.ends() {
            give_back();
        }
        before(what);
        exit(EXIT_PANIC);
    }));
}

/// Whether the terminal is this job's, and not that of a shell which has let it go on in the background. Of one that
/// leads no session, as under some test, that cannot be asked.
fn is_in_front() -> bool {
    tcgetpgrp(stdout()).map_or(true, |group| group == getpgrp())
}

/// Whether there is a shell that could let a stopped program go on: the one that leads the session is not of this job.
fn has_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Once, whoever comes first: left twice, some terminals put the cursor back over what has been said since. Not from the
/// background: there the shell has set it as it wants it.
fn give_back() {
    if !is_in_front() {
        return;
    }
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _: io::Result<()> = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    }
    let _: io::Result<()> = disable_raw_mode();
}

/// The key that was pressed.
#[must_use]
pub fn key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    Some(match event.code {
        KeyCode::Char(letter) if event.modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Control(letter.to_ascii_lowercase())
        }
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
