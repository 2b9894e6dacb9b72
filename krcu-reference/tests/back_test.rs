//! Back-test.
#![allow(clippy::unwrap_used)]
use std::{fs, path::Path};
use krcu_model::{State, script};
use krcu_reference::{approach, approach::row_name, simulate::{Asked, Budget, Scenario, simulate}};
use krcu_report::Reporter;

#[test]
fn explore() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().chain(fs::read_dir(folder.join("truth")).unwrap())
        .map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "script")).collect();
    files.sort();
    let (mut all, mut good) = (0, 0);
    for path in files {
        let script = script::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
        for event in script.events {
            reporter.see(&event, &state);
            state.step(event);
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(first) = state.destroys().filter(|d| d.look.is_some()).map(|d| d.id.0).next() else { continue };
        let Some(question) = reporter.question(&state, first) else { continue };
        let asked = Asked::of(&question);
        if asked.waits.is_empty() { continue }
        if std::env::var("ONLY").is_ok_and(|only| !name.contains(&only)) { continue }
        if std::env::var("ONLY").is_ok() { println!("{name} {:?}\n{:?}\n{:?}", question.unseen, question.destroys, question.took); }
        let scenario = Scenario { workload: &asked.workload, measured: &asked.measured, seed: 1, budget: Budget::events(1 << 24) };
        let approach = approach::all().into_iter().find(|a| row_name(a.as_ref()) == asked.upstream).unwrap();
        let outcome = simulate(approach.as_ref(), &scenario).unwrap();
        let test = asked.tested(approach.as_ref(), &outcome).unwrap();
        for (pair, wait) in test.pairs.iter().zip(&asked.waits) {
            all += 1;
            if pair.is_close() { good += 1; }
            println!("{} {} {:<45} {:<22} own {:>5} oth {:>5} sim {:>10.2} meas {:>10.2} after {:>8.2} off {:>6.0}%  {}", if pair.is_close() {"ok "} else {"BAD"}, if pair.is_given {"given"} else {"pred "}, name, asked.upstream,
              outcome.rows[wait.destroy].waited_for_own, outcome.rows[wait.destroy].waited_for_other,
              pair.simulated_ns as f64 / 1e6, pair.measured_ns as f64 / 1e6, pair.after_last_free_ns as f64 / 1e6,
              (pair.simulated_ns as f64 - pair.measured_ns as f64) / pair.measured_ns as f64 * 100.0, pair.name);
        }
    }
    println!("{good} of {all}");
}
