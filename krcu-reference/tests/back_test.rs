//! Back-test: the waits of every destroy of the recorded traces, simulated and measured.
//!
//! The traces are of emulated machines with two CPUs. A wait is close if the machine is off by a fifth of it at the
//! most, or by a fifth of a tick ([`Pair::is_close`]). The figures here are floors: what was reached is a little more, and
//! `cargo test -p krcu-reference --test back_test -- --nocapture` prints it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use krcu_model::{State, script};
use krcu_reference::{
    approach::{self, row_name},
    simulate::{Asked, BackTest, Budget, Pair, Scenario, simulate},
};
use krcu_report::{Question, Reporter, Unseen};

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let folders = [folder.join("truth"), folder];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "script")).collect();
    scripts.sort();
    scripts
}

/// The question of a trace about its first destroy; it has all of them.
fn question(path: &Path) -> Option<Question> {
    let script = script::read(&fs::read_to_string(path).unwrap()).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    let looked: Vec<u64> =
        state.destroys().filter(|destroy| destroy.look.is_some()).map(|destroy| destroy.id.0).collect();
    looked.into_iter().find_map(|destroy| reporter.question(&state, destroy))
}

fn test(question: &Question) -> Option<BackTest> {
    let asked = Asked::of(question);
    if asked.waits.is_empty() {
        return None;
    }
    let budget = Budget::events(1 << 24);
    let scenario = Scenario { workload: &asked.workload, measured: &asked.measured, seed: 1, budget };
    let row = approach::all().into_iter().find(|row| row_name(row.as_ref()) == asked.upstream).unwrap();
    let outcome = simulate(row.as_ref(), &scenario).unwrap();
    asked.tested(row.as_ref(), &outcome)
}

/// The same question without what the kernel's own waits told of callbacks that no event shows.
fn predicted(question: &Question) -> Question {
    let mut question = question.clone();
    question.unseen.retain(|unseen| !matches!(unseen, Unseen::Callback(..)));
    question
}

/// How many are close, of how many.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    close: usize,
    all: usize,
}

impl Share {
    fn add(&mut self, pair: &Pair) {
        self.all += 1;
        self.close += usize::from(pair.is_close());
    }

    fn is_at_least(self, percent: usize) -> bool {
        self.close * 100 >= self.all * percent
    }
}

#[test]
fn most_destroys_are_close_and_a_given_input_brings_others_inside() {
    let mut given = BTreeMap::<String, Share>::new();
    let mut alone = BTreeMap::<String, Share>::new();
    let (mut brought, mut lost) = (0, 0);
    for path in traces() {
        let Some(question) = question(&path) else { continue };
        let (Some(with), Some(without)) = (test(&question), test(&predicted(&question))) else { continue };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let kernel = name.split('-').next().unwrap().to_owned();
        for (with, without) in with.pairs.iter().zip(&without.pairs) {
            given.entry(kernel.clone()).or_default().add(with);
            alone.entry(kernel.clone()).or_default().add(without);
            brought += usize::from(with.is_close() && !without.is_close());
            lost += usize::from(!with.is_close() && without.is_close());
        }
    }
    println!("close, with unseen callbacks given: {given:?}");
    println!("close, as predicted: {alone:?}");
    println!("{brought} are brought inside by what is given, {lost} outside");
    let all = |shares: &BTreeMap<String, Share>| {
        shares.values().fold(Share::default(), |sum, share| Share {
            close: sum.close + share.close,
            all: sum.all + share.all,
        })
    };
    assert!(all(&given).all > 500, "{given:?}");
    for (kernel, percent) in [("6.12", 90), ("6.18", 90), ("7.x", 75)] {
        assert!(given[kernel].is_at_least(percent), "{kernel}: {given:?}");
    }
    assert!(all(&given).is_at_least(85), "{given:?}");
    assert!(all(&alone).is_at_least(55), "{alone:?}");
    assert!(brought > 5 * lost, "{brought} are brought inside, {lost} outside");
}
