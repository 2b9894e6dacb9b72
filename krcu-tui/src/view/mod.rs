//! View: draws the state. There is one file for each screen; this file draws the frame around them and knows
//! where the mouse can click.

mod barriers;
mod caches;
mod evidence;
mod help;
mod nobody;
mod overview;
mod probes;
mod table;
mod text;
mod theme;
mod verdicts;
mod what_if;
mod why;

use krcu_report::words::{is_hidden, shown};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

pub use theme::Theme;

use crate::{
    connection::{Link, SPEEDS},
    keys,
    state::{App, Column, Freshness, List, Screen, Scrolled},
};
use text::{brief, clip, duration, span_of, width};

/// The smallest size in columns and rows; below it, only a message is drawn.
const LEAST: (u16, u16) = (60, 16);

/// Something that the mouse can click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The name of a screen.
    Screen(Screen),
    /// The name of the help screen.
    Help,
    /// A row of the screen's list.
    Row(usize),
    /// The heading of a column.
    Column(Column),
    /// A place in a replay, in thousandths.
    Seek(u16),
}

/// Where the mouse can click.
#[derive(Clone, Debug, Default)]
pub struct Hits(Vec<(Rect, Target)>);

impl Hits {
    /// The target at this place.
    #[must_use]
    pub fn at(&self, column: u16, row: u16) -> Option<Target> {
        let is_there = |(area, _): &&(Rect, Target)| {
            (area.left()..area.right()).contains(&column) && (area.top()..area.bottom()).contains(&row)
        };
        self.0.iter().rev().find(is_there).map(|(_, target)| *target)
    }

    fn add(&mut self, area: Rect, target: Target) {
        self.0.push((area, target));
    }
}

/// Everything that a screen needs to draw.
pub(crate) struct Canvas<'a, 'f> {
    frame: &'a mut Frame<'f>,
    theme: &'a Theme,
    hits: &'a mut Hits,
    scrolled: &'a mut Scrolled,
}

/// What was drawn.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// Where the mouse can click.
    pub hits: Hits,
    /// How far lists are scrolled, for [`App::drawn`].
    pub scrolled: Scrolled,
}

impl Canvas<'_, '_> {
    /// The first row of a list on this many lines, so that the selected row is visible.
    fn scroll(&mut self, mut list: List, lines: u16) -> usize {
        let top = list.scroll(lines.into());
        self.scrolled.list = Some(list);
        top
    }

    /// Draws one line, clipped to the width of the area. Everything that is drawn passes here.
    fn line(&mut self, area: Rect, row: u16, mut line: Line<'static>) {
        if row < area.height {
            for span in line.spans.iter_mut().filter(|span| span.content.contains(is_hidden)) {
                span.content = shown(&span.content).into_owned().into();
            }
            let place = Rect { y: area.y + row, height: 1, ..area };
            self.frame.render_widget(line, place);
        }
    }

    /// Draws lines from a row on, as many as fit.
    fn lines(&mut self, area: Rect, lines: Vec<Line<'static>>) {
        for (row, line) in (0..area.height).zip(lines) {
            self.line(area, row, line);
        }
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App, now_ms: u64, theme: &Theme, socket: &str) -> Drawn {
    let mut drawn = Drawn::default();
    let area = frame.area();
    let mut canvas = Canvas { frame, theme, hits: &mut drawn.hits, scrolled: &mut drawn.scrolled };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let words = format!("krcu needs {} × {}", LEAST.0, LEAST.1);
        canvas.line(area, 0, Line::from(words));
        return drawn;
    }
    let freshness = app.freshness(now_ms);
    head(&mut canvas, area, app, freshness);
    let foot = u16::from(app.replay.is_some()) + 1;
    let body = Rect { y: area.y + 3, height: area.height - 3 - foot, ..area };
    let inner = Rect { x: body.x + 1, width: body.width - 2, ..body };
    let is_list = !app.help && app.report.is_some() && freshness != Freshness::Nothing;
    let inner = if is_list { sifted(&mut canvas, inner, app) } else { inner };
    match (app.help, freshness, &app.report) {
        (true, ..) => help::draw(&mut canvas, inner, app),
        (false, Freshness::Nothing, _) | (false, _, None) => {
            nobody::draw(&mut canvas, inner, app, (freshness, socket));
        }
        _ => match app.screen {
            Screen::Overview => overview::draw(&mut canvas, inner, app),
            Screen::Caches => caches::draw(&mut canvas, inner, app),
            Screen::Barriers => barriers::draw(&mut canvas, inner, app),
            Screen::Verdicts => verdicts::draw(&mut canvas, inner, app),
            Screen::WhatIf => what_if::draw(&mut canvas, inner, app),
            Screen::Probes => probes::draw(&mut canvas, inner, app),
        },
    }
    if app.replay.is_some() {
        tape(&mut canvas, Rect { y: area.bottom() - 2, height: 1, ..area }, app);
    }
    bottom(&mut canvas, Rect { y: area.bottom() - 1, height: 1, ..area }, app);
    if theme.is_ascii() {
        only_ascii(frame.buffer_mut());
    }
    drawn
}

/// Says above a list what of it is filtered. Returns the area below.
fn sifted(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) -> Rect {
    let filter = &app.sift().filter;
    if filter.is_empty() || (app.screen == Screen::Verdicts && app.evidence) {
        return area;
    }
    let (shown, all) = app.shown_rows();
    let words = format!("{shown} of {all} with \"{filter}\" in a name; Esc shows all");
    canvas.line(area, 0, Line::styled(clip(&words, area.width.into()), canvas.theme.heading()));
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Replaces other characters, for a terminal that may not know them.
fn only_ascii(buffer: &mut Buffer) {
    for cell in buffer.content.iter_mut().filter(|cell| !cell.symbol().is_ascii()) {
        let plain = match cell.symbol() {
            "·" => ".",
            "…" => "~",
            "×" => "x",
            "←" => "<",
            "→" => ">",
            "↑" => "^",
            "↓" => "v",
            "µ" => "u",
            _ => "?",
        };
        cell.set_symbol(plain);
    }
}

/// The agent or trace, how current the report is, the names of the screens, and a rule with a message if
/// something is wrong.
fn head(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App, freshness: Freshness) {
    let theme = canvas.theme;
    let (word, style) = match freshness {
        Freshness::Nothing => ("no agent".to_owned(), theme.quiet()),
        Freshness::Live => (format!("{} live", theme.mark('●', '*')), theme.good()),
        Freshness::Frozen(age_ms) => (format!(" SILENT {} ", duration(age_ms)), theme.alarm()),
        Freshness::Lost(age_ms) => (format!(" LOST {} ", duration(age_ms)), theme.alarm()),
        Freshness::Replay => ("replay".to_owned(), theme.quiet()),
    };
    let room = usize::from(area.width).saturating_sub(7 + width(&word) + 1);
    let about = about(app, room);
    let gap = room.saturating_sub(width(&about));
    let line = Line::from(vec![
        Span::styled(" krcu ", theme.title()),
        Span::raw(about),
        Span::raw(" ".repeat(gap + 1)),
        Span::styled(word, style),
    ]);
    canvas.line(area, 0, line);
    tabs(canvas, area, app);
    let rule = match (freshness, &app.link) {
        (Freshness::Frozen(age_ms), _) => Some(format!(
            " the agent is connected but has sent nothing for {}{}",
            duration(age_ms),
            if app.report.is_some() { ": the screen is as old" } else { "" }
        )),
        (Freshness::Lost(age_ms), Link::Lost(why)) => {
            Some(format!(" {why}; the screen is {} old; krcu tries again", duration(age_ms)))
        }
        (Freshness::Lost(age_ms), _) => Some(format!(" the screen is {} old", duration(age_ms))),
        (Freshness::Replay, _) => app.replay.as_ref().and_then(|replay| {
            let error = replay.error.as_ref()?;
            Some(format!(" the trace cannot be read after {}: {error}", span_of(replay.end_ns)))
        }),
        _ => None,
    };
    let line = match rule {
        Some(words) => {
            let words = clip(&words, usize::from(area.width));
            Line::styled(format!("{words:<columns$}", columns = usize::from(area.width)), theme.alarm())
        }
        None => Line::styled(theme.rule(area.width), theme.quiet()),
    };
    canvas.line(area, 2, line);
}

/// The agent or trace, as much as fits; the most important comes first.
fn about(app: &App, room: usize) -> String {
    let mut parts = Vec::new();
    if let Some(hello) = &app.hello {
        parts.extend((!hello.host.is_empty()).then(|| hello.host.clone()));
        parts.extend((!hello.release.is_empty()).then(|| format!("Linux {}", hello.release)));
    }
    parts.extend(app.report.as_ref().map(|report| format!("attached {} ago", span_of(report.at_ns))));
    let cpus = app.hello.as_ref().map_or(0, |hello| hello.possible_cpus);
    parts.extend((cpus > 0).then(|| format!("{cpus} CPUs")));
    while parts.len() > 1 && width(&parts.join(" · ")) + 1 > room {
        parts.pop();
    }
    clip(&format!(" {}", parts.join(" · ")), room)
}

fn tabs(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = canvas.theme;
    let mut spans = Vec::new();
    let mut column = area.x;
    let names = Screen::ALL.into_iter().zip(1..).map(|(screen, number)| {
        let is_shown = app.screen == screen && !app.help;
        (format!(" {number} {} ", screen.name()), is_shown, Target::Screen(screen))
    });
    for (name, is_shown, target) in names.chain([(" ? help ".to_owned(), app.help, Target::Help)]) {
        let columns = u16::try_from(name.len()).unwrap_or(0);
        canvas.hits.add(Rect { x: column, y: area.y + 1, width: columns, height: 1 }, target);
        column += columns;
        spans.push(Span::styled(name, if is_shown { theme.selected() } else { theme.plain() }));
    }
    canvas.line(area, 1, Line::from(spans));
}

/// The place of a replay.
fn tape(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = canvas.theme;
    let Some(replay) = &app.replay else { return };
    let state = if replay.is_playing { theme.mark('▶', '>') } else { theme.mark('⏸', '=') };
    let speed = SPEEDS.get(replay.speed).copied().unwrap_or(1000);
    let speed = match speed {
        1000.. => format!("×{}", speed / 1000),
        _ => format!("×1/{}", 1000 / speed),
    };
    let how = if replay.is_seeking { "seeking…".to_owned() } else { format!("{state} {speed:<6}") };
    let left = format!(" {how} {:>8} ", brief(replay.at_ns));
    let right = format!(" {} · {}", brief(replay.end_ns), replay.name);
    let right = clip(&right, usize::from(area.width) / 3);
    let bar = usize::from(area.width).saturating_sub(width(&left) + width(&right) + 1);
    let place = |columns: usize| {
        let of_end = u128::from(replay.at_ns) * columns as u128 / u128::from(replay.end_ns.max(1));
        usize::try_from(of_end).unwrap_or(0).min(columns)
    };
    let done = place(bar);
    let (full, empty) = (theme.mark('━', '='), theme.mark('─', '-'));
    let x = area.x + u16::try_from(width(&left)).unwrap_or(0);
    for column in 0..u16::try_from(bar).unwrap_or(0) {
        let thousandth = u32::from(column) * 1000 / u32::try_from(bar.max(2) - 1).unwrap_or(1);
        let target = Target::Seek(u16::try_from(thousandth).unwrap_or(1000));
        canvas.hits.add(Rect { x: x + column, width: 1, ..area }, target);
    }
    let line = Line::from(vec![
        Span::raw(left),
        Span::styled(full.to_string().repeat(done), theme.good()),
        Span::styled(empty.to_string().repeat(bar - done), theme.quiet()),
        Span::raw(right),
    ]);
    canvas.line(area, 0, line);
}

/// The filter that is typed, the event of the last step, or the keys.
fn bottom(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = canvas.theme;
    if app.is_typing {
        let line = Line::from(vec![
            Span::styled(" filter ", theme.selected()),
            Span::raw(format!(" {}", app.sift().filter)),
            Span::styled(" ", theme.selected()),
            Span::styled("  Enter keeps it, Esc removes it", theme.quiet()),
        ]);
        return canvas.line(area, 0, line);
    }
    if let Some(event) = app.replay.as_ref().and_then(|replay| replay.last.as_ref()) {
        return canvas.line(area, 0, Line::raw(clip(&format!(" {event}"), area.width.into())));
    }
    let mut spans = vec![Span::raw(" ")];
    let mut room = usize::from(area.width).saturating_sub(2);
    let replay = keys::replay_hints().filter(|_| app.replay.is_some());
    for (label, word) in keys::hints(app.screen).chain(replay) {
        let columns = width(label) + 1 + width(word) + 2;
        if columns > room + 2 {
            break;
        }
        room = room.saturating_sub(columns);
        spans.push(Span::styled(label, theme.bold()));
        spans.push(Span::styled(format!(" {word}  "), theme.quiet()));
    }
    canvas.line(area, 0, Line::from(spans));
}
