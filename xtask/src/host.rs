//! This computer, the host of the test machines: who runs us on it, how to become root, how Debian calls its architecture, and
//! where the repository and its target folder are.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::statvfs;

use crate::progress::output_of;

/// The architecture as Debian spells it (`amd64`).
///
/// # Errors
///
/// On anything but amd64: the test machines are x86-64 ones.
pub(crate) fn debian_architecture() -> Result<&'static str> {
    if cfg!(target_arch = "x86_64") {
        return Ok("amd64");
    }
    bail!("test kernels are booted on x86-64 machines only, this is {}", env::consts::ARCH)
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).is_ok_and(|text| text.trim() == "0")
}

/// A command that runs `program` as root: itself when we are root, else by sudo.
pub(crate) fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    command
}

/// The room that a build needs which changes little.
const LEAST_ROOM_GIB: u64 = 3;

/// Where a program is, looked for in PATH and in the folders that only root's PATH has.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The repository's root: the folder above the one this crate was built in.
pub(crate) fn repository() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Fails when the disk of a folder has too little room for what is missing until the folder has this size. A compiler that meets
/// a full disk says so in many ways, few of them plain.
///
/// # Errors
///
/// With the folder, what is needed and what is free.
pub(crate) fn need_room(folder: &Path, filled_gib: u64, advice: &str) -> Result<()> {
    let Some(there) = folder.ancestors().find(|above| above.exists()) else { return Ok(()) };
    let disk = statvfs(there).with_context(|| format!("asking how much room {} has", there.display()))?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free >= filled_gib.max(LEAST_ROOM_GIB) << 30 {
        return Ok(());
    }
    let filled =
        if folder.exists() { output_of(Command::new("du").arg("-sBG").arg(folder))? } else { String::new() };
    let has = filled.split('G').next().and_then(|gib| gib.parse().ok()).unwrap_or(0);
    // What is built anew stands beside what it replaces.
    let gib = filled_gib.saturating_sub(has).max(LEAST_ROOM_GIB);
    if free < gib << 30 {
        bail!(
            "{} has {:.1} GiB of room, and {gib} GiB are needed: {advice}",
            there.display(),
            // A figure for people: what the conversion loses is below what is shown.
            free as f64 / f64::from(1 << 30)
        );
    }
    Ok(())
}

/// Cargo's target folder of the workspace.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
