//! Sql: questions in SQL over one trace and over two, and what a wrong one is told.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::path::{Path, PathBuf};

use krcu_analysis::sql;
use polars::prelude::*;

fn trace(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces").join(format!("{name}.script"))
}

fn asked(query: &str, traces: &[&str]) -> Result<DataFrame, String> {
    let traces: Vec<PathBuf> = traces.iter().map(|name| trace(name)).collect();
    sql::ask(query, &traces).map(|(_, frame)| frame).map_err(|error| format!("{error:#}"))
}

/// Rows of a name and a number.
fn counts(query: &str, traces: &[&str]) -> Vec<(String, u64)> {
    let frame = asked(query, traces).unwrap();
    let (name, count) =
        (frame.columns()[0].str().unwrap(), frame.columns()[1].cast(&DataType::UInt64).unwrap());
    let count = count.u64().unwrap();
    (0..frame.height()).map(|row| (name.get(row).unwrap().to_owned(), count.get(row).unwrap())).collect()
}

#[test]
fn tables_are_joined_by_run_and_two_traces_stay_two() {
    let by_cache = "SELECT c.name, count(*) AS objects FROM objects o JOIN caches c ON o.run = c.run AND o.cache = c.cache \
                    GROUP BY c.name ORDER BY objects";
    // By the modules' sources.
    let (two, pending) = (("krcu_two_pending".to_owned(), 300), ("krcu_pending".to_owned(), 777));
    assert_eq!(counts(by_cache, &["6.12-two"]), std::slice::from_ref(&two));
    assert_eq!(counts(by_cache, &["6.12-two", "6.1-pending"]), [two, pending]);
    let words = "SELECT verdict, count(*) AS destroys FROM verdicts GROUP BY verdict ORDER BY verdict";
    let of = |word: &str, count| (word.to_owned(), count);
    // One waits and one is clean on 6.12; on 6.1 a destroy does not wait.
    assert_eq!(
        counts(words, &["6.12-two", "6.1-pending"]),
        [of("clean", 1), of("pending", 1), of("waited", 1)]
    );
    let runs = asked("SELECT DISTINCT run FROM destroys", &["6.12-two", "6.1-pending"]).unwrap();
    assert_eq!(runs.height(), 2);
}

#[test]
fn a_what_if_is_a_table_as_well() {
    let approaches =
        "SELECT cache, count(DISTINCT approach) AS approaches FROM whatif GROUP BY cache ORDER BY cache";
    let of = |cache: &str| (cache.to_owned(), 35);
    assert_eq!(counts(approaches, &["6.12-two"]), [of("krcu_two_correct"), of("krcu_two_pending")]);
}

#[test]
fn a_wrong_question_is_told_what_there_is() {
    let complaint = |query: &str, traces: &[&str]| asked(query, traces).unwrap_err();
    let tables = "objects, callbacks, batches, barriers, destroys, verdicts, caches, graces, gaps, sites, runs, modules, whatif";
    // Told before a trace is read: this one is not there.
    assert_eq!(
        complaint("SELECT * FROM object", &["none"]),
        format!("there is no table \"object\"; the tables are {tables}")
    );
    let columns = complaint("SELECT age FROM objects", &["none"]);
    assert!(
        columns
            .starts_with("unable to find column \"age\"; the columns are\n  objects: run, cache, object, "),
        "{columns}"
    );
    assert!(!columns.contains("batches:"), "only of the tables that are named: {columns}");
    let words = complaint("SELEC 1", &["none"]);
    assert!(words.starts_with("this is no SQL that polars reads: "), "{words}");
    let twice = complaint("SELECT * FROM runs", &["6.12-two", "6.12-two"]);
    assert!(twice.ends_with("6.12-two.script are the same run: name one of them"), "{twice}");
}

#[test]
fn show_tables_names_every_table() {
    let frame = asked("SHOW TABLES", &["6.12-two"]).unwrap();
    let names: Vec<&str> = frame.columns()[0].str().unwrap().iter().flatten().collect();
    assert_eq!(
        names,
        [
            "barriers",
            "batches",
            "caches",
            "callbacks",
            "destroys",
            "gaps",
            "graces",
            "modules",
            "objects",
            "runs",
            "sites",
            "verdicts"
        ]
    );
}
