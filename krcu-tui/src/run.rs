//! Run: the loop that takes keys and reports, and draws at most a few times a second.

use std::{
    env,
    io::{Write as _, stderr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use crossterm::event::{self, Event, MouseButton, MouseEvent, MouseEventKind};
use krcu_report::words::shown_lines;

use crate::{
    cli::Cli,
    connection::{Command, Inbox, Link, ReplayStatus, Source, Timing, load, replay, watch},
    guard,
    keys::Action,
    state::App,
    terminal::{Taken, key},
    view::{self, Drawn, Hits, Target, Theme},
};

/// The time between two frames that reports cause.
const FRAME: Duration = Duration::from_millis(200);
/// The time between two frames that keys cause.
const KEY_FRAME: Duration = Duration::from_millis(30);
/// How long the loop waits for a key before it looks at the inbox.
const LOOK: Duration = Duration::from_millis(50);
/// How many rows the wheel moves.
const WHEEL: i32 = 3;

/// Runs until the user quits, or the program is told to end.
///
/// # Errors
/// When there is no terminal, or the trace cannot be read.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let inbox = Inbox::default();
    let mut app = App::default();
    // If the trace cannot be replayed, say so before the terminal is taken.
    let tape = cli.replay.as_ref().map(|path| load(path)).transpose()?;
    let mut taken = Taken::take(!cli.no_mouse)?;
    let mut source: Box<dyn Source> = match tape {
        Some(tape) => replay(tape, &inbox),
        None => Box::new(watch(&cli.socket, app.detail(), Timing::default(), &inbox)),
    };
    let done = show(cli, &mut app, &mut taken, (&inbox, source.as_mut()));
    if done.is_err() {
        guard::end_if_gone();
    }
    drop(taken);
    done?;
    if let Some(ReplayStatus { name, error: Some(error), .. }) = &app.replay {
        // The screen had room for a part of the message only.
        let words = format!("{name} cannot be read to its end: {error}");
        let _ = writeln!(stderr(), "krcu tui: {}", shown_lines(&words));
    }
    Ok(())
}

/// Runs the loop until the program ends.
fn show(
    cli: &Cli,
    app: &mut App,
    taken: &mut Taken,
    (inbox, source): (&Inbox, &mut dyn Source),
) -> anyhow::Result<()> {
    let theme = Theme::new(!cli.no_color && has_colour(), !cli.ascii && is_utf8() && !is_console());
    let socket = cli.socket.display().to_string();
    let begin = Instant::now();
    let now_ms = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut hits = Hits::default();
    let (mut detail, mut drawn) = (app.detail(), None::<Instant>);
    let (mut is_pressed, mut is_new) = (true, true);
    while !app.quit && !taken.ending.is_told() {
        is_pressed |= taken.may_stop(std::mem::take(&mut app.stop))?;
        let since = drawn.map_or(FRAME, |drawn| drawn.elapsed());
        // The age of a silent agent's report changes on the screen too.
        is_new |= app.link != Link::Connected || since >= FRAME * 5;
        if (is_pressed && since >= KEY_FRAME) || (is_new && since >= FRAME) {
            if std::mem::take(&mut app.redraw) {
                taken.anew()?;
            }
            let mut what = Drawn::default();
            let frame = taken.terminal.draw(|frame| what = view::draw(frame, app, now_ms(), &theme, &socket));
            frame.context("cannot draw on the terminal")?;
            app.drawn(what.scrolled);
            hits = what.hits;
            drawn = Some(Instant::now());
            (is_pressed, is_new) = (false, false);
        }
        let mut wait = if is_pressed { KEY_FRAME } else { LOOK };
        while event::poll(wait).context("cannot read keys")? {
            let command = take(&event::read().context("cannot read keys")?, app, &hits);
            if let Some(command) = command {
                source.command(command);
            }
            is_pressed = true;
            wait = Duration::ZERO;
        }
        for notice in inbox.take() {
            app.take(notice, now_ms());
            is_new = true;
        }
        if app.detail() != detail {
            detail = app.detail();
            source.want(detail);
        }
    }
    Ok(())
}

/// Takes a key or another event of the terminal. Returns a command for the replay.
fn take(event: &Event, app: &mut App, hits: &Hits) -> Option<Command> {
    match event {
        Event::Key(pressed) => app.press(key(pressed)?),
        Event::Mouse(mouse) => point(mouse, app, hits),
        Event::Resize(..) | Event::FocusGained => {
            app.redraw = matches!(event, Event::Resize(..));
            None
        }
        _ => None,
    }
}

/// Takes an event of the mouse.
fn point(mouse: &MouseEvent, app: &mut App, hits: &Hits) -> Option<Command> {
    match mouse.kind {
        MouseEventKind::ScrollDown => app.act(Action::Move(WHEEL)),
        MouseEventKind::ScrollUp => app.act(Action::Move(-WHEEL)),
        MouseEventKind::Down(MouseButton::Left) => match hits.at(mouse.column, mouse.row)? {
            Target::Screen(screen) => app.act(Action::Show(screen)),
            Target::Help => app.act(Action::Help),
            Target::Row(row) => {
                app.point(row);
                None
            }
            Target::Column(column) => {
                app.sort_by(column);
                None
            }
            Target::Seek(place) => Some(Command::Seek(place)),
        },
        _ => None,
    }
}

/// Whether colour is allowed: NO_COLOR is not set.
fn has_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether the locale uses UTF-8, according to the variable that takes precedence.
fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| env::var(name).ok());
    let locale = set.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether this is the kernel's own terminal, whose font has at most 512 characters.
fn is_console() -> bool {
    env::var_os("TERM").is_some_and(|name| name == "linux")
}
