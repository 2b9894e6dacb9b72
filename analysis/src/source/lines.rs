//! Lines: a text read a line at a time, however long its lines claim to be.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::SourceError;

/// Bytes of the longest line that is read: a stack of 64 frames with long names has a tenth of it.
const LONGEST_LINE: u64 = 1 << 16;

/// The lines of a file.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// The line that was read last, from 1.
    pub(crate) number: usize,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Lines, SourceError> {
        let file = File::open(path).map_err(|error| SourceError::file(path, error))?;
        Ok(Lines { path: path.to_owned(), reader: BufReader::new(file), number: 0 })
    }

    pub(crate) fn error(&self, line: usize, complaint: String) -> SourceError {
        SourceError::Line { path: self.path.clone(), line, complaint }
    }
}

impl Iterator for Lines {
    type Item = Result<String, SourceError>;

    fn next(&mut self) -> Option<Result<String, SourceError>> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Err(error) => return Some(Err(SourceError::file(&self.path, error))),
            Ok(0) => return None,
            Ok(_) => self.number += 1,
        }
        if bytes.len() as u64 == LONGEST_LINE && !bytes.ends_with(b"\n") {
            return Some(Err(self.error(self.number, format!("it is longer than {LONGEST_LINE} bytes"))));
        }
        Some(String::from_utf8(bytes).map_err(|_| self.error(self.number, "it is not UTF-8".to_owned())))
    }
}
