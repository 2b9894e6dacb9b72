//! The truth table without a kernel: the events of its runs on four kernels, replayed.
//!
//! `cargo xtask truth --write` keeps the events of each scenario that is small enough, beside the verdicts that krcu gave
//! (`SERIES-NAME.json`) and `expected.txt`, which it writes from the scenarios' own data: what must come of them
//! follows from a kernel's source. A replay has to agree with both: here with what is expected, in
//! `krcu-report/tests/truth.rs` with what krcu gave, sentences included.

#![expect(clippy::expect_used, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use krcu_model::{Verdict, script, verdict::About, verdicts};

/// One cell of the table.
#[derive(Default)]
struct Cell {
    /// Caches and words, those of one cache in the order of its verdicts.
    expected: Vec<(String, String)>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("traces").join("truth")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("the trace is there")
}

/// The cells of `expected.txt` by the names of their files.
fn cells() -> BTreeMap<String, Cell> {
    let mut cells: BTreeMap<String, Cell> = BTreeMap::new();
    for line in read("expected.txt").lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let [series, name, cache, word] = words.as_slice() else { unreachable!("four words: {line}") };
        let cell = cells.entry(format!("{series}-{name}")).or_default();
        cell.expected.push(((*cache).to_owned(), (*word).to_owned()));
    }
    cells
}

fn replay(cell: &str) -> Vec<Verdict> {
    let script = script::read(&read(&format!("{cell}.script"))).expect("the trace is a script");
    verdicts(&script.replay())
}

#[test]
fn every_trace_has_what_is_expected_of_it() {
    let mut scripts: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".script").map(str::to_owned))
        .collect();
    scripts.sort();
    assert_eq!(scripts, cells().into_keys().collect::<Vec<_>>());
    for series in ["6.1-", "6.12-", "6.18-", "7.x-"] {
        let count = scripts.iter().filter(|name| name.starts_with(series)).count();
        assert!(count >= 30, "{count} traces of {series}");
    }
}

#[test]
fn every_replay_comes_to_what_was_expected() {
    let mut wrong = Vec::new();
    for (name, cell) in cells() {
        let verdicts = replay(&name);
        // Verdicts about one cache come in their order; between caches that does not matter.
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for verdict in &verdicts {
            let cache = if verdict.about == About::Module { "-" } else { &verdict.cache.name };
            found.entry(cache).or_default().push(verdict.kind().word());
        }
        let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (cache, word) in &cell.expected {
            expected.entry(cache).or_default().push(word);
        }
        for (cache, words) in expected {
            let found = found.get(cache);
            if found != Some(&words) {
                wrong.push(format!("{name}: {cache} is {found:?}, not {words:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
