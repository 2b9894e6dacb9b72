//! `cargo xtask reliability`: runs the injections of faults, and writes `docs/reliability.md` from what they print.
//!
//! A test prints `figure: FAULT | MOMENTS | WHAT WAS SAID | MISREAD`. A scenario on a kernel leaves its lines: verdicts, steps,
//! losses. A fault for which neither is there is in the page as not measured.

use std::collections::BTreeMap;
use std::fs;
use std::process::{ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::check::choice::Choice;
use crate::check::kernel_tests::{self, Judged};
use crate::check::scenarios::Scenario;
use crate::check::tally::Tally;
use crate::check::{listed, schedule};
use crate::host;
use crate::progress::say;
use crate::toolchain::build;

/// What a line of a figure begins with.
const FIGURE: &str = "figure: ";

/// Tests that inject faults: the arguments of `cargo test`.
const TESTS: [&[&str]; 2] =
    [&["-p", "krcu-trace", "--test", "trace", "power"], &["-p", "krcu-agent", "--test", "killed"]];

/// Faults of a machine, and the scenarios that inject them.
const SCENARIOS: [(&str, &str); 7] = [
    ("a disk that is full under the agent", "agent_disk_full"),
    ("200 hostile clients", "agent_clients"),
    ("slow log", "agent_log_stalls"),
    ("full ring", "ring_full"),
    ("clock steps", "agent_clock_steps"),
    ("CPU hotplug", "cpu_goes_offline"),
    ("suspend", "host_sleeps"),
];

/// The faults that the page is about, by the beginning of their figures; and why there is none yet.
const FAULTS: [(&str, &str); 13] = [
    ("power cut at every call", ""),
    ("ENOSPC from every call on", ""),
    ("EIO at every call", ""),
    ("kill -9 of the recorder's writer", ""),
    (
        "kill -9 of `krcu record` on a real kernel",
        "`cargo xtask test` kills fifteen on 6.12; it prints no figure",
    ),
    ("slow disk", "a test with a disk that hangs holds the writer up at no call; it prints no figure"),
    ("a disk that is full under the agent", ""),
    ("200 hostile clients", ""),
    ("slow log", ""),
    ("full ring", ""),
    ("clock steps", ""),
    ("CPU hotplug", ""),
    ("suspend", ""),
];

const HEAD: &str = "\
# Reliability

`cargo xtask reliability` injects the faults below and writes this page. Nothing here is written by hand.

The disk of the power cut is a harsh one. Of what was not synced, any part may be there and any other part not: a write
without the writes before it, a size without its bytes, a half of a write cut at a block of 512 bytes, a name without its
file. After each cut a reader opens what is left. *Misread* counts rows that were never written, rows that were safe and
are gone, and traces that a reader takes for complete and that are not. Any of these would fail the test.

Faults with a kernel's series are scenarios of `cargo xtask test`, each run once in a virtual machine. What was said is what
the run left: verdicts, what the agent counted, and losses. There *misread* counts the differences from what the scenario
expects; any would fail it.

| fault | moments | what was said | misread |
| --- | --- | --- | --- |
";

/// Runs the tests and writes the page.
///
/// # Errors
///
/// When a test cannot be started or fails, or the page cannot be written.
pub(crate) fn run(kills: u64) -> Result<ExitCode> {
    let mut figures = Vec::new();
    for arguments in TESTS {
        say(&format!("cargo test {}", arguments.join(" ")));
        let run = build::by_hand()
            .arg("test")
            .args(arguments)
            .args(["--", "--nocapture"])
            .env("KRCU_KILLS", kills.to_string())
            .stderr(Stdio::inherit())
            .output()
            .context("starting cargo")?;
        let text = String::from_utf8_lossy(&run.stdout);
        if !run.status.success() {
            bail!("a fault was not borne:\n{text}");
        }
        // The test runner prints its own words before a figure, in the same line.
        let figure = |line: &str| line.split_once(FIGURE).map(|(_, figure)| figure.to_owned());
        figures.extend(text.lines().filter_map(figure));
    }
    figures.extend(on_kernels()?);
    let path = host::repository().join("docs/reliability.md");
    fs::write(&path, page(&figures)).with_context(|| format!("writing {}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Runs the scenarios that inject faults, on 6.1 and 6.12.
fn on_kernels() -> Result<Vec<String>> {
    build::all("release")?;
    let names = SCENARIOS.map(|(_, name)| name.to_owned()).to_vec();
    let choice = Choice { series: vec!["6.1".to_owned(), "6.12".to_owned()], names, ..Choice::default() };
    let all: Vec<&'static Scenario> = listed::scenarios().collect();
    let (tally, judged) = (Tally::default(), Mutex::default());
    schedule::run(kernel_tests::parts(&all, &choice, &tally, &judged), false);
    let judged: Vec<Judged> = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    if judged.iter().any(|one| !one.found.is_empty()) {
        bail!("a fault was not borne, see above");
    }
    let mut figures = Vec::new();
    for (fault, name) in SCENARIOS {
        for one in judged.iter().filter(|one| one.case.scenario.name == name) {
            let path = kernel_tests::folder(one.case.series).join(format!("{name}.json"));
            let lines = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            figures.push(format!("{fault}, {} | {name} | {} | 0", one.case.series, said(&lines)));
        }
    }
    Ok(figures)
}

/// What the lines of a run say, in words: verdicts by their number, steps with their numbers, losses.
fn said(lines: &str) -> String {
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let text = |line: &Value, key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    let mut words = Vec::new();
    for line in &lines {
        match text(line, "kind").as_str() {
            "verdict" => *verdicts.entry(text(line, "verdict")).or_default() += 1,
            "step" => {
                let numbers = line.as_object().into_iter().flatten().filter(|(_, value)| value.is_number());
                // In the order of the names; that of the object depends on what else is built with it.
                let numbers: BTreeMap<&String, &Value> = numbers.collect();
                let numbers: Vec<String> =
                    numbers.iter().map(|(key, value)| format!("{key} {value}")).collect();
                words.push(format!("{}: {}", text(line, "cache"), numbers.join(", ")));
            }
            "summary" => {
                let lost = line.pointer("/lost/ring_full").and_then(Value::as_u64).unwrap_or_default();
                words.push(format!("{lost} events lost and said so"));
            }
            _ => {}
        }
    }
    let verdicts = verdicts.into_iter().map(|(word, number)| format!("{number} × {word}"));
    verdicts.chain(words).collect::<Vec<_>>().join("; ")
}

/// The page with these figures.
fn page(figures: &[String]) -> String {
    let mut text = HEAD.to_owned();
    for (fault, why) in FAULTS {
        let measured: Vec<&String> = figures.iter().filter(|figure| figure.starts_with(fault)).collect();
        for figure in &measured {
            text += &format!("| {figure} |\n");
        }
        if measured.is_empty() {
            let why = if why.is_empty() { "not measured" } else { &format!("not measured: {why}") };
            text += &format!("| {fault} | - | {why} | - |\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_run_are_said_in_words() {
        let lines = r#"{"kind":"verdict","verdict":"clean"}
            {"kind":"verdict","verdict":"clean"}
            {"kind":"step","cache":"crowd","served":100,"refused":0}
            {"kind":"summary","lost":{"ring_full":3}}"#;
        assert_eq!(said(lines), "2 × clean; crowd: refused 0, served 100; 3 events lost and said so");
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let page = page(&["EIO at every call | 9 calls | told | 0".to_owned()]);
        assert!(page.contains("\n| EIO at every call | 9 calls | told | 0 |\n"), "{page}");
        assert!(page.contains("\n| power cut at every call | - | not measured | - |\n"), "{page}");
        assert!(page.contains("| slow disk | - | not measured: "), "{page}");
        assert_eq!(page.lines().filter(|line| line.starts_with("| ")).count(), FAULTS.len() + 2);
    }
}
