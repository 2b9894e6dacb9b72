//! Replays a file of events up to some moments, and lists what was outstanding at each, one JSON object a line.
//!
//! ```text
//! cargo run --release -p krcu-report --example outstanding -- FILE TIME...
//! ```
//!
//! FILE is what `krcu check --events FILE` writes. A TIME is in nanoseconds of the clock of its events. The
//! events that count are those whose time is not after it, in the order of the file: a program that was
//! interrupted between its place in the ring and its clock does not hide those that came behind it.

use std::{env, fs, process::ExitCode};

use krcu_common::QueueForm;
use krcu_model::{
    State,
    event::{ObjectAddress, Time},
    script::{self, Script},
    state::Waiting,
};
use serde::Serialize;

/// One deferred free that had not begun.
#[derive(Serialize)]
struct Line<'a> {
    at_ns: u64,
    how: &'static str,
    cache: &'a str,
    /// The object; of `call_rcu()` its head.
    object: String,
    /// Whether it was queued by the form without an rcu_head.
    headless: bool,
    task: u32,
    cpu: u16,
    queued_ns: u64,
}

/// What closes the lines of one moment.
#[derive(Serialize)]
struct Close {
    at_ns: u64,
    events: u64,
    /// Events that were lost so far. Calls that found a probe running already are counted once a second.
    lost: u64,
    outstanding: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((path, times)) = arguments.split_first() else {
        eprintln!("outstanding: give a file of events, and times");
        return ExitCode::from(2);
    };
    let done = fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| {
        let script = script::read(&text).map_err(|error| error.to_string())?;
        for time in times {
            let at = Time(time.parse().map_err(|error| format!("{time} is no time: {error}"))?);
            print!("{}", lines(&script, at).map_err(|error| error.to_string())?);
        }
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outstanding: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lines(script: &Script, at: Time) -> serde_json::Result<String> {
    let mut state = State::new(script.watch.clone());
    for event in script.events.iter().filter(|event| event.time <= at) {
        state.step(event.clone());
    }
    let mut text = String::new();
    let mut outstanding = 0;
    let mut add = |line: &Line<'_>| -> serde_json::Result<()> {
        text += &serde_json::to_string(line)?;
        text.push('\n');
        outstanding += 1;
        Ok(())
    };
    for (_, cache) in state.caches() {
        for (object, deferred) in cache.outstanding_objects() {
            add(&Line {
                at_ns: at.0,
                how: "kfree_rcu",
                cache: &cache.life.facts.name,
                object: format!("{:#x}", object.0),
                headless: deferred.form == QueueForm::Headless,
                task: deferred.task.0,
                cpu: deferred.cpu.0,
                queued_ns: deferred.queued.time.0,
            })?;
        }
    }
    for (head, waiting) in &state.view().ledger.callbacks {
        if waiting.deferral.is_none()
            && let Some(cache) = state.cache_at(waiting.cache)
        {
            add(&callback(at, *head, waiting, &cache.life.facts.name))?;
        }
    }
    let lost = state.gaps().iter().map(|gap| gap.events).fold(0, u64::saturating_add);
    let close = Close { at_ns: at.0, events: state.events(), lost, outstanding };
    text += &serde_json::to_string(&close)?;
    text.push('\n');
    Ok(text)
}

fn callback<'a>(at: Time, head: ObjectAddress, waiting: &Waiting, cache: &'a str) -> Line<'a> {
    Line {
        at_ns: at.0,
        how: "call_rcu",
        cache,
        object: format!("{:#x}", head.0),
        headless: false,
        task: waiting.task.0,
        cpu: waiting.cpu.0,
        queued_ns: waiting.queued.time.0,
    }
}
