//! `cargo xtask run`: builds, then runs `krcu` on this computer, by sudo where it is not root already.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};

use crate::host;
use crate::toolchain::build;

/// Replaces this process by krcu, so that its status and its signals are its own.
///
/// # Errors
///
/// When it does not build or cannot be started.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let programs = build::all("release")?;
    let krcu = programs
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == "krcu"))
        .ok_or_else(|| anyhow!("the build left no program krcu"))?;
    let error = host::as_root(&krcu.to_string_lossy()).args(arguments).exec();
    Err(error).with_context(|| format!("starting {}", krcu.display()))
}
