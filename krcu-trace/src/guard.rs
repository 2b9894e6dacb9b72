//! Guard: what a chunk says of its own sizes is looked at before anything is allocated for it.
//!
//! The checksum shows what was changed by accident. A trace may also be made by someone who means harm, with
//! every checksum right: so the frames of each message, the buffers that it names and what they say
//! they are when decompressed have to fit into bounds that no recorder comes near.

use arrow_ipc::{CompressionType, Message, MessageHeader, RecordBatch, root_as_message};

use crate::Reason;

/// Most bytes of a chunk, as it lies in the file and decompressed.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// Most rows of a batch.
pub(crate) const MOST_ROWS: usize = 64 << 10;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// What may be in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The first: the schema alone.
    Schema,
    /// Dictionaries, then one batch.
    Batch,
}

/// What a chunk turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A schema.
    Schema,
    /// A batch.
    Batch,
    /// The end of the stream.
    End,
}

/// Looks at every message of a chunk.
pub(crate) fn check(chunk: &[u8], expected: Expected) -> Result<Found, Reason> {
    let mut rest = chunk;
    let mut decompressed = 0;
    let mut found = None;
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
        rest = behind;
        found = look(message, body, expected, &mut decompressed)?;
    }
    found.ok_or(Reason::Framing("a chunk holds no batch"))
}

fn look(
    message: Message<'_>,
    body: &[u8],
    expected: Expected,
    decompressed: &mut u64,
) -> Result<Option<Found>, Reason> {
    match (message.header_type(), expected) {
        (MessageHeader::Schema, Expected::Schema) if message.header_as_schema().is_some() => {
            Ok(Some(Found::Schema))
        }
        (MessageHeader::DictionaryBatch, Expected::Batch) => {
            let dictionary = message.header_as_dictionary_batch().and_then(|message| message.data());
            let dictionary = dictionary.ok_or(Reason::Framing("a dictionary holds nothing"))?;
            buffers(&dictionary, body, decompressed)?;
            Ok(None)
        }
        (MessageHeader::RecordBatch, Expected::Batch) => {
            let batch = message.header_as_record_batch();
            buffers(&batch.ok_or(Reason::Framing("a batch holds nothing"))?, body, decompressed)?;
            Ok(Some(Found::Batch))
        }
        _ => Err(Reason::Framing("a message is not one that belongs there")),
    }
}

/// The rows of a batch, and every buffer of it.
fn buffers(batch: &RecordBatch<'_>, body: &[u8], decompressed: &mut u64) -> Result<(), Reason> {
    within("the number of rows", batch.length(), MOST_ROWS as u64)?;
    for node in batch.nodes().into_iter().flatten() {
        within("the length of a column", node.length(), MOST_BYTES as u64)?;
        within("the number of nulls", node.null_count(), MOST_BYTES as u64)?;
    }
    let compressed = match batch.compression() {
        Some(compression) if compression.codec() == CompressionType::ZSTD => true,
        Some(_) => return Err(Reason::Framing("a batch is compressed by another method than zstd")),
        None => false,
    };
    for buffer in batch.buffers().into_iter().flatten() {
        let start = within("the place of a buffer", buffer.offset(), body.len() as u64)?;
        let length = within("the length of a buffer", buffer.length(), body.len() as u64)?;
        let (_, at) = split(body, start)?;
        let (bytes, _) = split(at, length)?;
        let size = match bytes.first_chunk::<8>() {
            // Empty, or as it is: −1 says that compression did not pay.
            None if compressed && length > 0 => {
                return Err(Reason::Framing("a compressed buffer has no size"));
            }
            Some(size) if compressed => match i64::from_le_bytes(*size) {
                -1 => length,
                size => within("the size of a buffer", size, MOST_BYTES as u64)?,
            },
            _ => length,
        };
        *decompressed += size;
        if *decompressed > MOST_BYTES as u64 {
            return Err(Reason::Size {
                what: "a batch, decompressed,",
                found: *decompressed,
                most: MOST_BYTES as u64,
            });
        }
    }
    Ok(())
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
