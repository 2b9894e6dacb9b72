//! A trace in its folder replays like the script that its events came from; a trace that was cut off says so.
//! Also tests the replay thread, as the program drives it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use common::{draw, tape, text, theme, traces};
use krcu_model::{
    VerdictKind,
    event::{Losses, Time},
    script::{self, Script},
};
use krcu_report::{Bounds, Detail, LossRow, ProbeState, Report};
use krcu_trace::{
    Accounted, FORMAT, How, Limits, Meta, Writer,
    meta::{Account, Clock, Kernel, Probe, Run, Seen},
};
use krcu_tui::{
    connection::{Command, Inbox, Notice, Player, load, replay},
    keys::Key,
    state::{App, Screen},
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

/// Writes the events as a recorder does; `end` ends the trace.
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

/// Flips a bit in this batch; the index has a line for it, after the line of the schema.
fn spoil(folder: &Folder, batch: usize) {
    let index = fs::read_to_string(folder.0.join("events-00000.index")).unwrap();
    let ends: Vec<usize> =
        index.lines().map(|line| usize::from_str_radix(&line[..16], 16).unwrap()).collect();
    let stream = folder.0.join("events-00000.arrows");
    let mut bytes = fs::read(&stream).unwrap();
    let middle = usize::midpoint(ends[batch], ends[batch + 1]);
    bytes[middle] ^= 1;
    fs::write(&stream, bytes).unwrap();
}

/// The report at the end, without its number.
fn at_end(player: &mut Player<'_>) -> Report {
    player.command(Command::Seek(1000));
    Report { seq: 0, ..player.report(Bounds::ALL) }
}

#[test]
fn a_trace_and_its_script_are_one_replay() {
    let script = pending();
    let end = Time(script.events.iter().map(|event| event.time.0).max().unwrap());
    let run = Run {
        lost: Losses { ring_full: 3, ..Losses::default() },
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
    let folder = written("whole", &script, |writer| writer.finish(How::Exit, end, run.clone()).unwrap());
    let trace = load(&folder.0).unwrap();
    let of_script = tape("6.1-pending");
    let (mut trace, mut of_script) = (Player::new(&trace), Player::new(&of_script));
    let middle = |player: &mut Player<'_>| {
        player.command(Command::Seek(40));
        Report { seq: 0, probes: Vec::new(), ..player.report(Bounds::ALL) }
    };
    assert_eq!(middle(&mut trace), middle(&mut of_script));
    let told = at_end(&mut trace);
    let states: Vec<ProbeState> = told.probes.iter().map(|probe| probe.state).collect();
    assert_eq!(states, [ProbeState::Attached, ProbeState::NotOffered]);
    // What only the run knew is shown at its end.
    let accounts = told.accounts.unwrap();
    assert_eq!((accounts.seen, accounts.delivered, accounts.filtered, accounts.lost), (9, 4, 2, 3));
    assert_eq!(told.losses, LossRow { counted: run.lost, ..LossRow::default() });
    let events_alone = Report { probes: Vec::new(), accounts: None, losses: LossRow::default(), ..told };
    assert_eq!(events_alone, at_end(&mut of_script));
}

#[test]
fn a_trace_without_a_goodbye_is_undecided_where_nobody_knows() {
    let script = pending();
    // Its recorder was killed, and had accounted for nothing since the probes were attached.
    let accounted = Accounted { at: script.watch.attached, ..Accounted::default() };
    let folder = written("killed", &script, |mut writer| {
        writer.account(accounted);
        drop(writer);
    });
    let trace = load(&folder.0).unwrap();
    let mut player = Player::new(&trace);
    let told = at_end(&mut player);
    assert!(told.losses.not_in_trace && told.losses.counted.total() == 0);
    let words: Vec<VerdictKind> = told.verdicts.iter().map(|row| row.verdict.verdict).collect();
    assert!(words.iter().all(|word| *word == VerdictKind::Inconclusive), "{words:?}");
}

#[test]
fn a_trace_whose_first_batch_is_spoilt_is_refused() {
    let script = pending();
    let end = script.events.last().unwrap().time;
    for (name, is_whole) in [("first-whole", true), ("first-killed", false)] {
        let folder = written(name, &script, |writer| {
            if is_whole {
                writer.finish(How::Exit, end, Run::default()).unwrap();
            }
        });
        spoil(&folder, 0);
        let error = format!("{:#}", load(&folder.0).unwrap_err());
        assert!(error.contains("batch 0: its bytes are not those that were written"), "{name}: {error}");
    }
}

#[test]
fn a_trace_with_a_spoilt_batch_is_replayed_up_to_it() {
    let script = pending();
    let end = Time(script.events.iter().map(|event| event.time.0).max().unwrap());
    // Nine batches of 100 events: they destroy the cache, and its queued objects have not been freed.
    let good = 900;
    let last = script.events[..good].iter().map(|event| event.time).max().unwrap();
    assert!(last < end);
    let lost = Losses { ring_full: 1, ..Losses::default() };
    for (name, finish, verdict) in [
        ("middle-whole", Some(Run::default()), VerdictKind::Pending),
        // The loss is in a gap that cannot be read, so it may have happened at any time.
        ("middle-lossy", Some(Run { lost, ..Run::default() }), VerdictKind::Inconclusive),
        ("middle-killed", None, VerdictKind::Inconclusive),
    ] {
        let is_ended = finish.is_some();
        let folder = written(name, &script, |writer| {
            if let Some(run) = finish {
                writer.finish(How::Exit, end, run).unwrap();
            }
        });
        spoil(&folder, 9);
        let tape = load(&folder.0).unwrap();
        let mut player = Player::new(&tape);
        assert_eq!(player.status().error.is_none(), is_ended, "{name}: one without an end is read for it");
        let told = at_end(&mut player);
        let status = player.status();
        let error = status.error.clone().unwrap();
        assert!(error.starts_with("its bytes are not those that were written"), "{name}: {error}");
        assert!(error.ends_with("(events-00000.arrows, batch 9)"), "{name}: {error}");
        assert_eq!(status.end_ns, last.since(script.watch.attached), "{name}");
        assert_eq!((status.at_ns, status.is_playing), (status.end_ns, false), "{name}");
        assert!(told.losses.not_in_trace && told.accounts.is_none(), "{name}: the run's are of all of it");
        let words: Vec<VerdictKind> = told.verdicts.iter().map(|row| row.verdict.verdict).collect();
        assert_eq!(words, [verdict], "{name}");
        let mut app = App::default();
        app.take(Notice::Replay(status.clone()), 0);
        app.take(Notice::Report(Box::new(told)), 0);
        let shown = text(&draw(&mut app, (80, 24), theme(), 0).0);
        assert!(shown.contains("the trace cannot be read after "), "{name}: {shown}");
        assert!(shown.contains(": its bytes are not those"), "{name}: {shown}");
        assert!(shown.contains("×1 "), "{name}: where it is is shown, too: {shown}");
        // The part that was read can still be visited.
        player.command(Command::Seek(500));
        assert!(player.status().at_ns.abs_diff(status.end_ns / 2) <= 1, "{name}");
        assert!(!player.report(Bounds::ALL).losses.not_in_trace, "{name}");
    }
}

#[test]
fn what_is_neither_a_trace_nor_a_script_is_refused_by_name() {
    for (name, words) in [
        ("nothing-there", "cannot read"),
        ("truth/expected.txt", "expected.txt is not a script"),
        ("truth", "meta.json"),
    ] {
        let error = format!("{:#}", load(&traces().join(name)).unwrap_err());
        assert!(error.contains(words), "{name}: {error}");
    }
    // It has no end, and is not read to it.
    let error = format!("{:#}", load(Path::new("/dev/zero")).unwrap_err());
    assert_eq!(error, "/dev/zero is not a script: its first line is not `krcu-script 1`");
    let path = env::temp_dir().join(format!("krcu-tui-latin-{}", process::id()));
    fs::write(&path, b"krcu-script 1\n# fine\n# \xe9\n").unwrap();
    let error = format!("{:#}", load(&path).unwrap_err());
    assert!(error.ends_with(": line 3: it is not UTF-8") && error.lines().count() == 1, "{error}");
    fs::remove_file(path).unwrap();
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
