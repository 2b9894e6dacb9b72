//! `cargo xtask bench analyze`: a generated trace replayed and asked, and DuckDB and pandas asked the same of the same
//! Parquet: events a second, and the most memory that each had.
//!
//! Figures, not tests; but that three programs find the same outstanding at each destroy is required.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cache;
use crate::check::peers;
use crate::host;
use crate::progress::say;
use crate::toolchain::build;
use crate::toolchain::setup;

/// Runs a command and measures it: the standard library tells no child's memory.
pub(super) const MEASURE: &str = include_str!("measure.py");
/// Events of the traces, unless others are asked for.
pub(crate) const EVENTS: [u64; 2] = [5_000_000, 50_000_000];
/// With more events than this the what-if is asked one approach, and not all thirty-five.
const MOST_FOR_ALL: u64 = 5_000_000;

/// A command that was measured.
struct Measured {
    stdout: String,
    seconds: f64,
    processor_seconds: f64,
    kilobytes: u64,
}

/// Prints a table for each number of events.
///
/// # Errors
///
/// When something cannot be built, installed, written or run, and when the programs do not agree.
pub(crate) fn run(events: &[u64]) -> Result<()> {
    setup::ensure()?;
    let programs = build::all("release")?;
    let krcu = programs.iter().find(|path| path.ends_with("krcu")).context("krcu is not built")?;
    let python = peers::installed()?;
    let build =
        |arguments: &[&str]| build::cargo(build::by_hand().args(["build", "--release"]).args(arguments));
    say("building krcu-analyze as people build it: polars takes ten minutes the first time");
    build(&["-p", "analysis", "--bins", "--examples"])?;
    build(&["-p", "krcu-trace", "--example", "generate"])?;
    let events = if events.is_empty() { &EVENTS } else { events };
    for count in events {
        let folder = cache::folder(&format!("bench-analyze-{}", process::id()))?;
        let outcome = Bench { krcu, python: &python, folder: &folder }.run(*count);
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        outcome?;
    }
    Ok(())
}

struct Bench<'a> {
    krcu: &'a Path,
    python: &'a Path,
    folder: &'a Path,
}

impl Bench<'_> {
    fn run(&self, count: u64) -> Result<()> {
        let built = host::target_folder().join("release");
        let examples = built.join("examples");
        let analyze = built.join("krcu-analyze");
        let ours = host::repository().join("examples");
        let path = |name: &str| self.folder.join(name);
        let (trace, dataset, events) = (path("bench.krcu"), path("dataset"), path("events.parquet"));
        let words = |words: &[&str]| -> Vec<PathBuf> { words.iter().map(PathBuf::from).collect() };

        let number = count.to_string();
        let made = self.measure(&examples.join("generate"), &[number.as_ref(), trace.as_path()])?;
        let count = made.stdout.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(count);
        let bytes = size(&trace)?;
        println!(
            "\n{} ({} on disk, {} bytes an event)",
            made.stdout.trim(),
            mebibytes(bytes),
            tenths(bytes, count)
        );
        print_row("written by the generator", count, &made);

        let replay =
            self.measure_status(self.krcu, &with(words(&["replay", "--format", "json"]), &trace), 10)?;
        print_row("krcu replay", count, &replay);
        let null = words(&["--format", "csv", "-o", "/dev/null"]);
        let caches = self.measure(&analyze, &with(words(&["caches", "--format", "json"]), &trace))?;
        print_row("krcu analyze caches", count, &caches);
        let barriers = [words(&["barriers"]), null.clone(), vec![trace.clone()]].concat();
        print_row("krcu analyze barriers", count, &self.measure(&analyze, &barriers)?);
        let mut what_if = words(&["whatif"]);
        let mut name = "krcu analyze whatif, every approach";
        if count > MOST_FOR_ALL * 11 / 10 {
            name = "krcu analyze whatif, upstream (6.12) alone";
            what_if.extend(words(&["--approach", "upstream (6.12)"]));
        }
        what_if.extend(null);
        print_outcome(name, count, &self.measure(&analyze, &with(what_if, &trace)));
        let export = [
            words(&["export"]),
            vec![trace.clone()],
            words(&["--to", "parquet", "-o"]),
            vec![dataset.clone()],
        ];
        print_row("krcu analyze export --to parquet", count, &self.measure(&analyze, &export.concat())?);
        self.measure(self.python, &[ours.join("events_to_parquet.py"), trace, events.clone()])?;

        println!("queued, freed and the quantiles of ages of each cache, from the events");
        let peer = self.measure(self.python, &[ours.join("caches_duckdb.py"), events.clone()]);
        print_outcome("DuckDB", count, &peer);
        if let Ok(peer) = peer {
            let (found, expected) = (sums(&caches.stdout)?, sums(&peer.stdout)?);
            ensure!(found == expected, "krcu analyze: {found:?}, DuckDB: {expected:?}");
            println!(
                "  krcu analyze caches takes {:.2} times as long, and {:.2} times the memory",
                caches.seconds / peer.seconds,
                kibibytes(&caches) / kibibytes(&peer)
            );
        }

        self.outstanding(count, &dataset, &events)
    }

    /// Asks each program what was outstanding at each destroy, measures it, and demands that all answer the same.
    fn outstanding(&self, count: u64, dataset: &Path, events: &Path) -> Result<()> {
        println!("outstanding at each destroy");
        let mut answers = Vec::new();
        let mut ask = |name: &str, program: &Path, arguments: &[&Path]| -> Result<()> {
            let outcome = self.measure(program, arguments);
            print_outcome(name, count, &outcome);
            if let Ok(measured) = outcome {
                answers.push((name.to_owned(), totals(&measured.stdout)?));
            }
            Ok(())
        };
        let at_destroy = host::target_folder().join("release/examples/at_destroy");
        ask("polars, from the tables", &at_destroy, &[dataset])?;
        for (peer, file) in [("DuckDB", "outstanding_duckdb.py"), ("pandas", "outstanding_pandas.py")] {
            let script = host::repository().join("examples").join(file);
            ask(&format!("{peer}, from the tables"), self.python, &[&script, dataset])?;
            ask(&format!("{peer}, from the events"), self.python, &[&script, Path::new("--events"), events])?;
        }
        let Some((_, first)) = answers.first() else { bail!("nobody answered") };
        ensure!(answers.iter().all(|(_, answer)| answer == first), "they do not agree: {answers:?}");
        say(&format!("all of them find {} outstanding at {} destroys", first.1, first.0));
        Ok(())
    }

    fn measure(&self, program: &Path, arguments: &[impl AsRef<Path>]) -> Result<Measured> {
        self.measure_status(program, arguments, 0)
    }

    /// Measures a command, which has to exit with this status.
    fn measure_status(
        &self,
        program: &Path,
        arguments: &[impl AsRef<Path>],
        status: i32,
    ) -> Result<Measured> {
        let mut command = Command::new(self.python);
        command.args(["-c", MEASURE]).arg(program);
        // The tables are spilled where there is room.
        command.args(arguments.iter().map(AsRef::as_ref)).env("TMPDIR", self.folder);
        let output = command.output().with_context(|| format!("starting {}", program.display()))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut lines = stderr.lines().rev();
        let figures: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        ensure!(
            output.status.code() == Some(status),
            "{} ended with {}: {}",
            program.display(),
            output.status,
            lines.find(|line| line.contains("Error")).unwrap_or(stderr.trim())
        );
        let [seconds, processor_seconds, kilobytes] = figures.as_slice() else {
            bail!("nothing was measured: {}", stderr.trim())
        };
        Ok(Measured {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            seconds: seconds.parse().context("the seconds")?,
            processor_seconds: processor_seconds.parse().context("the processors' seconds")?,
            kilobytes: kilobytes.parse().context("the memory")?,
        })
    }
}

fn with(mut words: Vec<PathBuf>, last: &Path) -> Vec<PathBuf> {
    words.push(last.to_owned());
    words
}

/// Sums over the lines of all caches: objects queued, objects freed, and the largest age.
fn sums(lines: &str) -> Result<(u64, u64, u64)> {
    let mut sums = (0, 0, 0);
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).with_context(|| format!("reading {line}"))?;
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        sums = (sums.0 + number("queued"), sums.1 + number("freed"), sums.2.max(number("age_max_ns")));
    }
    Ok(sums)
}

fn kibibytes(measured: &Measured) -> f64 {
    u32::try_from(measured.kilobytes).map_or(f64::MAX, f64::from)
}

/// The number of destroys, and of objects that were outstanding at them.
fn totals(text: &str) -> Result<(u64, u64)> {
    let found: Value = serde_json::from_str(text.trim()).with_context(|| format!("reading {text}"))?;
    let number = |name: &str| found[name].as_u64().with_context(|| format!("{name} of {text}"));
    Ok((number("destroys")?, number("outstanding")?))
}

/// What each of so many has of a total, with one decimal.
fn tenths(total: u64, each: u64) -> String {
    let tenths = total * 10 / each.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
fn print_row(name: &str, events: u64, measured: &Measured) {
    let speed = events as f64 / measured.seconds / 1e6;
    let each_ns = measured.processor_seconds * 1e9 / events as f64;
    println!(
        "  {name:<44} {:>7.1} s {:>7.1} s of processors {each_ns:>7.1} ns an event {speed:>7.2} million events/s {:>7} MiB",
        measured.seconds,
        measured.processor_seconds,
        measured.kilobytes / 1024
    );
}

/// Prints a failure like a figure: a program without enough memory is killed, or refuses.
fn print_outcome(name: &str, events: u64, outcome: &Result<Measured>) {
    match outcome {
        Ok(measured) => print_row(name, events, measured),
        Err(error) => println!("  {name:<44} {error:#}"),
    }
}

fn size(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
