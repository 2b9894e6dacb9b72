//! Calls that went unseen: a verdict that stands without them is the one that all events lead to.

use std::collections::BTreeMap;

use krcu_common::FreePath;
use krcu_model::{
    Event, State, VerdictKind, Watch,
    event::{CacheAddress, Cpu, Gap, LossReason, ObjectAddress, Scope, Task, Time, What},
    state::Blind,
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

/// The same without some of the calls that queue, and with what is known of that.
fn without_some_calls(events: &[Event], random: &mut Random) -> Option<Vec<Event>> {
    let is_call = |event: &Event| matches!(event.what, What::Queued { .. } | What::CallbackQueued { .. });
    let kept: Vec<Event> =
        events.iter().filter(|event| !is_call(event) || random.percent(85)).cloned().collect();
    let lost = (events.len() - kept.len()) as u64;
    let (first, last) = (events.first()?.time, events.last()?.time);
    let gap = Gap {
        reason: LossReason::ProbeMissed,
        events: lost,
        from: first,
        until: last,
        scope: Scope::Queueing,
    };
    let told = Event { time: last, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) };
    (lost > 0).then(|| kept.into_iter().chain([told]).collect())
}

/// The words of the destroys.
fn kinds(watch: &Watch, events: &[Event]) -> Vec<VerdictKind> {
    let mut state = State::new(watch.clone());
    events.iter().for_each(|event| state.step(event.clone()));
    verdicts(&state).iter().take(state.destroys().len()).map(|verdict| verdict.verdict).collect()
}

#[test]
fn a_verdict_that_stands_without_some_calls_is_that_of_all_events() {
    let mut random = Random::new(4);
    let (mut stand, mut open) = (0, 0);
    for seed in 0..crate::workloads() {
        let run = machines::run(seed);
        let watch = Watch { attached: Time(0), blind: vec![Blind::Inside], ..run.watch };
        let whole = as_probes_see(&run.events);
        // No kernel has a destroy that lingers, so none is watched.
        if whole.iter().any(|event| matches!(event.what, What::Lingers { .. })) {
            continue;
        }
        let Some(part) = without_some_calls(&whole, &mut random) else { continue };
        let (all, said) = (kinds(&watch, &whole), kinds(&watch, &part));
        for (all, said) in all.iter().zip(&said) {
            match *said {
                VerdictKind::Inconclusive => open += 1,
                said => {
                    stand += 1;
                    assert_eq!(said, *all, "machine {seed}");
                }
            }
        }
    }
    assert!(stand > 500 && open > 500, "{stand} verdicts stand, {open} are open");
}
