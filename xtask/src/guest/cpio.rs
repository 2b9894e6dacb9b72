//! Writes a cpio archive of the "newc" kind, as the kernel's initramfs wants it.
//!
//! Entries are added one by one, since a folder of files made by an ordinary user cannot hold a device node.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use cpio::newc::{self, Builder};

const FOLDER: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive being written. Folders above an entry are added by themselves.
pub(crate) struct Cpio<W> {
    sink: W,
    entries: u32,
    folders: BTreeSet<String>,
}

impl<W: Write> Cpio<W> {
    /// An empty archive.
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, entries: 0, folders: BTreeSet::new() }
    }

    /// Adds a folder; `path` is absolute in the guest. Adding it twice is no mistake.
    ///
    /// # Errors
    ///
    /// When the sink fails.
    pub(crate) fn folder(&mut self, path: &str) -> Result<()> {
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            if self.folders.insert(so_far.clone()) {
                self.entry(entry(&so_far, FOLDER), &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file with these contents and permissions.
    ///
    /// # Errors
    ///
    /// When the sink fails, or the file is too large for the format (4 GiB).
    pub(crate) fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) -> Result<()> {
        self.above(path)?;
        self.entry(entry(path, REGULAR | permissions), contents)
    }

    /// Adds a file of this computer, with its permissions; a folder is added with everything below it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let context = || format!("reading {}", from.display());
        let metadata = fs::metadata(from).with_context(context)?;
        if metadata.is_dir() {
            self.folder(path)?;
            for entry in fs::read_dir(from).with_context(context)? {
                let entry = entry.with_context(context)?;
                self.copy(&format!("{path}/{}", entry.file_name().to_string_lossy()), &entry.path())?;
            }
            return Ok(());
        }
        let contents = fs::read(from).with_context(context)?;
        self.file(path, metadata.permissions().mode() & 0o777, &contents)
    }

    /// Adds what is below a folder of this computer, links as links, without what is at the places to skip. What is added
    /// below a link to a folder later on comes to lie in that folder.
    ///
    /// # Errors
    ///
    /// When something cannot be read.
    pub(crate) fn tree(&mut self, root: &Path, skip: &[&str]) -> Result<()> {
        let mut below = vec![String::new()];
        while let Some(folder) = below.pop() {
            let from = root.join(&folder);
            let context = || format!("reading {}", from.display());
            for entry in fs::read_dir(&from).with_context(context)? {
                let entry = entry.with_context(context)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type().with_context(context)?;
                if skip.contains(&path.as_str()) {
                    continue;
                }
                if kind.is_symlink() {
                    let target = fs::read_link(entry.path()).with_context(context)?;
                    self.link(&path, &target.to_string_lossy())?;
                    self.folders.insert(path);
                } else if kind.is_dir() {
                    self.folder(&path)?;
                    below.push(path);
                } else if kind.is_file() {
                    self.copy(&path, &entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    ///
    /// When the sink fails.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.above(path)?;
        self.entry(entry(path, LINK), target.as_bytes())
    }

    /// Adds a character device.
    ///
    /// # Errors
    ///
    /// When the sink fails.
    pub(crate) fn character_device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.above(path)?;
        self.entry(entry(path, CHARACTER_DEVICE).rdev_major(major).rdev_minor(minor), &[])
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// When the sink fails.
    pub(crate) fn finish(self) -> Result<W> {
        let mut sink = newc::trailer(self.sink).context("writing an initramfs")?;
        sink.flush().context("writing an initramfs")?;
        Ok(sink)
    }

    fn above(&mut self, path: &str) -> Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(folder, _)| self.folder(folder))
    }

    fn entry(&mut self, entry: Builder, contents: &[u8]) -> Result<()> {
        self.entries += 1;
        let size = u32::try_from(contents.len())
            .map_err(|_| anyhow!("{} bytes are too large for an initramfs", contents.len()))?;
        let mut writer = entry.ino(self.entries).write(&mut self.sink, size);
        writer.write_all(contents).and_then(|()| writer.finish()).context("writing an initramfs")?;
        Ok(())
    }
}

fn entry(path: &str, mode: u32) -> Builder {
    Builder::new(path.trim_start_matches('/')).mode(mode)
}

#[cfg(test)]
mod tests {
    use super::Cpio;

    #[test]
    fn an_archive_has_aligned_entries_and_each_folder_once() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.file("/a/b/one", 0o644, b"12345").unwrap();
        cpio.link("/a/b/two", "one").unwrap();
        let bytes = cpio.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        // a, a/b, a/b/one, a/b/two and the trailer.
        assert_eq!(text.matches("070701").count(), 5);
        assert!(text.contains("a/b/one\0"));
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{:?}", &text[text.len() - 20..]);
    }
}
