//! Found: the traces of the recorder's folder, and which of them have to go when all together are too large.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry},
    io,
    path::Path,
};

use super::flagged;

/// What a folder has by the names of traces.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The traces by their numbers, the oldest first.
    pub(super) traces: Vec<Trace>,
    /// What is no trace, or cannot be read or deleted, by number, and why.
    pub(super) bad: BTreeMap<u64, String>,
    /// The last number of all; 0 if there is none.
    pub(super) last: u64,
}

/// A trace of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trace {
    pub(super) number: u64,
    /// The bytes of its files.
    pub(super) bytes: u64,
    /// Whether it holds a flagged verdict, or what led to one.
    pub(super) is_flagged: bool,
}

/// How many bytes there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of all traces together.
    pub(super) total_bytes: u64,
    /// Of the flagged ones that go last.
    pub(super) flagged_bytes: u64,
}

impl Found {
    pub(super) fn of(folder: &Path) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let number = file_name
                .to_str()
                .and_then(|text| text.strip_prefix("krcu-")?.strip_suffix(".krcu")?.parse().ok());
            let Some(number) = number.filter(|number| file_name.to_str() == Some(&name(*number))) else {
                continue;
            };
            found.last = found.last.max(number);
            match bytes_of(&entry) {
                Ok(bytes) => {
                    let is_flagged = entry.path().join(flagged::FILE).is_file();
                    found.traces.push(Trace { number, bytes, is_flagged });
                }
                Err(error) => drop(found.bad.insert(number, format!("{} {error}", name(number)))),
            }
        }
        found.traces.sort_unstable();
        Ok(found)
    }

    /// Takes these traces for flagged ones, whatever the folder says.
    pub(super) fn flag(&mut self, numbers: impl Fn(u64) -> bool) {
        for trace in &mut self.traces {
            trace.is_flagged |= numbers(trace.number);
        }
    }

    /// Removes traces while all together have too many bytes, but none that is `kept`. The newest flagged ones go last,
    /// as many of them as there is room for; before and within both groups, the oldest goes first. One that cannot be
    /// removed is put to the bad ones. Gives those that were removed.
    pub(super) fn make_room(
        &mut self,
        room: Room,
        kept: impl Fn(u64) -> bool,
        mut remove: impl FnMut(u64) -> io::Result<()>,
    ) -> Vec<Trace> {
        let mut all = self.traces.iter().fold(0, |all: u64, trace| all.saturating_add(trace.bytes));
        let mut removed = Vec::new();
        for trace in self.in_order(room.flagged_bytes).into_iter().filter(|trace| !kept(trace.number)) {
            if all <= room.total_bytes {
                break;
            }
            match remove(trace.number) {
                Ok(()) => {
                    all = all.saturating_sub(trace.bytes);
                    removed.push(trace);
                }
                Err(error) => {
                    let name = name(trace.number);
                    self.bad.insert(trace.number, format!("{name} cannot be deleted ({error})"));
                }
            }
        }
        removed
    }

    /// The traces, in the order in which they have to go.
    fn in_order(&self, flagged_bytes: u64) -> Vec<Trace> {
        let mut left = flagged_bytes;
        let newest_first = self.traces.iter().rev().filter(|trace| trace.is_flagged);
        let last: Vec<u64> = newest_first
            .map_while(|trace| {
                left = left.checked_sub(trace.bytes)?;
                Some(trace.number)
            })
            .collect();
        let mut traces = self.traces.clone();
        traces.sort_by_key(|trace| (last.contains(&trace.number), trace.number));
        traces
    }

    /// How many traces are flagged, and their bytes.
    pub(super) fn flagged(&self) -> (u64, u64) {
        let flagged = self.traces.iter().filter(|trace| trace.is_flagged);
        flagged.fold((0, 0), |(traces, bytes), trace| (traces + 1, trace.bytes.saturating_add(bytes)))
    }
}

/// The bytes of a trace's files.
fn bytes_of(entry: &DirEntry) -> Result<u64, String> {
    let unread = |error: io::Error| format!("cannot be read ({error})");
    if !entry.file_type().map_err(unread)?.is_dir() {
        return Err("is no folder".to_owned());
    }
    let files = fs::read_dir(entry.path()).map_err(unread)?;
    Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|meta| meta.len()).sum())
}

/// The folder of a trace.
pub(super) fn name(number: u64) -> String {
    format!("krcu-{number:06}.krcu")
}
