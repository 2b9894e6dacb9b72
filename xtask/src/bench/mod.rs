//! `cargo xtask bench`: figures that the design sets budgets for, each measured now and printed with its unit.
//!
//! Benchmarks, not tests: nothing here passes or fails. Times in an emulated machine say how one build compares with
//! another on the same computer, no more.

pub(crate) mod agent;
pub(crate) mod analyze;
pub(crate) mod fleet;
pub(crate) mod kernel;

use std::fs;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use crate::check::model;
use crate::debian::kernel::Series;
use crate::guest::vm::{Outcome, Run};
use crate::toolchain::build;
use crate::toolchain::setup;

/// The kernel that the agent is measured on.
const KERNEL: &str = "6.12";
/// Ten runs, each of which says how long it took from its start until every probe was attached.
const ATTACH: &str =
    "i=0; while [ $i -lt 10 ]; do krcu check --format json -- true || exit $?; i=$((i + 1)); done";
/// Memory of an attached krcu with nothing to do, with the ring that it has unless told otherwise and with a small one.
const IDLE: &str = "for ring in 16M 1M; do echo ring of $ring:; krcu check --ring-bytes $ring -- \
     sh -c 'grep -E \"^(VmRSS|RssAnon):\" /proc/$PPID/status >&3' >/dev/null; done 3>&1";

/// Prints every figure.
///
/// # Errors
///
/// When something cannot be built, booted or read.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    let programs = build::all("release")?;
    for program in &programs {
        let bytes = fs::metadata(program).with_context(|| format!("reading {}", program.display()))?.len();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        print(&format!("size of {name}, static"), &mebibytes(bytes));
    }
    let object = fs::metadata(build::object_path()).context("reading the eBPF object")?.len();
    print("size of the eBPF object", &mebibytes(object));

    let attach = in_machine(ATTACH)?;
    let spans = attach.stdout.lines().map(attach_ms).collect::<Result<Vec<u64>>>()?;
    let (best, median) = best_and_median(spans)?;
    let machine = format!("{}, {}", attach.release, attach.acceleration.name());
    print("start to attached: best, median of 10", &format!("{best} ms, {median} ms ({machine})"));
    let idle = in_machine(IDLE)?;
    let words: Vec<&str> = idle.stdout.split_whitespace().collect();
    print("memory while attached and idle", &words.join(" "));
    build::cargo(&mut model::example("krcu-report", "step", &[]))?;
    println!();
    build::cargo(&mut model::example("krcu-model", "stalls", &[]))?;
    println!();
    build::cargo(&mut model::example("krcu-reference", "simulate", &[]))
}

/// Prints how long a what-if of so many events takes.
///
/// # Errors
///
/// When the benchmark does not build, or fails.
pub(crate) fn what_if(events: u64) -> Result<()> {
    build::cargo(model::example("krcu-reference", "whatif", &[]).arg(events.to_string()))
}

fn in_machine(command: &str) -> Result<Outcome> {
    let series: Series = KERNEL.parse()?;
    let outcome = Run::new(series, command).run()?;
    if outcome.status != 0 {
        return Err(anyhow!("`{command}` exited with {}\n{}", outcome.status, outcome.stderr));
    }
    Ok(outcome)
}

/// Milliseconds of the `attach_ns` in a summary.
fn attach_ms(line: &str) -> Result<u64> {
    let summary: Value = serde_json::from_str(line).with_context(|| format!("`{line}` is no summary"))?;
    let ns = summary.get("attach_ns").and_then(Value::as_u64);
    Ok(ns.ok_or_else(|| anyhow!("`{line}` has no attach_ns"))? / 1_000_000)
}

fn best_and_median(mut figures: Vec<u64>) -> Result<(u64, u64)> {
    figures.sort_unstable();
    let best = figures.first().ok_or_else(|| anyhow!("nothing was measured"))?;
    let median = figures.get(figures.len() / 2).ok_or_else(|| anyhow!("nothing was measured"))?;
    Ok((*best, *median))
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn print(what: &str, figure: &str) {
    println!("{what:<42} {figure}");
}

#[cfg(test)]
mod tests {
    use super::{attach_ms, best_and_median, mebibytes};

    #[test]
    fn figures_are_read_and_written() {
        assert_eq!(attach_ms(r#"{"kind":"summary","attach_ns":250999999}"#).unwrap(), 250);
        assert!(attach_ms(r#"{"kind":"verdict"}"#).is_err());
        assert_eq!(best_and_median(vec![3, 1, 2]).unwrap(), (1, 2));
        assert_eq!(mebibytes(20 * 1024 * 1024 + 600 * 1024), "20.5 MiB");
    }
}
