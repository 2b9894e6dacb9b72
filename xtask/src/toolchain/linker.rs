//! Builds bpf-linker against the very LLVM of the rustc in use, into the cache.
//!
//! rustc hands the linker LLVM bitcode. A bpf-linker with another LLVM seems to work until it writes type
//! information that kernels refuse, so the one here is keyed by rustc's version and finds its library by an rpath.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::cache;
use crate::progress::{Job, output_of, say};
use crate::toolchain::Toolchain;

/// The version of bpf-linker.
const VERSION: &str = "0.13.0";

/// Where the linker for a toolchain is, or will be.
///
/// # Errors
///
/// When there is no cache folder.
pub(crate) fn path(toolchain: &Toolchain) -> Result<PathBuf> {
    Ok(folder(toolchain)?.join("bin/bpf-linker"))
}

/// Builds the linker when it is not there; answers its path.
///
/// # Errors
///
/// When rustc's LLVM is not found, or cargo cannot build the linker.
pub(crate) fn find_or_build(toolchain: &Toolchain) -> Result<PathBuf> {
    let path = path(toolchain)?;
    if path.is_file() {
        return Ok(path);
    }
    let llvm = rustc_llvm(toolchain)?;
    let libraries = llvm.parent().ok_or_else(|| anyhow!("{} is in no folder", llvm.display()))?;
    cache::fill_once(&folder(toolchain)?, |partial| {
        let prefix = partial.join("llvm");
        cache::create_folder(&prefix.join("lib"))?;
        symlink(&llvm, prefix.join("lib/libLLVM.so")).context("linking rustc's LLVM")?;
        let work = cache::folder("bpf-linker/work")?;
        Job {
            what: &format!(
                "building bpf-linker {VERSION} for LLVM {} (half a minute, once)",
                toolchain.llvm_major
            ),
            advice: "it needs a C compiler and zlib's headers (`cargo xtask setup` installs both), a registry of \
                     crates that cargo can reach, and a rustc whose LLVM this bpf-linker knows",
        }
        .run(
            Command::new("cargo")
                // Its work is done by LLVM, which is built already: what is compiled here need not be optimized.
                .args(["install", "--debug", "bpf-linker", "--version", VERSION])
                .args(["--no-default-features", "--features"])
                .arg(format!("llvm-{}", toolchain.llvm_major))
                .arg("--root")
                .arg(partial)
                .env("LLVM_PREFIX", &prefix)
                .env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,{}", libraries.display()))
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env("CARGO_TARGET_DIR", &work)
                .current_dir(partial),
        )?;
        fs::remove_dir_all(&work).context("removing what building bpf-linker left")?;
        // A linker that cannot find its library would only say so in the middle of a build.
        output_of(Command::new(partial.join("bin/bpf-linker")).arg("--version"))?;
        Ok(())
    })?;
    say(&format!("bpf-linker is {}", path.display()));
    Ok(path)
}

fn folder(toolchain: &Toolchain) -> Result<PathBuf> {
    Ok(cache::folder("bpf-linker")?
        .join(format!("{VERSION}-rustc-{}-{}", toolchain.release, toolchain.commit)))
}

/// The LLVM library that rustc itself loads: beside it with rustup, the system's own with a distribution's rustc.
fn rustc_llvm(toolchain: &Toolchain) -> Result<PathBuf> {
    let folder = toolchain.sysroot.join("lib");
    let driver = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| is_named(path, "librustc_driver-"))
        .ok_or_else(|| anyhow!("no librustc_driver in {}", folder.display()))?;
    let loaded = output_of(Command::new("ldd").arg(&driver))?;
    let path = loaded
        .split_whitespace()
        .map(Path::new)
        .find(|path| path.is_absolute() && is_named(path, "libLLVM"))
        .ok_or_else(|| anyhow!("{} loads no libLLVM: this rustc has its LLVM inside", driver.display()))?;
    path.canonicalize().with_context(|| format!("finding {}", path.display()))
}

fn is_named(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}
