//! The Debian package in a clean Debian: installed by dpkg, looked at by Debian's own tools, removed again.
//!
//! The root is made of Debian's packages, unpacked into the cache; each test gets a copy of its own, with a package database
//! that knows no package. What a package of ours would need of others is so found out.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::debian::archive::{BOOKWORM, View};
use crate::debian::userland::MERGED;
use crate::host;
use crate::progress::{Job, output_of, say};

/// What looks at the package: dpkg, systemd's tools, man, and three shells.
const PACKAGES: [&str; 18] = [
    "base-files",
    "base-passwd",
    "bash",
    "bash-completion",
    "coreutils",
    "dash",
    "diffutils",
    "dpkg",
    "findutils",
    "fish",
    "grep",
    "libc-bin",
    "man-db",
    "passwd",
    "sed",
    "systemd",
    "tar",
    "zsh",
];
/// Enters the root `$1`, in which `/package.deb` is, and runs `/test` in it.
const ENTER: &str = "set -e; root=$1; mount --make-rprivate / 2>/dev/null || true; \
    mount --rbind /proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"; \
    exec chroot \"$root\" /usr/bin/env -i PATH=/usr/bin:/usr/sbin LC_ALL=C.UTF-8 HOME=/root TERM=dumb sh /test";
/// What is done there.
const TEST: &str = include_str!("clean_root.sh");
/// What begins the line with the exposure of the unit, as `systemd-analyze security` measures it.
const EXPOSURE: &str = "Overall exposure level for krcu.service: ";

/// Installs a package in a clean root, looks at it, and removes it.
///
/// # Errors
///
/// When the root cannot be made; when something there is not as it should be, with what was said.
pub(crate) fn try_package(package: &Path) -> Result<()> {
    let root = fresh("clean-root", package)?;
    cache::write_file(&root.join("test"), TEST.as_bytes())?;
    let said = output_of(
        host::as_root("unshare")
            .args(["--mount", "--propagation", "unchanged", "sh", "-c", ENTER, "sh"])
            .arg(&root),
    )?;
    remove(&root)?;
    // The score that people are told is the one that is measured.
    let exposure = said.lines().find_map(|line| line.trim_start_matches(['→', ' ']).strip_prefix(EXPOSURE));
    let score = exposure.and_then(|rest| rest.split_whitespace().next()).unwrap_or("none");
    let readme = fs::read_to_string(host::repository().join("README.md")).context("reading README.md")?;
    let told = format!("gives the unit {score} (");
    if !readme.split_whitespace().collect::<Vec<_>>().join(" ").contains(&told) {
        bail!("systemd-analyze security gives the unit {score}, which README.md does not say (`{told}`)");
    }
    Ok(())
}

/// A clean root of this name in the target folder, with a package at `/package.deb`; nothing is installed in it.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn fresh(name: &str, package: &Path) -> Result<PathBuf> {
    let clean = cache::folder("userlands")?.join(format!("{}-clean", BOOKWORM.name));
    cache::fill_once(&clean, |partial| {
        say("unpacking a clean Debian 12 (about 90 MB, once)");
        View::open(BOOKWORM)?.unpack_with_dependencies(&PACKAGES, partial)?;
        MERGED.iter().try_for_each(|name| merge(partial, name))
    })?;
    let root = host::target_folder().join(name);
    remove(&root)?;
    Job { what: "copying a clean Debian", advice: "is the disk full?" }
        .run(Command::new("cp").arg("-a").arg(&clean).arg(&root))?;
    for folder in
        ["proc", "dev", "tmp", "run", "root", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/cache/man"]
    {
        cache::create_folder(&root.join(folder))?;
    }
    cache::write_file(&root.join("var/lib/dpkg/status"), b"")?;
    // What the set-up scripts of libc-bin, base-passwd and dash do.
    for (from, name) in [
        ("libc-bin/nsswitch.conf", "nsswitch.conf"),
        ("base-passwd/passwd.master", "passwd"),
        ("base-passwd/group.master", "group"),
    ] {
        let from = root.join("usr/share").join(from);
        fs::copy(&from, root.join("etc").join(name))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    if fs::symlink_metadata(root.join("usr/bin/sh")).is_err() {
        symlink("dash", root.join("usr/bin/sh")).context("linking sh")?;
    }
    fs::copy(package, root.join("package.deb")).with_context(|| format!("copying {}", package.display()))?;
    Ok(root)
}

/// Makes a folder a link into /usr, with all that is in it, as the installer does.
fn merge(root: &Path, name: &str) -> Result<()> {
    let (old, new) = (root.join(name), root.join("usr").join(name));
    cache::create_folder(&old)?;
    cache::create_folder(&new)?;
    Job { what: "merging folders into /usr", advice: "is the disk full?" }
        .run(Command::new("cp").arg("-a").arg(old.join(".")).arg(&new))?;
    fs::remove_dir_all(&old).with_context(|| format!("removing {}", old.display()))?;
    symlink(format!("usr/{name}"), &old).with_context(|| format!("linking {}", old.display()))
}

/// Removes a root, unless a file system is still mounted in it.
///
/// # Errors
///
/// When something is, or a file cannot be removed.
pub(crate) fn remove(root: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading what is mounted")?;
    if mounts.lines().any(|line| line.contains(&*root.to_string_lossy())) {
        bail!("something is mounted below {}", root.display());
    }
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", root.display()))
        }
        _ => Ok(()),
    }
}
