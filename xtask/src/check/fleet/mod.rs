//! `cargo xtask test --fleet`: a fleet of synthetic host-days with sown faults, replayed and asked by polars, Spark and DuckDB,
//! while workers, drivers and disks fail. `cargo xtask fleet demo` shows the same on fewer.

mod cluster;
pub(crate) mod demo;
pub(crate) mod programs;
mod store;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::check::fleet::cluster::{Cluster, Spark};
use crate::check::fleet::programs::{Digests, Programs, environment};
use crate::check::tally::Tally;
use crate::host;
use crate::progress::{output_of, say};
use crate::toolchain::setup;

/// The fleet of the test.
const HOSTS: usize = 100;
const DAYS: usize = 10;

/// What a scenario works with.
pub(crate) struct Bench<'a> {
    programs: &'a Programs,
    spark: &'a Spark,
    folder: &'a Path,
    /// The fleet as it was sown, with two traces that are cut.
    sown: PathBuf,
    /// The digests of the fleet that was replayed on this machine, undisturbed.
    digests: Digests,
}

/// A scenario: its name, and what it does.
type Scenario = (&'static str, fn(&Bench<'_>) -> Result<()>);

/// All scenarios.
const SCENARIOS: [Scenario; 10] = [
    ("every sown fault is found once", sown_faults),
    ("bad traces are rows of the ledger", bad_traces),
    ("a second run replays nothing, and one added trace one", trouble::again),
    ("DuckDB says the same", duckdb),
    ("a day that is compacted says the same", trouble::compacted),
    ("a full disk loses nothing", trouble::full_disk),
    ("an object store gets each trace once", store::shipped),
    ("a worker is killed while it replays, and a trace appears", trouble::worker_killed),
    ("the driver is killed while it replays", trouble::driver_killed),
    ("Spark says the same, and after a worker is killed between map and reduce", trouble::asked_while_killed),
];

/// Runs them.
///
/// # Errors
///
/// When the set-up or the build fails.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure_packages()?;
    let spark = environment()?;
    let programs = Programs::ready("dev")?;
    let folder = host::target_folder().join("fleet-test");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let sown = folder.join("sown");
    say(&programs.sow(&sown, HOSTS, DAYS)?);
    cut_two(&sown)?;
    let replayed = copy(&sown, &folder.join("replayed"))?;
    say(&programs.replay(&replayed, None)?);
    let digests = programs.digests(&replayed, None)?;
    let bench = Bench { programs: &programs, spark: &spark, folder: &folder, sown, digests };
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

/// Hosts whose traces have no fault, by the rule of the generator, and on which the test cuts one trace.
const CUT: [(&str, Cut); 2] = [("farm-0013", Cut::Copy), ("farm-0014", Cut::Recording)];

/// How a trace is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// A file lost its end after DONE was written: DONE tells more bytes.
    Copy,
    /// The recording itself lost the end of its events before it was shipped.
    Recording,
}

fn cut_two(fleet: &Path) -> Result<()> {
    for (host, cut) in CUT {
        let trace = trace_of(fleet, host)?;
        let events = trace.join("events-00000.arrows");
        let bytes = fs::read(&events).with_context(|| events.display().to_string())?;
        let half = bytes.get(..bytes.len() * 3 / 4).unwrap_or_default();
        fs::write(&events, half).with_context(|| events.display().to_string())?;
        if cut == Cut::Recording {
            done_again(&trace)?;
        }
    }
    Ok(())
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

/// The signature that a verdict of a kernel's run has to have.
fn signature(verdict: &Value) -> String {
    let function = |frame: Option<&str>| {
        let function = frame.and_then(|frame| frame.split(['+', ' ']).next()).unwrap_or("-");
        function.split('.').next().unwrap_or("-").to_owned()
    };
    let first = |sites: &str| verdict[sites].get(0).map(|site| site["stack"].clone());
    let stack = first("leak_sites").or_else(|| first("sites")).unwrap_or_default();
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
    format!(
        "{} {}.{} {} {}",
        text(&verdict["verdict"]),
        text(&verdict["module"]),
        text(&verdict["cache"]),
        function(verdict["destroyed_by"]["stack"].get(0).and_then(Value::as_str)),
        function(stack.get(0).and_then(Value::as_str)),
    )
}

/// The signature, how often it is there, and the day on which it was first.
type Found = BTreeMap<String, (u64, String)>;

fn sown_faults(bench: &Bench<'_>) -> Result<()> {
    let text = fs::read_to_string(bench.sown.join("sown.json")).context("reading what was sown")?;
    let sown: Vec<Value> = serde_json::from_str(&text).context("reading what was sown")?;
    let mut expected = Found::new();
    for fault in &sown {
        let count = fault["count"].as_u64().context("a count")?;
        let day = fault["first_day"].as_str().context("a day")?.to_owned();
        let (sum, first) = expected.entry(signature(&fault["verdict"])).or_insert_with(|| (0, day.clone()));
        *sum += count;
        *first = day.min(first.clone());
    }
    let mut found = Found::new();
    for row in bench.programs.rows(&bench.replayed(), "flagged")? {
        let name = row["signature"].as_str().context("a signature")?.to_owned();
        // The example is of the first day.
        let example = row["example"].as_str().context("an example")?;
        let day = example.get(4..14).context("a day")?.to_owned();
        let seconds = row["first_utc_ns"].as_i64().context("a time")? / 1_000_000_000;
        let by_time = output_of(Command::new("date").args(["-u", "+%F", "-d", &format!("@{seconds}")]))?;
        ensure!(
            by_time.trim() == day,
            "{name}: first seen on {}, and its example is of {day}",
            by_time.trim()
        );
        if found.insert(name.clone(), (row["verdicts"].as_u64().context("a count")?, day)).is_some() {
            bail!("{name} is there twice");
        }
    }
    ensure!(expected.len() >= 8, "only {} faults were sown", expected.len());
    ensure!(found == expected, "found {found:#?}\n  sown: {expected:#?}");
    Ok(())
}

fn bad_traces(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.replayed();
    let ledger = ledger(&fleet)?;
    ensure!(ledger.len() == HOSTS * DAYS, "{} rows for {} traces", ledger.len(), HOSTS * DAYS);
    for (host, cut) in CUT {
        let trace = trace_of(&fleet, host)?;
        let name = trace.strip_prefix(fleet.join("traces")).context("a trace is in its fleet")?;
        let row = ledger.get(&*name.to_string_lossy()).context("a row for a cut trace")?;
        let expected = if cut == Cut::Copy { "refused" } else { "damaged" };
        ensure!(row["outcome"] == expected, "{cut:?}: {row}");
        ensure!(row["why"].as_str().is_some_and(|why| why.contains("events-00000.arrows")), "{row}");
    }
    let whole = ledger.values().filter(|row| row["outcome"] == "whole").count();
    ensure!(whole == HOSTS * DAYS - CUT.len(), "{whole} are whole");
    Ok(())
}

fn duckdb(bench: &Bench<'_>) -> Result<()> {
    let digests = bench.programs.digests_of_duckdb(&bench.replayed(), bench.spark)?;
    ensure!(digests == bench.digests, "DuckDB: {digests:?}\n  polars: {:?}", bench.digests);
    Ok(())
}
