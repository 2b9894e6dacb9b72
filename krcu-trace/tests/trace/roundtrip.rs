//! What is written reads as it was.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use krcu_common::{FreePath, Kind, QueueForm};
use krcu_model::{
    Event,
    event::{CacheAddress, Cpu, ObjectAddress, Site, Task, Time, What},
    script,
};
use krcu_trace::{How, Limits, Part, Reader, Writer};

use crate::samples::{EVERY_KIND, Folder, every_kind, killed, meta, read, run, written};

/// Batches of a few rows, so that a small trace has several.
fn small() -> Limits {
    Limits { rows: 7, ..Limits::default() }
}

fn many(count: u64) -> Vec<Event> {
    let kinds = every_kind();
    let nth = |n: u64| Event {
        time: Time(n * 1_000_000),
        ..kinds[usize::try_from(n).unwrap() % kinds.len()].clone()
    };
    (0..count).map(nth).collect()
}

#[test]
fn the_sample_has_every_kind_of_event() {
    let kinds: BTreeSet<Kind> = every_kind().iter().map(|event| event.what.kind()).collect();
    assert_eq!(kinds, Kind::ALL.iter().copied().collect());
}

#[test]
fn every_event_reads_as_it_was() {
    let events = every_kind();
    for rows in [1, 2, 7, 1000] {
        let trace = written("every_event", &events, Limits { rows, ..Limits::default() });
        assert_eq!(read(&trace.0).unwrap(), events, "{rows} rows a batch");
    }
}

/// Events in which objects are queued and freed in a row, where now and then one value is another.
fn in_rows() -> Vec<Event> {
    let kinds = every_kind();
    let of = |kind| kinds.iter().find(|event| event.what.kind() == kind).unwrap().clone();
    let (queued, freed, ended) = (of(Kind::Queued), of(Kind::Freed), of(Kind::BatchFreed));
    let mut events = Vec::new();
    for row in 0..600_u64 {
        let mut event = if row / 150 % 2 == 0 { queued.clone() } else { freed.clone() };
        event.time = Time(row);
        match &mut event.what {
            What::Queued { object, site, form, .. } => {
                *object = ObjectAddress(row * 64);
                // Rows of eight without a stack, and one of another form.
                *site = Site(u32::from(row % 70 > 8));
                *form = if row == 77 { QueueForm::Headless } else { *form };
            }
            What::Freed { object, cache, path } => {
                *object = ObjectAddress(row * 64);
                *cache = CacheAddress(cache.0 ^ u64::from(row == 200));
                *path = if row == 210 { FreePath::Sheaf } else { *path };
            }
            _ => {}
        }
        event.task = Task(event.task.0 ^ u32::from(row == 33));
        event.cpu = Cpu(u16::try_from(row / 100 % 2).unwrap());
        events.push(event);
        if row % 150 == 149 {
            events.push(Event { time: Time(row), ..ended.clone() });
        }
    }
    events
}

#[test]
fn runs_are_the_events_that_they_are_made_of() {
    for (name, events, longest) in [("in_rows", in_rows(), 100), ("kinds_in_rows", every_kind(), 1)] {
        for rows in [1, 40, 1000] {
            let trace = written(name, &events, Limits { rows, ..Limits::default() });
            let reader = Reader::open(&trace.0).unwrap();
            let mut salvage = reader.salvage().unwrap();
            let (mut read, mut runs) = (Vec::new(), Vec::new());
            while let Some(part) = salvage.next_part() {
                match part {
                    Part::Event(event) => read.push(event),
                    Part::Run(run) => {
                        runs.push(run.len());
                        read.extend(run.events());
                    }
                }
            }
            assert_eq!(read, events, "{name}, {rows} rows a batch");
            if rows == 1000 {
                assert_eq!(runs.iter().max(), Some(&longest), "{name}: {runs:?}");
            }
            assert_eq!(salvage.last_time(), events.iter().map(|event| event.time).max().unwrap());
        }
    }
}

#[test]
fn what_is_known_besides_reads_as_it_was() {
    let events = every_kind();
    let trace = written("besides", &events, small());
    let reader = Reader::open(&trace.0).unwrap();
    assert_eq!(reader.meta().watch().unwrap(), script::read(EVERY_KIND).unwrap().watch);
    let ended = reader.meta().ended.clone().unwrap();
    assert_eq!((ended.how, ended.at_ns, ended.rows, ended.segments), (How::Exit, 99, events.len() as u64, 1));
    assert_eq!(ended.run, run());
    assert_eq!(krcu_trace::Meta { ended: None, ..reader.meta().clone() }, meta());
}

#[test]
fn a_trace_without_events_is_one() {
    let trace = written("no_events", &[], small());
    assert_eq!(read(&trace.0).unwrap(), []);
}

#[test]
fn a_batch_is_written_when_its_first_event_is_a_second_old() {
    let second = |n: u64| Event { time: Time(n * 1_000_000_000), ..every_kind()[0].clone() };
    let folder = Folder::new("second_old");
    let mut writer = Writer::create(&folder.0, meta(), Limits::default()).unwrap();
    writer.event(&second(5));
    writer.tick(Time(5_999_999_999));
    assert_eq!(read(&folder.0).unwrap(), []);
    writer.tick(Time(6_000_000_000));
    assert_eq!(read(&folder.0).unwrap(), [second(5)]);
    // The next event says what time it is as well.
    writer.event(&second(7));
    writer.event(&second(8));
    assert_eq!(read(&folder.0).unwrap(), [second(5), second(7), second(8)]);
}

#[test]
fn segments_follow_each_other() {
    let events = many(2000);
    let sizes = [
        Limits { segment_bytes: Some(40_000), ..small() },
        Limits { segment_time: Some(Duration::from_millis(500)), ..small() },
    ];
    for limits in sizes {
        let trace = written("segments", &events, limits);
        let reader = Reader::open(&trace.0).unwrap();
        assert!(reader.segments() > 3, "{limits:?} gave {} segments", reader.segments());
        assert_eq!(reader.events().collect::<Result<Vec<_>, _>>().unwrap(), events);
    }
}

#[test]
fn a_killed_recorder_leaves_what_was_written_and_no_goodbye() {
    // Without the last, whose time would have its batch written.
    let events = &every_kind()[..45];
    // Dropped: what was not full is lost with the process.
    let trace = killed("killed", events, small(), drop);
    let reader = Reader::open(&trace.0).unwrap();
    assert_eq!(reader.meta().ended, None);
    assert_eq!(read(&trace.0).unwrap(), events[..42]);
}

#[test]
fn a_folder_with_something_in_it_is_not_touched() {
    let folder = Folder::new("not_touched");
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("thesis.tex"), "years").unwrap();
    let error = Writer::create(&folder.0, meta(), Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "there is something of that name already");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    assert!(Writer::create(Path::new("/nowhere/at/all"), meta(), Limits::default()).is_err());
}
