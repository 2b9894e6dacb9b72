//! A replay that goes to and fro shows the same as one that went straight there.

mod common;

use common::{Deck, tape, traces};
use krcu_model::{
    Event,
    event::{Cpu, Task, Time, What},
    script,
};
use krcu_report::{Bounds, Report};
use krcu_tui::connection::{Command, Player, SPEEDS, Tape};

/// The report, without its number.
fn report(player: &mut Player<'_>) -> Report {
    Report { seq: 0, ..player.report(Bounds::ALL) }
}

#[test]
fn wherever_one_comes_from_a_place_is_the_same() {
    let tape = tape("6.1-two");
    let mut player = Player::new(&tape);
    player.command(Command::Play);
    let mut straight = Vec::new();
    for place in [0, 100, 250, 500, 1000] {
        let mut player = Player::new(&tape);
        player.command(Command::Seek(place));
        straight.push((place, report(&mut player)));
    }
    for round in [[4, 0, 3, 1, 2], [2, 4, 1, 3, 0]] {
        for (place, expected) in round.map(|place| &straight[place]) {
            player.command(Command::Seek(*place));
            assert_eq!(&report(&mut player), expected, "{place} thousandths");
        }
    }
    assert_ne!(straight[1].1, straight[4].1);
}

#[test]
fn the_end_has_every_event_and_a_step_one() {
    let text = std::fs::read_to_string(traces().join("6.1-leak.script")).unwrap();
    let script = script::read(&text).unwrap();
    let tape = tape("6.1-leak");
    let mut player = Player::new(&tape);
    let attached = script.watch.attached;
    let before = script.events.iter().take_while(|event| event.time <= attached).count() as u64;
    assert_eq!((player.status().events, player.status().at_ns), (before, 0));
    player.command(Command::Step);
    let next = &script.events[usize::try_from(before).unwrap()];
    let status = player.status();
    assert_eq!((status.events, status.at_ns), (before + 1, next.time.since(attached)));
    assert_eq!(status.last, Some(script::line(next)));
    assert!(!status.is_playing, "who steps has paused");
    player.command(Command::Seek(1000));
    assert_eq!(player.status().events, script.events.len() as u64);
    assert_eq!(player.status().at_ns, player.status().end_ns);
}

#[test]
fn the_next_destroy_is_where_its_verdict_is_there() {
    let text = std::fs::read_to_string(traces().join("6.1-two.script")).unwrap();
    let script = script::read(&text).unwrap();
    let ends: Vec<Time> = script
        .events
        .iter()
        .filter(|event| matches!(event.what, What::ShutdownEnd { .. }))
        .map(|event| event.time)
        .collect();
    assert_eq!(ends.len(), 2, "the module destroys two caches");
    let tape = tape("6.1-two");
    let mut player = Player::new(&tape);
    for (verdicts, end) in (1..).zip(&ends) {
        player.command(Command::NextDestroy);
        assert_eq!(player.status().at_ns, end.since(script.watch.attached));
        assert_eq!(report(&mut player).verdicts.len(), verdicts);
        assert!(player.status().last.is_some_and(|line| line.contains("shutdown_end")));
    }
    player.command(Command::NextDestroy);
    assert_eq!(player.status().at_ns, player.status().end_ns, "there is none any more");
}

#[test]
fn time_goes_by_as_fast_as_was_asked_and_not_while_it_is_paused() {
    const MS: u64 = 1_000_000;
    let tape = tape("6.1-lucky");
    let mut player = Player::new(&tape);
    assert!(player.play(50 * MS));
    assert_eq!(player.status().at_ns, 50 * MS);
    player.command(Command::Speed(1));
    assert_eq!(SPEEDS[player.status().speed], 2_000, "twice as fast");
    player.play(50 * MS);
    assert_eq!(player.status().at_ns, 150 * MS);
    player.command(Command::Play);
    assert!(!player.play(50 * MS));
    assert_eq!(player.status().at_ns, 150 * MS);
    for _ in 0..100 {
        player.command(Command::Speed(-1));
    }
    player.command(Command::Play);
    player.play(1000 * MS);
    assert_eq!(player.status().at_ns, 151 * MS, "a thousandth, the slowest");
}

#[test]
fn a_skip_is_of_the_whole_run_and_stays_in_it() {
    let tape = tape("6.1-pending");
    let mut deck = Deck::new(&tape);
    let end = deck.player.status().end_ns;
    for (by, expected) in [(-20, 0), (500, end / 2), (20, end / 2 + end / 50), (-20, end / 2), (1000, end)] {
        deck.command(Command::Skip(by));
        assert!(deck.player.status().at_ns.abs_diff(expected) <= 2, "{by}");
    }
    // Forward, the history goes on; backward, it is built again.
    assert!(!deck.app.histories.all.is_empty());
}

#[test]
fn what_is_asked_on_the_way_is_one_way() {
    let tape = tape("6.1-pending");
    let mut player = Player::new(&tape);
    let end = player.status().end_ns;
    let is_near = |player: &Player<'_>, thousandths: u64| {
        // Each skip may lose a nanosecond to rounding.
        player.status().at_ns.abs_diff(end / 1000 * thousandths) <= 1000
    };
    // A key is held down: commands come before the first piece, and between two pieces.
    (0..25).for_each(|_| player.start(Command::Skip(20)));
    assert!(player.status().is_seeking && player.status().at_ns == 0);
    let pieces = (0..).take_while(|_| player.is_going() && player.go_on().is_some()).count();
    assert!(pieces <= 40 && is_near(&player, 500), "{pieces}: {:?}", player.status());
    for _ in 0..10 {
        player.start(Command::Skip(-20));
        player.go_on();
    }
    while player.is_going() {
        player.go_on();
    }
    assert!(is_near(&player, 300), "{:?}", player.status());
    // The last place wins; the same place once more does not start again.
    player.start(Command::Seek(100));
    player.start(Command::Seek(900));
    let mut before = 0;
    while player.is_going() {
        player.start(Command::Seek(900));
        player.go_on();
        assert!(player.status().at_ns > before);
        before = player.status().at_ns;
    }
    assert!(is_near(&player, 900) && !player.status().is_seeking, "{:?}", player.status());
    // A step on the way ends the way.
    player.start(Command::Seek(100));
    player.start(Command::Step);
    assert!(!player.is_going() && !is_near(&player, 100));
}

#[test]
fn many_events_at_one_time_are_taken_in_pieces() {
    let event = |time| Event {
        time: Time(time),
        task: Task(1),
        cpu: Cpu(0),
        what: What::GraceBegin { expedited: false },
    };
    let events: Vec<Event> = (0..120_000).map(|_| event(5)).chain([event(10)]).collect();
    let all = events.len() as u64;
    let tape = Tape::Script(events, Box::default());
    for command in [Command::Seek(1000), Command::NextDestroy] {
        let mut player = Player::new(&tape);
        player.start(command);
        let mut most = 0;
        while player.is_going() {
            let before = player.status().events;
            player.go_on();
            most = most.max(player.status().events - before);
        }
        assert_eq!((player.status().events, most), (all, 50_000), "{command:?}");
    }
}
