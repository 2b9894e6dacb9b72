//! Packed: a batch as it lies in its chunk. A buffer is decompressed when somebody asks for it, into memory that is kept
//! for the next batch.
//!
//! [`crate::guard`] has checked the places and the sizes of all buffers, so nothing here checks them again.

use std::fmt;

use zerocopy::{FromBytes, IntoBytes};
use zstd::bulk::Decompressor;

use crate::Reason;

/// A column in a message, or the texts inside a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeAt {
    /// Its values.
    pub(crate) length: usize,
    /// Those of them that are null.
    pub(crate) nulls: usize,
    /// The first of its buffers.
    pub(crate) first: usize,
}

/// A buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferAt {
    /// Its first byte in the chunk.
    pub(crate) at: usize,
    /// Its bytes there.
    pub(crate) bytes: usize,
    /// Its bytes when it is decompressed.
    pub(crate) size: usize,
    /// Whether it is compressed.
    pub(crate) is_compressed: bool,
}

/// The places of a message's columns and buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) rows: usize,
    pub(crate) nodes: Vec<NodeAt>,
    pub(crate) buffers: Vec<BufferAt>,
}

/// A chunk, and the places of what is in it.
#[derive(Default)]
pub(crate) struct Packed {
    pub(crate) chunk: Vec<u8>,
    pub(crate) places: Places,
    zstd: Option<Decompressor<'static>>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("places", &self.places).finish_non_exhaustive()
    }
}

/// Numbers as they are in a file.
pub(crate) trait Number: Copy + Default + PartialEq + fmt::Debug + FromBytes + IntoBytes {
    /// What these bytes of a file are on this machine.
    fn native(self) -> Self;
}

macro_rules! number {
    ($($number:ty)*) => {
        $(impl Number for $number {
            fn native(self) -> $number {
                <$number>::from_le(self)
            }
        })*
    };
}

number! { u8 u16 u32 u64 i32 }

impl Packed {
    /// The column, or the texts, with this number; none if the batch has fewer.
    pub(crate) fn node(&self, number: usize) -> Option<NodeAt> {
        self.places.nodes.get(number).copied()
    }

    /// Reads the numbers of a buffer.
    pub(crate) fn numbers<T: Number>(&mut self, buffer: usize, into: &mut Vec<T>) -> Result<(), Reason> {
        let Some(place) = self.places.buffers.get(buffer).copied() else {
            return Err(Reason::Framing("a batch has fewer buffers than its columns need"));
        };
        into.resize(place.size / size_of::<T>(), T::default());
        self.read(place, into.as_mut_slice().as_mut_bytes())?;
        into.iter_mut().for_each(|number| *number = number.native());
        Ok(())
    }

    /// Reads which values of a node are not null, one bit each. It gets nothing if none is null.
    pub(crate) fn validity(&mut self, node: NodeAt, into: &mut Vec<u8>) -> Result<(), Reason> {
        into.clear();
        if node.nulls > 0 { self.numbers(node.first, into) } else { Ok(()) }
    }

    fn read(&mut self, place: BufferAt, into: &mut [u8]) -> Result<(), Reason> {
        let BufferAt { at, bytes, is_compressed, .. } = place;
        let source = self.chunk.get(at..).and_then(|behind| behind.get(..bytes));
        let source = source.ok_or(Reason::Framing("a message goes beyond its chunk"))?;
        if !is_compressed {
            let source =
                source.get(..into.len()).ok_or(Reason::Framing("a buffer is shorter than it says"))?;
            into.copy_from_slice(source);
            return Ok(());
        }
        if self.zstd.is_none() {
            self.zstd = Some(Decompressor::new()?);
        }
        let zstd = self.zstd.as_mut().ok_or(Reason::Framing("there is no decompressor"))?;
        match zstd.decompress_to_buffer(source, into) {
            Ok(size) if size == into.len() => Ok(()),
            _ => Err(Reason::Framing("a buffer cannot be decompressed to the size that it says")),
        }
    }
}
