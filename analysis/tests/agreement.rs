//! Agreement: the terminal, the analysis and `krcu check` say the same of the same trace, figure for figure.
//!
//! A terminal asks a reporter, as an agent's client does; the analysis gathers while it replays. Both must make the same
//! question of a run, and the same answer of the question. What `krcu check` says of a destroy is the verdict of the state.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{fs, path::PathBuf};

use krcu_analysis::{
    ask::Needs,
    load,
    whatif::{self, words::WhatIf},
};
use krcu_model::{State, of_destroy, script};
use krcu_reference::simulate::{Answer, AnswerRow, Splat};
use krcu_report::{Question, Reporter};

fn traces() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "script")).collect();
    scripts.sort();
    scripts
}

/// A trace as a terminal and an agent see it, at its end.
fn watched(path: &PathBuf) -> (State, Reporter) {
    let script = script::read(&fs::read_to_string(path).unwrap()).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    (state, reporter)
}

/// The row of an approach, which may share its figures with others.
fn row_of<'a>(answer: &'a Answer, approach: &str) -> &'a AnswerRow {
    let has =
        |row: &&AnswerRow| row.row.approach == approach || row.same.iter().any(|(name, _)| name == approach);
    answer.rows.iter().find(has).unwrap()
}

fn same_figures(shown: &AnswerRow, row: &WhatIf, of: &str) {
    let splat = match shown.row.splat {
        Splat::None => "none",
        Splat::TrueLeak => "true-leak",
        Splat::False => "false",
    };
    assert_eq!(
        (shown.row.caller_wait_ns, shown.row.linger_ns, shown.row.is_unsafe, splat),
        (row.caller_wait_ns, row.linger_ns, row.is_unsafe, row.splat.as_str()),
        "{of}"
    );
    assert_eq!(
        (shown.row.waited_for_own, shown.row.waited_for_other, shown.row.grace_periods_forced),
        (row.waited_for_own, row.waited_for_other, row.grace_periods_forced),
        "{of}"
    );
    assert_eq!(
        (shown.bystander_wait_ns, shown.row.kept_bytes),
        (row.bystander_wait_ns, row.kept_bytes),
        "{of}"
    );
}

#[test]
fn terminal_analysis_and_check_agree_on_twenty_traces() {
    let (mut compared, mut destroys) = (0, 0);
    for path in traces() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (state, reporter) = watched(&path);
        let loaded = load::load(&path, Needs::SMALL, Some(1 << 20)).unwrap();
        let asked = loaded.asked.unwrap().unwrap();
        let answer = whatif::ask(&asked, &whatif::Question { approach: None, seed: 1 }).unwrap();
        let whole = asked.question(0).unwrap();
        for destroy in &whole.destroys {
            let question = reporter.question(&state, destroy.number);
            if destroy.measured_ns.is_none() {
                assert_eq!(question, None, "{name}: it only dropped a reference");
                continue;
            }
            let question = question.unwrap();
            assert_eq!(question, Question { destroy: destroy.number, ..whole.clone() }, "{name}");
            let shown = Answer::of(&question, &|| false);
            let pair = shown.pair().map(|pair| pair.off_per_mille());
            let rows = answer.rows.iter().filter(|row| u64::from(row.destroy) == destroy.number);
            for row in rows {
                let of = format!("{name}: {} of destroy {}", row.approach, destroy.number);
                same_figures(row_of(&shown, &row.approach), row, &of);
                assert_eq!((row.measured_wait_ns, row.error_per_mille), (destroy.measured_ns, pair), "{of}");
                compared += 1;
            }
            // What `krcu check` says of the wait is the measured figure, but for a barrier that the exit path
            // called before the destroy.
            let judged = state.destroy(krcu_model::state::DestroyId(destroy.number)).unwrap();
            let wait_ns = judged.look.map(|look| look.time.since(judged.begin.time)).unwrap();
            assert!(destroy.measured_ns.unwrap() >= wait_ns, "{name}");
            let leaked = of_destroy(&state, judged).decision.left.leaked.unwrap_or(0);
            assert_eq!(destroy.leaked, leaked, "{name}");
            destroys += 1;
        }
    }
    assert_eq!((destroys, compared), (destroys, destroys * 35), "thirty-five rows of each destroy");
    assert!(destroys >= 20, "{destroys} destroys");
}
