//! Accounted: the file `accounted`, which says up to which moment the recorder knew all losses.
//!
//! Only the kernel's counters say which runs of a probe the kernel skipped, and krcu adds them up when a run
//! ends. A recorder that is killed never does that, so it writes a line about every second. In a trace
//! without a goodbye, what is unknown comes after the moment of the last line.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
};

use krcu_model::event::Time;

use crate::{Place, Reason, TraceError};

/// The file's name in the folder.
const FILE: &str = "accounted";

/// Bytes of a line: `AT MISSED LOST MAP_FULL SUM\n`, all in hexadecimal digits.
const LINE_BYTES: usize = 4 * (16 + 1) + 8 + 1;

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

impl Accounted {
    fn line(&self) -> String {
        let Accounted { at: Time(at), missed, lost, map_full } = self;
        let fields = format!("{at:016x} {missed:016x} {lost:016x} {map_full:016x} ");
        let sum = crc32fast::hash(fields.as_bytes());
        format!("{fields}{sum:08x}\n")
    }

    fn parse(bytes: &[u8]) -> Option<Accounted> {
        let mut fields = str::from_utf8(bytes).ok()?.split(' ');
        let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
        let accounted =
            Accounted { at: Time(number()?), missed: number()?, lost: number()?, map_full: number()? };
        (accounted.line().as_bytes() == bytes).then_some(accounted)
    }

    /// Appends it to the file.
    pub(crate) fn append(&self, folder: &Path) -> io::Result<()> {
        let mut file = crate::private::file().create(true).append(true).open(folder.join(FILE))?;
        file.write_all(self.line().as_bytes())
    }

    /// The last whole line before the first damage, if there is one; and that damage. Each line counts from the
    /// beginning, so that an earlier one is right too, and vouches for less.
    pub(crate) fn last(folder: &Path) -> (Option<Accounted>, Option<TraceError>) {
        let path = folder.join(FILE);
        let mut file = match File::open(&path) {
            Ok(file) => io::BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (None, Some(Reason::Io(error).of(&path))),
        };
        let mut last = None;
        for line in 0.. {
            let mut bytes = Vec::with_capacity(LINE_BYTES);
            let read = file.by_ref().take(LINE_BYTES as u64).read_to_end(&mut bytes);
            let accounted = match read {
                Ok(_) if bytes.len() < LINE_BYTES => break,
                Ok(_) => Accounted::parse(&bytes).ok_or(Reason::Text("a line is not what was written")),
                Err(error) => Err(Reason::Io(error)),
            };
            match accounted {
                Ok(accounted) => last = Some(accounted),
                Err(reason) => {
                    let place = Place { batch: Some(line), row: None };
                    return (last, Some(reason.at(&path, place)));
                }
            }
        }
        (last, None)
    }
}
