//! Finds the source of `core`, which the BPF target has to compile for itself, of the very rustc in use.
//!
//! In this order: what the toolchain already has; what an earlier run put into the cache; an archive named by
//! `KRCU_RUST_SRC`; `rustup component add rust-src`; Debian's package of the same upstream version. Outside the
//! toolchain's own folder, cargo is told by the variable that its own tests use, so nothing is written there.

use std::env;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache;
use crate::debian::archive::{SID, TRIXIE, View};
use crate::host;
use crate::progress::{Job, say};
use crate::toolchain::Toolchain;

/// The environment variable that names an archive with a `library` folder in it.
const ARCHIVE_VARIABLE: &str = "KRCU_RUST_SRC";
/// The environment variable that tells cargo where the standard library's source is.
pub(crate) const CARGO_VARIABLE: &str = "__CARGO_TESTS_ONLY_SRC_ROOT";

/// Where core's source is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CoreSource {
    /// Where cargo looks by itself.
    Toolchain,
    /// A `library` folder elsewhere.
    Folder(PathBuf),
}

impl CoreSource {
    /// The source, if it is on this computer.
    ///
    /// # Errors
    ///
    /// When there is no cache folder.
    pub(crate) fn find(toolchain: &Toolchain) -> Result<Option<Self>> {
        if is_library(&toolchain.sysroot.join("lib/rustlib/src/rust/library")) {
            return Ok(Some(Self::Toolchain));
        }
        let folder = cached(toolchain)?;
        Ok(is_library(&folder).then_some(Self::Folder(folder)))
    }

    /// The source, fetched when it is not on this computer.
    ///
    /// # Errors
    ///
    /// When no way leads to it: what each of them said.
    pub(crate) fn find_or_fetch(toolchain: &Toolchain) -> Result<Self> {
        if let Some(found) = Self::find(toolchain)? {
            return Ok(found);
        }
        let ways: [(&str, Way); 3] = [
            ("the archive named by KRCU_RUST_SRC", from_archive),
            ("rustup component add rust-src", from_rustup),
            ("Debian's package rust-src", from_debian),
        ];
        let mut refusals = Vec::new();
        for (name, way) in ways {
            match way(toolchain) {
                Ok(()) => match Self::find(toolchain)? {
                    Some(found) => {
                        say(&format!("core's source for rustc {}: {name}", toolchain.release));
                        return Ok(found);
                    }
                    None => refusals.push(format!("{name}: it holds no library/core")),
                },
                Err(error) => refusals.push(format!("{name}: {error:#}")),
            }
        }
        bail!(
            "no source of core for rustc {}\n  {}\nwhat to do: add the toolchain's component rust-src, or set \
             {ARCHIVE_VARIABLE} to an archive of that version's `library` folder",
            toolchain.release,
            refusals.join("\n  ")
        )
    }
}

/// One way to get the source; afterwards [`CoreSource::find`] sees it.
type Way = fn(&Toolchain) -> Result<()>;

/// The name carries the version: another rustc never gets this one's core.
fn cached(toolchain: &Toolchain) -> Result<PathBuf> {
    Ok(cache::folder("rust-src")?.join(&toolchain.release).join("library"))
}

/// `-Z build-std=core` resolves the library's whole workspace, so its lock file has to be there too.
fn is_library(folder: &Path) -> bool {
    folder.join("core/src/lib.rs").is_file() && folder.join("Cargo.lock").is_file()
}

fn from_archive(toolchain: &Toolchain) -> Result<()> {
    let archive = env::var_os(ARCHIVE_VARIABLE).ok_or_else(|| anyhow!("the variable is not set"))?;
    let archive = path::absolute(&archive).context("reading the variable")?;
    let folder = cached(toolchain)?;
    let parent = folder.parent().unwrap_or(&folder).to_path_buf();
    cache::fill_once(&parent, |partial| {
        let unpacked = partial.join("unpacked");
        cache::create_folder(&unpacked)?;
        Job { what: "unpacking core's source", advice: "is it an archive that tar can read?" }
            .run(Command::new("tar").arg("-x").arg("-f").arg(&archive).arg("-C").arg(&unpacked))?;
        take_library(&unpacked, partial)
    })?;
    Ok(())
}

fn from_rustup(_: &Toolchain) -> Result<()> {
    let rustup = host::find_program("rustup").ok_or_else(|| anyhow!("there is no rustup"))?;
    Job { what: "rustup component add rust-src", advice: "" }
        .run(Command::new(rustup).args(["component", "add", "rust-src"]).current_dir(host::repository()))?;
    Ok(())
}

fn from_debian(toolchain: &Toolchain) -> Result<()> {
    let prefix = format!("{}+", toolchain.release);
    for family in [TRIXIE, SID] {
        let view = View::open(family)?;
        let versions = view.versions("rust-src")?;
        if let Some(version) = versions.into_iter().find(|version| version.starts_with(&prefix)) {
            let folder = cached(toolchain)?;
            let parent = folder.parent().unwrap_or(&folder).to_path_buf();
            cache::fill_once(&parent, |partial| {
                let unpacked = partial.join("unpacked");
                view.unpack(&[format!("rust-src={version}")], &unpacked)?;
                take_library(&unpacked, partial)
            })?;
            return Ok(());
        }
    }
    bail!("Debian {} and {} have no version {}", TRIXIE.name, SID.name, toolchain.release)
}

/// Moves the folder `library` from wherever it is below `unpacked` and drops the rest.
fn take_library(unpacked: &Path, into: &Path) -> Result<()> {
    let library = find_library(unpacked, 6).ok_or_else(|| anyhow!("no folder library/core in it"))?;
    fs::rename(&library, into.join("library")).context("moving core's source")?;
    fs::remove_dir_all(unpacked).context("removing what is not core's source")
}

fn find_library(folder: &Path, depth: u32) -> Option<PathBuf> {
    if is_library(folder) {
        return Some(folder.to_path_buf());
    }
    let below = depth.checked_sub(1)?;
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_library(&entry.path(), below))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::process;

    use super::find_library;

    #[test]
    fn the_library_is_found_below_a_package() {
        let root = env::temp_dir().join(format!("krcu-library-{}", process::id()));
        let library = root.join("usr/src/rustc-1/library");
        fs::create_dir_all(library.join("core/src")).unwrap();
        fs::write(library.join("core/src/lib.rs"), "").unwrap();
        assert_eq!(find_library(&root, 6), None, "without a lock file it is of no use");
        fs::write(library.join("Cargo.lock"), "").unwrap();
        assert_eq!(find_library(&root, 6), Some(library));
        fs::remove_dir_all(&root).unwrap();
    }
}
