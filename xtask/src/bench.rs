//! `cargo xtask bench`: figures that the design sets budgets for, each measured now and printed with its unit.
//!
//! Benchmarks, not tests: nothing here passes or fails. Times in an emulated machine say how one build compares with
//! another on the same computer, no more.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::build;
use crate::kernel::Series;
use crate::machine;
use crate::setup;
use crate::vm::{Outcome, Run};

/// The kernel that the agent is measured on.
const KERNEL: &str = "6.12";
/// Times the start of krcu, its attaching, an empty command and its detaching, ten times.
const ATTACH: &str = "i=0; while [ $i -lt 10 ]; do a=$(cut -d' ' -f1 /proc/uptime); krcu check -- true >/dev/null || exit $?; \
     b=$(cut -d' ' -f1 /proc/uptime); echo \"$a $b\"; i=$((i + 1)); done";
/// Memory of an attached krcu with nothing to do.
const IDLE: &str = "krcu check -- sh -c 'grep -E \"^(VmRSS|RssAnon):\" /proc/$PPID/status >&2' >/dev/null";

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
    let spans = attach.stdout.lines().map(span_ms).collect::<Result<Vec<u64>>>()?;
    let (best, median) = best_and_median(spans)?;
    let machine = format!("{}, {}", attach.release, attach.acceleration.name());
    print("start, attach, detach: best, median of 10", &format!("{best} ms, {median} ms ({machine})"));
    let idle = in_machine(IDLE)?;
    for line in idle.stderr.lines() {
        print("memory while attached", &line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    throughput()
}

/// The model's own benchmark: an example, so that it is built as a user of the crate would build it.
fn throughput() -> Result<()> {
    if !machine::repository().join("krcu-model/examples/throughput.rs").is_file() {
        print("decode, order, step", "not measured: krcu-model has no example `throughput`");
        return Ok(());
    }
    build::cargo(
        Command::new("cargo")
            .args(["run", "--quiet", "--release", "-p", "krcu-model", "--example", "throughput"])
            .current_dir(machine::repository()),
    )
}

fn in_machine(command: &str) -> Result<Outcome> {
    let series: Series = KERNEL.parse()?;
    let outcome = Run::new(series, command).run()?;
    if outcome.status != 0 {
        return Err(anyhow!("`{command}` exited with {}\n{}", outcome.status, outcome.stderr));
    }
    Ok(outcome)
}

/// `1.68 1.93`, seconds since boot, to the milliseconds between.
fn span_ms(line: &str) -> Result<u64> {
    let hundredths = |word: Option<&str>| -> Option<u64> { word?.replace('.', "").parse().ok() };
    let mut words = line.split(' ');
    let (from, to) = (hundredths(words.next()), hundredths(words.next()));
    match (from, to) {
        (Some(from), Some(to)) => Ok((to - from) * 10),
        _ => Err(anyhow!("`{line}` are no two times")),
    }
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
    use super::{best_and_median, mebibytes, span_ms};

    #[test]
    fn figures_are_read_and_written() {
        assert_eq!(span_ms("1.68 1.93").unwrap(), 250);
        assert!(span_ms("1.68").is_err());
        assert_eq!(best_and_median(vec![3, 1, 2]).unwrap(), (1, 2));
        assert_eq!(mebibytes(20 * 1024 * 1024 + 600 * 1024), "20.5 MiB");
    }
}
