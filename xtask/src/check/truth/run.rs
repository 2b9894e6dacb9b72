//! `cargo xtask truth`: runs the table, prints it, and compares it with `docs/truth.md`, or writes that file
//! again.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::golden;
use super::scenarios;
use super::table::{Failures, document, terminal};
use crate::cache;
use crate::check::choice::Choice;
use crate::check::kernel_tests::{self, Judged};
use crate::check::kin::{self, KIN};
use crate::check::listed;
use crate::check::scenarios::{SERIES, Scenario};
use crate::check::schedule;
use crate::check::tally::Tally;
use crate::host;
use crate::progress::say;
use crate::toolchain::build::{self, Programs};
use crate::toolchain::setup;

/// What to run, and whether to keep it.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Which kernels and scenarios.
    pub(crate) choice: Choice,
    /// Write `docs/truth.md` and the golden traces.
    pub(crate) write: bool,
}

/// Runs the table by itself. The status says whether every cell is right and the kept table is the same.
///
/// # Errors
///
/// When something cannot be built, read or written.
pub(crate) fn run(extent: &Extent) -> Result<ExitCode> {
    setup::ensure()?;
    build::all("release")?;
    for architecture in kin::architectures(&extent.choice) {
        build::build_for(architecture, "release", Programs::of(architecture))?;
    }
    let tally = Tally::default();
    let judged = Mutex::default();
    // Who asks for a scenario by name gets it.
    let ordinary = !extent.choice.all && extent.choice.names.is_empty();
    if ordinary {
        say(&format!("not run without --all: {} cells of the table", listed::left_to_all()));
    }
    let all: Vec<&'static Scenario> = scenarios().collect();
    let choice = Choice { ordinary, ..extent.choice.clone() };
    schedule::run(kernel_tests::parts(&all, &choice, &tally, &judged), false);
    let judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    show(&judged);
    if extent.write {
        let kept = fs::read_to_string(document_path()).unwrap_or_default();
        let ran: Vec<_> = judged.iter().map(|one| (one.case.scenario.name, one.case.series)).collect();
        let mut wrong = failures_in(&kept);
        wrong.retain(|cell| !ran.contains(cell));
        wrong.extend(failures(&judged));
        cache::write_file(&document_path(), document(&wrong).as_bytes())?;
        say(&format!("wrote {}", document_path().display()));
        golden::write(&judged)?;
    } else if !extent.choice.is_partial() {
        compare(&judged, &tally)?;
    }
    Ok(tally.close())
}

/// Prints the table of what was judged.
pub(crate) fn show(judged: &[Judged]) {
    let ran = |scenario: &Scenario| judged.iter().any(|one| one.case.scenario.name == scenario.name);
    let rows: Vec<&'static Scenario> = scenarios().filter(|scenario| ran(scenario)).collect();
    let known = SERIES.into_iter().chain(KIN.iter().map(|kin| kin.series));
    let series: Vec<&'static str> =
        known.filter(|series| judged.iter().any(|one| one.case.series == *series)).collect();
    if !rows.is_empty() {
        print!("\n{}\n", terminal(&rows, &series, &failures(judged)));
    }
}

/// Compares a whole run with the kept table.
///
/// # Errors
///
/// When there is none.
pub(crate) fn compare(judged: &[Judged], tally: &Tally) -> Result<()> {
    let path = document_path();
    let kept = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut wrong = failures(judged);
    let was_run =
        |cell: &(&str, &str)| judged.iter().any(|one| (one.case.scenario.name, one.case.series) == *cell);
    wrong.extend(failures_in(&kept).into_iter().filter(|cell| !was_run(cell)));
    if kept == document(&wrong) {
        tally.passed("check docs/truth.md");
    } else {
        tally.failed("check docs/truth.md", "it differs from this run: see `cargo xtask truth --write`");
    }
    Ok(())
}

/// Where the table is kept.
pub(super) fn document_path() -> PathBuf {
    host::repository().join("docs").join("truth.md")
}

fn failures(judged: &[Judged]) -> Failures {
    let wrong = judged.iter().filter(|one| !one.found.is_empty());
    wrong.map(|one| (one.case.scenario.name, one.case.series)).collect()
}

/// The cells that a kept table says have failed.
pub(super) fn failures_in(kept: &str) -> Failures {
    let mut found = Failures::new();
    for scenario in scenarios() {
        let start = format!("| [{}](#", scenario.name);
        for line in kept.lines().filter(|line| line.starts_with(&start)) {
            let cells = line.split(" | ").skip(1);
            let wrong = SERIES.into_iter().zip(cells).filter(|(_, cell)| cell.starts_with("FAIL"));
            found.extend(wrong.map(|(series, _)| (scenario.name, series)));
        }
    }
    found
}
