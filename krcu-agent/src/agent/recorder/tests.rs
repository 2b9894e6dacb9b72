//! The recorder's folder, with entries that are no traces.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use krcu_model::VerdictKind;
use krcu_report::{FlatVerdict, SinkState};

use super::{super::health::Present, found::Trace, *};

const ROOM: Room = Room { total_bytes: 0, flagged_bytes: 0 };

/// A trace of a hundred bytes.
fn plain(number: u64) -> Trace {
    Trace { number, bytes: 100, is_flagged: false }
}

fn recorder(limits: &Record, log: &Log, health: &Arc<Health>) -> Recorder {
    let watch = Watch { attached: Time(0), possible_cpus: 1, blind: Vec::new(), ..Watch::default() };
    Recorder::new(limits, meta(), &watch, log.clone(), Arc::clone(health)).unwrap()
}

/// A folder of this test's own, with traces of a hundred bytes by these numbers.
fn folder(test: &str, traces: &[u64]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("krcu-recorder-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    for number in traces {
        let trace = folder.join(name(*number));
        fs::create_dir_all(&trace).unwrap();
        fs::write(trace.join("events-00000.arrows"), [0; 100]).unwrap();
    }
    folder
}

#[test]
fn one_bad_entry_keeps_no_other_from_being_counted_or_deleted() {
    let folder = folder("bad", &[1, 2, 3, 6]);
    fs::write(folder.join(name(4)), "a file").unwrap();
    symlink("/nowhere", folder.join(name(5))).unwrap();
    symlink(folder.join(name(1)), folder.join(name(7))).unwrap();
    let mut found = Found::of(&folder).unwrap();
    assert_eq!((&found.traces, found.last), (&[1, 2, 3, 6].map(plain).to_vec(), 7));
    let whys: Vec<&str> = found.bad.values().map(String::as_str).collect();
    assert_eq!(
        whys,
        ["krcu-000004.krcu is no folder", "krcu-000005.krcu is no folder", "krcu-000007.krcu is no folder"]
    );
    // The first cannot be removed; there is room when the two after it are.
    let remove = |number| if number == 1 { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) };
    let room = Room { total_bytes: 200, ..ROOM };
    assert_eq!(found.make_room(room, |number| number == 6, remove), [plain(2), plain(3)]);
    assert_eq!(found.bad[&1], "krcu-000001.krcu cannot be deleted (permission denied)");
    // The one that is being written stays, whatever its size, and so does the one that is being closed.
    let kept = |number| [3, 6].contains(&number);
    assert_eq!(found.make_room(ROOM, kept, |_| Ok(())), [plain(1), plain(2)]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_recorder_begins_beside_bad_entries_and_says_so() {
    let folder = folder("begins", &[1, 2]);
    fs::write(folder.join(name(8)), "a file").unwrap();
    let (log, _far) = Log::start(Level::Error).unwrap();
    let health = Arc::new(Health::default());
    let limits = Record { folder: folder.clone(), total_bytes: 150, ..Record::default() };
    let mut recorder = recorder(&limits, &log, &health);
    let mut sinks = Sinks::default();
    recorder.begin_first(&mut sinks, Time(1), Reading::default()).unwrap();
    // The number is above that of every entry, and the bound is kept for the traces.
    assert!(folder.join(name(9)).is_dir() && !folder.join(name(1)).exists());
    assert_eq!(health.recorder.deleted.get(), 1);
    let row = || health.rows(&log, Present { recorder: true, ..Present::default() }).remove(1);
    let (state, why) = (row().state, row().why.unwrap());
    assert_eq!(state, SinkState::Working);
    assert!(
        why.ends_with(
            "leaves out 1 of the folder's entries, the first because krcu-000008.krcu is no folder"
        ),
        "{why}"
    );
    // An entry of the next number does not end the recorder.
    fs::write(folder.join(name(10)), "a file").unwrap();
    recorder.end(&mut sinks, How::Duration, Time(2), &Reading::default());
    recorder.begin(&mut sinks, Time(3), Reading::default()).unwrap();
    recorder.disk.as_ref().unwrap().settle().unwrap();
    assert!(folder.join(name(11)).is_dir());
    // It ends well once the entries are gone.
    for number in [8, 10] {
        fs::remove_file(folder.join(name(number))).unwrap();
    }
    // The trace before is too large for the bound, but nothing is deleted while it is being closed.
    recorder.make_room();
    assert_eq!(row().why, None);
    assert!(folder.join(name(9)).is_dir());
    recorder.wait(true);
    assert_eq!(health.recorder.cut_short.get(), 0);
    recorder.make_room();
    assert!(!folder.join(name(9)).exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn flagged_traces_go_last_and_the_oldest_of_them_first() {
    // Six traces of a hundred bytes, of which the first, the third and the fourth are flagged. The last is being written.
    let cases: [(&str, u64, u64, &[u64]); 6] = [
        ("all have room", 600, 300, &[]),
        ("one must go: the oldest that is not flagged", 500, 300, &[2]),
        ("the flagged ones fit: all others go", 400, 300, &[2, 5]),
        ("room for two flagged ones: the oldest goes as any other", 500, 299, &[1]),
        ("room for none: by age alone", 400, 0, &[1, 2]),
        ("the bound of all is kept", 150, 300, &[2, 5, 1, 3, 4]),
    ];
    for (what, total_bytes, flagged_bytes, expected) in cases {
        let flagged = |number| Trace { is_flagged: [1, 3, 4].contains(&number), ..plain(number) };
        let mut found = Found { traces: (1..=6).map(flagged).collect(), ..Found::default() };
        let room = Room { total_bytes, flagged_bytes };
        let removed = found.make_room(room, |number| number == 6, |_| Ok(()));
        let removed: Vec<u64> = removed.iter().map(|trace| trace.number).collect();
        assert_eq!(removed, expected, "{what}");
    }
}

/// A flagged verdict about a cache that was destroyed in this minute.
fn told(minute: u64) -> Told {
    let verdict = FlatVerdict {
        verdict: VerdictKind::Pending,
        cache: format!("cache_{minute}"),
        ..FlatVerdict::default()
    };
    let level = Level::Warn;
    Told { level, destroy: None, at_ns: at(minute).0, is_flagged: true, verdict, before: None }
}

fn at(minute: u64) -> Time {
    Time(minute * 60_000_000_000)
}

/// The numbers of the traces that are marked, each with the lines of its mark.
fn marks(folder: &Path) -> Vec<(u64, Vec<String>)> {
    let of = |number| Some((number, fs::read_to_string(folder.join(name(number)).join(flagged::FILE)).ok()?));
    let marks = (1..=9).filter_map(of);
    marks.map(|(number, text)| (number, text.lines().map(str::to_owned).collect())).collect()
}

#[test]
fn the_minutes_before_a_flagged_verdict_are_kept_after_a_restart_too() {
    let folder = folder("flagged", &[]);
    let (log, _far) = Log::start(Level::Error).unwrap();
    let health = Arc::new(Health::default());
    let limits = Record { folder: folder.clone(), ..Record::default() };
    let mut first = recorder(&limits, &log, &health);
    let mut sinks = Sinks::default();
    // Traces 1 to 4 begin at minutes 0, 4, 8 and 20.
    first.begin_first(&mut sinks, at(0), Reading::default()).unwrap();
    for minute in [4, 8, 20] {
        first.end(&mut sinks, How::Duration, at(minute), &Reading::default());
        first.begin(&mut sinks, at(minute), Reading::default()).unwrap();
    }
    // Trace 2 is over six minutes before the destroy at minute 14. Trace 4 is the one in which it is told.
    first.keep(&told(14), "then");
    first.settle_flags();
    let line = || vec!["then pending: cache cache_14".to_owned()];
    assert_eq!(marks(&folder), [(3, line()), (4, line())]);
    // It ends five minutes before minute 13.
    first.keep(&told(13), "later");
    first.settle_flags();
    let both = [line(), vec!["later pending: cache cache_13".to_owned()]].concat();
    assert_eq!(marks(&folder), [(2, both[1..].to_vec()), (3, both.clone()), (4, both.clone())]);
    first.end(&mut sinks, How::Signal, at(21), &Reading::default());
    first.wait(false);
    drop(first);

    // The next agent has room for its own trace and one more, and knows what to keep.
    let bytes = Found::of(&folder).unwrap().traces.iter().map(|trace| trace.bytes).max().unwrap();
    let tight = Record { total_bytes: bytes * 9 / 4, keep_flagged: Some(bytes * 3 / 2), ..limits };
    let mut second = recorder(&tight, &log, &health);
    second.begin_first(&mut sinks, at(30), Reading::default()).unwrap();
    second.make_room();
    let left = |folder: &Path| -> Vec<u64> {
        Found::of(folder).unwrap().traces.iter().map(|trace| trace.number).collect()
    };
    assert_eq!(left(&folder), [4, 5]);
    let recorded = &health.recorder;
    assert_eq!((recorded.deleted.get(), recorded.flagged_deleted.get(), recorded.unmarked.get()), (3, 2, 0));
    assert_eq!(recorded.flagged.get(), 1);
    // A reload that keeps none gives it up when there is no room for it.
    second.limit(&Record { total_bytes: 1, keep_flagged: Some(0), ..tight });
    second.make_room();
    assert_eq!((left(&folder), recorded.flagged_deleted.get()), (vec![5], 3));
    drop(second);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_trace_that_cannot_be_marked_is_kept_and_the_health_says_so() {
    let folder = folder("unmarked", &[]);
    let (log, _far) = Log::start(Level::Error).unwrap();
    let health = Arc::new(Health::default());
    let limits = Record { folder: folder.clone(), ..Record::default() };
    let mut recorder = recorder(&limits, &log, &health);
    let mut sinks = Sinks::default();
    recorder.begin_first(&mut sinks, at(0), Reading::default()).unwrap();
    // A folder is where the mark should be.
    fs::create_dir(folder.join(name(1)).join(flagged::FILE)).unwrap();
    recorder.keep(&told(0), "then");
    recorder.settle_flags();
    assert_eq!(health.recorder.unmarked.get(), 1);
    let row = health.rows(&log, Present { recorder: true, ..Present::default() }).remove(1);
    assert_eq!(row.state, SinkState::Working);
    assert_eq!(
        row.why.as_deref(),
        Some("a trace with a flagged verdict could not be marked (1 in all): the log says why")
    );
    recorder.end(&mut sinks, How::Duration, at(1), &Reading::default());
    recorder.begin(&mut sinks, at(1), Reading::default()).unwrap();
    recorder.wait(true);
    recorder.make_room();
    recorder.make_room();
    assert_eq!(health.recorder.flagged.get(), 1);
    drop(recorder);
    fs::remove_dir_all(folder).unwrap();
}

fn meta() -> Meta {
    Meta {
        format: krcu_trace::FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: "a test".to_owned(),
        trace: "a-test".to_owned(),
        kernel: meta::Kernel::default(),
        clock: meta::Clock::default(),
        watch: meta::Seen::default(),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    }
}
