//! Packages: what cargo says of the packages that are built, and of those that they use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::host;
use crate::progress::output_of;
use crate::toolchain::build;

/// The target of what people get.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What cargo says of a workspace.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Metadata {
    /// Every package, also of targets that are not built for.
    pub(crate) packages: Vec<Package>,
    /// Who uses whom, for our target.
    pub(crate) resolve: Resolve,
}

/// A package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    /// Cargo's name for it in [`Resolve`].
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence, as SPDX writes it.
    pub(crate) license: Option<String>,
    /// Where it comes from; none for one of ours.
    pub(crate) source: Option<String>,
}

/// Who uses whom.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Resolve {
    /// One entry for each package.
    pub(crate) nodes: Vec<Node>,
}

/// A package and those that it uses.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    /// The package.
    pub(crate) id: String,
    /// Those that it uses.
    pub(crate) dependencies: Vec<String>,
}

/// The folders with a lock file.
pub(crate) fn workspaces() -> [PathBuf; 2] {
    [host::repository(), host::repository().join(build::EBPF_CRATE)]
}

/// What cargo says of the workspace in this folder, for our target.
///
/// # Errors
///
/// When its lock file does not fit, or a package is not here.
pub(crate) fn metadata(folder: &Path) -> Result<Metadata> {
    let words = ["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET];
    let text = output_of(Command::new("cargo").args(words).current_dir(folder))?;
    serde_json::from_str(&text).context("reading what `cargo metadata` says")
}

/// The names and versions of all packages that are built for these, with the features that they ask for; all of the
/// workspace's if none is named.
///
/// # Errors
///
/// When the lock file does not fit, or a package is not here.
pub(crate) fn built_for(folder: &Path, names: &[&str]) -> Result<Vec<(String, String)>> {
    let mut command = Command::new("cargo");
    command.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--target", TARGET]);
    for name in names {
        command.args(["--package", name]);
    }
    let text = output_of(command.args(["--format", "{p}"]).current_dir(folder))?;
    // A line is `NAME vVERSION`, and then where it is.
    let named = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    let mut all: Vec<_> = named.collect();
    all.sort();
    all.dedup();
    Ok(all)
}
