//! Keys and the mouse, from the press to the screen.

mod common;

use common::{Deck, draw, tape, text, theme};
use krcu_tui::{
    connection::Command,
    keys::{Action, KEYS, Key, action, hints, replay_hints},
    state::{Column, Screen},
    view::Target,
};

fn typed(words: &str) -> Vec<Key> {
    words.chars().map(Key::Char).collect()
}

/// Names of the caches, as they are listed.
fn names(deck: &Deck<'_>) -> Vec<String> {
    deck.app.cache_rows().iter().map(|row| row.name.clone()).collect()
}

#[test]
fn a_filter_is_typed_kept_and_taken_off() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('2'), Key::Char('/')]);
    // While a filter is typed, keys are letters: `q` does not quit.
    deck.press(&typed("quit"));
    assert_eq!((deck.app.sift().filter.as_str(), deck.app.quit, names(&deck)), ("quit", false, vec![]));
    deck.press(&[Key::Control('u')]);
    deck.press(&typed("CORRECX"));
    deck.press(&[Key::Backspace, Key::Enter]);
    assert_eq!((names(&deck), deck.app.is_typing), (vec!["krcu_two_correct".to_owned()], false));
    let shown = text(&draw(&mut deck.app, (80, 24), theme(), 0).0);
    assert!(shown.contains("1 of 2 with \"CORREC\" in a name; Esc shows all"), "{shown}");
    assert!(shown.contains("1 shown · 1 in the kernel now"), "{shown}");
    deck.press(&[Key::Escape]);
    assert_eq!(names(&deck).len(), 2);
    // By the module's name, too.
    deck.press(&[Key::Char('/')]);
    deck.press(&typed("krcu_two"));
    deck.press(&[Key::Enter]);
    assert_eq!(names(&deck).len(), 2);
    deck.press(&[Key::Char('/'), Key::Escape, Key::Char('q')]);
    assert!(deck.app.sift().filter.is_empty() && deck.app.quit);
}

#[test]
fn caches_are_sorted_by_each_column_and_the_other_way() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    // 300 objects of one cache are queued when its destroy looks; no other cache has any.
    deck.command(Command::NextDestroy);
    deck.press(&[Key::Char('2')]);
    let (pending, correct) = ("krcu_two_pending", "krcu_two_correct");
    assert_eq!(deck.app.sift().order.column, Column::Outstanding);
    assert_eq!(names(&deck), [pending, correct]);
    deck.press(&[Key::Char('r')]);
    assert_eq!(names(&deck), [correct, pending]);
    deck.press(&[Key::Char('s')]);
    assert_eq!((deck.app.sift().order.column, names(&deck)[0].as_str()), (Column::Bytes, pending));
    for _ in 0..5 {
        deck.press(&[Key::Char('s')]);
    }
    assert_eq!(
        (deck.app.sift().order.column, names(&deck)),
        (Column::Name, vec![correct.to_owned(), pending.to_owned()])
    );
}

#[test]
fn from_a_cache_to_its_verdict_to_what_if_and_back() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('2'), Key::Enter]);
    let verdict = deck.app.selected_verdict().map(|row| row.verdict.cache.clone());
    assert_eq!((deck.app.screen, deck.app.evidence), (Screen::Verdicts, true));
    assert_eq!(verdict.as_deref(), Some("krcu_two_pending"));
    deck.press(&[Key::Char('w')]);
    assert_eq!(deck.app.screen, Screen::WhatIf);
    let question = deck.app.answer.as_ref().map(|answer| &answer.question).unwrap();
    let (_, asked) = question.asked().unwrap();
    let own = question.deferred.iter().filter(|free| free.2 == asked.cache).count();
    let name = question.cache_of(asked).map(|cache| cache.name.as_str());
    assert_eq!((name, own), (Some("krcu_two_pending"), 300));
    deck.press(&[Key::Escape]);
    assert_eq!((deck.app.screen, deck.app.evidence), (Screen::Verdicts, true));
    deck.press(&[Key::Escape, Key::Escape]);
    assert_eq!((deck.app.screen, deck.app.evidence), (Screen::Overview, false));
    deck.press(&[Key::BackTab, Key::Tab, Key::Tab]);
    assert_eq!(deck.app.screen, Screen::Caches);
}

#[test]
fn a_replay_that_goes_back_closes_the_evidence_of_what_has_not_happened() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('4'), Key::Char('w'), Key::Escape, Key::Enter]);
    let newest = deck.app.selected_destroy();
    assert_eq!((deck.app.evidence, deck.app.asked, newest), (true, newest, Some(1)));
    // Goes to the first destroy, on the screens that show few rows and on its own.
    for screen in ['1', '4'] {
        deck.command(Command::Seek(1000));
        deck.press(&[Key::Char('4'), Key::Home, Key::Enter, Key::Char(screen)]);
        deck.command(Command::Seek(0));
        deck.command(Command::NextDestroy);
        let verdict = deck.app.selected_verdict().map(|row| row.destroy);
        assert_eq!((deck.app.evidence, deck.app.asked, verdict), (false, None, Some(Some(0))));
    }
    let shown = text(&draw(&mut deck.app, (80, 24), theme(), 0).0);
    assert!(shown.contains("the verdict that was selected is no longer listed"), "{shown}");
    deck.press(&[Key::Char('5')]);
    assert_eq!(deck.app.shown_answer().map(|answer| answer.question.destroy), Some(0));
}

#[test]
fn evidence_is_scrolled_to_its_end_and_no_further() {
    let tape = tape("truth/6.1-two_at_once");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('4'), Key::Enter]);
    let top = text(&draw(&mut deck.app, (80, 24), theme(), 0).0);
    assert!(top.contains("more below") && !top.contains("timeline"), "{top}");
    deck.press(&[Key::End]);
    let end = text(&draw(&mut deck.app, (80, 24), theme(), 0).0);
    assert!(end.contains("the last late free lands") && !end.contains("more below"), "{end}");
    let last = deck.app.evidence_top;
    deck.press(&[Key::Down]);
    draw(&mut deck.app, (80, 24), theme(), 0);
    assert_eq!(deck.app.evidence_top, last);
    deck.press(&[Key::Home]);
    assert_eq!(deck.app.evidence_top, 0);
}

#[test]
fn the_mouse_finds_screens_rows_headings_and_the_replay() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('2')]);
    let (buffer, hits) = draw(&mut deck.app, (80, 24), theme(), 0);
    let shown = text(&buffer);
    let place = |words: &str| {
        let (row, line) =
            shown.lines().enumerate().find(|(_, line)| line.contains(words)).unwrap_or_default();
        let column = line.find(words).map_or(0, |byte| line[..byte].chars().count());
        (u16::try_from(column).unwrap_or(0), u16::try_from(row).unwrap_or(0))
    };
    for (words, target) in [
        ("3 barriers", Target::Screen(Screen::Barriers)),
        ("? help", Target::Help),
        ("queued/s", Target::Column(Column::QueueRate)),
        ("krcu_two_pending ", Target::Row(0)),
        ("krcu_two_correct", Target::Row(1)),
    ] {
        let (column, row) = place(words);
        assert_eq!(hits.at(column, row), Some(target), "{words} in\n{shown}");
    }
    // The replay's line is the last but one; its bar begins at the beginning of the run.
    let (column, row) = place("━");
    assert_eq!((hits.at(column, row), row), (Some(Target::Seek(0)), 22));
    assert_eq!(hits.at(0, 23), None);
    deck.app.point(1);
    assert_eq!(deck.app.selected_cache().map(|row| row.name.as_str()), Some("krcu_two_correct"));
    deck.app.sort_by(Column::Name);
    assert_eq!(names(&deck)[0], "krcu_two_correct");
}

#[test]
fn a_key_leads_to_the_next_fault_from_anywhere() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    let selected = |deck: &Deck<'_>| deck.app.selected_verdict().map(|row| row.verdict.cache.clone());
    // One of the two caches was destroyed with deferred frees outstanding.
    let pending = Some("krcu_two_pending".to_owned());
    deck.press(&[Key::Char('2'), Key::Char('n')]);
    assert_eq!((deck.app.screen, selected(&deck)), (Screen::Verdicts, pending.clone()));
    deck.press(&[Key::End, Key::Char('n')]);
    assert_eq!(selected(&deck), pending, "after the last one comes the first");
    deck.press(&[Key::Home, Key::Char('n')]);
    assert_eq!(selected(&deck), pending);
    // A run without a fault stays where it is.
    let tape = common::tape("6.12-two");
    let mut deck = Deck::new(&tape);
    deck.command(Command::Seek(1000));
    deck.press(&[Key::Char('n')]);
    assert_eq!(deck.app.screen, Screen::Overview);
}

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
        (Key::Char('/'), Screen::Barriers, false, Some(Action::Filter)),
        (Key::Char('/'), Screen::Overview, false, None),
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
