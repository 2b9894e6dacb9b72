//! What was not written is never read: a file that was cut, changed, or made by someone who means harm.
//!
//! The promise: a changed byte is an error that names the file; a trace that was cut is one too, or reads
//! as a shorter one that says it has no goodbye. Never another event, never a panic.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{fs, path::Path};

use krcu_model::{Event, event::Time};
use krcu_trace::{How, Limits, Meta, Reader};

use crate::samples::{every_kind, killed, meta, read, run, written};

const STREAM: &str = "events-00000.arrows";
const INDEX: &str = "events-00000.index";

fn small() -> Limits {
    Limits { rows: 16, ..Limits::default() }
}

/// Every file of a trace, with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_trace_torn_at_any_byte_of_its_stream_or_its_index_reads_up_to_there() {
    // Without the last event, whose time would have a batch written for it alone.
    let events = &every_kind()[..47];
    let whole = &events[..32];
    let trace = killed("torn", events, small(), drop);
    assert_eq!(read(&trace.0).unwrap(), whole);
    for file in [STREAM, INDEX] {
        let path = trace.0.join(file);
        let bytes = fs::read(&path).unwrap();
        let mut most = 0;
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let read = read(&trace.0).unwrap_or_else(|error| panic!("{file} cut at {length}: {error}"));
            assert!(
                whole.starts_with(&read) && read.len().is_multiple_of(16) && read.len() >= most,
                "{file} {length}"
            );
            assert!(read.len() < whole.len(), "{file} cut at {length} has all events");
            most = read.len();
        }
        assert_eq!(most, 16, "no cut of {file} left the first batch alone");
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_trace_that_said_goodbye_is_whole_or_an_error() {
    let events = every_kind();
    let trace = written("whole", &events, small());
    for (file, bytes) in files(&trace.0) {
        let path = trace.0.join(&file);
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = read(&trace.0).expect_err(&format!("{file} cut at {length} was read"));
            assert!(error.to_string().contains(trace.0.to_str().unwrap()), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(read(&trace.0).is_err(), "{file} is gone, and the trace was read");
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(read(&trace.0).unwrap(), events);
}

#[test]
fn a_flipped_bit_is_never_read() {
    let events = every_kind();
    for (name, trace) in [
        ("flip_whole", written("flip_whole", &events, small())),
        ("flip_killed", killed("flip_killed", &events, small(), drop)),
    ] {
        for (file, bytes) in files(&trace.0) {
            let path = trace.0.join(&file);
            let mut changed = bytes.clone();
            for place in 0..bytes.len() {
                changed[place] ^= 1 << (place % 8);
                fs::write(&path, &changed).unwrap();
                let error = read(&trace.0).expect_err(&format!("{name}: {file}, byte {place} was read"));
                assert!(error.to_string().contains(trace.0.to_str().unwrap()), "{error}");
                changed[place] = bytes[place];
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
}

#[test]
fn what_is_appended_is_an_error_or_left() {
    let events = every_kind();
    let trace = written("appended", &events, small());
    for (file, bytes) in files(&trace.0) {
        let path = trace.0.join(&file);
        fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(read(&trace.0).is_err(), "{file} with a byte more was read");
        fs::write(&path, &bytes).unwrap();
    }
}

/// Segments so small that 300 events take several.
fn segmented() -> Limits {
    Limits { segment_bytes: Some(8_000), ..small() }
}

fn many() -> Vec<Event> {
    (0..300).map(|n| Event { time: Time(n), ..every_kind()[7].clone() }).collect()
}

#[test]
fn a_missing_segment_and_one_of_another_trace_are_named() {
    let trace = written("segments_a", &many(), segmented());
    assert!(Reader::open(&trace.0).unwrap().segments() >= 3);
    let (one, two) = (trace.0.join("events-00001.arrows"), trace.0.join("events-00002.arrows"));
    let (stream, index) = (fs::read(&one).unwrap(), fs::read(one.with_extension("index")).unwrap());

    fs::remove_file(&one).unwrap();
    let error = read(&trace.0).unwrap_err().to_string();
    assert!(error.contains("events-00001.arrows") && error.contains("missing"), "{error}");

    // The same place, another boot.
    let other = krcu_trace::Writer::create(
        &trace.0.join("other"),
        Meta { trace: "other-boot".to_owned(), ..meta() },
        segmented(),
    );
    let mut other = other.unwrap();
    many().iter().for_each(|event| other.event(event));
    other.finish(How::Exit, Time(1), run()).unwrap();
    for kind in ["arrows", "index"] {
        fs::copy(trace.0.join(format!("other/events-00001.{kind}")), one.with_extension(kind)).unwrap();
    }
    let error = read(&trace.0).unwrap_err().to_string();
    assert!(error.contains("events-00001.arrows") && error.contains("other-boot"), "{error}");

    // Two segments of one trace, changed for each other.
    for (from, to) in [("arrows", "arrows"), ("index", "index")] {
        fs::copy(two.with_extension(from), one.with_extension(to)).unwrap();
    }
    let error = read(&trace.0).unwrap_err().to_string();
    assert!(error.contains("events-00001.arrows") && error.contains("segment 2"), "{error}");

    fs::write(&one, stream).unwrap();
    fs::write(one.with_extension("index"), index).unwrap();
    assert_eq!(read(&trace.0).unwrap(), many());
}

#[test]
fn another_version_is_named() {
    for (other, word) in [(Meta { format: 9, ..meta() }, "format 9"), (Meta { abi: 77, ..meta() }, "ABI 77")]
    {
        let trace = written("version", &[], small());
        other.store(&trace.0).unwrap();
        let error = read(&trace.0).unwrap_err().to_string();
        assert!(error.contains("meta.json") && error.contains(word), "{error}");
    }
}

#[test]
fn a_folder_that_is_no_trace_says_so() {
    let trace = written("no_trace", &[], small());
    fs::remove_file(trace.0.join("meta.json")).unwrap();
    let error = read(&trace.0).unwrap_err().to_string();
    assert!(error.contains("meta.json") && error.contains("not a trace"), "{error}");
    assert!(read(Path::new("/nowhere/at/all")).is_err());
}

#[test]
fn a_full_disk_is_told_in_the_end_and_stops_nothing() {
    // What a test can have of a full disk: the next segment cannot be created.
    let trace = crate::samples::Folder::new("full_disk");
    let mut writer = krcu_trace::Writer::create(&trace.0, meta(), segmented()).unwrap();
    fs::create_dir(trace.0.join("events-00001.arrows")).unwrap();
    many().iter().for_each(|event| writer.event(event));
    assert!(writer.is_cut_short());
    let error = writer.finish(How::Exit, Time(1), run()).unwrap_err().to_string();
    assert!(error.contains("cut short") && error.lines().count() == 1, "{error}");
    fs::remove_dir(trace.0.join("events-00001.arrows")).unwrap();
    assert_eq!(Meta::load(&trace.0).unwrap().ended.map(|ended| ended.how), Some(How::CutShort));
}
