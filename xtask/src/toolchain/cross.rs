//! Builds for another architecture: the packages, and the standard library.

use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::architecture::Architecture;
use crate::host;
use crate::progress::{Job, say};
use crate::toolchain::{Toolchain, setup};

/// Packages without which no program and no module of arm64 is built here, and none of its kernels is booted.
const ARM64: [(&str, &str); 3] = [
    ("gcc-aarch64-linux-gnu", "builds modules and links programs for arm64"),
    ("libc6-dev-arm64-cross", "links programs for arm64"),
    ("qemu-system-arm", "the test machines of arm64"),
];

/// Fetches what a build for this architecture needs and this computer lacks.
///
/// # Errors
///
/// When a package or the standard library cannot be had.
pub(crate) fn ensure(architecture: Architecture) -> Result<()> {
    match architecture {
        Architecture::Amd64 => return Ok(()),
        Architecture::Arm64 => setup::install(&ARM64, &[])?,
    };
    let toolchain = Toolchain::in_use()?;
    let target = architecture.target();
    let library = toolchain.sysroot.join("lib/rustlib").join(target).join("lib");
    if library.is_dir() {
        return Ok(());
    }
    let advice = format!("install the standard library of rustc {} for {target}", toolchain.release);
    let rustup = host::find_program("rustup").ok_or_else(|| anyhow!("there is no rustup: {advice}"))?;
    Job { what: &format!("rustup target add {target}"), advice: &advice }
        .run(Command::new(rustup).args(["target", "add", target]).current_dir(host::repository()))?;
    if !library.is_dir() {
        bail!("rustup has put no library for {target} into {}: {advice}", toolchain.sysroot.display());
    }
    say(&format!("the standard library for {target} is in the toolchain"));
    Ok(())
}

/// The C compiler, which links Rust's programs as well.
pub(crate) fn compiler(architecture: Architecture) -> String {
    format!("{}gcc", architecture.compiler_prefix())
}

/// The variable that tells cargo the linker; none for this computer's architecture, whose linker cargo knows.
pub(crate) fn linker(architecture: Architecture) -> Option<(String, String)> {
    let target = architecture.target().to_uppercase().replace('-', "_");
    (!architecture.is_ours()).then(|| (format!("CARGO_TARGET_{target}_LINKER"), compiler(architecture)))
}
