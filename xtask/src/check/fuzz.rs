//! `cargo xtask fuzz`: what reads files and lines that others made is given changed ones, for a bounded time and in bounded
//! memory, guided by the paths that they take.
//!
//! The drivers are examples of the crates that do the reading; `fuzz/guided.rs` is a part of them. They are compiled with the
//! compiler's coverage pass, which needs no other compiler and downloads nothing. `fuzz/corpus` has the inputs that they
//! begin with.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::host;
use crate::progress::say;
use crate::toolchain::build;

/// A crate, its example, and what that reads.
const DRIVERS: [(&str, &str, &[&str]); 4] = [
    ("krcu-trace", "fuzz_trace", &["trace", "meta"]),
    ("krcu-report", "fuzz_texts", &["script", "ask", "line"]),
    ("krcu-agent", "fuzz_config", &["config"]),
    ("analysis", "fuzz_import", &["import"]),
];
/// The driver that changes texts without a guide: it would have to be compiled with all of polars.
const UNGUIDED: &str = "fuzz_import";
/// Kilobytes of memory that a driver may ask for: a reader takes 64 MiB of a chunk and as much decompressed.
const MEMORY_KIB: u64 = 512 << 10;
/// The target whose code has counters. Naming it keeps them out of build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The pass that puts a counter of one byte into each branch.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Ccodegen-units=1 \
                        -Coverflow-checks=on";

/// What a run of the drivers does.
pub(crate) struct Extent {
    /// How long each target is fuzzed; 0 for the corpus only.
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// Only this target.
    pub(crate) only: Option<String>,
    /// Whether the corpus is written again.
    pub(crate) write: bool,
}

/// Runs every driver.
///
/// # Errors
///
/// When a driver does not build or cannot be started, or there is no such target.
pub(crate) fn run(extent: &Extent) -> Result<ExitCode> {
    let is_asked = |target: &&str| extent.only.as_deref().is_none_or(|only| only == *target);
    let mut status = ExitCode::SUCCESS;
    let mut ran = 0;
    for (package, example, targets) in DRIVERS {
        let targets: Vec<&str> = targets.iter().copied().filter(is_asked).collect();
        if targets.is_empty() {
            continue;
        }
        build(package, example)?;
        for target in targets {
            ran += 1;
            if !drive(example, target, extent)? {
                say(&format!("{target} failed: the input is in the place that it named"));
                status = ExitCode::FAILURE;
            }
        }
    }
    ensure!(ran > 0, "there is no target {}", extent.only.as_deref().unwrap_or_default());
    Ok(status)
}

fn build(package: &str, example: &str) -> Result<()> {
    let mut cargo = build::by_hand();
    cargo.args(["build", "--release", "--quiet", "-p", package, "--example", example]);
    if example != UNGUIDED {
        // A folder of its own, since all is compiled another way.
        cargo.args(["--target", TARGET, "--target-dir"]).arg(host::target_folder().join("fuzz"));
        cargo.env("RUSTFLAGS", COVERAGE);
    }
    ensure!(cargo.status().context("starting cargo")?.success(), "{example} does not build");
    Ok(())
}

/// Runs one target. Returns false if an input was not borne.
fn drive(example: &str, target: &str, extent: &Extent) -> Result<bool> {
    let corpus = host::repository().join("fuzz/corpus").join(target);
    let folder = host::target_folder();
    let program = match example {
        UNGUIDED => folder.join("release/examples"),
        _ => folder.join("fuzz").join(TARGET).join("release/examples"),
    };
    let program = program.join(example);
    let word = if example == UNGUIDED { "" } else { target };
    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" {word} {} {}", extent.seconds, extent.seed);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(&program).env("KRCU_CORPUS", &corpus);
    if extent.write && example != UNGUIDED {
        begin_again(&corpus)?;
        command.env("KRCU_KEEP", &corpus);
    }
    let ended = command.status().with_context(|| format!("starting {}", program.display()))?;
    Ok(ended.success())
}

/// Makes the folder of a corpus. What it has stays, since the driver begins with it; files that the driver writes again
/// replace those of the same name.
fn begin_again(corpus: &Path) -> Result<()> {
    fs::create_dir_all(corpus).with_context(|| format!("making {}", corpus.display()))
}
