//! Lost events: a verdict that is given without them must be the verdict of all events.

use std::collections::BTreeMap;

use krcu_common::FreePath;
use krcu_model::{
    Event, State, VerdictKind, Watch,
    event::{CacheAddress, Cpu, Gap, LossReason, ObjectAddress, Scope, Task, Time, What},
    state::Blind,
    verdict::Decision,
    verdicts,
};

use crate::{machines, random::Random};

/// What probes would have seen of a machine.
fn as_probes_see(events: &[Event]) -> Vec<Event> {
    let mut caches: BTreeMap<ObjectAddress, CacheAddress> = BTreeMap::new();
    let mut seen = Vec::new();
    for event in events {
        let of_it = |what| Event { what, ..event.clone() };
        match &event.what {
            What::CallbackQueued { object, cache, .. } => {
                caches.insert(*object, *cache);
                seen.push(event.clone());
            }
            What::CallbackRan { object, .. } => {
                let cache = caches.get(object).copied().unwrap_or_default();
                seen.push(of_it(What::CallbackRuns { object: *object, cache }));
                seen.push(of_it(What::BatchFreed { path: FreePath::Callback }));
            }
            What::Allocated { .. }
            | What::QueueReturned { .. }
            | What::ReadLock { .. }
            | What::ReadUnlock
            | What::Reported { .. }
            | What::SlabsFreed { .. }
            | What::Quiet => {}
            _ => seen.push(event.clone()),
        }
    }
    seen
}

/// What some programs report: one scope of a loss, with the events that belong to it.
type Kind = (Scope, fn(&What) -> bool);

const CALLS: Kind =
    (Scope::Queueing, |what| matches!(what, What::Queued { .. } | What::CallbackQueued { .. }));
const FREES: Kind = (Scope::Freeing, |what| {
    matches!(what, What::Freed { .. } | What::CallbackRuns { .. } | What::BatchFreed { .. })
});
const BARRIERS: Kind =
    (Scope::Barriers, |what| matches!(what, What::BarrierBegin { .. } | What::BarrierEnd { .. }));

/// The same events without some of each kind, and with the gaps that say so.
fn without_some(events: &[Event], kinds: &[Kind], random: &mut Random) -> Option<Vec<Event>> {
    let (first, last) = (events.first()?.time, events.last()?.time);
    let mut kept = events.to_vec();
    let mut gaps = Vec::new();
    for (scope, is_of_it) in kinds {
        let before = kept.len();
        kept.retain(|event| !is_of_it(&event.what) || random.percent(85));
        let (events, programs) = ((before - kept.len()) as u64, vec!["program".to_owned()]);
        let reason = LossReason::ProbeMissed;
        gaps.push(Gap { reason, events, from: first, until: last, scope: *scope, programs });
    }
    gaps.retain(|gap| gap.events > 0);
    let told = |gap| Event { time: last, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) };
    (!gaps.is_empty()).then(|| kept.into_iter().chain(gaps.into_iter().map(told)).collect())
}

/// The verdicts of the destroys.
fn of_destroys(watch: &Watch, events: &[Event]) -> Vec<Decision> {
    let mut state = State::new(watch.clone());
    events.iter().for_each(|event| state.step(event.clone()));
    verdicts(&state).into_iter().take(state.destroys().len()).map(|verdict| verdict.decision).collect()
}

/// Whether what was said without some events is true: the word is that of all events. Where some objects were undecided,
/// those may have been pending, and no fewer may have leaked than was said.
fn is_true(said: &Decision, all: &Decision) -> bool {
    let may_be_pending = said.kind == VerdictKind::Leaked
        && said.left.undecided > 0
        && all.kind == VerdictKind::Pending
        && all.left.leaked >= said.left.leaked;
    said.kind == all.kind || may_be_pending
}

/// How many verdicts are decided without some events, each of which must be the verdict of all events; and
/// how many are open.
fn stand_and_open(kinds_of_loss: &[Kind]) -> (u64, u64) {
    let mut random = Random::new(4);
    let (mut stand, mut open) = (0, 0);
    for seed in 0..crate::workloads() {
        let run = machines::run(seed);
        let watch = Watch { attached: Time(0), blind: vec![Blind::Inside], ..run.watch };
        let whole = as_probes_see(&run.events);
        // No kernel has a destroy that lingers, so these are left out.
        if whole.iter().any(|event| matches!(event.what, What::Lingers { .. })) {
            continue;
        }
        let Some(part) = without_some(&whole, kinds_of_loss, &mut random) else { continue };
        let (all, said) = (of_destroys(&watch, &whole), of_destroys(&watch, &part));
        for (all, said) in all.iter().zip(&said) {
            if said.kind == VerdictKind::Inconclusive {
                open += 1;
            } else {
                stand += 1;
                assert!(is_true(said, all), "machine {seed}: {said:?}, {all:?}");
            }
        }
    }
    (stand, open)
}

#[test]
fn a_verdict_that_stands_without_some_calls_is_that_of_all_events() {
    let (stand, open) = stand_and_open(&[CALLS]);
    assert!(stand > 500 && open > 500, "{stand} verdicts stand, {open} are open");
}

#[test]
fn a_verdict_that_stands_without_some_frees_is_that_of_all_events() {
    let (stand, open) = stand_and_open(&[FREES]);
    assert!(stand > 500 && open > 500, "{stand} verdicts stand, {open} are open");
}

#[test]
fn a_verdict_that_stands_without_some_barriers_is_that_of_all_events() {
    let (stand, open) = stand_and_open(&[BARRIERS]);
    assert!(stand > 500 && open > 500, "{stand} verdicts stand, {open} are open");
}

#[test]
fn a_verdict_that_stands_without_some_of_everything_is_that_of_all_events() {
    let (stand, open) = stand_and_open(&[CALLS, FREES, BARRIERS]);
    assert!(stand > 100 && open > 500, "{stand} verdicts stand, {open} are open");
}
