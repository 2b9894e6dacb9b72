//! The list of all tests, `xtask/tests.txt`: what a whole run must have run, one a line.
//!
//! A line is `check NAME`, `crate SOURCE NAME` or `kernel SERIES SCENARIO`. `cargo xtask test --list` prints it from the
//! tree as it is; the file is the list that is agreed upon, so that a test that is lost is noticed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::build;
use crate::machine;
use crate::progress::output_of;
use crate::scenarios::{SERIES, Scenario, agent, live, terminal};
use crate::truth;

/// What is neither a test of a crate nor a scenario.
pub(crate) const CHECKS: [&str; 9] = [
    "formatting",
    "formatting of the probes",
    "lints",
    "lints of the checker",
    "lints of the probes",
    "alert rules",
    "package",
    "approaches",
    "docs/truth.md",
];
/// The tests of the model that are behind a feature.
pub(crate) const CHECKER_TESTS: [&str; 7] =
    ["--release", "-p", "krcu-model", "--features", "check", "--test", "check"];
/// Tests on kernels that are no scenarios.
const MACHINES: [(&str, &str); 6] = [
    ("6.1", "trace_formats"),
    ("6.12", "trace_formats"),
    ("6.18", "trace_formats"),
    ("7.x", "trace_formats"),
    ("6.12", "trace_killed"),
    ("6.12", "systemd_unit"),
];

/// Every scenario that a whole run runs.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    agent::SCENARIOS.iter().chain(live::SCENARIOS).chain(terminal::SCENARIOS).chain(truth::scenarios())
}

/// Every line, from the tree as it is.
///
/// # Errors
///
/// When a crate's tests do not compile.
pub(crate) fn all() -> Result<BTreeSet<String>> {
    let mut lines: BTreeSet<String> = CHECKS.iter().map(|name| format!("check {name}")).collect();
    for scenario in scenarios() {
        let expected = scenario.expectations.iter().flat_map(|expectation| expectation.series);
        lines.extend(expected.map(|series| format!("kernel {series} {}", scenario.name)));
    }
    debug_assert!(MACHINES.iter().all(|(series, _)| SERIES.contains(series)));
    lines.extend(MACHINES.iter().map(|(series, name)| format!("kernel {series} {name}")));
    lines.extend(of_crates(&["--workspace"])?);
    lines.extend(of_crates(&CHECKER_TESTS)?);
    Ok(lines)
}

/// The tests of what `cargo test` builds with these arguments, but for those in documentation.
fn of_crates(arguments: &[&str]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (source, program) in programs(arguments)? {
        let text = output_of(Command::new(program).args(["--list", "--format", "terse"]))?;
        let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
        lines.extend(names.map(|name| format!("crate {} {name}", source.display())));
    }
    Ok(lines)
}

/// The programs that hold tests, with the source file of each, from the repository's root.
fn programs(arguments: &[&str]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut command = build::by_hand();
    command
        .args(["test", "--no-run", "--message-format=json"])
        .args(arguments)
        .env("KRCU_EBPF_OBJECT", build::object_path());
    let text = output_of(&mut command)?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).context("reading what cargo says")?;
        let is_test = message["profile"]["test"] == true;
        let (source, program) = (&message["target"]["src_path"], &message["executable"]);
        if let (true, Some(source), Some(program)) = (is_test, source.as_str(), program.as_str()) {
            let source = Path::new(source);
            let source = source.strip_prefix(machine::repository()).unwrap_or(source);
            programs.push((source.to_owned(), PathBuf::from(program)));
        }
    }
    Ok(programs)
}
