//! Disk: the calls to the system by which a trace is written.
//!
//! A trace is written through this trait, so that a caller can put a queue and a thread between the writer and a slow
//! disk, and a test can log the calls, or let one of them fail.
//!
//! The system may keep what it was given in memory. Only what was synced is still there after a loss of power, and only if
//! the folder with its name was synced too.

use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::Path,
};

use crate::private;

/// Where a trace is written to.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a folder.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    fn folder(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>>;

    /// Gives a file another name, in the same folder.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the disk.
    ///
    /// # Errors
    /// When the disk does not take them.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Waits until all calls before this one are done. If one of them failed after it had returned, gives its error, and
    /// forgets it.
    ///
    /// # Errors
    /// The first error of such a call.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is this machine's own: then its folders can be looked into and removed.
    fn is_local(&self) -> bool {
        true
    }
}

/// A file that grows at its end.
pub trait Appended: fmt::Debug + Send + Sync {
    /// Gives bytes to the system.
    ///
    /// # Errors
    /// When it does not take all of them. Some of them may be in the file.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until all of the file is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    fn sync(&self) -> io::Result<()>;
}

/// The system itself. Its files and folders can be read by their owner only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Disk for Direct {
    fn folder(&self, path: &Path) -> io::Result<()> {
        private::folder(path)
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        Ok(Box::new(private::file().create(true).truncate(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match File::open(path).and_then(|folder| folder.sync_all()) {
            // Some file systems cannot sync a folder, and a folder may be one that this user can only write.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::PermissionDenied) => {
                Ok(())
            }
            synced => synced,
        }
    }
}

impl Appended for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The folder that has the name of this file or folder.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}
