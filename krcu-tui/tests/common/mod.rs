//! What the tests of screens share: a golden trace, played to some place, and what a terminal would show of
//! it.

#![expect(clippy::panic, reason = "a test's helpers fail as the test does")]
#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod watch;

use std::path::PathBuf;

use krcu_tui::{
    connection::{Command, Link, Notice, Player, Tape, load},
    keys::Key,
    state::App,
    view::{self, Drawn, Hits, Theme},
    what_if,
};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

/// The model's golden traces.
pub(crate) fn traces() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces")
}

pub(crate) fn tape(name: &str) -> Tape {
    let path = traces().join(format!("{name}.script"));
    load(&path).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()))
}

/// A replay without a thread and a clock: commands are done as soon as they come.
pub(crate) struct Deck<'a> {
    pub(crate) player: Player<'a>,
    pub(crate) app: App,
}

impl<'a> Deck<'a> {
    pub(crate) fn new(tape: &'a Tape) -> Deck<'a> {
        let mut app = App::default();
        app.take(Notice::Link(Link::Connected), 0);
        app.take(Notice::Hello(tape.label().hello.clone()), 0);
        let mut player = Player::new(tape);
        player.command(Command::Play);
        let mut deck = Deck { player, app };
        deck.show();
        deck
    }

    fn show(&mut self) {
        self.app.take(Notice::Replay(self.player.status()), 0);
        let bounds = self.app.detail().bounds();
        self.app.take(Notice::Report(Box::new(self.player.report(bounds))), 0);
    }

    pub(crate) fn command(&mut self, command: Command) {
        for past in self.player.command(command) {
            self.app.take(Notice::Past(Box::new(past)), 0);
        }
        self.show();
    }

    /// Presses keys, and carries out the commands that they give.
    pub(crate) fn press(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(command) = self.app.press(*key) {
                self.command(command);
            }
            self.show();
        }
        if let Some(question) = self.app.asked.and_then(|destroy| self.player.question(destroy)) {
            self.app.take(Notice::Answer(Box::new(what_if::Answer::of(&question, &|| false))), 0);
        }
    }
}

/// What is on a terminal of this size.
pub(crate) fn draw(app: &mut App, (width, height): (u16, u16), theme: Theme, now_ms: u64) -> (Buffer, Hits) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut drawn = Drawn::default();
    let frame = terminal.draw(|frame| drawn = view::draw(frame, app, now_ms, &theme, "/run/krcu/krcu.sock"));
    let buffer = frame.unwrap().buffer.clone();
    app.drawn(drawn.scrolled);
    (buffer, drawn.hits)
}

/// A buffer's lines, without blanks at their ends.
pub(crate) fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width);
    let line =
        |row: &[ratatui::buffer::Cell]| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    rows.map(|row| format!("{}\n", line(row).trim_end())).collect()
}

/// The theme of the snapshots.
pub(crate) fn theme() -> Theme {
    Theme::new(true, true)
}
