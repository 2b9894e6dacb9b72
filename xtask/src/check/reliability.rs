//! `cargo xtask reliability`: runs the injections of faults, and writes `docs/reliability.md` from what they print.
//!
//! A test prints `figure: FAULT | MOMENTS | WHAT WAS SAID | MISREAD`. A fault for which no test prints a figure is in the
//! page as not measured.

use std::fs;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::host;
use crate::progress::say;
use crate::toolchain::build;

/// What a line of a figure begins with.
const FIGURE: &str = "figure: ";

/// Tests that inject faults: the arguments of `cargo test`.
const TESTS: [&[&str]; 2] =
    [&["-p", "krcu-trace", "--test", "trace", "power"], &["-p", "krcu-agent", "--test", "killed"]];

/// The faults that the page is about, by the beginning of their figures; and why there is none yet.
const FAULTS: [(&str, &str); 11] = [
    ("power cut at every call", ""),
    ("ENOSPC from every call on", ""),
    ("EIO at every call", ""),
    ("kill -9 of the recorder's writer", ""),
    (
        "kill -9 of `krcu record` on a real kernel",
        "`cargo xtask test` kills fifty on 6.12; it prints no figure",
    ),
    ("slow disk", "a test with a disk that hangs holds the writer up at no call; it prints no figure"),
    ("200 hostile clients", ""),
    ("slow log", "a test of the log counts what is dropped; it prints no figure"),
    ("full ring", "scenarios count each loss; they print no figure"),
    ("clock steps", ""),
    ("CPU hotplug, suspend", ""),
];

const HEAD: &str = "\
# Reliability

`cargo xtask reliability` injects the faults below and writes this page. Nothing here is written by hand.

The disk of the power cut is a harsh one. Of what was not synced, any part may be there and any other part not: a write
without the writes before it, a size without its bytes, a half of a write cut at a block of 512 bytes, a name without its
file. After each cut a reader opens what is left. *Misread* counts rows that were never written, rows that were safe and
are gone, and traces that a reader takes for complete and that are not. Any of these would fail the test.

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
    let path = host::repository().join("docs/reliability.md");
    fs::write(&path, page(&figures)).with_context(|| format!("writing {}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    Ok(ExitCode::SUCCESS)
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
    fn what_was_not_measured_is_said() {
        let page = page(&["EIO at every call | 9 calls | told | 0".to_owned()]);
        assert!(page.contains("\n| EIO at every call | 9 calls | told | 0 |\n"), "{page}");
        assert!(page.contains("\n| power cut at every call | - | not measured | - |\n"), "{page}");
        assert!(page.contains("| slow log | - | not measured: "), "{page}");
        assert_eq!(page.lines().filter(|line| line.starts_with("| ")).count(), FAULTS.len() + 2);
    }
}
