//! Keys: the one table of what a key does where. Help, and the line at the foot of a screen, are drawn from it.

use crate::state::Screen;

/// A key, as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// One that writes.
    Char(char),
    /// With the control key.
    Control(char),
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Tabulator.
    Tab,
    /// The same with shift.
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

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The program ends.
    Quit,
    /// This screen is shown.
    Show(Screen),
    /// The next screen is shown.
    NextScreen,
    /// The one before.
    PreviousScreen,
    /// Help is shown, or hidden.
    Help,
    /// The terminal is drawn anew.
    Redraw,
    /// The program is stopped, and its shell is there.
    Stop,
    /// So many rows down, or up.
    Move(i32),
    /// A page down, or up.
    Page(i32),
    /// The first row.
    First,
    /// The last row.
    Last,
    /// What is selected is looked at.
    Open,
    /// Back to where one came from; a filter is taken off.
    Back,
    /// A filter is typed.
    Filter,
    /// Sorted by the next column.
    Sort,
    /// Sorted the other way.
    Reverse,
    /// What if of the selected destroy.
    WhatIf,
    /// Plays, or pauses.
    Play,
    /// One event.
    Step,
    /// To the next destroy.
    NextDestroy,
    /// Faster, or slower.
    Speed(i32),
    /// So many hundredths of the run on, or back.
    Seek(i32),
    /// The begin of the run.
    Begin,
    /// The end of the run.
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
    /// All of them, in the order of help.
    pub const ALL: [Where; 5] =
        [Where::Everywhere, Where::Lists, Where::Caches, Where::Verdicts, Where::Replay];

    /// In words, as a heading.
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

    /// Whether it is here.
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
    /// The keys, each of which does it.
    pub keys: &'static [Key],
    /// How they are written.
    pub label: &'static str,
    /// What is done.
    pub action: Action,
    /// Where.
    pub place: Where,
    /// In words; empty of one that another's label and words stand for.
    pub help: &'static str,
    /// In one word at the foot of a screen; empty where it is only in help.
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

/// The table. Of two lines with the same key the first holds whose place is here.
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
    key(&[Key::Control('l')], "Ctrl-L", Action::Redraw, Where::Everywhere, "draw the terminal anew", ""),
    key(&[Key::Control('z')], "Ctrl-Z", Action::Stop, Where::Everywhere, "to the shell; fg comes back", ""),
    key(&[Key::Escape], "Esc", Action::Back, Where::Everywhere, "back; take the filter off", ""),
    key(&[Key::Down, Key::Char('j')], "↓ j", Action::Move(1), Where::Lists, "down", ""),
    key(&[Key::Up, Key::Char('k')], "↑ k", Action::Move(-1), Where::Lists, "up", ""),
    key(&[Key::PageDown, Key::Control('f')], "PgDn", Action::Page(1), Where::Lists, "a page down", ""),
    key(&[Key::PageUp, Key::Control('b')], "PgUp", Action::Page(-1), Where::Lists, "a page up", ""),
    key(&[Key::Home, Key::Char('g')], "Home g", Action::First, Where::Lists, "first row", ""),
    key(&[Key::End, Key::Char('G')], "End G", Action::Last, Where::Lists, "last row", ""),
    key(&[Key::Char('/')], "/", Action::Filter, Where::Caches, "filter by name or module", "filter"),
    key(&[Key::Char('s')], "s", Action::Sort, Where::Caches, "sort by the next column", "sort"),
    key(&[Key::Char('r')], "r", Action::Reverse, Where::Caches, "sort the other way", "reverse"),
    key(&[Key::Enter], "Enter", Action::Open, Where::Caches, "verdict of a destroyed cache", "verdict"),
    key(&[Key::Enter], "Enter", Action::Open, Where::Verdicts, "its evidence; back to list", "evidence"),
    key(&[Key::Char('w')], "w", Action::WhatIf, Where::Verdicts, "what if of this destroy", "what if"),
    key(&[Key::Char(' ')], "Space", Action::Play, Where::Replay, "play, pause", "play"),
    key(&[Key::Char('.')], ".", Action::Step, Where::Replay, "one event on", "step"),
    key(&[Key::Char('d')], "d", Action::NextDestroy, Where::Replay, "to the next destroy", "destroy"),
    key(&[Key::Right], "→", Action::Seek(2), Where::Replay, "2 % of the run on", ""),
    key(&[Key::Left], "←", Action::Seek(-2), Where::Replay, "2 % of the run back", "seek"),
    key(&[Key::Char(']'), Key::Char('+')], "]", Action::Speed(1), Where::Replay, "faster", ""),
    key(&[Key::Char('['), Key::Char('-')], "[", Action::Speed(-1), Where::Replay, "slower", "speed"),
    key(&[Key::Char('0')], "0", Action::Begin, Where::Replay, "to the begin", ""),
    key(&[Key::Char('$')], "$", Action::End, Where::Replay, "to the end", ""),
];

/// What a key does here.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_in_one_place() {
        for screen in Screen::ALL {
            for is_replay in [false, true] {
                let here = KEYS.iter().filter(|binding| binding.place.is_here(screen, is_replay));
                let mut keys: Vec<Key> = here.flat_map(|binding| binding.keys).copied().collect();
                let all = keys.len();
                keys.sort_unstable();
                keys.dedup();
                assert_eq!(keys.len(), all, "{screen:?}");
            }
        }
    }

    #[test]
    fn a_key_does_what_its_place_says() {
        for (key, screen, is_replay, expected) in [
            (Key::Char('q'), Screen::Overview, false, Some(Action::Quit)),
            (Key::Control('c'), Screen::Caches, true, Some(Action::Quit)),
            (Key::Char('/'), Screen::Caches, false, Some(Action::Filter)),
            (Key::Char('/'), Screen::Barriers, false, None),
            (Key::Char(' '), Screen::Overview, true, Some(Action::Play)),
            (Key::Char(' '), Screen::Overview, false, None),
            (Key::Down, Screen::Overview, false, None),
            (Key::Down, Screen::Verdicts, false, Some(Action::Move(1))),
            (Key::Char('3'), Screen::Caches, false, Some(Action::Show(Screen::Barriers))),
        ] {
            assert_eq!(action(key, screen, is_replay), expected, "{key:?} on {screen:?}");
        }
    }

    #[test]
    fn every_screen_has_a_key_of_its_own() {
        for (number, screen) in ('1'..).zip(Screen::ALL) {
            assert_eq!(action(Key::Char(number), Screen::Overview, false), Some(Action::Show(screen)));
        }
    }

    #[test]
    fn the_foot_fits_on_eighty_columns() {
        let columns = |hints: Vec<(&str, &str)>| -> usize {
            hints.iter().map(|(label, word)| label.chars().count() + word.len() + 3).sum()
        };
        for screen in Screen::ALL {
            assert!(columns(hints(screen).collect()) <= 80, "{screen:?}");
        }
        assert!(columns(replay_hints().collect()) <= 80);
    }
}
