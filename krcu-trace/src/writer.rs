//! Writer: writes events into the folder of a trace, batch by batch.
//!
//! If something cannot be written, the trace ends but the run continues: the verdicts do not depend on the
//! trace, and the error is reported at the end. There is no clock here: the caller says what time it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use krcu_model::{Event, event::Time};

use crate::{
    Meta,
    accounted::{self, Accounted},
    disk::{Appended, Direct, Disk, folder_of},
    encode::Columns,
    meta::{End, How, Module, Run},
    schema::Belongs,
    segment::SegmentWriter,
};

/// The limits at which a batch or a segment is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of a batch; at most [`Limits::MOST_ROWS`].
    pub rows: usize,
    /// Age of the first event of a batch.
    pub age: Duration,
    /// Bytes of a segment. It may become larger by one batch.
    pub segment_bytes: Option<u64>,
    /// Time from the first event of a segment to its last.
    pub segment_time: Option<Duration>,
    /// Time after which what was given to the system is synced. Without it, only a whole segment is.
    pub sync: Option<Duration>,
}

impl Limits {
    /// The most rows in a batch that a reader accepts.
    pub const MOST_ROWS: usize = crate::guard::MOST_ROWS;
}

impl Default for Limits {
    fn default() -> Limits {
        let age = Duration::from_secs(1);
        Limits { rows: 32 << 10, age, segment_bytes: None, segment_time: None, sync: None }
    }
}

/// A batch with this many bytes of text is full, even if it has few rows.
const FULL_TEXT_BYTES: usize = 4 << 20;

/// So many modules that are loaded meanwhile are told.
const MOST_MODULES: usize = 4096;

/// Some events are missing in the trace.
#[derive(Debug, thiserror::Error)]
#[error("the trace {} is cut short ({source}), the report is not: {}", path.display(), advice(source))]
pub struct CutShort {
    path: PathBuf,
    source: io::Error,
}

impl CutShort {
    /// A trace that could not be begun.
    #[must_use]
    pub fn new(folder: &Path, source: io::Error) -> CutShort {
        CutShort { path: folder.to_owned(), source }
    }
}

/// What to do about such an error.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, WouldBlock};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | WouldBlock => {
            "see at the other end why it does not take more"
        }
        _ => "name a place with room for it",
    }
}

/// A trace that is being written.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    meta: Meta,
    limits: Limits,
    columns: Columns,
    /// The modules that were loaded meanwhile.
    modules: Vec<Module>,
    /// None after a write has failed.
    segment: Option<SegmentWriter>,
    failed: Option<io::Error>,
    /// The file of the accounts, from the first one on.
    accounts: Option<Box<dyn Appended>>,
    /// The number of the segment that is being written.
    number: u32,
    /// Rows that were given to the system.
    rows: u64,
    first_of_batch: Option<Time>,
    first_of_segment: Option<Time>,
    /// When everything before was synced.
    synced: Option<Time>,
}

impl Writer {
    /// Creates the folder. It refuses a folder that has anything in it, so existing files stay as they are.
    ///
    /// # Errors
    /// When it cannot be created, or is not empty.
    pub fn create(folder: &Path, meta: Meta, limits: Limits) -> io::Result<Writer> {
        let existed = folder.exists();
        Writer::create_on(Arc::new(Direct), folder, meta, limits).inspect_err(|error| {
            // Does not leave a folder that is not a trace.
            if !existed && error.kind() != io::ErrorKind::AlreadyExists {
                drop(fs::remove_dir_all(folder));
            }
        })
    }

    /// The same by this disk.
    ///
    /// # Errors
    /// As [`Writer::create`]. If the disk tells errors later, [`Disk::settle`] tells them.
    pub fn create_on(disk: Arc<dyn Disk>, folder: &Path, meta: Meta, limits: Limits) -> io::Result<Writer> {
        match fs::read_dir(folder) {
            Ok(mut entries) if disk.is_local() => {
                if entries.next().is_some() {
                    let why = "there is something of that name already";
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
                }
            }
            _ => disk.folder(folder)?,
        }
        meta.store_on(&*disk, folder)?;
        let belongs = Belongs { trace: meta.trace.clone(), segment: 0, first_row: 0 };
        let segment = SegmentWriter::create(&*disk, folder, &belongs)?;
        disk.sync_folder(folder_of(folder))?;
        let rows = limits.rows.clamp(1, Limits::MOST_ROWS);
        Ok(Writer {
            disk,
            folder: folder.to_owned(),
            meta,
            limits: Limits { rows, ..limits },
            columns: Columns::default(),
            modules: Vec::new(),
            segment: Some(segment),
            failed: None,
            accounts: None,
            number: 0,
            rows: 0,
            first_of_batch: None,
            first_of_segment: None,
            synced: None,
        })
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        if self.segment.is_none() {
            return;
        }
        let first = *self.first_of_batch.get_or_insert(event.time);
        self.columns.push(event);
        let is_full = self.columns.rows() >= self.limits.rows
            || self.columns.text_bytes() >= FULL_TEXT_BYTES
            || is_older(first, event.time, self.limits.age);
        if is_full {
            self.flush(event.time);
        }
    }

    /// Takes the version of a module that was loaded; the end of the trace has it.
    pub fn module(&mut self, module: Module) {
        if self.modules.len() < MOST_MODULES {
            self.modules.push(module);
        }
    }

    /// Takes the current time, and writes the batch if it has waited long enough.
    pub fn tick(&mut self, now: Time) {
        if self.first_of_batch.is_some_and(|first| is_older(first, now, self.limits.age)) {
            self.flush(now);
        }
    }

    /// Takes the account at a moment for which all earlier events were given. If the recorder is killed,
    /// destroys that ended before that moment can still be decided.
    pub fn account(&mut self, accounted: Accounted) {
        self.flush(accounted.at);
        if let Err(error) = self.try_account(&accounted) {
            self.fail(error);
        }
    }

    fn try_account(&mut self, accounted: &Accounted) -> io::Result<()> {
        if self.segment.is_none() {
            return Ok(());
        }
        let file = match self.accounts.take() {
            Some(file) => file,
            None => {
                let file = self.disk.file(&self.folder.join(accounted::FILE))?;
                self.disk.sync_folder(&self.folder)?;
                file
            }
        };
        file.append(accounted.line(Some(self.rows)).as_bytes())?;
        self.accounts = Some(file);
        self.sync_if_due(accounted.at)
    }

    fn sync_if_due(&mut self, now: Time) -> io::Result<()> {
        let Some(every) = self.limits.sync else { return Ok(()) };
        if is_older(*self.synced.get_or_insert(now), now, every) {
            self.synced = Some(now);
            self.try_sync()?;
        }
        Ok(())
    }

    /// Waits until all that was given to the system is on the disk.
    pub fn sync(&mut self) {
        if let Err(error) = self.try_sync() {
            self.fail(error);
        }
    }

    fn try_sync(&self) -> io::Result<()> {
        self.segment.as_ref().map_or(Ok(()), SegmentWriter::sync)?;
        self.accounts.as_ref().map_or(Ok(()), |file| file.sync())
    }

    /// Whether something could not be written. From then on, nothing is written.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.failed.is_some()
    }

    /// Bytes of the current segment that were given to the system.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segment.as_ref().map_or(0, SegmentWriter::bytes)
    }

    fn flush(&mut self, now: Time) {
        if let Err(error) = self.try_flush(now) {
            self.fail(error);
        }
    }

    fn try_flush(&mut self, now: Time) -> io::Result<()> {
        let first = self.first_of_batch.take();
        let (Some(segment), true) = (&mut self.segment, self.columns.rows() > 0) else { return Ok(()) };
        let batch = self.columns.take(segment.schema()).map_err(io::Error::other)?;
        segment.write(&batch)?;
        self.rows += batch.num_rows() as u64;
        let began = *self.first_of_segment.get_or_insert(first.unwrap_or(now));
        let is_full = self.limits.segment_bytes.is_some_and(|most| segment.bytes() >= most)
            || self.limits.segment_time.is_some_and(|most| is_older(began, now, most));
        if is_full { self.rotate() } else { self.sync_if_due(now) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if let Some(full) = self.segment.take() {
            full.finish()?;
        }
        self.number += 1;
        self.first_of_segment = None;
        let belongs = Belongs { trace: self.meta.trace.clone(), segment: self.number, first_row: self.rows };
        self.segment = Some(SegmentWriter::create(&*self.disk, &self.folder, &belongs)?);
        Ok(())
    }

    fn fail(&mut self, error: io::Error) {
        self.failed.get_or_insert(error);
        self.segment = None;
        self.columns = Columns::default();
    }

    /// Writes the remaining events and the goodbye.
    ///
    /// # Errors
    /// When these, or anything before them, could not be written. A trace that is cut short says so, if there
    /// is room for that.
    pub fn finish(mut self, how: How, at: Time, mut run: Run) -> Result<(), CutShort> {
        self.flush(at);
        if let Err(error) = self.end_segment() {
            self.fail(error);
        }
        let how = if self.failed.is_some() { How::CutShort } else { how };
        run.modules.append(&mut self.modules);
        self.meta.ended = Some(End { how, at_ns: at.0, rows: self.rows, segments: self.number + 1, run });
        let stored = self.meta.store_on(&*self.disk, &self.folder).and_then(|()| self.disk.settle());
        if let Err(error) = stored {
            self.fail(error);
            // A disk that is full from the beginning would be left with a folder for each try.
            if self.rows == 0 && self.disk.is_local() {
                drop(fs::remove_dir_all(&self.folder));
            }
        }
        match self.failed {
            Some(source) => Err(CutShort { path: self.folder, source }),
            None => Ok(()),
        }
    }

    /// Closes the segment. When it returns, every row is on the disk, or something has failed.
    fn end_segment(&mut self) -> io::Result<()> {
        let ended = self.segment.take().map_or(Ok(()), SegmentWriter::finish);
        self.disk.settle().and(ended)
    }
}

fn is_older(first: Time, now: Time, age: Duration) -> bool {
    u128::from(now.since(first)) >= age.as_nanos()
}
