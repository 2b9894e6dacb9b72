//! Private: files and folders that only their owner can read.
//!
//! A trace has addresses of the kernel, with which a user could attack it. Whoever wants to show a trace to others
//! changes its mode, or gives them an anonymous one.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// How a file is opened for writing, which has mode 0600 if it is new.
#[must_use]
pub fn file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Makes a folder of mode 0700.
///
/// # Errors
/// When it cannot be made, or is there already.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}
