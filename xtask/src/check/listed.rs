//! The list of all tests, `xtask/tests.txt`: what a whole run must have run, one a line.
//!
//! A line is `check NAME`, `crate SOURCE NAME` or `kernel SERIES SCENARIO`. `cargo xtask test --list` prints it from the
//! tree as it is; the file is the list that is agreed upon, so that a test that is lost is noticed.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};

use crate::check::crate_tests;
use crate::check::scenarios::agent;
use crate::check::scenarios::live;
use crate::check::scenarios::surroundings;
use crate::check::scenarios::terminal;
use crate::check::scenarios::{SERIES, Scenario};
use crate::check::truth;
use crate::host;

/// Checks: what is neither a test of a crate nor a scenario.
pub(crate) const CHECKS: [&str; 16] = [
    "tidy",
    "supply chain",
    "packages of the libraries",
    "documentation of the libraries",
    "formatting",
    "formatting of the probes",
    "lints",
    "lints of the checker",
    "lints of the probes",
    "alert rules",
    "recipes",
    "package",
    "fleet",
    "approaches",
    "docs/truth.md",
    "the list of tests",
];
/// The checks of a quick run.
pub(crate) const QUICK_CHECKS: [&str; 7] = [
    "tidy",
    "packages of the libraries",
    "formatting",
    "formatting of the probes",
    "lints",
    "lints of the checker",
    "lints of the probes",
];
/// Of these, those that look at the sources and need nothing that is built.
pub(crate) const LOOKS: [&str; 4] =
    ["tidy", "packages of the libraries", "formatting", "formatting of the probes"];
/// Those that build what they need themselves.
pub(crate) const BUILD_THEMSELVES: [&str; 1] = ["fleet"];
/// The check that every test of the list was run, and no other.
pub(crate) const THE_LIST: &str = "check the list of tests";
/// The tests of the model that are behind a feature.
pub(crate) const CHECKER_TESTS: [&str; 7] =
    ["--release", "-p", "krcu-reference", "--features", "check", "--test", "check"];
/// How their lines begin.
pub(crate) const CHECKER_SOURCE: &str = "crate krcu-reference/tests/check.rs ";
/// Tests on kernels that are no scenarios.
const MACHINES: [(&str, &str); 6] = [
    ("6.1", "trace_formats"),
    ("6.12", "trace_formats"),
    ("6.18", "trace_formats"),
    ("7.x", "trace_formats"),
    ("6.12", "trace_killed"),
    ("6.12", "systemd_unit"),
];

/// Those that run on one more kernel when it is asked for.
const ON_REQUEST: [(&str, &str); 1] = [("6.1", "systemd_unit")];

/// On which kernels the test of this name can run; none when it is no test on a kernel.
pub(crate) fn series_of(name: &str) -> Vec<&'static str> {
    let of_scenario = scenarios().find(|scenario| scenario.name == name);
    let scenario = SERIES.into_iter().filter(|series| of_scenario.is_some_and(|one| one.is_on(series)));
    let others =
        MACHINES.into_iter().chain(ON_REQUEST).filter(|(_, of)| *of == name).map(|(series, _)| series);
    scenario.chain(others).collect()
}

/// The cells of the truth table, each a kernel and a scenario, that a whole run leaves to `cargo xtask truth --all`.
pub(crate) fn left_to_all() -> usize {
    truth::scenarios().flat_map(|scenario| series_by(scenario, false)).count()
}

/// The runs of krcu's surroundings that a whole run leaves to `cargo xtask test --surroundings`.
pub(crate) fn left_to_surroundings() -> usize {
    surroundings::SCENARIOS.iter().flat_map(|scenario| series_by(scenario, false)).count()
}

/// The kernels on which an ordinary run plays a scenario, or those that it leaves out.
fn series_by(scenario: &'static Scenario, ordinary: bool) -> impl Iterator<Item = &'static str> {
    SERIES
        .into_iter()
        .filter(move |series| scenario.is_on(series) && truth::is_ordinary(scenario, series) == ordinary)
}

/// Every scenario on Debian's kernels; a whole run plays those of the table on the kernels that [`truth::is_ordinary`] names.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    let own = agent::SCENARIOS.iter().chain(live::SCENARIOS).chain(surroundings::SCENARIOS);
    own.chain(terminal::SCENARIOS).chain(truth::scenarios())
}

/// The list that is agreed upon.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn kept() -> Result<String> {
    let path = host::repository().join("xtask/tests.txt");
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Every line, from the tree as it is.
///
/// # Errors
///
/// When a crate's tests do not compile.
pub(crate) fn all() -> Result<BTreeSet<String>> {
    let mut lines: BTreeSet<String> = CHECKS.iter().map(|name| format!("check {name}")).collect();
    for scenario in scenarios() {
        lines.extend(series_by(scenario, true).map(|series| format!("kernel {series} {}", scenario.name)));
    }
    debug_assert!(MACHINES.iter().all(|(series, _)| SERIES.contains(series)));
    lines.extend(MACHINES.iter().map(|(series, name)| format!("kernel {series} {name}")));
    for arguments in [&["--workspace"][..], &CHECKER_TESTS] {
        let names = crate_tests::names(arguments)?;
        lines.extend(names.iter().map(|(source, name)| format!("crate {} {name}", source.display())));
    }
    lines.extend(crate_tests::documentation_names()?.iter().map(|line| format!("crate {line}")));
    Ok(lines)
}
