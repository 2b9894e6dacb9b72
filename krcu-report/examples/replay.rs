//! Replays a file of events and prints what follows from it, one JSON object a line.
//!
//! ```text
//! cargo run --release -p krcu-report --example replay -- FILE
//! ```
//!
//! FILE is what `krcu check --events FILE` writes, or a script written by hand. The lines of kind
//! `verdict` are those of `krcu check --format json`; those of kind `broken_promise` name what the
//! events were held against, an object that shows it, and when, whether or not a loss excuses it;
//! the last one counts.

use std::process::ExitCode;

use krcu_model::{
    State,
    promise::Violation,
    script::{self, Script},
};
use krcu_report::{FlatVerdict, verdicts};
use serde::Serialize;

#[derive(Serialize)]
struct VerdictLine<'a> {
    kind: &'static str,
    #[serde(flatten)]
    verdict: &'a FlatVerdict,
}

#[derive(Serialize)]
struct BrokenLine<'a> {
    kind: &'static str,
    promise: &'static str,
    /// The cache's name, where it was destroyed.
    cache: Option<&'a str>,
    cache_address: Option<String>,
    /// The first object that shows it.
    object: Option<String>,
    objects: u64,
    at_ns: u64,
    oldest_age_ns: u64,
}

#[derive(Serialize)]
struct CountLine {
    kind: &'static str,
    events: u64,
    gaps: usize,
    outstanding: u64,
    broken_promises: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path] = arguments.as_slice() else {
        eprintln!("replay: give one file of events");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("replay: cannot read {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let script = match script::read(&text) {
        Ok(script) => script,
        Err(error) => {
            eprintln!("replay: {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match lines(&script) {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("replay: cannot write JSON: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lines(script: &Script) -> serde_json::Result<String> {
    let state = script.replay();
    let mut text = String::new();
    for verdict in &verdicts(&state) {
        text += &serde_json::to_string(&VerdictLine { kind: "verdict", verdict })?;
        text.push('\n');
    }
    for violation in state.violations() {
        text += &serde_json::to_string(&broken(&state, violation))?;
        text.push('\n');
    }
    text += &serde_json::to_string(&CountLine {
        kind: "replay",
        events: state.events(),
        gaps: state.gaps().len(),
        outstanding: state.outstanding(),
        broken_promises: state.violations().len(),
    })?;
    text.push('\n');
    Ok(text)
}

fn broken<'a>(state: &'a State, violation: &Violation) -> BrokenLine<'a> {
    let destroy = state.destroys().find(|destroy| Some(destroy.life.id) == violation.cache);
    BrokenLine {
        kind: "broken_promise",
        promise: violation.promise.name(),
        cache: destroy.map(|destroy| destroy.life.facts.name.as_str()),
        cache_address: violation.address.map(|address| format!("{:#x}", address.0)),
        object: violation.object.map(|object| format!("{:#x}", object.0)),
        objects: violation.objects,
        at_ns: violation.at.0,
        oldest_age_ns: violation.at.since(violation.oldest),
    }
}
