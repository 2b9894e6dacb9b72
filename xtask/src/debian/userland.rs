//! A Debian release's compiler and tools, unpacked into the cache and entered by chroot.
//!
//! The build tools of newer kernels want a newer C library than this computer may have. The packages are fetched with
//! all that they depend on and merely unpacked: compilers need no set-up scripts, so neither debootstrap nor a
//! package database is wanted. Mounts are made in a mount namespace of the command's own and vanish with it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::debian::archive::{Family, View};
use crate::host;
use crate::progress::say;

/// What a module's build calls, besides the compiler. libelf is for objtool.
const PACKAGES: [&str; 15] = [
    "base-files",
    "bash",
    "binutils",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gawk",
    "grep",
    "kmod",
    "libelf-dev",
    "make",
    "perl-base",
    "sed",
    "zlib1g",
];
/// Folders that are links into /usr since Debian merged them; packages still name some files by the old way.
pub(crate) const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// Enters the root `$1` with the folder `$2` at the same place in it, then runs the rest.
/// Inside another chroot `/` is no mount point and cannot be made private; the namespace is still our own.
const ENTER: &str = "set -e; root=$1; shared=$2; shift 2; mkdir -p \"$root/$shared\"; \
    mount --make-rprivate / 2>/dev/null || true; \
    mount --rbind /proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"; mount --bind \"$shared\" \"$root/$shared\"; \
    exec chroot \"$root\" /usr/bin/env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/tmp \"$@\"";

/// An unpacked userland.
pub(crate) struct Userland {
    root: PathBuf,
}

impl Userland {
    /// The userland of a Debian release with this compiler, fetched when it is not there yet.
    ///
    /// # Errors
    ///
    /// When its packages cannot be downloaded or unpacked.
    pub(crate) fn open(family: Family, compiler: &str) -> Result<Self> {
        Self::with(family, compiler, &[compiler])
    }

    /// The userland of this name, which has these packages besides what the build of any module calls.
    ///
    /// # Errors
    ///
    /// As [`Userland::open`].
    pub(crate) fn with(family: Family, name: &str, more: &[&str]) -> Result<Self> {
        let root = cache::folder("userlands")?.join(format!("{}-{name}", family.name));
        let fresh = cache::fill_once(&root, |partial| {
            say(&format!("unpacking the compiler of Debian {} (about 100 MB, once)", family.name));
            for name in MERGED {
                cache::create_folder(&partial.join("usr").join(name))?;
                symlink(format!("usr/{name}"), partial.join(name)).context("linking into usr")?;
            }
            let mut packages = PACKAGES.to_vec();
            packages.extend(more);
            View::open(family)?.unpack_with_dependencies(&packages, partial)?;
            finish(partial)
        })?;
        if fresh {
            say(&format!("the compiler of Debian {} is in {}", family.name, root.display()));
        }
        Ok(Self { root })
    }

    /// A command that runs what is appended to it inside, with `shared` at the same place as here.
    pub(crate) fn command(&self, shared: &Path) -> Command {
        let mut command = host::as_root("unshare");
        command
            .args(["--mount", "--propagation", "unchanged", "sh", "-c", ENTER, "sh"])
            .arg(&self.root)
            .arg(shared);
        command
    }
}

/// What the packages' set-up scripts would have done and a build misses.
fn finish(root: &Path) -> Result<()> {
    for name in ["proc", "dev", "tmp"] {
        cache::create_folder(&root.join(name))?;
    }
    for (link, target) in [("usr/bin/awk", "gawk"), ("usr/bin/sh", "dash")] {
        if fs::symlink_metadata(root.join(link)).is_err() {
            symlink(target, root.join(link)).with_context(|| format!("linking {link}"))?;
        }
    }
    Ok(())
}
