//! Done: the file that says which files a whole trace has. It is copied last, so a trace without it is still under way.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::layout::DONE;

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// The files of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// In the order of their names.
    pub files: Vec<Part>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the trace's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Why a trace is not as its DONE says.
#[derive(Debug, thiserror::Error)]
pub enum DoneError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// DONE is not what krcu writes.
    #[error("{DONE} is not one that krcu wrote: {complaint}")]
    Form {
        /// Why.
        complaint: String,
    },
    /// A file is not as long as it was.
    #[error("{name} has {found} bytes, and {DONE} says {told}: copy the trace again")]
    Size {
        /// Which.
        name: String,
        /// What was found.
        found: u64,
        /// What was told.
        told: u64,
    },
    /// A file has other bytes.
    #[error("{name} has other bytes than {DONE} says: copy the trace again")]
    Bytes {
        /// Which.
        name: String,
    },
}

impl DoneError {
    /// Whether this is about the place and not about the trace: a file is there and cannot be read.
    #[must_use]
    pub fn is_of_the_place(&self) -> bool {
        matches!(self, DoneError::File { error, .. } if error.kind() != io::ErrorKind::NotFound)
    }
}

impl Done {
    /// What a trace's folder holds now.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn of(folder: &Path) -> Result<Done, DoneError> {
        let failed = |error| DoneError::File { path: folder.to_owned(), error };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != DONE && !name.starts_with('.') && entry.file_type().map_err(failed)?.is_file() {
                names.push(name);
            }
        }
        names.sort_unstable();
        let part = |name: String| {
            let (bytes, sha256) = sum(&folder.join(&name))?;
            Ok(Part { name, bytes, sha256 })
        };
        Ok(Done { files: names.into_iter().map(part).collect::<Result<_, _>>()? })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        // A structure of texts and numbers has a form in JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When krcu did not write it.
    pub fn parse(text: &str) -> Result<Done, DoneError> {
        let done: Done =
            serde_json::from_str(text).map_err(|error| DoneError::Form { complaint: error.to_string() })?;
        match done.files.iter().find(|file| file.name.contains('/') || file.name.starts_with('.')) {
            Some(file) => Err(DoneError::Form { complaint: format!("{:?} is no file's name", file.name) }),
            None => Ok(done),
        }
    }

    /// The checksum of the whole trace.
    #[must_use]
    pub fn checksum(&self) -> String {
        hexadecimal(&Sha256::digest(self.text()))
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Whether the folder holds what is told.
    ///
    /// # Errors
    /// With the first file that is not as it was.
    pub fn check(&self, folder: &Path) -> Result<(), DoneError> {
        for file in &self.files {
            let path = folder.join(&file.name);
            let found =
                fs::metadata(&path).map_err(|error| DoneError::File { path: path.clone(), error })?.len();
            let (name, told) = (file.name.clone(), file.bytes);
            if found != told {
                return Err(DoneError::Size { name, found, told });
            }
            if sum(&path)?.1 != file.sha256 {
                return Err(DoneError::Bytes { name });
            }
        }
        Ok(())
    }
}

/// The size and the SHA-256 of a file.
pub(crate) fn sum(path: &Path) -> Result<(u64, String), DoneError> {
    let failed = |error| DoneError::File { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok((bytes, hexadecimal(&hash.finalize())));
        }
        bytes += read as u64;
        hash.update(&piece[..read]);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
