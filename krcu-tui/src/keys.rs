//! Keys: the one table of what each key does on which screen. The help screen and the line at the foot of
//! each screen come from it.

use crate::state::Screen;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with the control key.
    Control(char),
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Tab with shift.
    BackTab,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the program.
    Quit,
    /// Show this screen.
    Show(Screen),
    /// Show the next screen.
    NextScreen,
    /// Show the previous screen.
    PreviousScreen,
    /// Show or hide the help.
    Help,
    /// Draw the whole terminal again.
    Redraw,
    /// Stop the program, and return to its shell.
    Stop,
    /// Move this many rows down (or up, if negative).
    Move(i32),
    /// Move a page down (or up, if negative).
    Page(i32),
    /// Select the first row.
    First,
    /// Select the last row.
    Last,
    /// Open what is selected.
    Open,
    /// Go back, or remove the filter.
    Back,
    /// Select the next verdict that is a fault, on the screen of verdicts.
    NextFault,
    /// Begin to type a filter.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Reverse the order.
    Reverse,
    /// Show more or less of the past in the histories.
    Span,
    /// Show the what-if of the selected destroy.
    WhatIf,
    /// Play or pause.
    Play,
    /// Take one event.
    Step,
    /// Go to the next destroy.
    NextDestroy,
    /// Play faster (or slower, if negative).
    Speed(i32),
    /// Go this many hundredths of the run forward (or back, if negative).
    Seek(i32),
    /// Go to the beginning of the run.
    Begin,
    /// Go to the end of the run.
    End,
}

/// Where a key does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// On each screen.
    Everywhere,
    /// In a list.
    Lists,
    /// In the table of caches.
    Caches,
    /// On the screen of verdicts.
    Verdicts,
    /// In a replay.
    Replay,
}

impl Where {
    /// All places, in the order of the help screen.
    pub const ALL: [Where; 5] =
        [Where::Everywhere, Where::Caches, Where::Verdicts, Where::Lists, Where::Replay];

    /// The heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Where::Everywhere => "everywhere",
            Where::Lists => "in a list",
            Where::Caches => "caches",
            Where::Verdicts => "verdicts",
            Where::Replay => "replay",
        }
    }

    /// Whether a place is the current one.
    #[must_use]
    pub fn is_here(self, screen: Screen, is_replay: bool) -> bool {
        match self {
            Where::Everywhere => true,
            Where::Lists => screen != Screen::Overview,
            Where::Caches => screen == Screen::Caches,
            Where::Verdicts => screen == Screen::Verdicts,
            Where::Replay => is_replay,
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys; each of them does it.
    pub keys: &'static [Key],
    /// How the keys are written.
    pub label: &'static str,
    /// What they do.
    pub action: Action,
    /// Where they do it.
    pub place: Where,
    /// A few words for the help screen; empty if another line's label and words include this line.
    pub help: &'static str,
    /// One word for the foot of a screen; empty if only the help screen shows it.
    pub hint: &'static str,
}

const fn key(
    keys: &'static [Key],
    label: &'static str,
    action: Action,
    place: Where,
    help: &'static str,
    hint: &'static str,
) -> Binding {
    Binding { keys, label, action, place, help, hint }
}

/// The table. If two lines have the same key, the first one whose place is the current one counts.
pub const KEYS: &[Binding] = &[
    key(&[Key::Char('q'), Key::Control('c')], "q", Action::Quit, Where::Everywhere, "quit", "quit"),
    key(&[Key::Char('?'), Key::Char('h')], "?", Action::Help, Where::Everywhere, "this help", "help"),
    key(&[Key::Tab], "Tab", Action::NextScreen, Where::Everywhere, "next screen", ""),
    key(&[Key::BackTab], "Shift-Tab", Action::PreviousScreen, Where::Everywhere, "previous screen", ""),
    key(
        &[Key::Char('1')],
        "1 … 6",
        Action::Show(Screen::Overview),
        Where::Everywhere,
        "the screens, in their order",
        "",
    ),
    key(&[Key::Char('2')], "", Action::Show(Screen::Caches), Where::Everywhere, "", ""),
    key(&[Key::Char('3')], "", Action::Show(Screen::Barriers), Where::Everywhere, "", ""),
    key(&[Key::Char('4')], "", Action::Show(Screen::Verdicts), Where::Everywhere, "", ""),
    key(&[Key::Char('5')], "", Action::Show(Screen::WhatIf), Where::Everywhere, "", ""),
    key(&[Key::Char('6')], "", Action::Show(Screen::Probes), Where::Everywhere, "", ""),
    key(&[Key::Control('l')], "Ctrl-L", Action::Redraw, Where::Everywhere, "redraw the screen", ""),
    key(&[Key::Control('z')], "Ctrl-Z", Action::Stop, Where::Everywhere, "suspend; fg resumes", ""),
    key(&[Key::Escape], "Esc", Action::Back, Where::Everywhere, "go back; remove the filter", ""),
    key(&[Key::Char('n')], "n", Action::NextFault, Where::Everywhere, "to the next fault", ""),
    key(&[Key::Char('t')], "t", Action::Span, Where::Everywhere, "time that histories show", ""),
    key(&[Key::Down, Key::Char('j')], "↓ j", Action::Move(1), Where::Lists, "down", ""),
    key(&[Key::Up, Key::Char('k')], "↑ k", Action::Move(-1), Where::Lists, "up", ""),
    key(&[Key::PageDown, Key::Control('f')], "PgDn", Action::Page(1), Where::Lists, "a page down", ""),
    key(&[Key::PageUp, Key::Control('b')], "PgUp", Action::Page(-1), Where::Lists, "a page up", ""),
    key(&[Key::Home, Key::Char('g')], "Home g", Action::First, Where::Lists, "first row", ""),
    key(&[Key::End, Key::Char('G')], "End G", Action::Last, Where::Lists, "last row", ""),
    key(&[Key::Char('/')], "/", Action::Filter, Where::Lists, "filter by any name", "filter"),
    key(&[Key::Char('s')], "s r", Action::Sort, Where::Lists, "sort: next column, reverse", "sort"),
    key(&[Key::Char('r')], "", Action::Reverse, Where::Lists, "", ""),
    key(&[Key::Enter], "Enter", Action::Open, Where::Caches, "its verdict, if destroyed", "verdict"),
    key(&[Key::Enter], "Enter", Action::Open, Where::Verdicts, "show or leave its evidence", "evidence"),
    key(&[Key::Char('w')], "w", Action::WhatIf, Where::Verdicts, "what if for this destroy", "what if"),
    key(&[Key::Char(' ')], "Space", Action::Play, Where::Replay, "play or pause", "play"),
    key(&[Key::Char('.')], ".", Action::Step, Where::Replay, "one event forward", "step"),
    key(&[Key::Char('d')], "d", Action::NextDestroy, Where::Replay, "to the next destroy", "destroy"),
    key(&[Key::Right], "→", Action::Seek(2), Where::Replay, "forward 2 % of the run", ""),
    key(&[Key::Left], "←", Action::Seek(-2), Where::Replay, "back 2 % of the run", "seek"),
    key(&[Key::Char(']'), Key::Char('+')], "", Action::Speed(1), Where::Replay, "", ""),
    key(
        &[Key::Char('['), Key::Char('-')],
        "[ ]",
        Action::Speed(-1),
        Where::Replay,
        "slower, faster",
        "speed",
    ),
    key(&[Key::Char('0')], "0", Action::Begin, Where::Replay, "to the beginning", ""),
    key(&[Key::Char('$')], "$", Action::End, Where::Replay, "to the end", ""),
];

/// What a key does on this screen.
#[must_use]
pub fn action(key: Key, screen: Screen, is_replay: bool) -> Option<Action> {
    let mut here = KEYS.iter().filter(|binding| binding.place.is_here(screen, is_replay));
    here.find(|binding| binding.keys.contains(&key)).map(|binding| binding.action)
}

/// The labels and words for the foot of a screen.
pub fn hints(screen: Screen) -> impl Iterator<Item = (&'static str, &'static str)> {
    let here = KEYS.iter().filter(move |binding| binding.place.is_here(screen, false));
    here.filter(|binding| !binding.hint.is_empty()).map(|binding| (binding.label, binding.hint))
}

/// The same for the line of a replay.
pub fn replay_hints() -> impl Iterator<Item = (&'static str, &'static str)> {
    let here = KEYS.iter().filter(|binding| binding.place == Where::Replay && !binding.hint.is_empty());
    here.map(|binding| (binding.label, binding.hint))
}
