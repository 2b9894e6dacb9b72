//! Flagged: which traces hold a flagged verdict, or the minutes before it. Such a trace has a file that says so, so
//! that the next start of the agent knows it as well.
//!
//! A verdict may come after its trace has ended, and may change when that trace is long over. So this remembers from
//! when to when each trace of this run of the agent goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use krcu_model::event::Time;
use krcu_trace::disk::{Direct, Disk};

use super::found::name;
use crate::disk::Queued;

/// The file in a trace's folder. It has a line for each flagged verdict.
pub(super) const FILE: &str = "flagged";
/// What happened this long before the destroy and after it belongs to the verdict.
const AROUND: Duration = Duration::from_secs(300);
/// The most lines of the file.
const MOST_LINES: usize = 64;

/// The traces of this run of the agent.
#[derive(Debug)]
pub(super) struct Flagged {
    folder: PathBuf,
    traces: BTreeMap<u64, Marked>,
    /// Those that are flagged since the last look at the folder: their file may still be on its way to the disk.
    fresh: BTreeSet<u64>,
    /// The thread that writes the files, from the first one on.
    disk: Option<Arc<Queued>>,
}

/// A trace.
#[derive(Debug)]
struct Marked {
    began: Time,
    /// Absent while it is written.
    ended: Option<Time>,
    lines: Vec<String>,
}

impl Flagged {
    pub(super) fn new(folder: &Path) -> Flagged {
        let (traces, fresh) = (BTreeMap::new(), BTreeSet::new());
        Flagged { folder: folder.to_owned(), traces, fresh, disk: None }
    }

    /// A trace begins.
    pub(super) fn begin(&mut self, number: u64, began: Time) {
        self.traces.insert(number, Marked { began, ended: None, lines: Vec::new() });
    }

    /// A trace ends.
    pub(super) fn end(&mut self, number: u64, ended: Time) {
        if let Some(trace) = self.traces.get_mut(&number) {
            trace.ended = Some(ended);
        }
    }

    /// Whether a trace of this run is flagged.
    pub(super) fn has(&self, number: u64) -> bool {
        self.traces.get(&number).is_some_and(|trace| !trace.lines.is_empty())
    }

    /// Whether a trace was flagged since the last look.
    pub(super) fn is_fresh(&self, number: u64) -> bool {
        self.fresh.contains(&number)
    }

    /// After a look at the folder: forgets the traces that are gone.
    pub(super) fn looked(&mut self, is_there: impl Fn(u64) -> bool) {
        self.fresh.clear();
        self.traces.retain(|number, trace| trace.ended.is_none() || is_there(*number));
    }

    /// Flags the traces that have events of the minutes around this moment, and the one that is being written, in which
    /// the verdict was found. Gives the numbers of those that were not flagged before.
    ///
    /// # Errors
    /// When one of these files, or an earlier one, could not be written. The trace is flagged all the same, until the
    /// agent ends.
    pub(super) fn flag(&mut self, at: Time, line: &str) -> (Vec<u64>, io::Result<()>) {
        let around = u64::try_from(AROUND.as_nanos()).unwrap_or(u64::MAX);
        let (since, until) = (Time(at.0.saturating_sub(around)), Time(at.0.saturating_add(around)));
        let mut new = Vec::new();
        let mut files = Vec::new();
        for (number, trace) in &mut self.traces {
            let is_of_it = trace.ended.is_none_or(|ended| ended >= since && trace.began <= until);
            if !is_of_it || trace.lines.len() >= MOST_LINES {
                continue;
            }
            if trace.lines.is_empty() {
                new.push(*number);
            }
            trace.lines.push(line.to_owned());
            self.fresh.insert(*number);
            files.push((*number, trace.lines.join("\n") + "\n"));
        }
        let written = files.iter().try_for_each(|(number, text)| self.write(*number, text));
        (new, written)
    }

    fn write(&mut self, number: u64, text: &str) -> io::Result<()> {
        let disk = match &self.disk {
            Some(disk) => Arc::clone(disk),
            None => Arc::clone(self.disk.insert(Arc::new(Queued::start(Arc::new(Direct))?))),
        };
        let folder = self.folder.join(name(number));
        let write = || {
            let file = disk.file(&folder.join(FILE))?;
            file.append(text.as_bytes())?;
            file.sync()?;
            disk.sync_folder(&folder)
        };
        match write() {
            // An earlier call has failed. The disk has nothing to do, so this does not wait for it.
            Err(_) => told(disk.settle()).and_then(|()| write()),
            Ok(()) => Ok(()),
        }
    }

    /// Waits until every file is written.
    ///
    /// # Errors
    /// When one could not be written.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| told(disk.settle()))
    }
}

/// The error, unless it is that the trace was deleted.
fn told(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        written => written,
    }
}
