//! Layout: which buffers a column has in a message, their order, and the sizes that they have to have.

use crate::schema::{Column, Type};

/// A column in a message, or the texts inside a column.
pub(crate) struct Node {
    /// Whether it has one row for each row of the batch.
    pub(crate) is_column: bool,
    /// Its buffers.
    pub(crate) parts: &'static [Part],
}

/// A buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// A bit for each value, which says whether it is not null; the buffer is empty if no value is null.
    Validity,
    /// One bit for each value.
    Bits,
    /// This many bytes for each value.
    Fixed(u64),
    /// Four bytes for each value, and four more.
    Offsets,
    /// The bytes of all texts.
    Bytes,
}

const fn column(parts: &'static [Part]) -> Node {
    Node { is_column: true, parts }
}

const TEXT: &[Part] = &[Part::Validity, Part::Offsets, Part::Bytes];

/// A dictionary of words.
pub(crate) const DICTIONARY: [Node; 1] = [column(TEXT)];

/// The table of events with these columns.
pub(crate) fn of_events(columns: &[Column]) -> Vec<Node> {
    let nodes = columns.iter().map(|described| match described.holds {
        Type::Bool => (column(&[Part::Validity, Part::Bits]), None),
        Type::Words(_) => (column(&[Part::Validity, Part::Fixed(1)]), None),
        Type::U16 => (column(&[Part::Validity, Part::Fixed(2)]), None),
        Type::U32 | Type::I32 => (column(&[Part::Validity, Part::Fixed(4)]), None),
        Type::U64 => (column(&[Part::Validity, Part::Fixed(8)]), None),
        Type::Text => (column(TEXT), None),
        Type::Texts => {
            let texts = Node { is_column: false, parts: TEXT };
            (column(&[Part::Validity, Part::Offsets]), Some(texts))
        }
    });
    nodes.flat_map(|(node, inside)| [Some(node), inside]).flatten().collect()
}

/// How many nodes a column has.
pub(crate) fn nodes(holds: Type) -> usize {
    if holds == Type::Texts { 2 } else { 1 }
}

/// The nodes of the columns that have the dictionary with this number. `dictionaries` has that of each column.
pub(crate) fn nodes_of(columns: &[Column], dictionaries: &[Option<i64>], id: i64) -> Vec<usize> {
    let mut next = 0;
    let nodes = columns.iter().map(|column| {
        let node = next;
        next += nodes(column.holds);
        node
    });
    nodes.zip(dictionaries).filter(|(_, of)| **of == Some(id)).map(|(node, _)| node).collect()
}

impl Part {
    /// Whether a buffer of this size can belong to this many values.
    pub(crate) fn fits(self, size: u64, length: u64, nulls: u64) -> bool {
        match self {
            Part::Validity => size >= length.div_ceil(8) || (size == 0 && nulls == 0),
            Part::Bits => size >= length.div_ceil(8),
            Part::Fixed(bytes) => size.is_multiple_of(bytes) && size >= length * bytes,
            Part::Offsets => {
                size.is_multiple_of(4) && (size >= (length + 1) * 4 || (size == 0 && length == 0))
            }
            Part::Bytes => true,
        }
    }
}
