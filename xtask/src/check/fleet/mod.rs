//! `cargo xtask test --fleet`: a fleet of synthetic host-days with sown faults, replayed and asked by polars, Spark and DuckDB,
//! while workers, drivers and disks fail. `cargo xtask fleet demo` shows the same on fewer.

pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod programs;
pub(crate) mod short;
mod sown;
mod store;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::check::fleet::cluster::{Cluster, Spark};
use crate::check::fleet::programs::{Digests, Programs, environment};
use crate::check::tally::Tally;
use crate::host;
use crate::progress::{output_of, say};
use crate::toolchain::setup;

/// The size of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Hosts.
    pub(crate) hosts: usize,
    /// Days, on each of which a host leaves one trace.
    pub(crate) days: usize,
}

/// The least fleet that has the hosts that the test cuts, adds to and keeps back.
const LEAST: Extent = Extent { hosts: 20, days: 3 };

impl Extent {
    fn traces(self) -> usize {
        self.hosts * self.days
    }
}

impl FromStr for Extent {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = text
            .split_once('x')
            .and_then(|(hosts, days)| Some(Extent { hosts: hosts.parse().ok()?, days: days.parse().ok()? }));
        let extent = read.with_context(|| format!("`{text}` is no HOSTSxDAYS, such as 100x10"))?;
        ensure!(
            extent.hosts >= LEAST.hosts && extent.days >= LEAST.days,
            "a fleet of the test has at least {} hosts and {} days",
            LEAST.hosts,
            LEAST.days
        );
        Ok(extent)
    }
}

/// The file of a short trace's events.
const EVENTS: &str = "events-00000.arrows";

/// What a scenario works with.
pub(crate) struct Bench<'a> {
    programs: &'a Programs,
    spark: &'a Spark,
    folder: &'a Path,
    extent: Extent,
    /// The fleet as it was sown, with two traces that are cut.
    sown: PathBuf,
    /// These two, below the fleet's traces.
    cut: [(PathBuf, Cut); 2],
    /// The digests of the fleet that was replayed on this machine, undisturbed.
    digests: Digests,
}

/// A scenario: its name, and what it does.
type Scenario = (&'static str, fn(&Bench<'_>) -> Result<()>);

/// All scenarios.
const SCENARIOS: [Scenario; 11] = [
    ("every sown fault is found once", sown_faults),
    ("bad traces are rows of the ledger", bad_traces),
    ("a second run replays nothing, and one added trace one", trouble::again),
    ("DuckDB says the same", duckdb),
    ("a day that is compacted says the same", trouble::compacted),
    ("a full disk loses nothing", trouble::full_disk),
    ("an object store gets each trace once", store::shipped),
    ("a worker is killed while it replays, and a trace appears", trouble::worker_killed),
    ("the driver is killed while it replays", trouble::driver_killed),
    ("the disk of a worker is full", trouble::full_disk_of_a_worker),
    ("Spark says the same, and after a worker is killed between map and reduce", trouble::asked_while_killed),
];

/// Runs them.
///
/// # Errors
///
/// When the set-up or the build fails.
pub(crate) fn run(extent: Extent) -> Result<ExitCode> {
    setup::ensure_packages()?;
    let spark = environment()?;
    let programs = Programs::ready("dev")?;
    let folder = host::target_folder().join("fleet-test");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let sown = folder.join("sown");
    say(&programs.sow(&sown, extent)?);
    let cut = cut_two(&sown)?;
    let replayed = copy(&sown, &folder.join("replayed"))?;
    say(&programs.replay(&replayed, None)?);
    let digests = programs.digests(&replayed, None)?;
    let bench = Bench { programs: &programs, spark: &spark, folder: &folder, extent, sown, cut, digests };
    let tally = Tally::default();
    for (name, scenario) in SCENARIOS {
        say(name);
        tally.add(&format!("fleet {name}"), scenario(&bench));
    }
    Ok(tally.close())
}

impl Bench<'_> {
    /// A fleet with the same traces, of which none has been replayed.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        copy(&self.sown, &self.folder.join(name))
    }

    /// The fleet that was replayed undisturbed.
    fn replayed(&self) -> PathBuf {
        self.folder.join("replayed")
    }

    fn cluster(&self, name: &str) -> Result<Cluster> {
        Cluster::start(self.spark, &self.folder.join(name), 2)
    }

    /// That a fleet says what the undisturbed one says, and has as many rows in its ledger.
    fn same(&self, fleet: &Path) -> Result<()> {
        let digests = self.programs.digests(fleet, None)?;
        ensure!(digests == self.digests, "{digests:?}\n  undisturbed: {:?}", self.digests);
        let (rows, expected) = (ledger(fleet)?.len(), ledger(&self.replayed())?.len());
        ensure!(rows == expected, "{rows} rows in the ledger, and {expected} undisturbed");
        Ok(())
    }
}

/// A copy of a fleet's traces, by links.
fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    drop(fs::remove_dir_all(to));
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    output_of(Command::new("cp").arg("-al").arg(from.join("traces")).arg(to))?;
    Ok(to.to_owned())
}

/// The rows of the ledger, by their trace.
fn ledger(fleet: &Path) -> Result<BTreeMap<String, Value>> {
    let files = output_of(Command::new("find").arg(fleet.join("ledger")).args([
        "-name",
        "[0-9a-f]*.json",
        "-not",
        "-name",
        "compact.json",
    ]))?;
    let row = |file: &str| {
        let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
        let row: Value = serde_json::from_str(&text).with_context(|| file.to_owned())?;
        Ok((row["trace"].as_str().unwrap_or_default().to_owned(), row))
    };
    files.lines().map(row).collect()
}

/// The traces of a fleet, in order: their folders, from the root of the file system.
fn traces(fleet: &Path) -> Result<Vec<PathBuf>> {
    let traces = output_of(Command::new("find").arg(fleet.join("traces")).args(["-name", "*.krcu"]))?;
    let mut traces: Vec<PathBuf> = traces.lines().map(PathBuf::from).collect();
    traces.sort_unstable();
    Ok(traces)
}

/// How a trace is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// A file lost its end after DONE was written: DONE tells more bytes.
    Copy,
    /// The recording itself lost the end of its events before it was shipped.
    Recording,
}

/// Cuts the ends off two traces. Their hosts have no fault, by the rule of the generator, and no scenario takes them. The
/// recording is the longest of such, so that it has several batches and a cut leaves some.
fn cut_two(fleet: &Path) -> Result<[(PathBuf, Cut); 2]> {
    let mut longest = (0, PathBuf::new());
    for host in ["farm-0014", "farm-0017", "farm-0018", "farm-0019"] {
        let trace = trace_of(fleet, host)?;
        let bytes = fs::metadata(trace.join(EVENTS)).with_context(|| trace.display().to_string())?.len();
        longest = longest.max((bytes, trace));
    }
    let cut = [(trace_of(fleet, "farm-0013")?, Cut::Copy), (longest.1, Cut::Recording)];
    for (trace, cut) in &cut {
        let events = trace.join(EVENTS);
        let bytes = fs::read(&events).with_context(|| events.display().to_string())?;
        let most = bytes.get(..bytes.len() * 3 / 4).unwrap_or_default();
        fs::write(&events, most).with_context(|| events.display().to_string())?;
        if *cut == Cut::Recording {
            done_again(trace)?;
        }
    }
    let below = |trace: PathBuf| trace.strip_prefix(fleet.join("traces")).map(Path::to_owned);
    let [(copy, of_copy), (recording, of_recording)] = cut;
    let outside = "a trace is in its fleet";
    Ok([(below(copy).context(outside)?, of_copy), (below(recording).context(outside)?, of_recording)])
}

/// The first trace of a host.
fn trace_of(fleet: &Path, host: &str) -> Result<PathBuf> {
    let part = format!("/host={host}/");
    let found = traces(fleet)?.into_iter().find(|trace| trace.to_string_lossy().contains(&part));
    found.with_context(|| format!("{host} has no trace"))
}

/// Writes DONE again, for what the files are now.
fn done_again(trace: &Path) -> Result<()> {
    let path = trace.join("DONE");
    let text = fs::read_to_string(&path).context("reading DONE")?;
    let mut done: Value = serde_json::from_str(&text).context("reading DONE")?;
    for part in done["files"].as_array_mut().context("DONE has files")? {
        let file = trace.join(part["name"].as_str().context("a file has a name")?);
        let sum = output_of(Command::new("sha256sum").arg(&file))?;
        part["sha256"] = sum.split(' ').next().context("a sum")?.into();
        part["bytes"] = fs::metadata(&file).context("a file of the trace")?.len().into();
    }
    fs::write(&path, format!("{done}\n")).context("writing DONE")
}

fn sown_faults(bench: &Bench<'_>) -> Result<()> {
    sown::is_found(bench.programs, &bench.sown, &bench.replayed())
}

fn bad_traces(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.replayed();
    let ledger = ledger(&fleet)?;
    let all = bench.extent.traces();
    ensure!(ledger.len() == all, "{} rows for {all} traces", ledger.len());
    for (name, cut) in &bench.cut {
        let row = ledger.get(&*name.to_string_lossy()).context("a row for a cut trace")?;
        let expected = if *cut == Cut::Copy { "refused" } else { "damaged" };
        ensure!(row["outcome"] == expected, "{cut:?}: {row}");
        ensure!(row["why"].as_str().is_some_and(|why| why.contains(EVENTS)), "{row}");
    }
    let whole = ledger.values().filter(|row| row["outcome"] == "whole").count();
    ensure!(whole == all - bench.cut.len(), "{whole} are whole");
    Ok(())
}

fn duckdb(bench: &Bench<'_>) -> Result<()> {
    let digests = bench.programs.digests_of_duckdb(&bench.replayed(), bench.spark)?;
    ensure!(digests == bench.digests, "DuckDB: {digests:?}\n  polars: {:?}", bench.digests);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Extent;

    #[test]
    fn a_fleet_is_read_as_hosts_and_days() {
        assert_eq!("100x10".parse::<Extent>().unwrap(), Extent { hosts: 100, days: 10 });
        for wrong in ["100", "x", "100x", "19x10", "100x2"] {
            assert!(wrong.parse::<Extent>().is_err(), "{wrong}");
        }
    }
}
