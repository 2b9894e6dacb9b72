//! Writer: writes events into the folder of a trace, batch by batch.
//!
//! If something cannot be written, the trace ends but the run continues: the verdicts do not depend on the
//! trace, and the error is reported at the end. There is no clock here: the caller says what time it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use krcu_model::{Event, event::Time};

use crate::{
    Meta,
    accounted::Accounted,
    encode::Columns,
    meta::{End, How, Run},
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
}

impl Limits {
    /// The most rows in a batch that a reader accepts.
    pub const MOST_ROWS: usize = crate::guard::MOST_ROWS;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rows: 32 << 10, age: Duration::from_secs(1), segment_bytes: None, segment_time: None }
    }
}

/// A batch with this many bytes of text is full, even if it has few rows.
const FULL_TEXT_BYTES: usize = 4 << 20;

/// Some events are missing in the trace.
#[derive(Debug, thiserror::Error)]
#[error(
    "the trace {} is cut short ({source}), the report is not: name a place with room for it",
    path.display()
)]
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

/// A trace that is being written.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    meta: Meta,
    limits: Limits,
    columns: Columns,
    /// None after a write has failed.
    segment: Option<SegmentWriter>,
    failed: Option<io::Error>,
    /// The number of the segment that is being written.
    number: u32,
    /// Rows that were given to the system.
    rows: u64,
    first_of_batch: Option<Time>,
    first_of_segment: Option<Time>,
}

impl Writer {
    /// Creates the folder. It refuses a folder that has anything in it, so existing files stay as they are.
    ///
    /// # Errors
    /// When it cannot be created, or is not empty.
    pub fn create(folder: &Path, meta: Meta, limits: Limits) -> io::Result<Writer> {
        match crate::private::folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read_dir(folder)?.next().is_some() {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        "there is something of that name already",
                    ));
                }
                Writer::begin(folder, meta, limits)
            }
            // Does not leave a folder that is not a trace.
            created => created.and_then(|()| {
                Writer::begin(folder, meta, limits).inspect_err(|_| drop(fs::remove_dir_all(folder)))
            }),
        }
    }

    fn begin(folder: &Path, meta: Meta, limits: Limits) -> io::Result<Writer> {
        meta.store(folder)?;
        let belongs = Belongs { trace: meta.trace.clone(), segment: 0, first_row: 0 };
        let segment = SegmentWriter::create(folder, &belongs)?;
        let rows = limits.rows.clamp(1, Limits::MOST_ROWS);
        Ok(Writer {
            folder: folder.to_owned(),
            meta,
            limits: Limits { rows, ..limits },
            columns: Columns::default(),
            segment: Some(segment),
            failed: None,
            number: 0,
            rows: 0,
            first_of_batch: None,
            first_of_segment: None,
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
        if self.segment.is_some()
            && let Err(error) = accounted.append(&self.folder)
        {
            self.fail(error);
        }
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
        if is_full { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if let Some(full) = self.segment.take() {
            full.finish()?;
        }
        self.number += 1;
        self.first_of_segment = None;
        let belongs = Belongs { trace: self.meta.trace.clone(), segment: self.number, first_row: self.rows };
        self.segment = Some(SegmentWriter::create(&self.folder, &belongs)?);
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
    pub fn finish(mut self, how: How, at: Time, run: Run) -> Result<(), CutShort> {
        self.flush(at);
        if let Some(segment) = self.segment.take()
            && let Err(error) = segment.finish()
        {
            self.fail(error);
        }
        let how = if self.failed.is_some() { How::CutShort } else { how };
        self.meta.ended = Some(End { how, at_ns: at.0, rows: self.rows, segments: self.number + 1, run });
        if let Err(error) = self.meta.store(&self.folder) {
            self.fail(error);
        }
        match self.failed {
            Some(source) => Err(CutShort { path: self.folder, source }),
            None => Ok(()),
        }
    }
}

fn is_older(first: Time, now: Time, age: Duration) -> bool {
    u128::from(now.since(first)) >= age.as_nanos()
}
