//! `cargo xtask bench fleet`: what a replay of a fleet costs, at once, twice and four times as many host-days, and what a
//! thousand hosts would take.

use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::analyze::MEASURE;
use crate::cache;
use crate::check::fleet::programs::Programs;
use crate::check::peers;
use crate::progress::{output_of, say};
use crate::toolchain::setup;

/// Host-days: hosts, and days.
const SIZES: [(usize, usize); 3] = [(50, 5), (100, 5), (200, 5)];
/// Hosts of a farm, and events of one on one day.
const FARM: (f64, f64) = (1000.0, 50e6);

/// Prints a row for each size.
///
/// # Errors
///
/// When something cannot be built or run.
pub(crate) fn run() -> Result<()> {
    setup::ensure_packages()?;
    say("building the programs as people build them: polars takes ten minutes the first time");
    let programs = Programs::ready("release")?;
    // Any Python does: it measures a command, and needs no package.
    let python = peers::installed()?;
    let folder = cache::folder(&format!("bench-fleet-{}", process::id()))?;
    println!(
        "host-days | events | bytes of traces | bytes of facts | seconds | processor seconds | us a trace | ns an event"
    );
    let mut rows = Vec::new();
    for (hosts, days) in SIZES {
        let fleet = folder.join(format!("{hosts}x{days}"));
        programs.sow(&fleet, hosts, days)?;
        rows.push(measured(&programs, &python, &fleet, hosts * days)?);
    }
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if let (Some(least), Some(most)) = (rows.first(), rows.last()) {
        say_of_a_farm(least, most);
    }
    Ok(())
}

/// A row.
struct Row {
    traces: f64,
    events: f64,
    trace_bytes: f64,
    fact_bytes: f64,
    processor_seconds: f64,
}

fn measured(programs: &Programs, python: &Path, fleet: &Path, traces: usize) -> Result<Row> {
    let replay = programs.fleet(&["replay"]);
    let mut command = Command::new(python);
    command.args(["-c", MEASURE]).arg(replay.get_program()).arg("replay").arg(fleet);
    let output = command.output().context("measuring a replay")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the replay failed: {}", told.trim());
    let figures: Vec<f64> =
        told.lines().last().unwrap_or_default().split(' ').filter_map(|text| text.parse().ok()).collect();
    let [seconds, processor_seconds, _] = figures.as_slice() else { bail!("nothing was measured: {told}") };
    let says = String::from_utf8_lossy(&output.stdout);
    let events = says.split("), ").nth(1).and_then(|part| part.split(' ').next()?.parse().ok());
    let row = Row {
        traces: traces as f64,
        events: events.with_context(|| format!("the events in {says}"))?,
        trace_bytes: bytes(&fleet.join("traces"))?,
        fact_bytes: bytes(&fleet.join("facts"))?,
        processor_seconds: *processor_seconds,
    };
    println!(
        "{traces} | {} | {} | {} | {:.1} | {:.1} | {:.0} | {:.0}",
        row.events,
        row.trace_bytes,
        row.fact_bytes,
        seconds,
        row.processor_seconds,
        row.processor_seconds / row.traces * 1e6,
        row.processor_seconds / row.events * 1e9,
    );
    Ok(row)
}

fn bytes(folder: &Path) -> Result<f64> {
    let text = output_of(Command::new("du").args(["-sb"]).arg(folder))?;
    text.split('\t').next().and_then(|bytes| bytes.parse().ok()).context("the size of a folder")
}

/// What follows for a farm. These traces are small, so what a trace costs is nearly all that they cost: an upper bound of it.
/// What an event costs is what `cargo xtask bench analyze` measures of a large trace.
fn say_of_a_farm(least: &Row, most: &Row) {
    let slope = (most.processor_seconds - least.processor_seconds) / (most.traces - least.traces);
    let (hosts, events) = FARM;
    println!(
        "one more host-day costs {:.1} ms of a processor and {:.0} bytes of facts; {hosts} hosts with one trace an hour cost \
         {:.2} core-hours a day for their traces, besides what their {events:.0} events each cost (`cargo xtask bench analyze`)",
        slope * 1e3,
        most.fact_bytes / most.traces,
        slope * hosts * 24.0 / 3600.0,
    );
}
