//! Oracle: the model and plain lists judge random workloads, and must say the same.
//!
//! The workloads are the same on every run; `KRCU_ORACLE_WORKLOADS` asks for more of them. If the two differ
//! on a workload, it is reduced to few events and printed as a script.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may, outside its functions too")]

mod machines;
mod naive;
mod probes;
mod random;
mod unseen;

use std::{collections::BTreeMap, fmt::Write as _};

use krcu_common::BarrierKind;
use krcu_model::{
    Event, State, VerdictKind, Watch,
    event::{CacheAddress, What},
    promise::Promise,
    script,
    state::Blind,
    verdict::{KernelResult, Note, OfLeft},
    verdicts,
};
use naive::{Accusation, Expected, Naive};

/// The number of workloads of each kind, unless the environment asks for more.
const WORKLOADS: u64 = 2000;

fn workloads() -> u64 {
    std::env::var("KRCU_ORACLE_WORKLOADS").map_or(WORKLOADS, |text| text.parse().expect("a number"))
}

/// A broken promise: the promise, the cache, when it was broken, and when the oldest object was queued.
type Broken = (Promise, Option<CacheAddress>, u64, u64);

/// What the model says after all events, in the words of the oracle.
fn said(state: &State) -> (Vec<Expected>, Vec<Broken>, Vec<VerdictKind>) {
    let all = verdicts(state);
    let destroys = all.iter().take(state.destroys().len()).map(|verdict| Expected {
        kind: verdict.decision.kind,
        queued_by_kfree_rcu: verdict.decision.left.frees,
        leaked: verdict.decision.left.leaked,
        undecided: verdict.decision.left.undecided,
        late_frees: verdict.evidence.late.frees,
        waited_for_own: verdict.decision.waited.own_frees,
        waited_for_other: verdict.decision.waited.other_frees,
        ordering: verdict.decision.ordering,
        queued_by_call_rcu: verdict.decision.left.callbacks,
        waited_for_callbacks: verdict.decision.waited.for_callbacks,
        waited_for_own_callbacks: verdict.decision.waited.own_callbacks,
        reasons: verdict.decision.reasons.clone(),
        queued_twice: verdict.evidence.deferred.queued_twice,
        freed_by: verdict.evidence.deferred.freed_by,
        waited_grace_periods: verdict.evidence.destroyed.grace_periods,
        in_sheaves: verdict.decision.waited.in_sheaves,
    });
    let mut broken: Vec<Broken> = state
        .violations()
        .iter()
        .filter(|violation| matches!(violation.promise, Promise::BarrierCovers | Promise::GracePeriodKept))
        .map(|violation| (violation.promise, violation.address, violation.at.0, violation.oldest.0))
        .collect();
    broken.sort_unstable();
    let mut words: Vec<VerdictKind> =
        all.iter().skip(state.destroys().len()).map(|verdict| verdict.decision.kind).collect();
    words.sort_unstable();
    (destroys.collect(), broken, words)
}

fn word(accusation: &Accusation) -> VerdictKind {
    match accusation.promise {
        Promise::BarrierCovers => VerdictKind::BarrierEarly,
        _ => VerdictKind::FreedEarly,
    }
}

/// Where the model and the oracle differ, in words.
fn difference(watch: &Watch, events: &[Event]) -> Option<String> {
    let naive = Naive::new(watch, events);
    let mut state = State::new(watch.clone());
    for (place, event) in events.iter().enumerate() {
        state.step(event.clone());
        for address in naive.lives.iter().map(|life| life.address) {
            let (model, oracle) = (state.outstanding_of(address), naive.outstanding_at(address, place));
            if model != oracle {
                return Some(format!("after event {place}, {address:?}: {model} outstanding, not {oracle}"));
            }
            let model = state.callbacks_waiting_of(address);
            let oracle = naive.waiting_callbacks_at(address, place);
            if model != oracle && !watch.blind.contains(&Blind::CallbackRuns) {
                return Some(format!("after event {place}, {address:?}: {model} callbacks, not {oracle}"));
            }
        }
        let (model, oracle) = (state.outstanding(), naive.outstanding_in_all(place));
        if model != oracle {
            return Some(format!("after event {place}: {model} outstanding in all, not {oracle}"));
        }
    }
    let (destroys, broken, words) = said(&state);
    let expected = naive.expected();
    for (number, (model, oracle)) in destroys.iter().zip(&expected).enumerate() {
        if model != oracle {
            return Some(format!("destroy {number}:\n  model  {model:?}\n  oracle {oracle:?}"));
        }
    }
    if destroys.len() != expected.len() {
        return Some(format!("{} destroys, not {}", destroys.len(), expected.len()));
    }
    let accusations = naive.accusations();
    let mut accused: Vec<Broken> =
        accusations.iter().map(|a| (a.promise, a.address, a.at.0, a.oldest.0)).collect();
    accused.sort_unstable();
    if broken != accused {
        return Some(format!("broken promises:\n  model  {broken:?}\n  oracle {accused:?}"));
    }
    let mut expected_words: Vec<VerdictKind> = accusations.iter().filter(|a| a.proved).map(word).collect();
    let mut doubled: Vec<usize> = naive.doubles().iter().map(|double| double.life).collect();
    doubled.sort_unstable();
    doubled.dedup();
    expected_words.extend(doubled.iter().map(|_| VerdictKind::DoubleFree));
    expected_words.sort_unstable();
    (words != expected_words).then(|| format!("verdicts of promises: {words:?}, not {expected_words:?}"))
}

/// Leaves out events as long as the two still differ.
fn reduced(watch: &Watch, events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    let mut size = events.len().div_ceil(2);
    while size > 0 {
        let mut place = 0;
        while place < events.len() {
            let mut fewer = events.clone();
            fewer.drain(place..(place + size).min(events.len()));
            if difference(watch, &fewer).is_some() {
                events = fewer;
            } else {
                place += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    events
}

fn agree(watch: &Watch, events: &[Event], seed: u64) -> Result<(), String> {
    if difference(watch, events).is_none() {
        return Ok(());
    }
    let fewest = reduced(watch, events);
    let said = difference(watch, &fewest).unwrap_or_default();
    Err(format!("workload {seed}: {said}\n{}", script::write_with(watch, &fewest)))
}

/// How often each thing happened.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Counts what a workload shows, beyond the agreement.
    fn take(&mut self, watch: &Watch, events: &[Event]) {
        let mut state = State::new(watch.clone());
        events.iter().for_each(|event| state.step(event.clone()));
        for verdict in verdicts(&state) {
            self.add(verdict.decision.kind.word());
            let is_pending = verdict.decision.kind == VerdictKind::Pending;
            let by_call_rcu = verdict.decision.left.callbacks.is_some_and(|callbacks| callbacks > 0);
            let is_emptied = verdict.evidence.kernel.result == KernelResult::Empty;
            let has = |is: &dyn Fn(&OfLeft) -> bool| {
                verdict.decision.notes.iter().any(|note| matches!(note, Note::Left(note) if is(note)))
            };
            let cases = [
                ("pending callback", is_pending && by_call_rcu && !is_emptied),
                ("callback after its memory", is_pending && is_emptied),
                ("waited for callbacks", verdict.decision.waited.own_callbacks > 0),
                ("fewer objects than callbacks", has(&|note| matches!(note, OfLeft::MoreCallbacks(_)))),
                ("callbacks that may share an object", has(&|note| *note == OfLeft::CallbacksMayShare)),
            ];
            cases.into_iter().filter(|(_, is_so)| *is_so).for_each(|(what, _)| self.add(what));
        }
        let naive = Naive::new(watch, events);
        for (life, queued, freed) in naive.frees_with_a_grace_period_to_wait_for() {
            let can_tell = naive.can_tell(Promise::GracePeriodKept, life, queued, freed);
            if can_tell && naive.has_grace_period(queued, freed) {
                self.add("grace period kept");
            }
        }
        for barrier in &naive.barriers {
            let Some(end) = barrier.end else { continue };
            let is_waited_for = |queued: usize, done: Option<usize>| {
                queued < barrier.begin && done.is_some_and(|done| barrier.begin < done && done < end)
            };
            let by_barrier = match barrier.kind {
                BarrierKind::Rcu => naive.callbacks.iter().any(|c| is_waited_for(c.queued, c.ran)),
                _ => {
                    naive.deferred.iter().any(|e| barrier.is_for(e.life) && is_waited_for(e.queued, e.freed))
                }
            };
            if by_barrier {
                self.add("barrier waited");
            }
        }
        for entry in &naive.deferred {
            if entry.within_call {
                self.add("freed within its call");
            }
        }
        if events.iter().any(|event| matches!(event.what, What::Gap(_))) {
            self.add("loss");
        }
    }

    fn demand(&self, least: &[(&'static str, u64)]) {
        if workloads() < WORKLOADS {
            return;
        }
        for (what, least) in least {
            let seen = self.0.get(what).copied().unwrap_or(0);
            assert!(seen >= *least, "{what}: {seen} times, and it should be {least}: {:?}", self.0);
        }
    }
}

/// What two thousand workloads must show, so that the two do not agree only because nothing happens.
const OF_PROBES: [(&str, u64); 21] = [
    ("clean", 250),
    ("waited", 50),
    ("pending", 350),
    ("leaked", 35),
    ("late-free", 25),
    ("unordered", 170),
    ("alias", 400),
    ("barrier-early", 50),
    ("freed-early", 300),
    ("model-disagrees", 4),
    ("inconclusive", 600),
    ("barrier waited", 700),
    ("grace period kept", 1200),
    ("freed within its call", 400),
    ("loss", 150),
    ("double-free", 30),
    ("pending callback", 120),
    ("callback after its memory", 2),
    ("waited for callbacks", 1),
    ("fewer objects than callbacks", 7),
    ("callbacks that may share an object", 3),
];

/// The same for machines. They have no verdict that needs a broken slab allocator or a loss.
const OF_MACHINES: [(&str, u64); 13] = [
    ("clean", 450),
    ("waited", 120),
    ("pending", 180),
    ("pending callback", 60),
    ("leaked", 150),
    ("unordered", 500),
    ("alias", 400),
    ("barrier-early", 10),
    ("freed-early", 75),
    ("inconclusive", 200),
    ("barrier waited", 900),
    ("grace period kept", 4500),
    ("freed within its call", 350),
];

fn all_agree(results: impl Iterator<Item = Result<(), String>>) {
    let mut failures = 0;
    let mut text = String::new();
    for failure in results.filter_map(Result::err) {
        failures += 1;
        if failures <= 3 {
            writeln!(text, "{failure}").unwrap();
        }
    }
    assert!(failures == 0, "{failures} workloads\n{text}");
}

#[test]
fn model_and_oracle_agree_on_what_probes_could_send() {
    let mut tally = Tally::default();
    all_agree((0..workloads()).map(|seed| {
        let (watch, events) = probes::workload(seed);
        tally.take(&watch, &events);
        agree(&watch, &events, seed)
    }));
    tally.demand(&OF_PROBES);
}

#[test]
fn model_and_oracle_agree_on_what_machines_do() {
    let mut tally = Tally::default();
    all_agree((0..workloads()).map(|seed| {
        let run = machines::run(seed);
        tally.take(&run.watch, &run.events);
        agree(&run.watch, &run.events, seed)
    }));
    tally.demand(&OF_MACHINES);
}

#[test]
fn what_is_believed_of_a_machine_is_so() {
    for seed in 0..workloads() {
        let run = machines::run(seed);
        let mut state = State::new(run.watch.clone());
        let mut taken = 0;
        for (until, truth) in &run.truth {
            run.events[taken..*until].iter().for_each(|event| state.step(event.clone()));
            taken = *until;
            let addresses = (1..truth.len() as u64).chain([0]).map(CacheAddress);
            let believed: Vec<u64> =
                addresses.map(|a| state.outstanding_of(a) + state.callbacks_waiting_of(a)).collect();
            assert_eq!(&believed, truth, "machine {seed}, after {taken} events");
        }
    }
}

/// Everything that is said about a workload.
fn output(watch: &Watch, events: &[Event]) -> String {
    let mut state = State::new(watch.clone());
    events.iter().for_each(|event| state.step(event.clone()));
    format!("{:?}\n{:?}", verdicts(&state), state.violations())
}

#[test]
fn the_same_events_give_the_same_bytes_also_by_way_of_a_script() {
    for seed in 0..workloads() / 10 {
        let (watch, events) = probes::workload(seed);
        let run = machines::run(seed);
        assert_eq!(probes::workload(seed), (watch.clone(), events.clone()));
        for (watch, events) in [(watch, events), (run.watch, run.events)] {
            let first = output(&watch, &events);
            assert_eq!(first, output(&watch, &events));
            let read = script::read(&script::write_with(&watch, &events)).unwrap();
            assert_eq!((&read.watch, &read.events), (&watch, &events));
            assert_eq!(first, output(&read.watch, &read.events));
        }
    }
}
