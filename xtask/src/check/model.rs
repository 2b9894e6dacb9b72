//! `cargo xtask model`: every approach checked in every order of its steps, and the table that comes of it.
//!
//! The checker is an example of `krcu-reference`, behind a feature: no program that people run has it inside.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::host;
use crate::toolchain::build;

/// Where the table is kept, from the repository's root.
const DOCS: &str = "docs/approaches.md";
/// The crate of the reference implementation.
const REFERENCE: &str = "krcu-reference";
/// Where the counter-examples are kept.
const SCRIPTS: &str = "krcu-reference/tests/counterexamples";
/// Where the record of the walks is kept.
const WALKS: &str = "docs/walks.md";
/// Where the paths that walks found are kept.
const WALKED: &str = "krcu-reference/tests/walks";

/// What to check.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Larger worlds, for hours.
    pub(crate) deep: bool,
    /// Only rows with this in their name.
    pub(crate) only: Option<String>,
    /// Write the table and the counter-examples.
    pub(crate) write: bool,
    /// Print what is wrong, and nothing else.
    pub(crate) brief: bool,
}

/// Checks, prints the table, and compares it with the kept one. The status says whether all is as it should be.
///
/// # Errors
///
/// When the checker does not build or cannot be started.
pub(crate) fn run(extent: &Extent) -> Result<ExitCode> {
    let status = checker(extent).status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The command that checks.
pub(crate) fn checker(extent: &Extent) -> Command {
    let mut command = example(REFERENCE, "check", &["--features", "check"]);
    if extent.deep {
        command.arg("--deep");
    }
    if extent.brief {
        command.arg("--brief");
    }
    match &extent.only {
        Some(name) => {
            command.args(["--only", name]);
        }
        // What is kept is of all rows.
        None if !extent.deep => {
            let repository = host::repository();
            command.arg("--docs").arg(repository.join(DOCS)).arg("--scripts").arg(repository.join(SCRIPTS));
            if extent.write {
                command.arg("--write");
            }
        }
        None => {}
    }
    command
}

/// Random walks of the kernels' generations.
#[derive(Debug)]
pub(crate) struct Walk {
    /// What determines the walks.
    pub(crate) seed: Option<u64>,
    /// How many steps each walk takes.
    pub(crate) steps: Option<u64>,
    /// Known faults that stay on.
    pub(crate) on: Vec<String>,
    /// Only kernels with this in their name.
    pub(crate) only: Option<String>,
    /// Write the record and the paths.
    pub(crate) write: bool,
}

/// Walks, prints what is found, and compares it with the kept record if it is of the same walks.
///
/// # Errors
///
/// When the walk does not build or cannot be started.
pub(crate) fn walk(walk: &Walk) -> Result<ExitCode> {
    let mut command = example(REFERENCE, "walk", &["--features", "check"]);
    let options = [("--seed", walk.seed), ("--steps", walk.steps)];
    for (option, value) in options.into_iter().filter_map(|(option, value)| Some((option, value?))) {
        command.args([option, &value.to_string()]);
    }
    walk.on.iter().for_each(|name| {
        command.args(["--on", name]);
    });
    if let Some(name) = &walk.only {
        command.args(["--only", name]);
    }
    let is_kept = walk.seed.is_none() && walk.steps.is_none() && walk.on.is_empty() && walk.only.is_none();
    if is_kept {
        let repository = host::repository();
        command.arg("--docs").arg(repository.join(WALKS)).arg("--scripts").arg(repository.join(WALKED));
        command.args(walk.write.then_some("--write"));
    }
    let status = command.status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replays a script: a counter-example, a bug report, what `krcu check --events` wrote.
///
/// # Errors
///
/// When the replay does not build or cannot be started.
pub(crate) fn replay(script: &Path) -> Result<ExitCode> {
    let script = env::current_dir().map_or_else(|_| PathBuf::from(script), |here| here.join(script));
    let status = example("krcu-report", "replay", &[]).arg(script).status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An example of a crate, built as a user of the crate would build it. The caller adds its arguments.
pub(crate) fn example(of: &str, name: &str, options: &[&str]) -> Command {
    let mut command = build::in_the_background("cargo");
    command
        .args(["run", "--quiet", "--release", "-p", of, "--example", name])
        .args(options)
        .arg("--")
        .current_dir(host::repository());
    command
}
