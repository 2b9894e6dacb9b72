//! Segment: one stream of the table of events, and its index.

use std::{fmt, io, path::Path};

use arrow_array::RecordBatch;
use arrow_ipc::{
    CompressionType, MetadataVersion,
    writer::{IpcWriteOptions, StreamWriter},
};
use arrow_schema::{ArrowError, SchemaRef};

use crate::{
    disk::{Appended, Disk},
    guard::MOST_BYTES,
    index::Line,
    schema::{self, Belongs},
};

/// The compression level of zstd: the lowest. Repetitions in events are close together, and the recorder must
/// keep up.
const ZSTD_LEVEL: i32 = 1;

/// Buffers are padded to a multiple of this many bytes, the lowest number that Arrow allows.
const ALIGNMENT: usize = 8;

/// The name of a segment's stream.
pub(crate) fn stream_name(segment: u32) -> String {
    format!("events-{segment:05}.arrows")
}

/// The name of its index.
pub(crate) fn index_name(segment: u32) -> String {
    format!("events-{segment:05}.index")
}

/// The number in the name of a stream.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("events-")?.strip_suffix(".arrows")?.parse().ok()?;
    (stream_name(number) == name).then_some(number)
}

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    stream_file: Box<dyn Appended>,
    index_file: Box<dyn Appended>,
    stream: StreamWriter<Vec<u8>>,
    schema: SchemaRef,
    told: Line,
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter").field("told", &self.told).finish_non_exhaustive()
    }
}

impl SegmentWriter {
    /// Creates both files, with the schema in them, and waits until they are on the disk.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, belongs: &Belongs) -> io::Result<SegmentWriter> {
        let schema = schema::of_segment(belongs);
        // The batch of a quiet second is small but has some seventy buffers, so most of it would be padding.
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)
            .and_then(|options| options.try_with_compression(Some(CompressionType::ZSTD)))
            .and_then(|options| options.try_with_compression_level(Some(ZSTD_LEVEL)))
            .map_err(to_io)?;
        let stream = StreamWriter::try_new_with_options(Vec::new(), &schema, options).map_err(to_io)?;
        let mut segment = SegmentWriter {
            stream_file: disk.file(&folder.join(stream_name(belongs.segment)))?,
            index_file: disk.file(&folder.join(index_name(belongs.segment)))?,
            stream,
            schema,
            told: Line::default(),
        };
        segment.put(0)?;
        segment.sync()?;
        disk.sync_folder(folder)?;
        Ok(segment)
    }

    /// The schema that its batches must have.
    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Bytes of the stream so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.told.end
    }

    /// Gives a batch to the system.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.stream.write(batch).map_err(to_io)?;
        self.put(batch.num_rows() as u64)
    }

    /// Closes the stream, and waits until all of it is on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.stream.finish().map_err(to_io)?;
        self.put(0)?;
        self.sync()
    }

    /// Waits until all that was written is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.stream_file.sync()?;
        self.index_file.sync()
    }

    /// Gives the contents of the stream to the system as one chunk, and then the line of the chunk.
    fn put(&mut self, rows: u64) -> io::Result<()> {
        let chunk = self.stream.get_mut();
        if chunk.len() > MOST_BYTES {
            return Err(io::Error::other("a batch is larger than a reader takes"));
        }
        self.stream_file.append(chunk)?;
        self.told = Line {
            end: self.told.end + chunk.len() as u64,
            rows: self.told.rows + rows,
            crc: crc32fast::hash(chunk),
        };
        chunk.clear();
        self.index_file.append(self.told.text().as_bytes())
    }
}

fn to_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}
