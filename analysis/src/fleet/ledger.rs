//! Ledger: what became of each trace. A row is a file; it is written last, and says that the facts are whole.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use krcu_ship::layout::{Fleet, Place, VERSION, file_of};
use serde::{Deserialize, Serialize};

/// What became of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its facts are there, and it is whole.
    Whole,
    /// Its facts are there; its recorder never wrote an end.
    NoGoodbye,
    /// The facts are of the events before the damage.
    Damaged,
    /// It has no facts: it is not what it was when it was shipped, or no part of it can be read.
    Refused,
}

impl Outcome {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Whole => "whole",
            Outcome::NoGoodbye => "without an end",
            Outcome::Damaged => "damaged",
            Outcome::Refused => "refused",
        }
    }
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The trace's folder below `FLEET/traces`.
    pub trace: String,
    /// The number of the run.
    pub run: i64,
    /// The checksum of the trace.
    pub checksum: String,
    /// Version of the facts.
    pub facts: u32,
    /// Version of krcu that replayed it.
    pub krcu: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, if it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Bytes of the trace.
    pub bytes: u64,
    /// Events that were replayed.
    pub events: u64,
    /// The tables that were written; none of a refused trace.
    pub tables: BTreeMap<String, Table>,
}

/// A table of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Rows.
    pub rows: u64,
    /// Bytes of its file. A file of another size is one that was cut, and its trace is replayed again.
    pub bytes: u64,
}

impl Entry {
    /// Whether facts belong to it.
    #[must_use]
    pub fn has_facts(&self) -> bool {
        self.outcome != Outcome::Refused
    }

    /// Its line in JSON.
    #[must_use]
    pub fn line(&self) -> String {
        // A structure of texts and numbers has a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The file of a row.
#[must_use]
pub fn file(fleet: &Fleet, place: &Place) -> PathBuf {
    fleet.ledger_of(&place.day).join(format!("{}.json", file_of(place.run())))
}

/// The row of a trace; none if there is none, or if it cannot be read, as one that was cut short cannot.
#[must_use]
pub fn read(file: &Path) -> Option<Entry> {
    let entry: Entry = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    (entry.facts == VERSION).then_some(entry)
}

/// Writes a file as a whole: nobody ever sees a part of it.
///
/// # Errors
/// When there is no room for it. Then the file is as it was.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A name of its own: the same trace may be replayed by two at once, on two machines, with the same result.
    let partial = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".partial")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    write(partial.path())?;
    partial.persist(path)?;
    Ok(())
}
