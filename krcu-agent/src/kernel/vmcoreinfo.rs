//! Vmcoreinfo: the note in `/proc/kcore` by which the kernel tells readers of its memory how that is laid out.
//!
//! The note is text of lines `NAME(WHAT)=VALUE`. It is in the first kilobytes of the file, in a segment of notes. Only numbers
//! are read here (`NUMBER(VMEMMAP_START)=0x…`), which the kernel writes as hexadecimal with a prefix, or as decimal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The notes lie before this place.
const MOST: u64 = 64 << 10;
/// The name of the note.
const NAME: &[u8] = b"VMCOREINFO\0";
/// Bytes of a name in a note, filled up to a multiple of four.
const NAME_ROOM: usize = NAME.len().next_multiple_of(4);

/// The numbers of the note, by name.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut start = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut start)?;
    Ok(numbers(&start))
}

/// The numbers of the first such note in these bytes; none if there is no whole one.
fn numbers(bytes: &[u8]) -> BTreeMap<String, u64> {
    let note = bytes.windows(NAME.len()).position(|window| window == NAME).and_then(|at| text_of(bytes, at));
    let text = String::from_utf8_lossy(note.unwrap_or_default());
    text.lines().filter_map(number).collect()
}

/// The text of the note whose name is at `at`. Before the name are its size, the text's size and a type, of four bytes each.
fn text_of(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let size = bytes.get(at.checked_sub(8)?..at.checked_sub(4)?)?;
    let size = usize::try_from(u32::from_ne_bytes(size.try_into().ok()?)).ok()?;
    bytes.get(at + NAME_ROOM..)?.get(..size)
}

/// `NUMBER(NAME)=VALUE`.
fn number(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.strip_prefix("NUMBER(")?.split_once(")=")?;
    let value = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => value.parse::<i64>().ok()?.cast_unsigned(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    /// A note as the kernel writes it: sizes and type, the name filled up, the text.
    fn note(text: &str, size: u32) -> Vec<u8> {
        let head = [11_u32, size, 0].map(u32::to_ne_bytes).concat();
        [b"CORE".as_slice(), &head, b"VMCOREINFO\0\0", text.as_bytes(), b"next"].concat()
    }

    #[test]
    fn numbers_of_both_forms_are_read_and_nothing_behind_the_note() {
        let text = "OSRELEASE=6.12\nPAGESIZE=4096\nNUMBER(VA_BITS)=52\nNUMBER(PG_slab)=-1\n\
                    NUMBER(VMEMMAP_START)=0xffffc1ffc0000000\nNUMBER(broken)=x\nNUMBER(VA_BITS";
        let size = u32::try_from(text.len()).unwrap();
        let found = numbers(&note(text, size));
        let found: Vec<(&str, u64)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let wanted = [("PG_slab", u64::MAX), ("VA_BITS", 52), ("VMEMMAP_START", 0xffff_c1ff_c000_0000)];
        assert_eq!(found, wanted);
        // One that ends before its text does.
        assert!(numbers(&note(text, size + 100)).is_empty());
        assert!(numbers(b"VMCOREINFO\0").is_empty());
    }
}
