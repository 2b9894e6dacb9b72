//! What is selected stays selected, whatever happens to its row. Lists that a report or a narrow screen cuts
//! say so. The rows are invented here, and each report has the rows that an agent would send.

mod common;

use common::{
    draw, text, theme,
    watch::{SECOND, Watch, accusation, answer, barrier, cache, verdict},
};
use krcu_report::{
    BarrierCall, BarrierRow, Detail, Hello, Histogram, Report, WaitKind, WaitsFor, words::is_hidden,
};
use krcu_tui::{
    connection::Notice,
    keys::{Action, Key},
    state::{App, Column, Histories, Screen, Sifts},
    view::Target,
};

#[test]
fn screens_that_ask_for_less_lose_no_selection() {
    let mut watch = Watch::new(100, 30);
    watch.all.barriers_finished = (0..40).map(|task| barrier(task, SECOND)).collect();
    let mut waits = Histogram::default();
    (0..40).for_each(|_| waits.add(SECOND));
    watch.all.waits.insert(WaitKind::RcuBarrier, waits);
    watch.press(&[Key::Char('2')]);
    watch.down(70);
    watch.press(&[Key::Char('3')]);
    watch.down(30);
    watch.press(&[Key::Char('4')]);
    watch.down(20);
    watch.press(&[Key::Enter]);
    assert_eq!((watch.cache(), watch.app.barriers.selected, watch.destroy()), (Some(70), 30, Some(9)));
    for elsewhere in ['1', '6'] {
        watch.press(&[Key::Char(elsewhere)]);
        watch.report();
        assert_eq!(watch.app.report.as_ref().map(|report| report.verdicts.len()), Some(8));
        // Back on the list, before a complete report: no other row is taken for it.
        watch.app.press(Key::Char('4'));
        assert_eq!((watch.destroy(), watch.app.evidence), (None, true));
        assert!(watch.shown(80).contains("waiting for the whole list"));
        watch.app.press(Key::Char('2'));
        assert_eq!(watch.cache(), None);
        assert!(!watch.shown(80).contains("bytes an object"));
        watch.report();
        watch.press(&[Key::Char('4')]);
        assert_eq!((watch.cache(), watch.app.barriers.selected, watch.destroy()), (Some(70), 30, Some(9)));
        assert!(watch.app.evidence && watch.shown(80).contains("! PENDING  cache_9"));
    }
    // From there, the what-if is also about the selected destroy.
    watch.press(&[Key::Char('1'), Key::Char('5')]);
    assert_eq!(watch.app.detail(), Detail::Destroy(9));
}

#[test]
fn a_cache_stays_selected_in_any_order_and_behind_a_filter() {
    let mut watch = Watch::new(20, 0);
    watch.press(&[Key::Char('2')]);
    // Nobody has moved: the first row is selected, whichever it is.
    watch.all.caches[1].outstanding = 99;
    watch.all.caches.swap(0, 1);
    watch.report();
    assert_eq!((watch.cache(), watch.app.caches.selected), (Some(1), 0));
    watch.down(7);
    assert_eq!(watch.cache(), Some(7));
    // Sorted by rates, whose order each report changes.
    watch.app.sort_by(Column::QueueRate);
    for round in 0..5_u64 {
        for row in &mut watch.all.caches {
            row.queued += (u64::from(row.id) * 7 + round * 5) % 20;
        }
        watch.report();
        assert_eq!(watch.cache(), Some(7), "round {round}");
        // A replay that seeks changes the order, too.
        let past = Report { at_ns: watch.all.at_ns + 1, ..watch.all.clone() };
        watch.app.take(Notice::Past(Box::new(past)), 0);
        assert_eq!(watch.cache(), Some(7), "round {round}, on the way");
    }
    for key in ['s', 'r', 's', 's', 'r'] {
        watch.app.press(Key::Char(key));
        assert_eq!(watch.cache(), Some(7), "{key}");
    }
    for column in Column::of(Screen::Caches) {
        watch.app.sort_by(*column);
        assert_eq!(watch.cache(), Some(7), "{column:?}");
    }
    watch.press(&[Key::Char('/')]);
    watch.type_words("cache_1");
    // It is hidden. The first of the other rows is selected instead, until the filter is removed, or for good
    // if the filter stays.
    let first = watch.app.cache_rows()[0].id;
    assert_eq!(watch.cache(), Some(first));
    watch.press(&[Key::Escape]);
    assert_eq!(watch.cache(), Some(7));
    watch.press(&[Key::Char('/')]);
    watch.type_words("cache_1");
    watch.press(&[Key::Enter, Key::Down, Key::Down]);
    let third = watch.app.cache_rows()[2].id;
    assert_eq!(watch.cache(), Some(third));
    watch.press(&[Key::Escape]);
    assert_eq!((watch.app.sift().filter.as_str(), watch.cache()), ("", Some(third)));
    // If the filter is kept, the row that is shown as selected is selected.
    watch.press(&[Key::Char('/')]);
    watch.type_words("cache_7");
    watch.press(&[Key::Enter, Key::Escape]);
    assert_eq!(watch.cache(), Some(7));
    // Home follows the first row again, whichever it is.
    *watch.app.sifts.of_mut(Screen::Caches) = Sifts::default().of(Screen::Caches).clone();
    watch.press(&[Key::Home]);
    watch.all.caches[5].outstanding = 1_000;
    let most = watch.all.caches[5].id;
    watch.report();
    assert_eq!(watch.cache(), Some(most));
}

#[test]
fn of_a_row_that_is_gone_its_neighbour_is_selected() {
    let mut watch = Watch::new(20, 12);
    watch.press(&[Key::Char('2')]);
    watch.down(7);
    watch.all.caches.remove(7);
    watch.all.caches_total -= 1;
    watch.report();
    assert_eq!((watch.cache(), watch.app.caches.selected), (Some(8), 7));
    watch.all.caches.truncate(4);
    watch.all.caches_total = 4;
    watch.report();
    assert_eq!(watch.cache(), Some(3));
    // It disappears while the screen asks for few rows.
    let mut watch = Watch::new(100, 12);
    watch.press(&[Key::Char('2')]);
    watch.down(70);
    watch.press(&[Key::Char('1')]);
    watch.all.caches.remove(70);
    watch.report();
    watch.app.press(Key::Char('2'));
    assert!(watch.shown(80).contains(" cache_0 "), "until all come, the first are shown");
    watch.report();
    assert_eq!(watch.cache(), Some(71));
    // If a verdict is no longer listed, the evidence of another one is not shown in its place.
    watch.press(&[Key::Char('4')]);
    watch.down(11);
    watch.press(&[Key::Enter]);
    assert_eq!((watch.destroy(), watch.app.evidence), (Some(0), true));
    watch.all.verdicts.pop();
    watch.report();
    assert_eq!((watch.destroy(), watch.app.evidence), (Some(1), false));
    assert!(watch.shown(80).contains("the verdict that was selected is no longer listed"));
    watch.press(&[Key::Up]);
    assert!(!watch.shown(80).contains("no longer listed"));
    assert_eq!(watch.destroy(), Some(2));
    // The newest verdict is followed until somebody moves.
    watch.press(&[Key::Home]);
    watch.all.verdicts.insert(0, verdict(12));
    watch.report();
    assert_eq!(watch.destroy(), Some(12));
}

#[test]
fn accusations_that_look_alike_are_told_apart() {
    let mut watch = Watch::new(1, 0);
    watch.all.verdicts = vec![accusation(3, 1), accusation(2, 1), accusation(1, 1)];
    watch.press(&[Key::Char('4'), Key::Down, Key::Enter]);
    let life = |watch: &Watch| watch.app.selected_verdict().and_then(|row| row.life);
    assert_eq!(life(&watch), Some(2));
    // More objects of it are found, and another cache gets the same accusation.
    watch.all.verdicts = vec![accusation(4, 1), accusation(3, 1), accusation(2, 5), accusation(1, 1)];
    watch.report();
    assert_eq!((life(&watch), watch.app.evidence), (Some(2), true));
    watch.press(&[Key::Enter]);
    let shown = watch.shown(80);
    assert!(shown.contains("! DOUBLE") && !shown.contains("0 ns"), "{shown}");
}

#[test]
fn what_if_is_of_the_selected_destroy_and_of_no_other() {
    let mut watch = Watch::new(1, 3);
    watch.all.verdicts.insert(0, accusation(1, 1));
    watch.press(&[Key::Char('4'), Key::Down, Key::Char('w')]);
    assert_eq!(watch.app.asked, Some(2));
    assert!(watch.shown(80).contains("simulating"));
    watch.app.take(answer(2), 0);
    assert!(watch.shown(80).contains("would have cost cache_2"));
    // Another verdict is selected, and the screen is shown by its number, by Tab and by the mouse.
    watch.press(&[Key::Escape, Key::Down, Key::Char('5')]);
    assert_eq!(watch.app.asked, Some(1));
    assert!(!watch.shown(80).contains("cache_2"));
    watch.press(&[Key::Escape, Key::Down, Key::Tab]);
    assert_eq!(watch.app.asked, Some(0));
    watch.press(&[Key::Escape, Key::Up, Key::Up]);
    watch.app.act(Action::Show(Screen::WhatIf));
    assert_eq!(watch.app.asked, Some(2));
    assert!(watch.shown(80).contains("would have cost cache_2"), "the answer is still known");
    // An accusation is not about a destroy.
    watch.press(&[Key::Escape, Key::Up, Key::Char('w')]);
    assert_eq!((watch.app.asked, watch.app.detail()), (None, Detail::All));
    assert!(watch.shown(80).contains("this verdict is not about a destroy"));
    // For a verdict that falls off the list, there is nothing to simulate.
    watch.press(&[Key::Escape, Key::Down, Key::Down, Key::Down, Key::Char('w')]);
    assert_eq!(watch.app.asked, Some(0));
    watch.all.verdicts.pop();
    watch.all.verdict_counts.clear();
    watch.report();
    assert!(watch.shown(80).contains("this destroy is no longer kept"));
    // Another agent comes: the question to the first agent is not repeated.
    watch.app.take(Notice::Hello(Hello { pid: 2, ..Hello::default() }), 0);
    assert_eq!((watch.app.asked, watch.app.detail()), (None, Detail::All));
    watch.all.verdicts.clear();
    watch.report();
    assert!(watch.shown(80).contains("select a destroyed cache"));
    // As soon as the new agent has a destroy, its what-if is asked for.
    watch.all.verdicts = vec![verdict(0)];
    watch.report();
    assert_eq!(watch.app.asked, Some(0));
}

#[test]
fn lists_that_are_cut_say_of_how_many() {
    let mut watch = Watch::new(300, 100);
    watch.all.caches_total = 3_412;
    let running = |task| BarrierRow {
        call: call(WaitKind::RcuBarrier, task),
        since_ns: SECOND,
        at_begin: 0,
        own_outstanding: 0,
        other_outstanding: 0,
        end_may_be_unseen: false,
        waits_for: WaitsFor::default(),
    };
    watch.all.barriers_running = (0..90).map(running).collect();
    watch.press(&[Key::Char('2')]);
    assert!(watch.shown(80).contains("256 shown · 3,412 in the kernel now, 256 of them listed"));
    watch.press(&[Key::Char('/')]);
    watch.type_words("nobody");
    let shown = watch.shown(80);
    assert!(
        shown.contains("none of the 256 listed caches of 3,412 match: Esc removes the filter"),
        "{shown}"
    );
    watch.press(&[Key::Escape, Key::Char('4')]);
    for width in [80, 160] {
        let shown = watch.shown(width);
        assert!(shown.contains(" the newest 64 of 100 "), "{shown}");
    }
    watch.press(&[Key::Char('3')]);
    let shown = watch.shown(80);
    assert!(shown.contains("and at least 58 more"), "{shown}");
}

fn call(kind: WaitKind, task: u32) -> BarrierCall {
    BarrierCall { kind, cache: None, inside_destroy: false, task, comm: None, began_ns: 0 }
}

/// The words of the first line that has all of these.
fn line_with<'a>(shown: &'a str, words: &[&str]) -> Vec<&'a str> {
    let line = shown.lines().find(|line| words.iter().all(|word| line.contains(word)));
    line.map(|line| line.split_whitespace().collect()).unwrap_or_default()
}

#[test]
fn no_number_is_cut_on_a_screen_of_any_width() {
    let mut watch = Watch::new(2, 1);
    watch.all.caches[0].outstanding = 1_234_567;
    watch.all.caches[0].oldest_age_ns = Some(61 * SECOND);
    watch.report();
    (watch.all.caches[0].queued, watch.all.caches[0].freed) = (23_456 + 2, 34_567);
    watch.all.barriers_finished = vec![barrier(77, 3_700 * SECOND)];
    watch.all.at_ns = 100_000 * SECOND - 1;
    watch.all.barriers_running = vec![BarrierRow {
        call: call(WaitKind::KvfreeRcuBarrier, 1),
        since_ns: 3_599 * SECOND,
        at_begin: 0,
        own_outstanding: 12_345,
        other_outstanding: 23_456_789,
        end_may_be_unseen: true,
        waits_for: WaitsFor::default(),
    }];
    let mut waits = Histogram::default();
    waits.add(3_700 * SECOND);
    watch.all.waits.insert(WaitKind::RcuBarrier, waits);
    // One second after the previous report.
    watch.app.histories = Histories::default();
    let before =
        Report { at_ns: 99_999 * SECOND, caches: vec![cache(0, 2), cache(1, 1)], ..Report::default() };
    watch.app.take(Notice::Past(Box::new(before)), 0);
    watch.all.at_ns = 99_999 * SECOND;
    watch.report();
    watch.app.take(Notice::Report(Box::new(watch.all.clone())), 0);
    for width in 60..=130 {
        watch.app.screen = Screen::Caches;
        let shown = watch.shown(width);
        let row = line_with(&shown, &["cache_0", "1,234,567"]);
        let numbers = ["cache_0", "1,234,567", "1m01s", "23,456", "34,567"];
        assert!(numbers.iter().all(|number| row.contains(number)), "{width}: {shown}");
        watch.app.screen = Screen::Overview;
        let shown = watch.shown(width);
        let row = line_with(&shown, &["cache_0", "1m01s"]);
        assert!(width < 122 || numbers.iter().all(|number| row.contains(number)), "{width}: {shown}");
        watch.app.screen = Screen::Barriers;
        let shown = watch.shown(width);
        let row = line_with(&shown, &["kvfree_rcu_barrier", "59m59s?"]);
        assert!(row.ends_with(&["12,345", "23.4", "M"]), "{width}: {shown}");
        let row = line_with(&shown, &["rcu_barrier", "1h01m", "modprobe"]);
        let is_whole = row.contains(&"26h") || (row[0] == "1d02h" && row[2] == "1h01m");
        let met = row.contains(&"1,234,567") || row.windows(2).any(|pair| pair == ["1,234", "k"]);
        assert!(is_whole && met, "{width}: {shown}");
        watch.app.screen = Screen::WhatIf;
        watch.app.asked = Some(0);
        watch.app.take(answer(0), 0);
        let shown = watch.shown(width);
        // Nothing was measured: each time has one digit.
        let row = line_with(&shown, &["60", "4000"]);
        assert!(row.ends_with(&["1,234", "k", "7,654", "k"]) || width >= 122, "{width}: {shown}");
    }
}

#[test]
fn a_narrow_list_of_verdicts_has_its_times() {
    let mut watch = Watch::new(1, 1);
    for (at_ns, words) in [(59 * SECOND, "59.0 s"), (61 * SECOND, "1m01s"), (90_061 * SECOND, "1d01h")] {
        watch.all.verdicts[0].at_ns = at_ns;
        watch.press(&[Key::Char('1')]);
        let shown = watch.shown(60);
        let line = shown.lines().find(|line| line.contains("! PENDING")).unwrap();
        assert!(line.ends_with(words), "{shown}");
    }
}

#[test]
fn help_is_left_by_the_mouse_and_scrolled_where_it_is_longer() {
    let mut watch = Watch::new(3, 0);
    watch.press(&[Key::Char('2'), Key::Char('/')]);
    // While a filter is typed: from then on, keys go to the help.
    watch.app.act(Action::Help);
    assert!((watch.app.help, watch.app.is_typing) == (true, false));
    watch.app.act(Action::Help);
    assert!(!watch.app.help);
    watch.app.act(Action::Help);
    watch.app.act(Action::Show(Screen::Barriers));
    assert_eq!((watch.app.help, watch.app.screen), (false, Screen::Barriers));
    watch.press(&[Key::Char('?')]);
    let low = |app: &mut App| text(&draw(app, (80, 16), theme(), 0).0);
    let shown = low(&mut watch.app);
    assert!(shown.contains("more below: ↓") && !shown.contains("to the end"), "{shown}");
    watch.press(&[Key::PageDown]);
    let shown = low(&mut watch.app);
    assert!(shown.contains("to the end") && shown.contains("? undecided"), "{shown}");
    // Drawing limits the scrolling, so one step up shows at once.
    watch.press(&[Key::PageDown]);
    low(&mut watch.app);
    watch.app.act(Action::Move(-1));
    assert!(low(&mut watch.app).contains("1 more below"));
    watch.press(&[Key::Char('x')]);
    assert!(!watch.app.help);
}

#[test]
fn headings_can_be_pointed_at_where_they_sort_what_is_shown() {
    let mut watch = Watch::new(3, 0);
    let is_heading = |watch: &mut Watch| {
        let (_, hits) = draw(&mut watch.app, (160, 50), theme(), 0);
        (0..160).any(|x| (0..50).any(|y| matches!(hits.at(x, y), Some(Target::Column(_)))))
    };
    assert!(!is_heading(&mut watch), "the overview's caches are in an order of their own");
    watch.press(&[Key::Char('2')]);
    assert!(is_heading(&mut watch));
}

#[test]
fn no_name_reaches_the_terminal_as_it_is() {
    const NAME: &str = "my_cache\u{1b}[2J\n\u{202e}\u{2066}\u{200b}x";
    let mut watch = Watch::new(1, 1);
    watch.all.caches[0].name = NAME.to_owned();
    for row in &mut watch.all.verdicts {
        row.verdict.cache = NAME.to_owned();
        row.verdict.module = Some(NAME.to_owned());
        row.verdict.notes = vec![NAME.to_owned()];
        row.verdict.destroyed_by.comm = NAME.to_owned();
    }
    for screen in ['1', '2', '4'] {
        watch.press(&[Key::Char(screen)]);
        let shown = watch.shown(160);
        assert!(shown.chars().all(|letter| letter == '\n' || !is_hidden(letter)), "{shown:?}");
        assert!(shown.contains("my_cache\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}x"), "{shown}");
    }
    // What is typed is shown too.
    watch.press(&[Key::Char('2'), Key::Char('/'), Key::Char('\u{202e}')]);
    assert!(!watch.shown(160).contains('\u{202e}'));
}
