//! Reader: reads the folder of a trace batch by batch, with a bound on memory that no file can exceed.
//!
//! The reader checks the checksum of every chunk first, then the bounds of [`crate::guard`], and only then
//! decompresses what is asked for. In a trace without an end, the bytes after the last whole chunk of the last
//! segment were being written when the recorder was killed, so the reader ignores them. In any other place,
//! such bytes are an error.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _},
    mem,
    path::{Path, PathBuf},
};

use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_schema::Schema;
use krcu_model::{Event, event::Run};

use crate::{
    Accounted, FORMAT, Meta, Place, Reason, TraceError, accounted,
    decode::{Batch, RunAt},
    guard::{self, Expected, Found, MOST_BYTES},
    index::{LINE_BYTES, Line},
    layout, meta,
    packed::Places,
    schema::{self, COLUMNS, Column, key},
    segment::{index_name, number_of, stream_name},
};

/// A trace.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    meta: Meta,
    segments: u32,
    bytes: u64,
}

impl Reader {
    /// Opens a trace: reads `meta.json` and finds the segments.
    ///
    /// # Errors
    /// When the folder is not a trace of this version, or a segment is missing.
    pub fn open(folder: &Path) -> Result<Reader, TraceError> {
        let meta = Meta::load(folder)?;
        let mut numbers = Vec::new();
        let mut bytes = 0;
        let listed = |error: io::Error| Reason::Io(error).of(folder);
        for entry in fs::read_dir(folder).map_err(listed)? {
            let entry = entry.map_err(listed)?;
            if let Some(number) = entry.file_name().to_str().and_then(number_of) {
                bytes += entry.metadata().map_err(listed)?.len();
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let holds = |(place, number): &(u32, &u32)| place != *number;
        if let Some((missing, _)) = (0..).zip(&numbers).find(holds) {
            return Err(Reason::Missing.of(&folder.join(stream_name(missing))));
        }
        let segments = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        if let Some(ended) = &meta.ended
            && ended.segments != segments
        {
            let (found, told) = (u64::from(segments), u64::from(ended.segments));
            return Err(match found < told {
                true => Reason::Missing.of(&folder.join(stream_name(segments))),
                false => Reason::Incomplete { what: "segments", found, told }.of(&folder.join(meta::FILE)),
            });
        }
        Ok(Reader { folder: folder.to_owned(), meta, segments, bytes })
    }

    /// What is known besides the events.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The number of segments.
    #[must_use]
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Bytes of all streams, as the maximum of a progress bar.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The files of the streams, in order.
    #[must_use]
    pub fn streams(&self) -> Vec<PathBuf> {
        (0..self.segments).map(|segment| self.folder.join(stream_name(segment))).collect()
    }

    /// The last moment at which the recorder knew all losses, of those that vouch for what was found, and what is
    /// damaged behind it. In a trace with an end, [`Meta::ended`] has the losses.
    pub(crate) fn accounted(&self, found: accounted::Found) -> (Option<Accounted>, Option<TraceError>) {
        Accounted::last(&self.folder, found)
    }

    /// Every event, in order.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        let batches = Batches { reader: self, next: 0, open: None, rows: 0, bytes: 0, is_over: false };
        Events { batches, batch: Batch::default(), rows: 0, row: 0 }
    }
}

/// The batches of a trace. After an error there are no more.
#[derive(Debug)]
struct Batches<'a> {
    reader: &'a Reader,
    /// Segment to open next.
    next: u32,
    open: Option<SegmentReader>,
    /// Rows given so far.
    rows: u64,
    bytes: u64,
    is_over: bool,
}

impl Batches<'_> {
    /// Reads the next batch. Returns whether there was one.
    fn read(&mut self, batch: &mut Batch) -> Result<bool, TraceError> {
        loop {
            let Some(open) = &mut self.open else {
                if self.next == self.reader.segments {
                    return self.end().map(|()| false);
                }
                let is_torn_here = self.reader.meta.ended.is_none() && self.next + 1 == self.reader.segments;
                self.open = SegmentReader::open(self.reader, self.next, self.rows, is_torn_here)?;
                self.next += 1;
                continue;
            };
            let before = open.told.end;
            let is_there = open.read(batch)?;
            self.bytes += open.told.end - before;
            if is_there {
                self.rows += batch.rows() as u64;
                return Ok(true);
            }
            self.open = None;
        }
    }

    /// Checks the number of rows, if the trace says how many it has.
    fn end(&self) -> Result<(), TraceError> {
        match &self.reader.meta.ended {
            Some(ended) if ended.rows != self.rows => {
                let reason = Reason::Incomplete { what: "rows", found: self.rows, told: ended.rows };
                Err(reason.of(&self.reader.folder.join(meta::FILE)))
            }
            _ => Ok(()),
        }
    }
}

/// What comes next in a trace.
#[derive(Debug)]
pub(crate) enum Next {
    /// An event.
    Event(Event),
    /// Events of the newest batch that differ in their times and objects alone.
    Run(RunAt),
}

/// The events of a trace. After an error there are no more.
#[derive(Debug)]
pub struct Events<'a> {
    batches: Batches<'a>,
    batch: Batch,
    /// Rows of the batch.
    rows: usize,
    row: usize,
}

impl Events<'_> {
    /// Bytes of streams read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.batches.bytes
    }

    /// The next events: as many as are a run, or one.
    pub(crate) fn advance(&mut self) -> Result<Option<Next>, TraceError> {
        let Some(row) = self.next_row()? else { return Ok(None) };
        match self.batch.run_at(row) {
            Ok(None) => Iterator::next(self).transpose().map(|event| event.map(Next::Event)),
            Ok(Some(run)) => {
                self.row = run.rows.end;
                Ok(Some(Next::Run(run)))
            }
            Err(reason) => Err(self.wrong(row, reason)),
        }
    }

    /// The run that was found last.
    pub(crate) fn run(&self, found: RunAt) -> Run<'_> {
        self.batch.run(found)
    }

    /// The row that is read next; none at the end.
    fn next_row(&mut self) -> Result<Option<usize>, TraceError> {
        while self.row >= self.rows {
            self.rows = 0;
            if self.batches.is_over {
                return Ok(None);
            }
            let read = self.batches.read(&mut self.batch);
            self.batches.is_over = !matches!(read, Ok(true));
            if !read? {
                return Ok(None);
            }
            (self.rows, self.row) = (self.batch.rows(), 0);
        }
        Ok(Some(self.row))
    }

    /// The error of a row, after which nothing is read.
    fn wrong(&mut self, row: usize, reason: Reason) -> TraceError {
        let (file, place) = self.batches.place(row);
        self.rows = 0;
        self.batches.is_over = true;
        reason.at(&file, place)
    }
}

impl Batches<'_> {
    /// The place of a row in the newest batch.
    fn place(&self, row: usize) -> (PathBuf, Place) {
        let open = self.open.as_ref();
        let batch = open.map(|open| open.batches.saturating_sub(1));
        (open.map(|open| open.file.clone()).unwrap_or_default(), Place { batch, row: Some(row) })
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.next_row() {
            Ok(row) => row?,
            Err(error) => return Some(Err(error)),
        };
        self.row += 1;
        Some(self.batch.event(row).map_err(|reason| self.wrong(row, reason)))
    }
}

/// A segment that is being read.
#[derive(Debug)]
struct SegmentReader {
    file: PathBuf,
    stream: File,
    size: u64,
    index_file: PathBuf,
    index: BufReader<File>,
    /// Whether it may end in the middle of a chunk.
    may_be_torn: bool,
    /// The columns that its schema names.
    columns: &'static [Column],
    /// The dictionary of each column that has one.
    dictionaries: Vec<Option<i64>>,
    told: Line,
    /// Batches read.
    batches: u64,
    /// Whether the stream's own end was read.
    ended: bool,
}

impl SegmentReader {
    /// Opens a segment and reads its schema; none if its recorder was killed before the schema was whole.
    fn open(
        reader: &Reader,
        number: u32,
        first_row: u64,
        may_be_torn: bool,
    ) -> Result<Option<SegmentReader>, TraceError> {
        let file = reader.folder.join(stream_name(number));
        let index_file = reader.folder.join(index_name(number));
        let stream = File::open(&file).map_err(|error| Reason::Io(error).of(&file))?;
        let size = stream.metadata().map_err(|error| Reason::Io(error).of(&file))?.len();
        let index = match File::open(&index_file) {
            Ok(index) => BufReader::new(index),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_torn => return Ok(None),
            Err(error) => return Err(Reason::Io(error).of(&index_file)),
        };
        let mut segment = SegmentReader {
            file,
            stream,
            size,
            index_file,
            index,
            may_be_torn,
            columns: COLUMNS,
            dictionaries: Vec::new(),
            told: Line::default(),
            batches: 0,
            ended: false,
        };
        let mut chunk = Vec::new();
        if !segment.chunk(&mut chunk)? {
            return if may_be_torn { Ok(None) } else { Err(segment.wrong(Reason::Framing("it is empty"))) };
        }
        let mut take = || -> Result<(), Reason> {
            segment.dictionaries = guard::check(&chunk, Expected::Schema, Places::default())?.ids;
            let schema = try_schema_from_ipc_buffer(&chunk)?;
            segment.columns = belongs(&schema, reader.meta(), number, first_row)?;
            Ok(())
        };
        match take() {
            Ok(()) => Ok(Some(segment)),
            Err(reason) => Err(reason.of(&segment.file)),
        }
    }

    fn wrong(&self, reason: Reason) -> TraceError {
        reason.at(&self.file, Place { batch: Some(self.batches), row: None })
    }

    /// Reads the next batch. Returns whether there was one.
    fn read(&mut self, batch: &mut Batch) -> Result<bool, TraceError> {
        loop {
            let rows_before = self.told.rows;
            if !self.chunk(&mut batch.source.packed.chunk)? {
                if !self.ended && !self.may_be_torn {
                    return Err(self.wrong(Reason::Framing("it ends before its stream does")));
                }
                return Ok(false);
            }
            if self.ended {
                return Err(self.wrong(Reason::Framing("something follows the end of the stream")));
            }
            match self.take(batch, rows_before) {
                Ok(true) => {
                    self.batches += 1;
                    return Ok(true);
                }
                Ok(false) => self.ended = true,
                Err(reason) => return Err(self.wrong(reason)),
            }
        }
    }

    /// Takes the chunk that a batch has got. Returns whether it is a batch, and not the end of the stream.
    fn take(&self, batch: &mut Batch, rows_before: u64) -> Result<bool, Reason> {
        batch.is_another();
        let source = &mut batch.source;
        let places = mem::take(&mut source.packed.places);
        let checked = guard::check(&source.packed.chunk, Expected::Batch(self.columns), places)?;
        if checked.found == Found::End {
            return Ok(false);
        }
        for dictionary in checked.dictionaries {
            let columns = layout::nodes_of(self.columns, &self.dictionaries, dictionary.id);
            source.learn(dictionary.places, &columns)?;
        }
        source.packed.places = checked.batch;
        let (found, told) = (batch.rows() as u64, self.told.rows.wrapping_sub(rows_before));
        if found != told {
            return Err(Reason::Incomplete { what: "rows of this batch", found, told });
        }
        Ok(true)
    }

    /// Reads the next chunk, which has its line and its checksum. Returns whether there was one: there is none after the
    /// last whole chunk.
    fn chunk(&mut self, chunk: &mut Vec<u8>) -> Result<bool, TraceError> {
        let Some(line) = self.line()? else {
            if self.size > self.told.end && !self.may_be_torn {
                return Err(self.wrong(Reason::Framing("its index ends before it does")));
            }
            return Ok(false);
        };
        let before = self.told.end;
        if line.end < before || line.rows < self.told.rows {
            return Err(self.wrong(Reason::Text("its index goes backwards")));
        }
        if line.end > self.size {
            if self.may_be_torn {
                return Ok(false);
            }
            return Err(self.wrong(Reason::Short { size: self.size, told: line.end }));
        }
        if line.end - before > MOST_BYTES as u64 {
            let (found, most) = (line.end - before, MOST_BYTES as u64);
            return Err(self.wrong(Reason::Size { what: "a chunk", found, most }));
        }
        chunk.clear();
        let read = io::Read::by_ref(&mut self.stream).take(line.end - before).read_to_end(chunk);
        read.map_err(|error| self.wrong(Reason::Io(error)))?;
        let found = crc32fast::hash(chunk);
        if found != line.crc {
            return Err(self.wrong(Reason::Checksum { told: line.crc, found }));
        }
        self.told = line;
        Ok(true)
    }

    /// Reads the next line of the index.
    fn line(&mut self) -> Result<Option<Line>, TraceError> {
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        let place = Place { batch: Some(self.batches), row: None };
        io::Read::by_ref(&mut self.index)
            .take(LINE_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| Reason::Io(error).at(&self.index_file, place))?;
        if bytes.len() < LINE_BYTES && (bytes.is_empty() || self.may_be_torn) {
            return Ok(None);
        }
        Line::parse(&bytes).map(Some).map_err(|reason| reason.at(&self.index_file, place))
    }
}

/// Checks that a segment has this format, belongs to this trace, and is the next one. Returns its columns.
fn belongs(schema: &Schema, meta: &Meta, number: u32, first_row: u64) -> Result<&'static [Column], Reason> {
    let told = |key: &str| schema.metadata().get(key).map_or("none", String::as_str);
    if told(key::FORMAT) != FORMAT.to_string() {
        return Err(Reason::Format { found: told(key::FORMAT).to_owned() });
    }
    if !crate::is_readable(told(key::ABI)) {
        return Err(Reason::Abi { found: told(key::ABI).to_owned() });
    }
    if told(key::TRACE) != meta.trace {
        return Err(Reason::Mixed { found: told(key::TRACE).to_owned(), expected: meta.trace.clone() });
    }
    if told(key::SEGMENT) != number.to_string() {
        return Err(Reason::Columns(format!("it is segment {} by its schema", told(key::SEGMENT))));
    }
    if told(key::FIRST_ROW) != first_row.to_string() {
        return Err(Reason::Columns(format!(
            "its first row is {} by its schema, and there are {first_row} before it",
            told(key::FIRST_ROW)
        )));
    }
    let abi = told(key::ABI).parse().unwrap_or(krcu_common::ABI_VERSION);
    let columns = schema::columns_of(abi);
    let ours = schema::fields(columns);
    if let Some((ours, theirs)) =
        ours.iter().zip(schema.fields()).find(|(ours, theirs)| *ours != theirs.as_ref())
    {
        return Err(Reason::Columns(format!(
            "the column `{}` should be `{}`: {theirs:?}",
            theirs.name(),
            ours.name()
        )));
    }
    if ours.len() != schema.fields().len() {
        return Err(Reason::Columns(format!("it has {} columns, not {}", schema.fields().len(), ours.len())));
    }
    Ok(columns)
}
