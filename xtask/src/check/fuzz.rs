//! `cargo xtask fuzz`: what reads files that others made is given changed ones, for a bounded time and in bounded memory.
//!
//! The drivers are examples of the crates that do the reading. They mutate without coverage, for that works with any
//! compiler and downloads nothing; what they do instead is said in each of them.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::host;
use crate::progress::say;
use crate::toolchain::build;

/// A driver: the crate, and the example that takes a number of seconds and a seed.
const TARGETS: [(&str, &str); 2] = [("krcu-trace", "fuzz_trace"), ("analysis", "fuzz_import")];
/// Kilobytes of memory that a driver may ask for: a reader takes 64 MiB of a chunk and as much decompressed.
const MEMORY_KIB: u64 = 512 << 10;

/// Runs every driver for so many seconds.
///
/// # Errors
///
/// When a driver does not build or cannot be started.
pub(crate) fn run(seconds: u64, seed: u64) -> Result<ExitCode> {
    let mut status = ExitCode::SUCCESS;
    for (package, example) in TARGETS {
        let arguments = ["build", "--release", "--quiet", "-p", package, "--example", example];
        let built = build::by_hand().args(arguments).status();
        ensure!(built.context("starting cargo")?.success(), "{example} does not build");
        say(&format!("{example}: {seconds} s, at most {} MiB", MEMORY_KIB >> 10));
        let program = host::target_folder().join("release/examples").join(example);
        let ended = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" {seconds} {seed}")])
            .arg(&program)
            .status()
            .with_context(|| format!("starting {}", program.display()))?;
        if !ended.success() {
            say(&format!("{example} failed ({ended}): run it with the seed that it named"));
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}
