//! A trace in its folder is replayed as the script that its events came from; one that was cut off says so. And the
//! thread that replays, as the program drives it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod common;

use std::{
    env, fs,
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

use common::{draw, tape, text, theme, traces};
use krcu_model::{
    VerdictKind,
    event::Time,
    report::{Bounds, Detail, Losses, ProbeState, Report},
    script::{self, Script},
};
use krcu_trace::{
    Accounted, FORMAT, How, Limits, Meta, Writer,
    meta::{self, Account, Clock, Kernel, Probe, Run, Seen},
};
use krcu_tui::{
    connection::{Inbox, Player, load, replay},
    keys::Key,
    state::{App, Command, Screen},
};

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pending() -> Script {
    script::read(&fs::read_to_string(traces().join("6.1-pending.script")).unwrap()).unwrap()
}

/// Writes the events as a recorder does, and ends as `end` has it.
fn written(test: &str, script: &Script, end: impl FnOnce(Writer)) -> Folder {
    let path = env::temp_dir().join(format!("krcu-tui-{test}-{}.krcu", process::id()));
    let _ = fs::remove_dir_all(&path);
    let probe = |program: &str, offer: &str| Probe {
        program: program.to_owned(),
        target: "kvfree_call_rcu".to_owned(),
        offer: offer.to_owned(),
        why: None,
    };
    let meta = Meta {
        format: FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: "0.1.0".to_owned(),
        trace: test.to_owned(),
        kernel: Kernel {
            release: "6.1.0-test".to_owned(),
            host: Some("box".to_owned()),
            possible_cpus: script.watch.possible_cpus,
            ..Kernel::default()
        },
        clock: Clock::default(),
        watch: Seen::of(&script.watch),
        probes: vec![probe("queued", "offered"), probe("freed_sheaf", "not_offered")],
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let mut writer = Writer::create(&path, meta, Limits { rows: 100, ..Limits::default() }).unwrap();
    script.events.iter().for_each(|event| writer.event(event));
    end(writer);
    Folder(path)
}

/// The report at the end, without its number.
fn at_end(player: &mut Player<'_>) -> Report {
    player.command(Command::Seek(1000)).unwrap();
    Report { seq: 0, ..player.report(Bounds::ALL) }
}

#[test]
fn a_trace_and_its_script_are_one_replay() {
    let script = pending();
    let end = Time(script.events.iter().map(|event| event.time.0).max().unwrap());
    let run = Run {
        lost: meta::Losses { ring_full: 3, ..meta::Losses::default() },
        accounts: vec![Account {
            cpu: 0,
            kind: "queued".to_owned(),
            seen: 9,
            delivered: 4,
            lost: 3,
            filtered: 2,
        }],
        ..Run::default()
    };
    let folder = written("whole", &script, |writer| writer.finish(How::Exit, end, run).unwrap());
    let trace = load(&folder.0).unwrap();
    let of_script = tape("6.1-pending");
    let (mut trace, mut of_script) = (Player::new(&trace).unwrap(), Player::new(&of_script).unwrap());
    let middle = |player: &mut Player<'_>| {
        player.command(Command::Seek(40)).unwrap();
        Report { seq: 0, probes: Vec::new(), ..player.report(Bounds::ALL) }
    };
    assert_eq!(middle(&mut trace), middle(&mut of_script));
    let told = at_end(&mut trace);
    let states: Vec<ProbeState> = told.probes.iter().map(|probe| probe.state).collect();
    assert_eq!(states, [ProbeState::Attached, ProbeState::NotOffered]);
    // What only the run knew, it knew at its end.
    let accounts = told.accounts.unwrap();
    assert_eq!((accounts.seen, accounts.delivered, accounts.filtered, accounts.lost), (9, 4, 2, 3));
    assert_eq!(told.losses, Losses { ring_full: 3, ..Losses::default() });
    let events_alone = Report { probes: Vec::new(), accounts: None, losses: Losses::default(), ..told };
    assert_eq!(events_alone, at_end(&mut of_script));
}

#[test]
fn a_trace_without_a_goodbye_is_undecided_where_nobody_knows() {
    let script = pending();
    // Its recorder was killed; it had accounted for nothing since the probes were attached.
    let accounted = Accounted { at: script.watch.attached, ..Accounted::default() };
    let folder = written("killed", &script, |mut writer| {
        writer.account(accounted);
        drop(writer);
    });
    let trace = load(&folder.0).unwrap();
    let mut player = Player::new(&trace).unwrap();
    let told = at_end(&mut player);
    assert!(told.losses.not_in_trace && told.losses.total() == 0);
    let words: Vec<VerdictKind> = told.verdicts.iter().map(|row| row.verdict.verdict).collect();
    assert!(words.iter().all(|word| *word == VerdictKind::Inconclusive), "{words:?}");
}

#[test]
fn what_is_neither_a_trace_nor_a_script_is_refused_by_name() {
    for (name, words) in [
        ("nothing-there", "cannot read"),
        ("truth/expected.txt", "expected.txt is no script"),
        ("truth", "meta.json"),
    ] {
        let error = format!("{:#}", load(&traces().join(name)).unwrap_err());
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn the_thread_plays_to_the_end_and_answers_what_is_asked() {
    let inbox = Inbox::default();
    let mut source = replay(tape("6.1-pending"), &inbox);
    let mut app = App::default();
    let begin = Instant::now();
    let until = |app: &mut App, is_there: &dyn Fn(&App) -> bool| {
        while begin.elapsed() < PATIENCE {
            inbox.take().into_iter().for_each(|notice| app.take(notice, 0));
            if is_there(app) {
                return;
            }
            thread::yield_now();
        }
        panic!("it did not come: {:?}", app.replay);
    };
    until(&mut app, &|app| app.replay.as_ref().is_some_and(|replay| replay.is_playing));
    source.command(app.press(Key::Char('$')).unwrap());
    until(&mut app, &|app| {
        app.replay.as_ref().is_some_and(|replay| replay.at_ns == replay.end_ns && replay.end_ns > 0)
    });
    until(&mut app, &|app| !app.verdict_rows().is_empty());
    assert!(!app.histories.all.is_empty(), "what was on the way is there for sparklines");
    app.press(Key::Char('4'));
    app.press(Key::Char('w'));
    assert_eq!((app.screen, app.detail()), (Screen::WhatIf, Detail::Destroy(0)));
    source.want(app.detail());
    until(&mut app, &|app| app.answer.is_some());
    let shown = text(&draw(&mut app, (80, 24), theme(), 0).0);
    assert!(shown.contains("status-quo"), "{shown}");
}
