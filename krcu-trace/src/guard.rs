//! Guard: checks the sizes that a chunk claims, before memory is allocated for them.
//!
//! A checksum finds accidental changes. But an attacker can make a trace in which every checksum is right. So
//! the frames of each message, its buffers and their sizes after decompression have to stay within bounds
//! that no recorder comes near. They must also have the sizes that the columns need, because Arrow's own
//! validation panics on some that do not.

use arrow_ipc::{CompressionType, Message, MessageHeader, RecordBatch, root_as_message};

use crate::{
    Reason,
    layout::{self, Node},
    packed::{BufferAt, NodeAt, Places},
    schema::Column,
};

/// Most bytes of a chunk, as it lies in the file and decompressed.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// Most rows of a batch.
pub(crate) const MOST_ROWS: usize = 64 << 10;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// What a chunk is expected to contain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// The first chunk: the schema alone.
    Schema,
    /// Dictionaries, then one batch with these columns.
    Batch(&'static [Column]),
}

/// A dictionary of words.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// The number by which the schema's columns name it.
    pub(crate) id: i64,
    /// Where it is.
    pub(crate) places: Places,
}

/// What a chunk contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A schema.
    Schema,
    /// A batch.
    Batch,
    /// The end of the stream.
    End,
}

/// A chunk that has been checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What it contains.
    pub(crate) found: Found,
    /// Of a schema: the dictionary of each column that has one.
    pub(crate) ids: Vec<Option<i64>>,
    /// The dictionaries before a batch.
    pub(crate) dictionaries: Vec<Dictionary>,
    /// Where a batch's columns are.
    pub(crate) batch: Places,
}

/// Checks every message of a chunk, and says where its columns are. `batch` is memory for that.
pub(crate) fn check(chunk: &[u8], expected: Expected, batch: Places) -> Result<Checked, Reason> {
    let mut rest = chunk;
    let mut decompressed = 0;
    let mut found = None;
    let mut checked = Checked { found: Found::End, ids: Vec::new(), dictionaries: Vec::new(), batch };
    while !rest.is_empty() {
        if found.is_some() {
            return Err(Reason::Framing("something follows what a chunk ends with"));
        }
        let (header, behind) = split(rest, 8)?;
        if header[..4] != CONTINUATION {
            return Err(Reason::Framing("a message does not begin as one"));
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if length == 0 {
            rest = behind;
            found = Some(Found::End);
            continue;
        }
        let (message, behind) = split(behind, u64::from(length))?;
        let message = root_as_message(message).map_err(|_| Reason::Framing("a message is malformed"))?;
        let body_bytes = u64::try_from(message.bodyLength());
        let (body, behind) =
            split(behind, body_bytes.map_err(|_| Reason::Framing("a body is shorter than nothing"))?)?;
        // Arrow reads a column of numbers in place, and panics if the column is not aligned.
        if !length.is_multiple_of(8) || !body.len().is_multiple_of(8) {
            return Err(Reason::Framing("a message is not padded"));
        }
        let body_at = chunk.len() - behind.len() - body.len();
        rest = behind;
        found = look(message, (body, body_at), expected, &mut decompressed, &mut checked)?;
    }
    checked.found = found.ok_or(Reason::Framing("a chunk holds no batch"))?;
    Ok(checked)
}

fn look(
    message: Message<'_>,
    body: (&[u8], usize),
    expected: Expected,
    decompressed: &mut u64,
    checked: &mut Checked,
) -> Result<Option<Found>, Reason> {
    match (message.header_type(), expected) {
        (MessageHeader::Schema, Expected::Schema) if message.header_as_schema().is_some() => {
            let fields = message.header_as_schema().and_then(|schema| schema.fields());
            let ids = fields.iter().flatten().map(|field| field.dictionary().map(|encoding| encoding.id()));
            checked.ids = ids.collect();
            Ok(Some(Found::Schema))
        }
        (MessageHeader::DictionaryBatch, Expected::Batch(_)) => {
            let nothing = Reason::Framing("a dictionary holds nothing");
            let Some(dictionary) = message.header_as_dictionary_batch() else { return Err(nothing) };
            if dictionary.isDelta() {
                return Err(Reason::Framing("a dictionary comes in parts"));
            }
            let data = dictionary.data().ok_or(nothing)?;
            let mut places = Places::default();
            buffers(&data, body, &layout::DICTIONARY, decompressed, &mut places)?;
            checked.dictionaries.push(Dictionary { id: dictionary.id(), places });
            Ok(None)
        }
        (MessageHeader::RecordBatch, Expected::Batch(columns)) => {
            let batch = message.header_as_record_batch();
            let batch = batch.ok_or(Reason::Framing("a batch holds nothing"))?;
            buffers(&batch, body, &layout::of_events(columns), decompressed, &mut checked.batch)?;
            Ok(Some(Found::Batch))
        }
        _ => Err(Reason::Framing("a message is not one that belongs there")),
    }
}

/// Checks the rows of a batch, its columns, and each buffer of these.
fn buffers(
    batch: &RecordBatch<'_>,
    (body, body_at): (&[u8], usize),
    layout: &[Node],
    decompressed: &mut u64,
    places: &mut Places,
) -> Result<(), Reason> {
    let rows = within("the number of rows", batch.length(), MOST_ROWS as u64)?;
    let compressed = match batch.compression() {
        Some(compression) if compression.codec() == CompressionType::ZSTD => true,
        Some(_) => return Err(Reason::Framing("a batch is compressed by another method than zstd")),
        None => false,
    };
    let (nodes, buffers) = (batch.nodes().unwrap_or_default(), batch.buffers().unwrap_or_default());
    let told: usize = layout.iter().map(|node| node.parts.len()).sum();
    if nodes.len() != layout.len() || buffers.len() != told {
        return Err(Reason::Framing("a batch has more or fewer columns than its schema"));
    }
    places.rows = to_usize(rows);
    places.nodes.clear();
    places.buffers.clear();
    let mut buffers = buffers.iter();
    for (node, expected) in nodes.iter().zip(layout) {
        let length = within("the length of a column", node.length(), MOST_BYTES as u64)?;
        let nulls = within("the number of nulls", node.null_count(), length)?;
        if expected.is_column && length != rows {
            return Err(Reason::Framing("a column is not as long as its batch"));
        }
        let (length, nulls, first) = (to_usize(length), to_usize(nulls), places.buffers.len());
        places.nodes.push(NodeAt { length, nulls, first });
        for (part, buffer) in expected.parts.iter().zip(&mut buffers) {
            let mut place = place_of(buffer, body, compressed)?;
            if !part.fits(place.size as u64, length as u64, nulls as u64) {
                return Err(Reason::Framing("a buffer is not of the size that its column needs"));
            }
            place.at += body_at;
            *decompressed += place.size as u64;
            places.buffers.push(place);
        }
        if *decompressed > MOST_BYTES as u64 {
            let (found, most) = (*decompressed, MOST_BYTES as u64);
            return Err(Reason::Size { what: "a batch, decompressed,", found, most });
        }
    }
    Ok(())
}

/// Where a buffer is in the body, and its bytes when it is decompressed.
fn place_of(buffer: &arrow_ipc::Buffer, body: &[u8], compressed: bool) -> Result<BufferAt, Reason> {
    let start = within("the place of a buffer", buffer.offset(), body.len() as u64)?;
    if !start.is_multiple_of(8) {
        return Err(Reason::Framing("a buffer is not aligned"));
    }
    let length = within("the length of a buffer", buffer.length(), body.len() as u64)?;
    let (_, at) = split(body, start)?;
    let (bytes, _) = split(at, length)?;
    let plain = BufferAt { at: to_usize(start), bytes: bytes.len(), size: bytes.len(), is_compressed: false };
    if !compressed || bytes.is_empty() {
        return Ok(plain);
    }
    let Some((size, behind)) = bytes.split_first_chunk::<8>() else {
        return Err(Reason::Framing("a compressed buffer has no size"));
    };
    let (at, bytes) = (plain.at + size.len(), behind.len());
    match i64::from_le_bytes(*size) {
        // The buffer is not compressed, because compression did not pay.
        -1 => Ok(BufferAt { at, bytes, size: bytes, is_compressed: false }),
        size => {
            let size = to_usize(within("the size of a buffer", size, MOST_BYTES as u64)?);
            Ok(BufferAt { at, bytes, size, is_compressed: true })
        }
    }
}

/// A number that was found to be within bounds.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn within(what: &'static str, found: i64, most: u64) -> Result<u64, Reason> {
    match u64::try_from(found) {
        Ok(value) if value <= most => Ok(value),
        Ok(found) => Err(Reason::Size { what, found, most }),
        Err(_) => Err(Reason::Framing("a size is less than nothing")),
    }
}

fn split(bytes: &[u8], at: u64) -> Result<(&[u8], &[u8]), Reason> {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    bytes.split_at_checked(at).ok_or(Reason::Framing("a message goes beyond its chunk"))
}
