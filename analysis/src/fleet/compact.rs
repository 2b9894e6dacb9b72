//! Compact: the small files of a day become one for each table.
//!
//! `compact.json` in the ledger of the day is the commit: it names the file and the runs that are in it. Then the small files
//! are deleted. A run that is replayed into other facts is taken out of it: the traces of the other runs may be gone by then.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::{Context as _, Result};
use krcu_ship::layout::{Fleet, file_of, number};
use polars::prelude::{LazyFrame, PlRefPath, PolarsResult, ScanArgsParquet, col, lit};
use serde::{Deserialize, Serialize};

use super::{
    committed,
    ledger::{self, Entry, Table},
    tables::NAMES,
};
use crate::export::dataset::write_parquet;

/// The file in the ledger.
const FILE: &str = "compact.json";

/// A compacted day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// The name of the files, without their ending.
    pub file: String,
    /// The runs whose facts are in it, and the checksums of their traces.
    pub runs: BTreeMap<i64, String>,
    /// Its tables.
    pub tables: BTreeMap<String, Table>,
}

/// The compacted part of a day, if it has one.
#[must_use]
pub fn of_day(fleet: &Fleet, day: &str) -> Option<Compacted> {
    serde_json::from_str(&fs::read_to_string(file(fleet, day)).ok()?).ok()
}

fn file(fleet: &Fleet, day: &str) -> PathBuf {
    fleet.ledger_of(day).join(FILE)
}

/// Whether the facts of this row are in the day's files, and these are there as they were written.
pub(super) fn holds(fleet: &Fleet, day: &str, entry: &Entry) -> bool {
    of_day(fleet, day).is_some_and(|compacted| {
        compacted.runs.get(&entry.run) == Some(&entry.checksum)
            && compacted.tables.iter().all(|(table, told)| {
                let found = fs::metadata(path(fleet, day, table, &compacted.file));
                found.is_ok_and(|found| found.len() == told.bytes)
            })
    })
}

fn path(fleet: &Fleet, day: &str, table: &str, file: &str) -> PathBuf {
    fleet.table(table, day).join(format!("{file}.parquet"))
}

/// Whether the day's file has facts of this run.
pub(super) fn knows(fleet: &Fleet, day: &str, run: i64) -> bool {
    of_day(fleet, day).is_some_and(|compacted| compacted.runs.contains_key(&run))
}

/// Takes a run out of the day's files. Files that cannot be read are given up.
///
/// # Errors
/// When a file cannot be written or deleted. The day's file is as it was then.
pub(super) fn without(fleet: &Fleet, day: &str, run: i64) -> Result<()> {
    let Some(before) = of_day(fleet, day) else { return Ok(()) };
    let mut runs = before.runs.clone();
    runs.remove(&run);
    let old = |table: &str| path(fleet, day, table, &before.file);
    let is_whole = before
        .tables
        .iter()
        .all(|(table, told)| fs::metadata(old(table)).is_ok_and(|found| found.len() == told.bytes));
    if runs.is_empty() || !is_whole {
        let path = file(fleet, day);
        return fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()));
    }
    let rest = |table: &str| -> PolarsResult<LazyFrame> {
        let options = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
        let all = LazyFrame::scan_parquet(PlRefPath::try_from_path(&old(table))?, options)?;
        Ok(all.filter(col("run").neq(lit(run))))
    };
    write(fleet, day, runs, rest)?;
    for table in NAMES {
        let path = old(table);
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(())
}

/// Compacts a day, and gives back how many small files went; 0 where there is at most one of each table.
///
/// # Errors
/// When a file cannot be read, written or deleted. The day's facts are whole then, too.
pub fn compact(fleet: &Fleet, day: &str) -> Result<usize> {
    let rows = committed::of_days(fleet, |of| of == day)?;
    let before = of_day(fleet, day);
    let small: Vec<&Entry> = rows.entries.iter().filter(|entry| entry.has_facts()).collect();
    if small.len() <= 1 {
        return Ok(0);
    }
    let runs: BTreeMap<i64, String> = small.iter().map(|entry| (entry.run, entry.checksum.clone())).collect();
    if before.as_ref().is_some_and(|before| before.runs == runs) {
        return Ok(0);
    }
    write(fleet, day, runs, |table| rows.scan(table))?;
    let mut gone = 0;
    for path in rows.files.values().flatten() {
        fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
        gone += 1;
    }
    Ok(gone)
}

/// Writes the files of a day, and then the row that names them.
fn write(
    fleet: &Fleet,
    day: &str,
    runs: BTreeMap<i64, String>,
    facts: impl Fn(&str) -> PolarsResult<LazyFrame>,
) -> Result<()> {
    // Another set of runs has another name, so that who reads the old file goes on reading it.
    let sum = number(&runs.values().map(String::as_str).collect::<Vec<_>>());
    let name = format!("day-{}", file_of(sum));
    let mut compacted = Compacted { file: name.clone(), runs, tables: BTreeMap::new() };
    for table in NAMES {
        let path = path(fleet, day, table, &name);
        let writing = || format!("{} cannot be written", path.display());
        let facts = facts(table).with_context(writing)?;
        let mut rows = 0;
        ledger::write_whole(&path, |partial| {
            rows = write_parquet(&facts, fs::File::create(partial)?).map_err(io::Error::other)?;
            Ok(())
        })
        .with_context(writing)?;
        compacted.tables.insert(table.to_owned(), Table { rows, bytes: fs::metadata(&path)?.len() });
    }
    let text = serde_json::to_string(&compacted).context("a compacted day as JSON")?;
    let path = file(fleet, day);
    ledger::write_whole(&path, |partial| fs::write(partial, &text))
        .with_context(|| format!("{} cannot be written", path.display()))
}
