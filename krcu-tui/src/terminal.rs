//! Terminal: taken when the program begins, given back however it ends.

use std::{
    io::{self, IsTerminal as _, Stdout, stdout},
    panic,
    process::exit,
    sync::Arc,
    thread,
};

use anyhow::{Context as _, bail};
use crossterm::{
    cursor::Show,
    event::{DisableMouseCapture, EnableMouseCapture, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use crate::{
    guard::{self, Ending},
    keys::Key,
};

/// Status of a program that panicked, as Rust's own.
const EXIT_PANIC: i32 = 101;

/// The terminal, until it is dropped.
pub struct Taken {
    /// What is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Whether somebody has told the program to end.
    pub ending: Arc<Ending>,
}

impl Taken {
    /// Takes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(mouse: bool) -> anyhow::Result<Taken> {
        if !stdout().is_terminal() {
            bail!("the output is no terminal");
        }
        let ending = guard::put_up()?;
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            give_back();
            before(what);
            if thread::current().name() != Some("main") {
                // Without the thread that panicked the rest would wait for ever.
                exit(EXIT_PANIC);
            }
        }));
        enable_raw_mode().context("cannot take the terminal")?;
        // From here on it is given back, whatever fails.
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        let taken = terminal.map(|terminal| Taken { terminal, ending });
        let drawn = execute!(stdout(), EnterAlternateScreen)
            .and_then(|()| if mouse { execute!(stdout(), EnableMouseCapture) } else { Ok(()) });
        if taken.is_err() || drawn.is_err() {
            give_back();
        }
        drawn.context("cannot draw on the terminal")?;
        taken.context("cannot draw on the terminal")
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

fn give_back() {
    let _: io::Result<()> = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
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
