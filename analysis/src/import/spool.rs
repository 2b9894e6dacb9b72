//! Spool: events in the order of the text, written out in the order of their times.

use std::{
    fs::File,
    io::{BufWriter, Seek as _, Write},
    os::unix::fs::FileExt as _,
};

use anyhow::{Context as _, Result};

/// Lines of events in a file that has no name, and where each begins.
pub(super) struct Spool {
    file: BufWriter<File>,
    /// Of each line: its time in nanoseconds, where it begins, and its length.
    index: Vec<(u64, u64, usize)>,
    bytes: u64,
    is_sorted: bool,
}

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// When no file can be made in the folder for temporary files.
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile().context("making a temporary file: is TMPDIR full?")?;
        Ok(Self { file: BufWriter::new(file), index: Vec::new(), bytes: 0, is_sorted: true })
    }

    /// Takes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn push(&mut self, time_ns: u64, line: &str) -> Result<()> {
        self.is_sorted &= self.index.last().is_none_or(|last| last.0 <= time_ns);
        self.index.push((time_ns, self.bytes, line.len()));
        self.bytes += line.len() as u64;
        self.file.write_all(line.as_bytes()).context("writing a temporary file: is TMPDIR full?")
    }

    /// The earliest time; `None` if there is no line.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.index.iter().map(|line| line.0).min()
    }

    /// Writes every line, by time; lines of one time keep their order.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub(super) fn write(self, out: &mut impl Write) -> Result<()> {
        let mut file =
            self.file.into_inner().map_err(|error| error.into_error()).context("writing a temporary file")?;
        if self.is_sorted {
            file.rewind().context("reading a temporary file")?;
            std::io::copy(&mut file, out).context("writing the script")?;
            return Ok(());
        }
        let mut index = self.index;
        index.sort_by_key(|line| line.0);
        let mut line = Vec::new();
        for (_, begin, length) in index {
            line.resize(length, 0);
            file.read_exact_at(&mut line, begin).context("reading a temporary file")?;
            out.write_all(&line).context("writing the script")?;
        }
        Ok(())
    }
}
