//! Accounted: up to which moment a recorder knew what had been lost, in the file `accounted`.
//!
//! The kernel tells only by its counters which runs of a probe it skipped, and they are added up when a run
//! ends. A recorder that is killed never gets there; so it leaves a line every second or so. What a trace
//! without a goodbye lacks, lies behind the moment of its last line.

use std::{
    fs::{File, OpenOptions},
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
    /// When: every event before it is in the trace, or among what follows.
    pub at: Time,
    /// Runs of probes that the kernel had skipped, of those that matter.
    pub missed: u64,
    /// Events that had found no room.
    pub lost: u64,
    /// What a map of the probes had had no room to remember.
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

    /// Adds it to the file.
    pub(crate) fn append(&self, folder: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.join(FILE))?;
        file.write_all(self.line().as_bytes())
    }

    /// The last whole line; none when the recorder did not get that far.
    pub(crate) fn last(folder: &Path) -> Result<Option<Accounted>, TraceError> {
        let path = folder.join(FILE);
        let mut file = match File::open(&path) {
            Ok(file) => io::BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Reason::Io(error).of(&path)),
        };
        let mut last = None;
        for line in 0.. {
            let mut bytes = Vec::with_capacity(LINE_BYTES);
            let place = Place { batch: Some(line), row: None };
            let read = file.by_ref().take(LINE_BYTES as u64).read_to_end(&mut bytes);
            read.map_err(|error| Reason::Io(error).at(&path, place))?;
            if bytes.len() < LINE_BYTES {
                break;
            }
            let accounted = Accounted::parse(&bytes).ok_or(Reason::Text("a line is not what was written"));
            last = Some(accounted.map_err(|reason| reason.at(&path, place))?);
        }
        Ok(last)
    }
}
