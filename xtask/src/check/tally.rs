//! Counts what passed and what failed, and says so one line each; several threads share one.
//!
//! It knows each by its line in the list of tests ([`crate::check::listed`]), so that a whole run can tell which were not
//! run. It counts the tries beyond the first, of which a run may have only so many.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::check::retries::{MOST_TRIES, Reason};

/// The count of one run of the tests.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    /// What was run, by its line in the list.
    ran: BTreeSet<String>,
    /// What failed, to be named once more in the end.
    wrong: Vec<String>,
    /// Tries beyond the first.
    again: BTreeMap<Reason, u64>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one that passed, by its line in the list.
    pub(crate) fn passed(&self, line: &str) {
        let mut counts = self.counts();
        counts.passed += 1;
        counts.ran.insert(line.to_owned());
        println!("ok      {}", title(line));
    }

    /// Counts one that failed; why, in one or more lines.
    pub(crate) fn failed(&self, line: &str, why: &str) {
        let mut counts = self.counts();
        counts.failed += 1;
        counts.ran.insert(line.to_owned());
        counts.wrong.push(title(line).to_owned());
        println!("FAILED  {}\n  {why}", title(line));
    }

    /// Counts one by what came of it.
    pub(crate) fn add(&self, line: &str, result: Result<()>) {
        match result {
            Ok(()) => self.passed(line),
            Err(error) => self.failed(line, &format!("{error:#}")),
        }
    }

    /// Counts the test of a line `test NAME ... ok`, which a test program built from `source` has printed. Other lines count
    /// nothing. Returns whether the test passed.
    pub(crate) fn add_test_line(&self, source: &str, line: &str) -> Option<bool> {
        let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        let passed = match outcome.trim() {
            "ok" => true,
            "FAILED" => false,
            _ => return None,
        };
        let mut counts = self.counts();
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        counts.ran.insert(format!("crate {source} {name}"));
        if passed {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            counts.wrong.push(format!("{source} {name}"));
        }
        Some(passed)
    }

    /// Counts one more try of a case.
    pub(crate) fn tried_again(&self, reason: Reason) {
        *self.counts().again.entry(reason).or_default() += 1;
    }

    /// How many have failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.counts().failed
    }

    /// Those of a list that were not run.
    pub(crate) fn not_run<'a>(&self, list: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let counts = self.counts();
        list.filter(|line| !counts.ran.contains(*line)).collect()
    }

    /// Those that were run and are not in a list.
    pub(crate) fn not_listed(&self, list: &BTreeSet<&str>) -> Vec<String> {
        self.counts().ran.iter().filter(|line| !list.contains(line.as_str())).cloned().collect()
    }

    /// Prints the closing line and gives the status that follows from it.
    pub(crate) fn close(&self) -> ExitCode {
        let tries: u64 = self.counts().again.values().sum();
        if tries > MOST_TRIES {
            self.failed(
                "check tries",
                &format!("{tries} tries beyond the first, and {MOST_TRIES} are the most that a run may have"),
            );
        }
        let counts = self.counts();
        if !counts.wrong.is_empty() {
            println!("\nfailed: {}", counts.wrong.join(", "));
        }
        println!("{}", counts.closing_line());
        if counts.failed == 0 && counts.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Counts {
    fn closing_line(&self) -> String {
        let tries: u64 = self.again.values().sum();
        let reasons: Vec<String> =
            self.again.iter().map(|(reason, tries)| format!("{tries} {}", reason.words())).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        format!("{} passed, {} failed, {tries} tries beyond the first{reasons}", self.passed, self.failed)
    }
}

/// How a line of the list is told: a scenario by its kernel and name.
fn title(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::check::retries::Reason;

    #[test]
    fn each_test_of_a_program_is_known_by_its_name() {
        let tally = Tally::default();
        let add = |line| tally.add_test_line("a/src/lib.rs", line);
        assert_eq!(add("test some::test ... ok"), Some(true));
        assert_eq!(add("test other::test - should panic ... ok"), Some(true));
        assert_eq!(add("test wrong ... FAILED"), Some(false));
        assert_eq!(add("test result: ok. 9 passed; 0 failed"), None);
        assert_eq!(add("running 3 tests"), None);
        let list = ["crate a/src/lib.rs some::test", "crate a/src/lib.rs other::test", "crate b lost"];
        assert_eq!(tally.not_run(list.into_iter()), ["crate b lost"]);
        assert_eq!(tally.not_listed(&list.into()), ["crate a/src/lib.rs wrong"]);
        let counts = tally.counts();
        assert_eq!((counts.passed, counts.failed), (2, 1));
    }

    #[test]
    fn the_closing_line_tells_the_tries_by_their_reason() {
        let tally = Tally::default();
        tally.passed("check lints");
        assert_eq!(tally.counts().closing_line(), "1 passed, 0 failed, 0 tries beyond the first");
        tally.tried_again(Reason::Undecided);
        tally.tried_again(Reason::Undecided);
        tally.tried_again(Reason::Lost);
        assert_eq!(
            tally.counts().closing_line(),
            "1 passed, 0 failed, 3 tries beyond the first (2 inconclusive, 1 machine lost)"
        );
    }
}
