//! When a case may be tried again, and the history of that.
//!
//! A try is judged whole, whatever was lost beside it: a decided verdict that is wrong fails, at the first try. What may be
//! tried again is named by [`Reason`], and a run may have only so many.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use chrono::DateTime;

use crate::cache;

/// Tries beyond the first that a whole run may have; with more, something is wrong with the machine or with krcu.
pub(crate) const MOST_TRIES: u64 = 12;
/// How often one case is tried beyond the first time, but for a lost machine, which is booted once more.
pub(crate) const MOST_REPEATS: usize = 2;
/// Lines of the history that are kept.
const MOST_LINES: usize = 2000;
/// Its name in the cache.
const HISTORY: &str = "tries.tsv";

/// Why a case is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// krcu says that it could not see everything, for a reason that the scenario's data calls possible.
    Undecided,
    /// The module says in the kernel's log that what the scenario is about did not come about.
    Premise,
    /// The machine was lost.
    Lost,
}

impl Reason {
    /// In a few words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Undecided => "inconclusive",
            Self::Premise => "premise not met",
            Self::Lost => "machine lost",
        }
    }
}

fn path() -> Result<PathBuf> {
    Ok(cache::root()?.join(HISTORY))
}

/// Keeps that a case was tried again.
///
/// # Errors
///
/// When the history cannot be written.
pub(crate) fn keep(title: &str, reason: Reason) -> Result<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = path()?;
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut lines: Vec<String> = kept.lines().map(str::to_owned).collect();
    lines.push(format!("{now}\t{title}\t{}", reason.words()));
    let from = lines.len().saturating_sub(MOST_LINES);
    let text: String = lines.iter().skip(from).map(|line| format!("{line}\n")).collect();
    cache::write_file(&path, text.as_bytes()).context("keeping the history of tries")
}

/// The history as a table, by scenario: how often, for which reason, when last.
pub(crate) fn history() -> String {
    table(&path().and_then(|path| Ok(fs::read_to_string(path)?)).unwrap_or_default())
}

fn table(kept: &str) -> String {
    let mut rows: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for line in kept.lines() {
        let mut words = line.split('\t');
        if let (Some(when), Some(title), Some(reason)) = (words.next(), words.next(), words.next()) {
            let row = rows.entry((title, reason)).or_default();
            *row = (row.0 + 1, row.1.max(when.parse().unwrap_or(0)));
        }
    }
    let mut text = String::new();
    for ((title, reason), (times, last)) in rows {
        text.push_str(&format!("  {title:<40} {times:>3} × {reason}, last on {}\n", date(last)));
    }
    text
}

/// The day of a time in seconds since 1970, as ISO 8601 writes it.
pub(crate) fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.unwrap_or_default().date_naive().to_string()
}

#[cfg(test)]
mod tests {
    use super::{date, table};

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_824_000, "2026-11-28")]
        {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn a_scenario_has_a_row_for_each_reason() {
        let kept =
            "0\t6.1 leak\tinconclusive\n86400\t6.1 leak\tinconclusive\n0\t6.1 leak\tmachine lost\nno line\n";
        let text = table(kept);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("2 × inconclusive, last on 1970-01-02"), "{text}");
    }
}
