//! What other approaches would have cost a destroy: from a golden trace's question, by what each approach
//! does.

mod common;

use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use common::watch::Watch;
use krcu_model::{State, event::DeferredBy, script};
use krcu_report::{AskedCache, AskedDestroy, DeferredFree, LeftOut, Question, Reporter, Took};
use krcu_tui::{
    connection::Notice,
    keys::Key,
    what_if::{self, AnswerRow, Simulator},
};

#[test]
fn what_else_a_destroy_would_have_cost_follows_from_what_an_approach_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-pending.script");
    let script = script::read(&fs::read_to_string(path).unwrap()).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    let answer = what_if::Answer::of(&reporter.question(&state, 0).unwrap(), &|| false);
    let asked = &answer.question;
    assert_eq!((asked.deferred.len(), asked.left_out), (777, LeftOut::default()));
    assert_eq!((asked.caches[0].name.as_str(), &answer.refused), ("krcu_pending", &None));
    let is_named = |row: &AnswerRow, name: &str| {
        row.row.approach == name || row.same.iter().any(|(other, _)| other == name)
    };
    let row = |name: &str| {
        let found = answer.rows.iter().find(|row| is_named(row, name));
        &found.unwrap_or_else(|| panic!("{name}")).row
    };
    // The destroy of kernels before 6.12 does not wait, and so fails; that of 6.12 waits for all 777 objects.
    let (before, since) = (row("upstream (before 6.12)"), row("upstream (6.12)"));
    assert!(before.is_unsafe && !since.is_unsafe);
    assert_eq!((before.caller_wait_ns, before.waited_for_own), (Some(0), 0));
    assert_eq!(since.waited_for_own, 777);
    assert!(since.caller_wait_ns.is_some_and(|wait_ns| wait_ns > 0));
}

/// A question about one destroy, with an object on the first and on the last CPU.
fn question(cpus: u16) -> Question {
    Question {
        cpus,
        caches: vec![AskedCache::default()],
        deferred: [0, cpus - 1].map(|cpu| DeferredFree(0, cpu, 0, DeferredBy::Head)).to_vec(),
        destroys: vec![AskedDestroy { at_ns: 1_000_000, ..AskedDestroy::default() }],
        took: Took { grace_ns: vec![10_000_000], ..Took::default() },
        ..Question::default()
    }
}

#[test]
fn a_machine_of_any_size_has_a_screen() {
    let screen = |cpus| {
        let answer = what_if::Answer::of(&question(cpus), &|| false);
        assert_eq!(answer.refused, None);
        let mut watch = Watch::new(1, 1);
        watch.press(&[Key::Char('4'), Key::Char('w')]);
        watch.app.take(Notice::Answer(Box::new(answer)), 0);
        watch.shown(160)
    };
    // A CPU that has nothing queued costs nothing. The reference's own tests have larger machines.
    let small = screen(2);
    for cpus in [64, 65, 128, 129] {
        assert_eq!(screen(cpus), small, "{cpus}");
    }
    for screen in [small, screen(1)] {
        assert!(screen.contains("rcu-barrier-waits +"), "{screen}");
    }
}

#[test]
fn a_simulation_that_may_take_no_more_time_says_that_it_gave_up() {
    // The last grace period ends at 2^64: nobody's wait ends.
    let endless = Question { took: Took { grace_ns: vec![u64::MAX], ..Took::default() }, ..question(2) };
    let asked = AtomicU64::new(0);
    let is_over = || asked.fetch_add(1, Ordering::Relaxed) > 1000;
    for answer in [what_if::Answer::of(&endless, &is_over), what_if::Answer::of(&question(129), &|| true)] {
        let refused = answer.refused.unwrap();
        assert!(refused.contains(": gave up after "), "{refused}");
    }
}

#[test]
fn the_next_question_ends_the_simulation_before_it() {
    let (tell, told) = mpsc::channel();
    let mut simulator = Simulator::default();
    // Thousands of millions of grace periods, before the first object may be freed.
    let took = Took { grace_ns: vec![1], between_grace_ns: vec![1], ..Took::default() };
    let busy = Question { took, ..question(2) };
    for (place, question) in [busy, question(2)].into_iter().enumerate() {
        let tell = tell.clone();
        simulator.ask(question, move |answer| tell.send((place, answer)).unwrap()).unwrap();
    }
    drop(tell);
    assert_eq!(told.iter().map(|(place, _)| place).collect::<Vec<_>>(), [1]);
}
