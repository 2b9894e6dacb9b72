//! Error: what is wrong with a trace, where, and why.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A trace cannot be read, or not from this place on.
#[derive(Debug, thiserror::Error)]
#[error("{}{place}: {reason}", file.display())]
pub struct TraceError {
    /// The file.
    pub file: PathBuf,
    /// The place in it.
    pub place: Place,
    /// What is wrong there. The message of this error includes it, so it is not a separate source.
    pub reason: Reason,
}

/// A place in a file of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The batch, from 0; the line of an index.
    pub batch: Option<u64>,
    /// The row in that batch, from 0.
    pub row: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(batch) = self.batch {
            write!(f, ", batch {batch}")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        Ok(())
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The system reported an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not exist.
    #[error("this is not a trace, or its recorder was killed before it began: there is no such file")]
    NoMeta,
    /// It was written by another version.
    #[error(
        "it has format {found}, and this krcu reads format {}: use the krcu that wrote it",
        crate::FORMAT
    )]
    Format {
        /// The version in the file.
        found: String,
    },
    /// Another version of the probes wrote the events.
    #[error(
        "its events are of ABI {found}, and this krcu reads ABI {} to {}: use the krcu that wrote it",
        crate::OLDEST_ABI,
        krcu_common::ABI_VERSION
    )]
    Abi {
        /// The version in the file.
        found: String,
    },
    /// The bytes are not those that were written.
    #[error("its bytes are not those that were written (the checksum is {found:08x}, not {told:08x})")]
    Checksum {
        /// The checksum that was written.
        told: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The file ends before what its index promises.
    #[error("it ends at byte {size}, and its index goes to byte {told}: the file was cut")]
    Short {
        /// Bytes of the file.
        size: u64,
        /// Bytes that there have to be.
        told: u64,
    },
    /// Something is larger than any recorder would write it.
    #[error("{what} is {found}, and no recorder makes it more than {most}")]
    Size {
        /// What.
        what: &'static str,
        /// How large it says it is.
        found: u64,
        /// How large it may be.
        most: u64,
    },
    /// A segment is missing.
    #[error("this segment is missing")]
    Missing,
    /// It is a part of another trace.
    #[error("it is a part of another trace ({found}, not {expected}): the folder holds segments of two")]
    Mixed {
        /// The trace to which it belongs, as it says.
        found: String,
        /// The trace of the folder.
        expected: String,
    },
    /// The columns are not those of the format.
    #[error("{0}")]
    Columns(String),
    /// Its recording ended normally, but something is missing.
    #[error("{what}: {found} are here, and {told} were written")]
    Incomplete {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many there have to be.
        told: u64,
    },
    /// What Arrow says of it.
    #[error("it is no Arrow stream of this format: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// It is not an Arrow stream.
    #[error("it is no Arrow stream of this format: {0}")]
    Framing(&'static str),
    /// It is not the JSON of a trace.
    #[error("it is not what krcu writes there: {0}")]
    Json(#[from] serde_json::Error),
    /// A file does not contain what its name says.
    #[error("{0}")]
    Text(&'static str),
    /// A row lacks a value that its kind needs.
    #[error("an event of kind `{kind}` needs `{column}`, which is null")]
    Null {
        /// The kind.
        kind: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A word that this version does not know.
    #[error("`{word}` is no word of the column `{column}`")]
    Word {
        /// The word.
        word: String,
        /// The column.
        column: &'static str,
    },
}

impl Reason {
    /// The error at a place.
    pub(crate) fn at(self, file: &Path, place: Place) -> TraceError {
        TraceError { file: file.to_owned(), place, reason: self }
    }

    /// The error of a file as a whole.
    pub(crate) fn of(self, file: &Path) -> TraceError {
        self.at(file, Place::default())
    }
}
