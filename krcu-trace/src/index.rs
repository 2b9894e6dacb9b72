//! Index: one line for each chunk of a segment, with the end of the chunk and the checksum of its bytes.
//!
//! A chunk is what the recorder gave to the system with one write. The first chunk is the schema, the next
//! ones are batches, each with the dictionaries before it, and the last one is the end of the stream. The
//! line of a chunk is written after it, so a chunk without a line was cut off. Each line has a checksum of
//! its own.

use crate::Reason;

/// Bytes of a line: `END ROWS CRC SUM\n`, all in hexadecimal digits.
pub(crate) const LINE_BYTES: usize = 16 + 1 + 16 + 1 + 8 + 1 + 8 + 1;

/// A line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Bytes of the segment up to the end of this chunk.
    pub(crate) end: u64,
    /// Rows of the segment up to the end of this chunk.
    pub(crate) rows: u64,
    /// CRC-32 of the chunk.
    pub(crate) crc: u32,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        let fields = format!("{:016x} {:016x} {:08x} ", self.end, self.rows, self.crc);
        let sum = crc32fast::hash(fields.as_bytes());
        format!("{fields}{sum:08x}\n")
    }

    /// Reads a line of [`LINE_BYTES`]. It accepts only what [`Line::text`] writes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Line, Reason> {
        let line = || -> Option<Line> {
            let text = str::from_utf8(bytes).ok()?;
            let mut fields = text.split(' ');
            let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
            Some(Line { end: number()?, rows: number()?, crc: u32::try_from(number()?).ok()? })
        };
        let line = line().ok_or(Reason::Text("a line of the index is not one"))?;
        if line.text().as_bytes() == bytes {
            Ok(line)
        } else {
            Err(Reason::Text("a line of the index is not what was written"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_was_and_a_flipped_bit_shows() {
        let line = Line { end: 0x1234, rows: 77, crc: 0xdead_beef };
        let text = line.text().into_bytes();
        assert_eq!(text.len(), LINE_BYTES);
        assert_eq!(Line::parse(&text).unwrap(), line);
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[place] ^= 1 << bit;
                assert!(Line::parse(&flipped).is_err(), "byte {place}, bit {bit}");
            }
        }
    }
}
