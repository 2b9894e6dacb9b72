//! Terminal: taken when the program begins and when it continues after a stop; given back when the program
//! ends, in whatever way, and before it stops.

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

/// The status of a program that panicked, as Rust sets it.
const EXIT_PANIC: i32 = 101;

/// How often a program in the background looks whether it has the terminal.
const BEHIND: Duration = Duration::from_millis(100);

/// Whether the alternate screen is shown; it must be left once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, until it is dropped.
pub struct Taken {
    /// The terminal that is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The guard's messages.
    pub ending: Arc<Ending>,
    mouse: bool,
    /// Whether SIGTSTP came.
    is_to_stop: Arc<AtomicBool>,
    /// Whether SIGCONT came.
    is_on_again: Arc<AtomicBool>,
}

impl Taken {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is no terminal, or it cannot move its cursor.
    pub fn take(mouse: bool) -> anyhow::Result<Taken> {
        if !stdout().is_terminal() {
            bail!("the output is not a terminal");
        }
        if env::var_os("TERM").is_some_and(|name| name == "dumb") {
            bail!("TERM says that the terminal is a dumb one: krcu tui needs one that can move its cursor");
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

    /// Stops the program if SIGTSTP came or a key says so. Takes the terminal again when the program
    /// continues. Returns whether the whole screen must be drawn.
    ///
    /// # Errors
    /// When the terminal cannot be taken again.
    pub fn may_stop(&mut self, by_key: bool) -> anyhow::Result<bool> {
        let by_signal = self.is_to_stop.swap(false, Ordering::SeqCst);
        if (by_key || by_signal) && has_shell() {
            give_back();
            // A terminal sends the signal to a whole job, so that processes which wait for this program stop
            // as well. The call returns when the program continues. Only SIGSTOP can stop a program that
            // catches SIGTSTP.
            let whom = if by_key { Pid::from_raw(0) } else { Pid::this() };
            kill(whom, Signal::SIGSTOP).context("cannot stop")?;
            self.is_on_again.store(true, Ordering::SeqCst);
        }
        let is_on_again = self.is_on_again.swap(false, Ordering::SeqCst);
        if is_on_again {
            // The program continues in the background. A program that sets the terminal there is stopped
            // again, and then cannot be told to end.
            while !is_in_front() {
                if self.ending.is_told() {
                    return Ok(false);
                }
                thread::sleep(BEHIND);
            }
            // A shell had the terminal meanwhile. Its settings are the ones to restore later.
            disable_raw_mode().context("cannot take the terminal")?;
            self.enter()?;
            self.anew()?;
        }
        Ok(is_on_again)
    }

    /// Makes the next frame draw everything, at the terminal's current size.
    ///
    /// This must not use [`Terminal::clear`], which asks the terminal for its cursor's position and waits for
    /// an answer. Not every terminal answers.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
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

/// On a panic, gives the terminal back before the message is printed.
fn hook(ending: Arc<Ending>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if thread::current().name() == Some("main") {
            give_back();
            before(what);
            return;
        }
        // Without the thread that panicked, the others would wait for ever. The message must not be drawn
        // over.
        if !ending.ends() {
            give_back();
        }
        before(what);
        exit(EXIT_PANIC);
    }));
}

/// Whether the terminal belongs to this job, and not to a shell that let the job continue in the background.
/// If this process has no session with a terminal (as in some tests), the answer is not known.
fn is_in_front() -> bool {
    tcgetpgrp(stdout()).map_or(true, |group| group == getpgrp())
}

/// Whether there is a shell that could continue a stopped program: the leader of the session is not in this
/// job.
fn has_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Only the first caller gives it back: if the screen is left twice, some terminals put the cursor back over
/// later output. Not from the background, where the shell has set the terminal as it needs it.
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
