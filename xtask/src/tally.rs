//! Counts what passed and what failed, and says so one line each.

use std::process::ExitCode;

/// The count of one run of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Counts one that passed.
    pub(crate) fn passed(&mut self, name: &str) {
        self.passed += 1;
        println!("ok      {name}");
    }

    /// Counts one that failed; why, in one or more lines.
    pub(crate) fn failed(&mut self, name: &str, why: &str) {
        self.failed += 1;
        println!("FAILED  {name}\n  {why}");
    }

    /// Counts one by what came of it.
    pub(crate) fn add(&mut self, name: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed(name),
            Err(error) => self.failed(name, &format!("{error:#}")),
        }
    }

    /// Adds the counts of a line `test result: ok. 9 passed; 0 failed; …`; other lines count nothing.
    pub(crate) fn add_result_line(&mut self, line: &str) {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else { return };
        let count = |word: &str| -> u64 {
            let words: Vec<&str> = counts.split([' ', ';']).collect();
            let number = words.windows(2).find_map(|pair| match pair {
                [number, found] if *found == word => number.parse().ok(),
                _ => None,
            });
            number.unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// How many have failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.failed
    }

    /// Prints the closing line and gives the status that follows from it.
    pub(crate) fn close(&self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn result_lines_are_added() {
        let mut tally = Tally::default();
        tally.add_result_line("test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.add_result_line(
            "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        tally.add_result_line("test some::test ... ok");
        assert_eq!(tally, Tally { passed: 12, failed: 2 });
    }
}
