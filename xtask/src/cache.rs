//! Where everything that outlives one checkout is kept: kernels, userlands, core's source, bpf-linker, built modules.
//!
//! The folder is `$KRCU_CACHE`, else `$XDG_CACHE_HOME/krcu`, else `~/.cache/krcu`: never inside the checkout, so
//! that `cargo clean` or a fresh clone costs no download. An entry appears by one rename of a finished folder:
//! two runs at the same time may do the same work twice, but neither ever sees the other's half. Threads of one run wait
//! for each other.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow};

/// The cache folder.
///
/// # Errors
///
/// When no variable names one and there is no home folder either.
pub(crate) fn root() -> Result<PathBuf> {
    if let Some(path) = non_empty("KRCU_CACHE") {
        return path::absolute(&path).context("reading KRCU_CACHE");
    }
    if let Some(path) = non_empty("XDG_CACHE_HOME") {
        return Ok(path.join("krcu"));
    }
    non_empty("HOME")
        .map(|home| home.join(".cache/krcu"))
        .ok_or_else(|| anyhow!("no cache folder: set KRCU_CACHE (or HOME) to a folder that can be written"))
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder `name` below the cache folder, created when missing.
///
/// # Errors
///
/// When it cannot be created.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let path = root()?.join(name);
    create_folder(&path)?;
    Ok(path)
}

/// Creates `path` and everything above it.
///
/// # Errors
///
/// With the path and the system's reason.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))
}

/// Makes the folder `path` by filling a sibling and renaming it; does nothing when it is there already.
///
/// Answers whether `fill` ran. A sibling left by a run that was killed carries that run's process number and is
/// never mistaken for the entry.
///
/// # Errors
///
/// What `fill` says, or the rename.
pub(crate) fn fill_once(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<bool> {
    // Threads of this process wait for the one that fills it.
    let being_filled = being_filled(path);
    let _turn = being_filled.lock().unwrap_or_else(PoisonError::into_inner);
    if path.exists() {
        return Ok(false);
    }
    let partial = sibling(path);
    create_folder(&partial)?;
    let filled = fill(&partial);
    if let Err(error) = filled {
        drop(fs::remove_dir_all(&partial));
        return Err(error);
    }
    match fs::rename(&partial, path) {
        Ok(()) => Ok(true),
        // Somebody else finished first; theirs is as good.
        Err(_) if path.exists() => {
            drop(fs::remove_dir_all(&partial));
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("renaming to {}", path.display())),
    }
}

/// The lock of an entry among the threads of this process.
fn being_filled(path: &Path) -> Arc<Mutex<()>> {
    static ENTRIES: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(entries.entry(path.to_owned()).or_default())
}

/// Writes a file by writing a sibling and renaming it.
///
/// # Errors
///
/// With the path and the system's reason.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    let partial = sibling(path);
    fs::write(&partial, contents).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("renaming to {}", path.display()))
}

/// A name beside `path` that no other process, and no other call of this one, uses.
fn sibling(path: &Path) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or(OsStr::new("entry")).to_string_lossy();
    path.with_file_name(format!(".{name}.partial-{}-{number}", process::id()))
}

/// How long ago the file or folder was written; `None` when it is not there or carries a time to come.
pub(crate) fn age(path: &Path) -> Option<Duration> {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    SystemTime::now().duration_since(written).ok()
}
