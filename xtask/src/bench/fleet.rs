//! `cargo xtask bench fleet`: what a replay of a fleet costs, at once, twice and four times as many traces, and at once, twice
//! and four times as many events; what a task of Spark costs besides; and what a thousand hosts would take.

use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::analyze::MEASURE;
use crate::cache;
use crate::check::fleet::Extent;
use crate::check::fleet::cluster::{Cluster, Spark};
use crate::check::fleet::programs::{Programs, environment, on_cluster};
use crate::progress::{output_of, say};
use crate::toolchain::setup;

/// Small traces: hosts, with a trace on each of five days.
const HOSTS: [usize; 3] = [50, 100, 200];
const DAYS: usize = 5;
/// Large traces: hosts with one each, and its events.
const LARGE: [usize; 3] = [1, 2, 4];
const EVENTS: u64 = 5_000_000;
/// Empty tasks of two jobs on the cluster, and its workers, with one core each.
const TASKS: [usize; 2] = [100, 500];
const WORKERS: usize = 2;
/// Times empty tasks.
const TIMES: &str = include_str!("tasks.py");
/// A farm on one day.
const FARM: Farm = Farm { hosts: 1000.0, traces: 24.0, events: 50e6 };

/// Hosts, and the traces and events of each.
struct Farm {
    hosts: f64,
    traces: f64,
    events: f64,
}

/// Prints a row for each size, and what follows.
///
/// # Errors
///
/// When something cannot be built or run.
pub(crate) fn run() -> Result<()> {
    setup::ensure_packages()?;
    let spark = environment()?;
    say("building the programs as people build them: polars takes ten minutes the first time");
    let programs = Programs::ready("release")?;
    let folder = cache::folder(&format!("bench-fleet-{}", process::id()))?;
    let bench = Bench { programs: &programs, spark: &spark, folder: &folder };
    let measured = bench.run();
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    measured
}

/// A row.
struct Row {
    traces: f64,
    events: f64,
    trace_bytes: f64,
    fact_bytes: f64,
    seconds: f64,
    processor_seconds: f64,
}

struct Bench<'a> {
    programs: &'a Programs,
    spark: &'a Spark,
    folder: &'a Path,
}

impl Bench<'_> {
    fn run(&self) -> Result<()> {
        println!(
            "traces | events | bytes of traces | bytes of facts | seconds | processor seconds | us a trace | ns an event"
        );
        let mut small = Vec::new();
        for hosts in HOSTS {
            let fleet = self.folder.join(format!("small-{hosts}"));
            self.programs.sow(&fleet, Extent { hosts, days: DAYS })?;
            small.push(self.replayed(&fleet, None)?);
        }
        let mut large = Vec::new();
        for hosts in LARGE {
            let fleet = self.folder.join(format!("large-{hosts}"));
            self.programs.generate(&fleet, hosts, EVENTS)?;
            large.push(self.replayed(&fleet, None)?);
            fs::remove_dir_all(&fleet).context("removing a fleet")?;
        }
        let task_seconds = self.on_spark()?;
        let ([least, .., most], [one, .., four]) = (small.as_slice(), large.as_slice()) else {
            bail!("nothing was measured")
        };
        say_of_a_farm(&Costs::of((least, most), (one, four), task_seconds));
        Ok(())
    }

    /// Replays a fleet, measures that, and prints a row.
    fn replayed(&self, fleet: &Path, on: Option<&str>) -> Result<Row> {
        let mut replay = self.programs.fleet(&["replay"]);
        on_cluster(replay.arg(fleet), on.map(|name| (name, self.spark)));
        let mut command = Command::new(&self.spark.python);
        command.args(["-c", MEASURE]).arg(replay.get_program()).args(replay.get_args());
        let output = command.output().context("measuring a replay")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the replay failed: {}", told.trim());
        let figures: Vec<f64> =
            told.lines().last().unwrap_or_default().split(' ').filter_map(|text| text.parse().ok()).collect();
        let &[seconds, processor_seconds, _] = figures.as_slice() else {
            bail!("nothing was measured: {told}")
        };
        let says = String::from_utf8_lossy(&output.stdout);
        let number = |before: &str, after: &str| -> Result<f64> {
            let part = says.split_once(before).and_then(|(_, rest)| rest.split_once(after));
            part.and_then(|(number, _)| number.parse().ok()).with_context(|| format!("a number in {says}"))
        };
        let row = Row {
            traces: number("replayed ", " traces")?,
            events: number("), ", " events")?,
            trace_bytes: bytes(&fleet.join("traces"))?,
            fact_bytes: bytes(&fleet.join("facts"))?,
            seconds,
            processor_seconds,
        };
        println!("{}", row.line());
        Ok(row)
    }

    /// Replays the least fleet once more on a cluster, and answers what an empty task takes of a core there.
    fn on_spark(&self) -> Result<f64> {
        say("starting a master of Spark and two workers on loopback");
        let cluster = Cluster::start(self.spark, &self.folder.join("cluster"), WORKERS)?;
        let [hosts, ..] = HOSTS;
        let fleet = self.folder.join(format!("small-{hosts}"));
        for part in ["facts", "ledger"] {
            fs::remove_dir_all(fleet.join(part)).context("removing facts")?;
        }
        say("the first row once more, on the cluster; the processor seconds are those of the driver alone");
        self.replayed(&fleet, Some(&cluster.name()))?;
        let mut command = Command::new(&self.spark.python);
        command.args(["-c", TIMES]).arg(cluster.name()).args(TASKS.map(|tasks| tasks.to_string()));
        let text = output_of(&mut command)?;
        let seconds: Vec<f64> = text.split_whitespace().filter_map(|text| text.parse().ok()).collect();
        let &[first, last] = seconds.as_slice() else { bail!("no times: {text}") };
        let [few, many] = TASKS;
        let task_seconds = (last - first) / (many - few) as f64 * WORKERS as f64;
        println!(
            "Spark: {few} empty tasks took {first:.2} s and {many} took {last:.2} s on {WORKERS} cores: {:.1} ms of a core each",
            task_seconds * 1e3
        );
        Ok(task_seconds)
    }
}

impl Row {
    fn line(&self) -> String {
        format!(
            "{} | {} | {} | {} | {:.1} | {:.1} | {:.0} | {:.0}",
            self.traces,
            self.events,
            self.trace_bytes,
            self.fact_bytes,
            self.seconds,
            self.processor_seconds,
            self.processor_seconds / self.traces * 1e6,
            self.processor_seconds / self.events * 1e9,
        )
    }
}

fn bytes(folder: &Path) -> Result<f64> {
    let text = output_of(Command::new("du").args(["-sb"]).arg(folder))?;
    text.split('\t').next().and_then(|bytes| bytes.parse().ok()).context("the size of a folder")
}

/// What one more costs.
struct Costs {
    trace_seconds: f64,
    event_seconds: f64,
    task_seconds: f64,
    trace_facts: f64,
    event_bytes: f64,
    event_facts: f64,
}

impl Costs {
    /// Small traces are nearly all cost of traces, large ones nearly all cost of events.
    fn of(small: (&Row, &Row), large: (&Row, &Row), task_seconds: f64) -> Costs {
        let more = |(least, most): (&Row, &Row), of: fn(&Row) -> f64, by: fn(&Row) -> f64| {
            (of(most) - of(least)) / (by(most) - by(least))
        };
        let traces: fn(&Row) -> f64 = |row| row.traces;
        let events: fn(&Row) -> f64 = |row| row.events;
        Costs {
            trace_seconds: more(small, |row| row.processor_seconds, traces),
            event_seconds: more(large, |row| row.processor_seconds, events),
            task_seconds,
            trace_facts: more(small, |row| row.fact_bytes, traces),
            event_bytes: more(large, |row| row.trace_bytes, events),
            event_facts: more(large, |row| row.fact_bytes, events),
        }
    }
}

/// What follows for a farm. What an event of a large trace costs has that trace's own cost in it, so the sum is an upper bound.
/// Each trace is taken as a task of its own.
fn say_of_a_farm(costs: &Costs) {
    let traces = FARM.hosts * FARM.traces;
    let events = FARM.hosts * FARM.events;
    let hours = |seconds: f64| seconds / 3600.0;
    println!(
        "one more trace costs {:.1} ms of a processor and {:.0} bytes of facts; one more event {:.0} ns, {:.2} bytes of traces and \
         {:.4} bytes of facts",
        costs.trace_seconds * 1e3,
        costs.trace_facts,
        costs.event_seconds * 1e9,
        costs.event_bytes,
        costs.event_facts
    );
    println!(
        "{} hosts with {} traces and {:.0} events on a day: {:.1} core-hours for events, {:.1} for traces, at most {:.1} for tasks; \
         {:.0} GB of traces and {:.1} GB of facts",
        FARM.hosts,
        FARM.traces,
        FARM.events,
        hours(events * costs.event_seconds),
        hours(traces * costs.trace_seconds),
        hours(traces * costs.task_seconds),
        events * costs.event_bytes / 1e9,
        (traces * costs.trace_facts + events * costs.event_facts) / 1e9
    );
}
