//! Destination: where files are brought to. Paths are those below `FLEET/traces`, with `/` between their parts.

use std::path::Path;

use anyhow::Result;

use crate::done::Part;

/// A place that takes files.
pub trait Destination {
    /// The bytes of a file; none if it is not there.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn size(&self, path: &str) -> Result<Option<u64>>;

    /// A small file; none if it is not there.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn read(&self, path: &str) -> Result<Option<String>>;

    /// Brings a file there. Nobody sees it before it is whole.
    ///
    /// # Errors
    /// When it cannot be read, or the place does not take it.
    fn put(&self, path: &str, from: &Path, part: &Part) -> Result<()>;

    /// Writes a small file. Nobody sees it before it is whole.
    ///
    /// # Errors
    /// When the place does not take it.
    fn write(&self, path: &str, text: &str) -> Result<()>;
}
