//! What the screens of a live agent show in addition to a replay's: the ring, losses, probes, sinks; and an
//! agent that is silent or gone. The state comes from a golden trace; the rest is invented here, so that it
//! is known what must be shown.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod common;

use std::{collections::BTreeSet, fs, path::PathBuf};

use common::{draw, text, theme, traces};
use krcu_model::{
    State,
    event::{Losses, Time},
    script,
};
use krcu_report::{
    Accounts, Bounds, Hello, LossRow, Outside, ProbeRow, ProbeState, Report, Reporter, Ring, SCHEMA, SinkRow,
    SinkState,
};
use krcu_tui::{
    connection::{Link, Notice, ReplayStatus, Why},
    keys::Key,
    state::{App, Freshness, Screen},
    view::Theme,
};
use ratatui::style::{Color, Modifier};

const MIB: u64 = 1 << 20;

fn probe(program: &str, state: ProbeState, runs: Option<u64>, run_time_ns: Option<u64>) -> ProbeRow {
    ProbeRow {
        program: program.to_owned(),
        function: "kvfree_call_rcu".to_owned(),
        way: "fentry".to_owned(),
        state,
        why: (state == ProbeState::NotOffered).then(|| "this kernel has no such function".to_owned()),
        runs,
        run_time_ns,
        missed: 0,
    }
}

fn outside(losses: LossRow, runs: u64) -> Outside {
    Outside {
        accounts: Some(Accounts { seen: 900, delivered: 800, filtered: 95, lost: 5 }),
        losses: Some(losses.counted),
        ring: Some(Ring { bytes: 16 * MIB, used_bytes: 4 * MIB }),
        without_site: 0,
        probes: vec![
            probe("queued", ProbeState::Attached, Some(runs), Some(runs * 200)),
            probe("freed_sheaf", ProbeState::NotOffered, None, None),
        ],
        sinks: vec![
            SinkRow { name: "socket".to_owned(), state: SinkState::Working, dropped: 3, why: None },
            SinkRow {
                name: "recorder".to_owned(),
                state: SinkState::Failed,
                dropped: 0,
                why: Some("no space left on device".to_owned()),
            },
        ],
    }
}

/// A watch of the golden trace: a report at its end, and one a second later.
fn live(losses: LossRow) -> App {
    let text = fs::read_to_string(traces().join("6.1-pending.script")).unwrap();
    let script = script::read(&text).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    let mut end = Time(0);
    for event in script.events {
        end = end.max(event.time);
        reporter.see(&event, &state);
        state.step(event);
    }
    let mut app = App::default();
    app.take(Notice::Link(Link::Connected), 0);
    let hello = Hello {
        schema: SCHEMA,
        host: "farm-7".to_owned(),
        release: "6.1.0-56-cloud-amd64".to_owned(),
        pid: 412,
        possible_cpus: 2,
        interval_ms: 250,
        undecidable: vec!["what goes into sheaves is not seen".to_owned()],
        ..Hello::default()
    };
    app.take(Notice::Hello(hello), 0);
    for (after_ns, runs) in [(0, 1_000), (1_000_000_000, 51_000)] {
        let outside = outside(losses, runs);
        let report = reporter.report(&state, Time(end.0 + after_ns), outside, Bounds::ALL);
        app.take(Notice::Report(Box::new(Report { losses, ..report })), 1_000);
    }
    app
}

/// Compares a screen with the one that is kept.
fn is_kept(name: &str, app: &mut App, now_ms: u64) -> Vec<String> {
    let mut shown = Vec::new();
    for (width, height) in [(80, 24), (160, 50)] {
        let screen = text(&draw(app, (width, height), theme(), now_ms).0);
        let file = format!("tests/screens/{name}-{width}x{height}.txt");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("KRCU_BLESS").is_some() {
            fs::write(&path, &screen).unwrap();
        }
        assert_eq!(screen, fs::read_to_string(&path).unwrap_or_default(), "{name}");
        shown.push(screen);
    }
    shown
}

fn has(screen: &str, words: &str) -> bool {
    screen.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
}

/// The colours of the cells that show these words, and whether they are bold and reversed.
fn style_of(app: &mut App, theme: Theme, now_ms: u64, words: &str) -> (Color, bool, bool) {
    let (buffer, _) = draw(app, (80, 24), theme, now_ms);
    let shown = text(&buffer);
    let (row, line) = shown.lines().enumerate().find(|(_, line)| line.contains(words)).unwrap();
    let column = line[..line.find(words).unwrap()].chars().count();
    let cell = &buffer.content[row * 80 + column];
    (cell.fg, cell.modifier.contains(Modifier::BOLD), cell.modifier.contains(Modifier::REVERSED))
}

const LOSSES: LossRow = LossRow {
    counted: Losses { ring_full: 5, probe_missed: 2, map_full: 0, destroys: 1 },
    not_in_trace: false,
    last_at_ns: Some(1_000_000_000),
};

#[test]
fn a_live_agent_is_shown_with_its_ring_and_without_losses() {
    let shown = is_kept("live-overview", &mut live(LossRow::default()), 1_000);
    for screen in &shown {
        assert!(has(screen, "farm-7 · Linux 6.1.0-56-cloud-amd64") && has(screen, "● live"), "{screen}");
        // A quarter of 16 MiB; the sums come from the account.
        assert!(has(screen, "25 % of 16 MiB") && has(screen, "lost nothing"), "{screen}");
        assert!(has(screen, "900 = 800 delivered + 95 filtered + 5 lost"), "{screen}");
    }
    assert!(has(&shown[1], "socket works, 3 dropped"), "{}", shown[1]);
    assert!(shown.iter().all(|screen| has(screen, "recorder FAILED: no space left on device")), "{shown:?}");
}

#[test]
fn a_loss_is_red_and_says_so_without_colour_too() {
    let mut app = live(LOSSES);
    let words = "7 LOST: 5 ring full, 2 probe missed, 1 destroy unseen";
    assert_eq!(style_of(&mut app, theme(), 1_000, words), (Color::Red, true, false));
    assert_eq!(style_of(&mut app, Theme::new(false, true), 1_000, words), (Color::Reset, true, false));
    let clear = text(&draw(&mut live(LossRow::default()), (80, 24), theme(), 1_000).0);
    assert!(!clear.contains("LOST"), "{clear}");
}

#[test]
fn events_without_a_site_are_told_and_are_no_loss() {
    let mut app = live(LossRow::default());
    let report = Report { without_site: 12, ..app.report.clone().unwrap() };
    app.take(Notice::Report(Box::new(report)), 1_000);
    let shown = text(&draw(&mut app, (80, 24), theme(), 1_000).0);
    assert!(has(&shown, "lost nothing no site of 12 events: no room for their stacks"), "{shown}");
    assert!(!shown.contains("LOST"), "{shown}");
    // A loss without a count is still a loss.
    let losses = LossRow { not_in_trace: true, ..LossRow::default() };
    let report = Report { losses, ..app.report.clone().unwrap() };
    app.take(Notice::Report(Box::new(report)), 1_000);
    let shown = text(&draw(&mut app, (80, 24), theme(), 1_000).0);
    assert!(has(&shown, "lost LOST: the trace ends before its run"), "{shown}");
}

#[test]
fn costs_that_are_not_counted_say_how_they_would_be() {
    let mut app = live(LossRow::default());
    app.screen = Screen::Probes;
    let mut report = app.report.clone().unwrap();
    report.probes.iter_mut().for_each(|row| (row.runs, row.run_time_ns) = (None, None));
    app.take(Notice::Report(Box::new(report)), 1_000);
    for width in [60, 80, 160] {
        let shown = text(&draw(&mut app, (width, 24), theme(), 1_000).0);
        for words in
            ["probes.statistics = true", "sysctl kernel.bpf_stats_enabled=1", "undecidable what goes"]
        {
            assert!(has(&shown, words), "{words}: {shown}");
        }
    }
    app.take(Notice::Replay(ReplayStatus::default()), 1_000);
    let shown = text(&draw(&mut app, (80, 24), theme(), 1_000).0);
    assert!(has(&shown, "costs a trace has none") && !has(&shown, "sysctl"), "{shown}");
}

#[test]
fn both_rates_of_the_selected_cache_have_their_past() {
    let mut app = live(LossRow::default());
    app.press(Key::Char('2'));
    let mut report = app.report.clone().unwrap();
    // From a whole second on, so that each report is a slice of a second of its own.
    report.at_ns = 10_000_000_000;
    app.take(Notice::Report(Box::new(report.clone())), 1_000);
    // Objects are queued faster and faster, and freed more and more slowly.
    for (queued, freed) in [(100, 4_000), (300, 3_000), (700, 2_000), (1_500, 1_000)] {
        report.at_ns += 1_000_000_000;
        report.caches[0].queued += queued;
        report.caches[0].freed += freed;
        app.take(Notice::Report(Box::new(report.clone())), 1_000);
    }
    let shown = text(&draw(&mut app, (80, 24), theme(), 1_000).0);
    assert!(has(&shown, "queued/s ▁▂▄█ ≤ 1,500 freed/s █▆▄▂ ≤ 4,000"), "{shown}");
    // On a wide screen, each cache has them.
    let shown = text(&draw(&mut app, (170, 24), theme(), 1_000).0);
    assert!(has(&shown, "queued/s history freed/s history"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("krcu_pending") && has(line, "▁▂▄█ █▆▄▂")), "{shown}");
}

#[test]
fn an_agent_that_is_silent_or_gone_is_seen_at_once_on_every_screen() {
    let mut app = live(LossRow::default());
    let silent = is_kept("live-silent", &mut app, 5_200);
    assert!(silent.iter().all(|screen| has(screen, "SILENT 4.20 s")), "{silent:?}");
    assert_eq!(style_of(&mut app, theme(), 5_200, "the agent is connected"), (Color::Red, true, true));
    app.take(Notice::Link(Link::Lost(Why::HungUp)), 6_000);
    let gone = is_kept("live-lost", &mut app, 6_000);
    assert!(
        gone.iter().all(|screen| has(screen, "LOST 5.00 s") && has(screen, "the agent hung up")),
        "{gone:?}"
    );
    for screen in Screen::ALL {
        app.screen = screen;
        assert!(has(&text(&draw(&mut app, (80, 24), theme(), 6_000).0), "the agent hung up"), "{screen:?}");
    }
    // The same agent comes back: the history goes on.
    app.take(Notice::Link(Link::Connected), 7_000);
    assert!(has(&text(&draw(&mut app, (80, 24), theme(), 7_000).0), "SILENT"), "nothing new has come yet");
}

#[test]
fn probes_are_shown_with_what_they_cost() {
    let mut app = live(LossRow::default());
    app.screen = Screen::Probes;
    let shown = is_kept("live-probes", &mut app, 1_000);
    for screen in &shown {
        assert!(has(screen, "undecidable what goes into sheaves is not seen"), "{screen}");
        // 50,000 runs in a second, of 200 ns each, are a hundredth of a CPU.
        assert!(has(screen, "kvfree_call_rcu 51,000 50,000 200 ns 1.00"), "{screen}");
        assert!(
            has(screen, "1 attached, 1 not offered by this kernel · all together 1.00 % of one CPU"),
            "{screen}"
        );
    }
    app.press(Key::Down);
    let screen = text(&draw(&mut app, (80, 24), theme(), 1_000).0);
    assert!(
        has(&screen, "not offered freed_sheaf at fentry kvfree_call_rcu: this kernel has no such function"),
        "{screen}"
    );
}

#[test]
fn nobody_says_how_to_start_an_agent() {
    for (why, words) in [
        (Why::NoSocket, "sudo krcu agent"),
        (Why::NobodyListens, "sudo krcu agent"),
        (Why::NotAllowed, "sudo usermod -aG krcu $USER"),
        (Why::Schema(9), "the agent speaks version 9"),
        (Why::Schema(9), "krcu --version; krcu-tui --version"),
        (Why::Refused("32 clients are connected".to_owned()), "socket.clients"),
    ] {
        let mut app = App::default();
        app.take(Notice::Link(Link::Lost(why.clone())), 0);
        let name = format!("nobody-{}", words.split(' ').nth(1).unwrap_or_default());
        let shown = if matches!(why, Why::NoSocket | Why::NotAllowed) {
            is_kept(&name, &mut app, 0)
        } else {
            vec![text(&draw(&mut app, (80, 24), theme(), 0).0)]
        };
        for screen in shown {
            assert!(has(&screen, words) && has(&screen, "/run/krcu/krcu.sock"), "{screen}");
            assert!(has(&screen, "krcu tui --replay NAME.krcu"), "{screen}");
        }
    }
}

#[test]
fn an_agent_that_is_frozen_before_it_is_watched_is_not_called_missing() {
    let mut app = App::default();
    // If connecting takes that long, nothing else has been tried.
    assert_eq!((app.freshness(3_000), app.freshness(3_001)), (Freshness::Nothing, Freshness::Frozen(3_001)));
    app.take(Notice::Link(Link::Lost(Why::NobodyListens)), 4_000);
    assert_eq!(app.freshness(9_000), Freshness::Nothing);
    app.take(Notice::Link(Link::Reached), 10_000);
    assert_eq!(app.freshness(13_000), Freshness::Nothing);
    let waits = text(&draw(&mut app, (80, 24), theme(), 13_000).0);
    assert!(
        has(&waits, "waiting for the agent's first line") && !has(&waits, "no process listens"),
        "{waits}"
    );
    for screen in is_kept("nobody-silent", &mut app, 14_200) {
        assert!(
            has(&screen, "SILENT 4.20 s") && has(&screen, "the agent is connected but silent"),
            "{screen}"
        );
        assert!(has(&screen, "ps -o pid,stat,pcpu,args -C krcu"), "{screen}");
    }
    // It introduces itself, and then freezes.
    app.take(Notice::Link(Link::Connected), 20_000);
    app.take(Notice::Hello(Hello { pid: 412, interval_ms: 2_000, ..Hello::default() }), 20_000);
    assert_eq!(
        (app.freshness(26_000), app.freshness(26_001)),
        (Freshness::Nothing, Freshness::Frozen(6_001))
    );
    app.take(Notice::Report(Box::default()), 30_000);
    assert_eq!(app.freshness(30_001), Freshness::Live);
    // Another agent does not inherit the age of its predecessor's report.
    app.take(Notice::Hello(Hello { pid: 413, interval_ms: 250, ..Hello::default() }), 40_000);
    assert_eq!(
        (app.freshness(40_001), app.freshness(43_001)),
        (Freshness::Nothing, Freshness::Frozen(3_001))
    );
}

#[test]
fn without_colour_nothing_has_one_and_with_it_few() {
    let mut app = live(LOSSES);
    for screen in Screen::ALL {
        app.screen = screen;
        let (plain, _) = draw(&mut app, (160, 50), Theme::new(false, true), 9_000);
        let (coloured, _) = draw(&mut app, (160, 50), theme(), 9_000);
        assert_eq!(text(&plain), text(&coloured), "{screen:?}: colour adds no words");
        assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        let used: BTreeSet<String> = coloured.content.iter().map(|cell| format!("{:?}", cell.fg)).collect();
        assert!(!used.contains("Green"), "red and green are not told apart by everybody");
    }
}

#[test]
fn every_size_is_drawn_and_ascii_is_ascii() {
    let mut app = live(LOSSES);
    for screen in Screen::ALL {
        for help in [false, true] {
            (app.screen, app.help) = (screen, help);
            for width in [1, 20, 60, 79, 80, 100, 110, 120, 139, 141, 250] {
                for height in [1, 8, 16, 17, 23, 24, 60] {
                    let (buffer, _) = draw(&mut app, (width, height), theme(), 1_000);
                    assert!(!text(&buffer).trim().is_empty(), "{screen:?} at {width}×{height}");
                }
            }
        }
    }
    for screen in Screen::ALL {
        for help in [false, true] {
            (app.screen, app.help) = (screen, help);
            let ascii = text(&draw(&mut app, (80, 24), Theme::new(true, false), 1_000).0);
            assert!(ascii.is_ascii(), "{screen:?}: {ascii}");
        }
    }
}

#[test]
fn a_newer_report_keeps_what_is_selected() {
    let mut app = App::default();
    let row = |id: u32, outstanding: u64| {
        let json = format!(
            r#"{{"id":{id},"name":"c{id}","module":null,"object_bytes":8,"phase":"live","created_while_watched":true,
            "counted":false,"queued":9,"callbacks":0,"freed":0,"freed_by":{{"bulk":0,"list":0,"sheaf":0,"callback":0,
            "within_call":0}},"outstanding":{outstanding},"being_freed":0,"callbacks_waiting":0,"oldest_age_ns":null,
            "last_activity_ns":0,"destroy":null}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let report = |seq, caches| Notice::Report(Box::new(Report { seq, caches, ..Report::default() }));
    app.take(Notice::Link(Link::Connected), 0);
    app.take(report(0, vec![row(1, 30), row(2, 20), row(3, 10)]), 0);
    app.screen = Screen::Caches;
    app.press(Key::Down);
    assert_eq!(app.selected_cache().map(|row| row.id), Some(2));
    // It has the fewest now, so its row is the last.
    app.take(report(1, vec![row(1, 30), row(3, 10), row(2, 5)]), 0);
    assert_eq!((app.selected_cache().map(|row| row.id), app.caches.selected), (Some(2), 2));
}
