//! Committed: the facts that the ledger vouches for. Files that it does not name are of replays that were killed, or that are
//! under way, and no question reads them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use krcu_ship::layout::{Fleet, file_of};
use polars::prelude::*;

use super::{
    compact,
    ledger::{self, Entry, Table},
    tables::NAMES,
};

/// What the ledger vouches for.
#[derive(Debug, Default)]
pub struct Committed {
    /// The rows of the ledger.
    pub entries: Vec<Entry>,
    /// The files of each table, in the order of their names.
    pub files: BTreeMap<&'static str, Vec<PathBuf>>,
}

/// The days of the ledger, the earliest first.
///
/// # Errors
/// When it cannot be read.
pub fn days(fleet: &Fleet) -> Result<Vec<String>> {
    let names = names(&fleet.ledger())?;
    Ok(names.into_iter().filter_map(|name| name.strip_prefix("day=").map(str::to_owned)).collect())
}

/// What the ledger says of the days that are wanted.
///
/// # Errors
/// When it cannot be read, or when a file that it vouches for is not there.
pub fn of_days(fleet: &Fleet, is_wanted: impl Fn(&str) -> bool) -> Result<Committed> {
    let mut committed = Committed::default();
    for day in days(fleet)?.into_iter().filter(|day| is_wanted(day)) {
        let compacted = compact::of_day(fleet, &day);
        let folder = fleet.ledger_of(&day);
        let mut files: Vec<(String, BTreeMap<String, Table>)> = Vec::new();
        for name in names(&folder)? {
            let Some(entry) = ledger::read(&folder.join(&name)) else { continue };
            let in_day = compacted.as_ref().is_some_and(|day| day.runs.contains_key(&entry.run));
            if entry.has_facts() && !in_day {
                files.push((file_of(entry.run), entry.tables.clone()));
            }
            committed.entries.push(entry);
        }
        files.extend(compacted.map(|day| (day.file, day.tables)));
        for table in NAMES {
            let folder = fleet.table(table, &day);
            for (file, tables) in &files {
                let path = folder.join(format!("{file}.parquet"));
                let is_whole = |found: u64| tables.get(table).is_none_or(|told| told.bytes == found);
                if !fs::metadata(&path).is_ok_and(|found| is_whole(found.len())) {
                    bail!(
                        "{} is not there as the ledger says: run `krcu fleet replay` again; if that replays nothing, the traces \
                         are gone: delete the rows of this day that are of no trace, in {}",
                        path.display(),
                        fleet.ledger_of(&day).display()
                    );
                }
                committed.files.entry(table).or_default().push(path);
            }
        }
    }
    Ok(committed)
}

/// The names in a folder, in order; none of a folder that is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| folder.display().to_string()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| folder.display().to_string())?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

impl Committed {
    /// A table of all of it.
    ///
    /// # Errors
    /// When there are no facts, or they cannot be read.
    pub fn scan(&self, table: &str) -> PolarsResult<LazyFrame> {
        let Some(files) = self.files.get(table) else {
            polars_bail!(NoData: "the fleet has no facts of these days: run `krcu fleet replay` first");
        };
        let paths =
            files.iter().map(|file| PlRefPath::try_from_path(file)).collect::<PolarsResult<Vec<_>>>()?;
        let options = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
        LazyFrame::scan_parquet_files(paths.into_iter().collect(), options)
    }
}
