//! Digests of files and folders, by the `sha256sum` that every Debian has.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};

use crate::progress::output_of;

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let text = output_of(Command::new("sha256sum").arg("--").arg(path))?;
    let word = text.split_whitespace().next().ok_or_else(|| anyhow!("sha256sum said nothing"))?;
    // A name with a backslash or newline makes sha256sum put a backslash before the digest.
    Ok(word.trim_start_matches('\\').to_owned())
}

/// A short digest of every file below a folder, their names, and one more word.
///
/// # Errors
///
/// When something cannot be read.
pub(crate) fn of_folder(folder: &Path, word: &str) -> Result<String> {
    let mut listing = format!("{word}\n");
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        listing.push_str(&format!("{} {name}\n", of_file(&path)?));
    }
    of_text(&listing)
}

/// A short digest of a text.
///
/// # Errors
///
/// When `sha256sum` cannot be started.
pub(crate) fn of_text(listing: &str) -> Result<String> {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting sha256sum")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(listing.as_bytes()).context("writing to sha256sum")?;
    }
    let output = child.wait_with_output().context("waiting for sha256sum")?;
    let digest = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(digest.chars().take(16).collect())
}

/// All files below a folder, links followed, in the order of their names.
///
/// # Errors
///
/// When a folder cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry.context("reading a folder")?.path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
