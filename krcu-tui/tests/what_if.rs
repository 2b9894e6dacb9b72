//! What other approaches would have cost a destroy: from a golden trace's question, by what each approach
//! does.

use std::{fs, path::Path};

use krcu_model::{State, script};
use krcu_report::Reporter;
use krcu_tui::what_if;

#[test]
fn what_else_a_destroy_would_have_cost_follows_from_what_an_approach_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-pending.script");
    let script = script::read(&fs::read_to_string(path).unwrap()).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    let answer = what_if::answer(&reporter.question(&state, 0).unwrap());
    let asked = &answer.question;
    assert_eq!((asked.own_objects, asked.other_objects, asked.own_left_out), (777, 0, 0));
    assert_eq!((asked.cache.as_str(), &answer.refused), ("krcu_pending", &None));
    let mut rows = answer.rows.iter().map(|row| &row.row);
    let mut row = |name: &str| rows.find(|row| row.approach == name).unwrap_or_else(|| panic!("{name}"));
    // The destroy of kernels before 6.12 does not wait, and so fails; that of 6.12 waits for all 777 objects.
    let (before, since) = (row("upstream (before 6.12)"), row("upstream (6.12)"));
    assert!(before.is_unsafe && !since.is_unsafe);
    assert_eq!((before.caller_wait_ns, before.waited_for_own), (Some(0), 0));
    assert_eq!(since.waited_for_own, 777);
    assert!(since.caller_wait_ns.is_some_and(|wait_ns| wait_ns > 0));
}
