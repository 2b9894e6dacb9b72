//! Golden files: every table of one small real trace, as a person and as a program reads it.
//!
//! `KRCU_BLESS=1 cargo test -p analysis --test golden` writes them again, after a change that is meant; `facts.rs` holds what
//! they say to plain loops over the lines of the trace.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{env, fs, path::PathBuf};

use krcu_analysis::{
    ask::{self, Needs},
    load,
    show::{self, Cut, Format},
    tables::{NAMES, collect},
    whatif::{self, Question},
};
use polars::prelude::*;

/// Two caches, one of which is destroyed while 300 deferred frees are outstanding, on a kernel that waits.
const TRACE: &str = "../krcu-model/tests/traces/6.12-two.script";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn hold(name: &str, found: &str) {
    let path = folder().join("tests/golden").join(name);
    if env::var_os("KRCU_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{} is not what it was: look, and bless it if it is meant", path.display());
}

fn written(frame: &DataFrame, kind: &str, format: Format) -> String {
    let mut out = Vec::new();
    show::show(frame, kind, format, Cut { rows: 12, text: 60 }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn asked(question: PolarsResult<LazyFrame>, name: &str) {
    let frame = collect(question.unwrap()).unwrap();
    hold(&format!("{name}.txt"), &written(&frame, name, Format::Text));
    hold(&format!("{name}.json"), &written(&frame.head(Some(20)), name, Format::Json));
}

#[test]
fn every_table_of_facts() {
    let loaded = load::load(&folder().join(TRACE), Needs::ALL, None).unwrap();
    for name in NAMES {
        let frame = collect(loaded.tables.scan(name).unwrap()).unwrap();
        hold(&format!("facts-{name}.csv"), &written(&frame.head(Some(20)), name, Format::Csv));
    }
}

#[test]
fn every_question() {
    let of = |needs| load::load(&folder().join(TRACE), needs, None).unwrap().tables;
    let tables = &of(Needs::CACHES);
    asked(ask::caches(tables), "caches");
    let tables = &of(Needs::ALL);
    asked(ask::objects(tables, ask::By::Cache, false), "objects");
    asked(ask::objects(tables, ask::By::Site, false), "objects-by-site");
    let tables = &of(Needs::BATCHES);
    asked(ask::batches(tables), "batches");
    let tables = &of(Needs::SITES);
    asked(ask::sites(tables), "sites");
    let tables = &of(Needs::SMALL);
    asked(ask::barriers(tables), "barriers");
    asked(ask::barriers_by_cause(tables), "barriers-by-cause");
    asked(ask::verdicts(tables), "verdicts");
    let verdicts = collect(ask::verdicts(tables).unwrap()).unwrap();
    hold("verdicts-for-a-person.txt", &show::verdicts::text(&verdicts).unwrap());
}

#[test]
fn the_what_if_and_its_back_test() {
    let loaded = load::load(&folder().join(TRACE), Needs::SMALL, Some(1000)).unwrap();
    let answer = whatif::ask(&loaded.asked.unwrap().unwrap(), &Question { approach: None, seed: 1 }).unwrap();
    let (_, sums) = whatif::frame(&answer, false).unwrap();
    assert_eq!(sums.height(), 35, "thirteen approaches, thirty-five rows");
    let all = Cut { rows: 100, text: 60 };
    let mut out = Vec::new();
    show::show(&sums, "whatifs", Format::Text, all, &mut out).unwrap();
    hold("whatif.txt", &format!("{}{}", String::from_utf8(out).unwrap(), whatif::below(&answer)));
}

#[test]
fn the_dictionary_of_the_tables() {
    hold("../../../docs/tables.md", &krcu_analysis::facts::dictionary::page());
}
