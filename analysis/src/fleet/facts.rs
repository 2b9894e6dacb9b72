//! Facts: one trace of a fleet becomes its tables and its row of the ledger.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use krcu_ship::{
    done::{Done, DoneError},
    layout::{DONE, Fleet, Place, VERSION, attached_utc_ns, file_of},
};

use super::{
    compact,
    ledger::{self, Entry, Outcome, Table},
    tables,
};
use crate::{ask::Needs, export::dataset::write_parquet, load};

pub use super::tables::NAMES;

/// What a replay of a fleet's trace came to.
#[derive(Debug)]
pub enum Replayed {
    /// It was replayed, and has this row now.
    New(Entry),
    /// The ledger had its row.
    Known(Entry),
    /// It is not whole yet.
    NotDone,
}

/// Replays these traces, or those of standard input, and writes a line of JSON for each when its row is in the ledger.
///
/// # Errors
/// With the first that cannot be written; those before it have their rows.
pub fn replay_all(fleet: &Fleet, traces: &[String], again: bool, out: &mut impl Write) -> Result<()> {
    let mut replay_one = |trace: &str| {
        let place = Place::of_folder(trace)
            .with_context(|| format!("{trace:?} is no `day=D/host=H/boot=B/T.krcu` below FLEET/traces"))?;
        let (how, entry) = match replay(fleet, &place, again).with_context(|| trace.to_owned())? {
            Replayed::New(entry) => ("new", Some(entry)),
            Replayed::Known(entry) => ("known", Some(entry)),
            Replayed::NotDone => ("not-done", None),
        };
        let line = serde_json::json!({ "replay": how, "trace": trace, "entry": entry });
        writeln!(out, "{line}").and_then(|()| out.flush()).context("writing what was done")
    };
    if !traces.is_empty() {
        return traces.iter().try_for_each(|trace| replay_one(trace));
    }
    for line in io::stdin().lines() {
        replay_one(line.context("reading the names of the traces")?.trim())?;
    }
    Ok(())
}

/// What is known of a trace before it is replayed.
#[derive(Debug)]
pub enum Look {
    /// It is not whole yet.
    NotDone,
    /// The ledger has its row, and the facts are there.
    Known(Entry),
    /// It is to be replayed.
    Due {
        /// Its files; an error if DONE is none that krcu wrote.
        done: Result<Done, DoneError>,
        /// The checksum of the trace.
        checksum: String,
    },
}

/// Looks whether a trace is to be replayed; `again` replays one that was refused.
///
/// # Errors
/// When the fleet's folder cannot be read.
pub fn look(fleet: &Fleet, place: &Place, again: bool) -> Result<Look> {
    let path = fleet.trace(place).join(DONE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::NotDone),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let done = Done::parse(&text);
    let checksum = done.as_ref().map(Done::checksum).unwrap_or_default();
    Ok(match ledger::read(&ledger::file(fleet, place)) {
        Some(entry)
            if entry.checksum == checksum
                && !(again && entry.outcome == Outcome::Refused)
                && has_facts(fleet, place, &entry) =>
        {
            Look::Known(entry)
        }
        _ => Look::Due { done, checksum },
    })
}

/// Replays a trace, unless the ledger says that this was done.
///
/// A bad trace is a row of the ledger.
///
/// # Errors
/// When the facts cannot be written, or the fleet's folder cannot be read: that says nothing of the trace.
pub fn replay(fleet: &Fleet, place: &Place, again: bool) -> Result<Replayed> {
    let (done, checksum) = match look(fleet, place, again)? {
        Look::NotDone => return Ok(Replayed::NotDone),
        Look::Known(entry) => return Ok(Replayed::Known(entry)),
        Look::Due { done, checksum } => (done, checksum),
    };
    let folder = fleet.trace(place);
    let mut entry = Entry {
        trace: place.folder(),
        run: place.run(),
        checksum,
        facts: VERSION,
        krcu: env!("CARGO_PKG_VERSION").to_owned(),
        outcome: Outcome::Refused,
        why: None,
        bytes: done.as_ref().map_or(0, Done::bytes),
        events: 0,
        tables: BTreeMap::new(),
    };
    match done.and_then(|done| done.check(&folder)) {
        Ok(()) => facts(fleet, place, &folder, &mut entry)?,
        Err(error) if error.is_of_the_place() => return Err(error.into()),
        Err(error) => entry.why = Some(told(&error)),
    }
    // A day's file may have the facts of another state of this trace.
    if compact::knows(fleet, &place.day, entry.run) {
        compact::without(fleet, &place.day, entry.run)?;
    }
    let (file, line) = (ledger::file(fleet, place), entry.line() + "\n");
    ledger::write_whole(&file, |partial| fs::write(partial, &line))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Replayed::New(entry))
}

fn told(error: &DoneError) -> String {
    match error {
        DoneError::File { path, error } => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            format!("{name}: {error}")
        }
        error => error.to_string(),
    }
}

/// Whether the files that the row tells are there, of these sizes; those of a compacted day are in a file of the day.
fn has_facts(fleet: &Fleet, place: &Place, entry: &Entry) -> bool {
    entry.tables.iter().all(|(table, told)| {
        let file = fleet.table(table, &place.day).join(format!("{}.parquet", file_of(entry.run)));
        fs::metadata(file).is_ok_and(|found| found.len() == told.bytes)
    }) || compact::holds(fleet, &place.day, entry)
}

/// Replays, and writes every table.
fn facts(fleet: &Fleet, place: &Place, folder: &Path, entry: &mut Entry) -> Result<()> {
    let loaded = match load::load(folder, Needs::AGES, None) {
        Ok(loaded) => loaded,
        // No room for the temporary tables is no fault of the trace.
        Err(error) if error.downcast_ref::<crate::source::SourceError>().is_none() => return Err(error),
        Err(error) => {
            entry.why = Some(format!("{error:#}").replace(&folder.display().to_string(), &entry.trace));
            return Ok(());
        }
    };
    for name in NAMES {
        let path = fleet.table(name, &place.day).join(format!("{}.parquet", file_of(entry.run)));
        let writing = || format!("{} cannot be written", path.display());
        let attached = loaded.meta.recorded.as_deref().and_then(attached_utc_ns);
        let table = tables::of(&loaded.tables, name, place, attached).with_context(writing)?;
        let mut rows = 0;
        ledger::write_whole(&path, |partial| {
            rows = write_parquet(&table, fs::File::create(partial)?).map_err(io::Error::other)?;
            Ok(())
        })
        .with_context(writing)?;
        entry.tables.insert(name.to_owned(), Table { rows, bytes: fs::metadata(&path)?.len() });
    }
    entry.events = loaded.events;
    let has_end = loaded.meta.recorded.as_ref().is_some_and(|told| told.ended.is_some());
    (entry.outcome, entry.why) = match (&loaded.damage, has_end) {
        (Some(damage), _) => {
            (Outcome::Damaged, Some(damage.replace(&folder.display().to_string(), &entry.trace)))
        }
        (None, false) => (Outcome::NoGoodbye, loaded.meta.ending.clone()),
        (None, true) => (Outcome::Whole, None),
    };
    Ok(())
}
