//! A recorded run of which everything is known, and the judge of what a reader makes of what is left of it.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{io, path::Path, sync::Arc, time::Duration};

use krcu_model::{
    Event,
    event::{Gap, LossReason, Losses, Time, What},
};
use krcu_trace::{Accounted, CutShort, How, Limits, Reader, Writer, disk::Disk, meta::Run};

use crate::samples::{every_kind, meta, run};

const SECOND: u64 = 1_000_000_000;
/// An event after every so many nanoseconds.
const EVERY: u64 = SECOND / 4;
/// Seconds of the run.
const SECONDS: u64 = 8;
/// Data is synced when it is as old.
pub(crate) const SYNC: u64 = 2 * SECOND;

/// The events: four a second, with the time of day that is theirs.
pub(crate) fn events() -> Vec<Event> {
    let queued = every_kind().into_iter().find(|event| matches!(event.what, What::Queued { .. })).unwrap();
    (1..=SECONDS * 4).map(|n| Event { time: Time(n * EVERY), ..queued.clone() }).collect()
}

/// What the kernel had skipped by then: one run a second.
fn missed(at: Time) -> u64 {
    at.0 / SECOND
}

/// Records the run by this disk. `seen` is told the time of each account that was written.
pub(crate) fn record(
    disk: Arc<dyn Disk>,
    folder: &Path,
    mut seen: impl FnMut(Option<Time>),
) -> io::Result<Result<(), CutShort>> {
    let limits = Limits {
        rows: 6,
        segment_bytes: Some(14_000),
        sync: Some(Duration::from_nanos(SYNC)),
        ..Limits::default()
    };
    let mut meta = meta();
    meta.watch.attached_ns = 0;
    let mut writer = Writer::create_on(disk, folder, meta, limits)?;
    seen(None);
    for event in events() {
        writer.event(&event);
        if event.time.0.is_multiple_of(SECOND) {
            let at = Time(event.time.0 - SECOND / 2);
            writer.account(Accounted { at, missed: missed(at), ..Accounted::default() });
            seen(Some(at));
        }
    }
    let lost = Losses { ring_full: 0, probe_missed: SECONDS, map_full: 0, destroys: 0 };
    Ok(writer.finish(How::Exit, Time(SECONDS * SECOND), Run { lost, ..run() }))
}

/// What a reader made of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// It refused the trace, with an error.
    Refused,
    /// It read so many rows, and said that the rest is not known.
    Part(usize),
    /// It read everything.
    Whole,
}

/// Reads the trace as every reader does.
///
/// # Panics
/// When something is read that was not written, or is taken for complete and is not.
pub(crate) fn judge(folder: &Path) -> Read {
    let told = events();
    let Ok(reader) = Reader::open(folder) else { return Read::Refused };
    let Ok(mut salvage) = reader.salvage() else { return Read::Refused };
    let read: Vec<Event> = salvage.by_ref().collect();
    let rows = read.iter().zip(&told).take_while(|(read, told)| read == told).count();
    let rest = &read[rows..];
    let gap = |event: &'_ Event| if let What::Gap(gap) = &event.what { Some(gap.clone()) } else { None };
    let gaps: Vec<Gap> = rest.iter().filter_map(gap).collect();
    assert_eq!(gaps.len(), rest.len(), "read what was not written: {rest:?}");
    let ended = reader.meta().ended.as_ref();
    if ended.is_some_and(|end| end.how != How::CutShort) && salvage.damage().is_none() {
        assert_eq!((rows, gaps.len()), (told.len(), 0), "taken for complete");
        return Read::Whole;
    }
    let unknown =
        gaps.iter().filter(|gap| gap.reason == LossReason::NotInTrace && gap.until == Time(u64::MAX));
    let from = unknown.map(|gap| gap.from).min();
    assert!(from.is_some(), "it does not say that its end is not known");
    let from = from.unwrap_or(Time(u64::MAX));
    for missing in &told[rows..] {
        assert!(
            from <= missing.time,
            "the event of {:?} is not there, and unknown is {from:?} on",
            missing.time
        );
    }
    let skipped: u64 =
        gaps.iter().filter(|gap| gap.reason == LossReason::ProbeMissed).map(|gap| gap.events).sum();
    assert!(skipped >= missed(from), "{skipped} skipped runs are told before {from:?}");
    Read::Part(rows)
}
