//! Accounted: the file `accounted`, which says up to which moment the recorder knew all losses.
//!
//! Only the kernel's counters say which runs of a probe the kernel skipped, and krcu adds them up when a run
//! ends. A recorder that is killed never does that, so it writes a line about every second. In a trace
//! without a goodbye, what is unknown comes after the moment of the last line.
//!
//! A disk may keep a line and lose rows that were given to the system before it. So each line says how many rows
//! it vouches for, and a reader that finds fewer does not take it.

use std::{
    fs::File,
    io::{self, BufRead as _, Read as _},
    path::Path,
};

use krcu_model::event::Time;

use crate::{Place, Reason, TraceError};

/// The file's name in the folder.
pub(crate) const FILE: &str = "accounted";

/// The most bytes of a line: `AT MISSED LOST MAP_FULL ROWS SUM\n`, all in hexadecimal digits. Older krcu wrote no
/// `ROWS`.
const LINE_BYTES: u64 = 5 * (16 + 1) + 8 + 1;

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounted {
    /// The moment. Every event before it is in the trace, or one of the counts below has it.
    pub at: Time,
    /// Runs of probes that the kernel had skipped, as far as they matter.
    pub missed: u64,
    /// Events that had found no room.
    pub lost: u64,
    /// How often a map of the probes had had no room.
    pub map_full: u64,
}

/// What a reader has read of a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Rows.
    pub(crate) rows: u64,
    /// The time of the last event.
    pub(crate) last: Time,
}

impl Accounted {
    /// The line, which vouches for this many rows of the trace.
    pub(crate) fn line(&self, rows: Option<u64>) -> String {
        let Accounted { at: Time(at), missed, lost, map_full } = self;
        let mut fields = format!("{at:016x} {missed:016x} {lost:016x} {map_full:016x} ");
        if let Some(rows) = rows {
            fields += &format!("{rows:016x} ");
        }
        let sum = crc32fast::hash(fields.as_bytes());
        format!("{fields}{sum:08x}\n")
    }

    /// Reads a line, and the number of rows if it has one. It accepts only what [`Accounted::line`] writes.
    fn parse(bytes: &[u8]) -> Option<(Accounted, Option<u64>)> {
        let text = str::from_utf8(bytes).ok()?;
        let numbers: Option<Vec<u64>> =
            text.trim_end().split(' ').map(|field| u64::from_str_radix(field, 16).ok()).collect();
        let (at, missed, lost, map_full, rows) = match *numbers? {
            [at, missed, lost, map_full, _sum] => (at, missed, lost, map_full, None),
            [at, missed, lost, map_full, rows, _sum] => (at, missed, lost, map_full, Some(rows)),
            _ => return None,
        };
        let accounted = Accounted { at: Time(at), missed, lost, map_full };
        (accounted.line(rows).as_bytes() == bytes).then_some((accounted, rows))
    }

    /// The last whole line before the first damage that vouches for no more than what was found, if there is one; and
    /// that damage. Each line counts from the beginning, so that an earlier one is right too, and vouches for less.
    ///
    /// A line without a number of rows vouches for nothing after the last event that was found, since nobody knows
    /// whether there were more.
    pub(crate) fn last(folder: &Path, found: Found) -> (Option<Accounted>, Option<TraceError>) {
        let path = folder.join(FILE);
        let mut file = match File::open(&path) {
            Ok(file) => io::BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (None, Some(Reason::Io(error).of(&path))),
        };
        let mut last = None;
        for line in 0.. {
            let mut bytes = Vec::new();
            let read = file.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes);
            let accounted = match read {
                Ok(read) if read as u64 != LINE_BYTES && !bytes.ends_with(b"\n") => break,
                Ok(_) => Accounted::parse(&bytes).ok_or(Reason::Text("a line is not what was written")),
                Err(error) => Err(Reason::Io(error)),
            };
            match accounted {
                Ok((_, Some(rows))) if rows > found.rows => break,
                Ok((accounted, Some(_))) => last = Some(accounted),
                Ok((accounted, None)) => {
                    last = Some(Accounted { at: accounted.at.min(found.last), ..accounted });
                }
                Err(reason) => {
                    let place = Place { batch: Some(line), row: None };
                    return (last, Some(reason.at(&path, place)));
                }
            }
        }
        (last, None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_vouches_for_no_more_rows_than_were_found() {
        let folder = std::env::temp_dir().join(format!("krcu-accounted-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |at| Accounted { at: Time(at), missed: at, ..Accounted::default() };
        let lines = at(10).line(Some(4)) + &at(20).line(Some(4)) + &at(30).line(Some(9));
        fs::write(folder.join(FILE), &lines).unwrap();
        let last = |rows| Accounted::last(&folder, Found { rows, last: Time(25) });
        for (rows, expected) in [(3, None), (4, Some(20)), (8, Some(20)), (9, Some(30)), (99, Some(30))] {
            let (found, damage) = last(rows);
            assert_eq!((found, damage.is_none()), (expected.map(at), true), "{rows} rows");
        }
        // A line of an older krcu says no rows: it vouches for nothing behind the last event.
        fs::write(folder.join(FILE), at(20).line(None) + &at(30).line(None)).unwrap();
        assert_eq!(last(0).0, Some(Accounted { at: Time(25), ..at(30) }));
        // Half a line was being written; a line that was changed is damage.
        fs::write(folder.join(FILE), &lines[..lines.len() - 5]).unwrap();
        assert!(matches!(last(99), (Some(found), None) if found == at(20)));
        fs::write(folder.join(FILE), lines.replace(" 00000000", " 0000000g")).unwrap();
        assert!(matches!(last(99), (None, Some(_))));
        fs::write(folder.join(FILE), [0; 500]).unwrap();
        assert!(matches!(last(99), (None, Some(_))));
        fs::remove_dir_all(folder).unwrap();
    }
}
