//! The recorder's folder, with entries that are no traces.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use krcu_report::SinkState;

use super::{super::health::Present, *};

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
    assert_eq!((&found.traces, found.last), (&vec![(1, 100), (2, 100), (3, 100), (6, 100)], 7));
    let whys: Vec<&str> = found.bad.values().map(String::as_str).collect();
    assert_eq!(
        whys,
        ["krcu-000004.krcu is no folder", "krcu-000005.krcu is no folder", "krcu-000007.krcu is no folder"]
    );
    // The first cannot be removed; there is room when the two after it are.
    let remove = |number| if number == 1 { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) };
    assert_eq!(found.make_room(200, |number| number == 6, remove), [(2, 100), (3, 100)]);
    assert_eq!(found.bad[&1], "krcu-000001.krcu cannot be deleted (permission denied)");
    // The one that is being written stays, whatever its size, and so does the one that is being closed.
    let kept = |number| [3, 6].contains(&number);
    assert_eq!(found.make_room(0, kept, |_| Ok(())), [(1, 100), (2, 100)]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_recorder_begins_beside_bad_entries_and_says_so() {
    let folder = folder("begins", &[1, 2]);
    fs::write(folder.join(name(8)), "a file").unwrap();
    let watch = Watch { attached: Time(0), possible_cpus: 1, blind: Vec::new(), ..Watch::default() };
    let (log, _far) = Log::start(Level::Error).unwrap();
    let health = Arc::new(Health::default());
    let limits = Record { folder: folder.clone(), total_bytes: 150, ..Record::default() };
    let mut recorder = Recorder::new(&limits, meta(), &watch, log.clone(), Arc::clone(&health)).unwrap();
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
