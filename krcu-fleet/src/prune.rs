//! Prune: what is older than is kept. Nothing is deleted before it has been said, and nothing without being asked.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use krcu_analysis::{
    fleet::{committed, facts::NAMES, ledger::Outcome},
    tables::collect,
};
use krcu_ship::layout::{DONE, Fleet};
use polars::prelude::*;
use walkdir::WalkDir;

use crate::{replay::plan::places, time};

/// How long things are kept, by their day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// A trace whose facts have no fault.
    pub traces: Duration,
    /// A trace with a fault, one that is damaged or was refused, and one that has not been replayed.
    pub flagged: Duration,
    /// Facts and ledger of a day. They are kept as long as a trace of that day.
    pub facts: Duration,
}

/// What is older.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Old {
    /// Folders of traces, and their bytes.
    pub traces: Vec<(PathBuf, u64)>,
    /// Days whose facts and ledger are older.
    pub days: Vec<String>,
}

/// Says what is older than is kept, and deletes it if that is asked for.
///
/// # Errors
/// When the fleet cannot be read, or something cannot be deleted.
pub fn run(fleet: &Fleet, kept: &Kept, delete: bool) -> Result<()> {
    let old = old(fleet, kept)?;
    for (folder, bytes) in &old.traces {
        println!("{} {bytes} bytes", folder.display());
    }
    for day in &old.days {
        println!("facts and ledger of {day}");
    }
    let bytes: u64 = old.traces.iter().map(|(_, bytes)| bytes).sum();
    let sum =
        format!("{} traces of {bytes} bytes, and the facts of {} days", old.traces.len(), old.days.len());
    if !delete {
        println!("{sum} are older than is kept: --delete deletes them");
        return Ok(());
    }
    for (folder, _) in &old.traces {
        delete_trace(folder)?;
    }
    for day in &old.days {
        // The ledger first: facts without it do not count.
        remove(&fleet.ledger_of(day))?;
        NAMES.iter().try_for_each(|table| remove(&fleet.table(table, day)))?;
    }
    println!("{sum} are deleted");
    Ok(())
}

/// What is older than is kept.
///
/// # Errors
/// When the fleet cannot be read.
pub fn old(fleet: &Fleet, kept: &Kept) -> Result<Old> {
    let (traces, flagged) = (time::day_before(kept.traces), time::day_before(kept.flagged));
    let harmless = harmless(fleet)?;
    let mut old = Old::default();
    let mut days: BTreeSet<String> = BTreeSet::new();
    for (folder, place) in places(fleet)? {
        let Some(place) = place else { continue };
        let first_kept = if harmless.contains(&place.run()) { &traces } else { &flagged };
        if place.day < *first_kept {
            let path = fleet.traces().join(folder);
            let bytes = size(&path)?;
            old.traces.push((path, bytes));
        } else {
            days.insert(place.day);
        }
    }
    let facts = time::day_before(kept.facts);
    old.days = committed::days(fleet)?;
    old.days.retain(|day| *day < facts && !days.contains(day));
    Ok(old)
}

/// The runs that are whole, or at least undamaged, and without a fault.
fn harmless(fleet: &Fleet) -> Result<BTreeSet<i64>> {
    let committed = committed::of_days(fleet, |_| true)?;
    let undamaged = |outcome| matches!(outcome, Outcome::Whole | Outcome::NoGoodbye);
    let mut runs: BTreeSet<i64> =
        committed.entries.iter().filter(|entry| undamaged(entry.outcome)).map(|entry| entry.run).collect();
    if committed.files.is_empty() {
        return Ok(runs);
    }
    let flagged = committed.scan("verdicts")?.filter(col("flagged").eq(lit(1i64))).select([col("run")]);
    let flagged = collect(flagged)?;
    for run in flagged.column("run")?.i64()?.iter().flatten() {
        runs.remove(&run);
    }
    Ok(runs)
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in WalkDir::new(folder) {
        let entry = entry.with_context(|| folder.display().to_string())?;
        if entry.file_type().is_file() {
            bytes += entry.metadata().with_context(|| folder.display().to_string())?.len();
        }
    }
    Ok(bytes)
}

/// Deletes a trace, DONE first: what is left if this is killed is not whole, and nobody replays it.
fn delete_trace(folder: &Path) -> Result<()> {
    match fs::remove_file(folder.join(DONE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| folder.join(DONE).display().to_string());
        }
        _ => {}
    }
    remove(folder)?;
    // The folders of a boot, a host and a day go with their last trace.
    let mut above = folder.parent();
    for _ in 0..3 {
        let Some(parent) = above else { break };
        if fs::remove_dir(parent).is_err() {
            break;
        }
        above = parent.parent();
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be deleted", folder.display()))
        }
        _ => Ok(()),
    }
}
