//! Which verdict follows from a destroy, and why.
//!
//! [`verdicts`] looks at the state and changes nothing; it may be asked at any time, and the answer
//! is final once [`State::is_unsettled`] says that there is nothing to wait for. Each destroy has one
//! verdict; what cannot be decided is `inconclusive`, with the reasons.

use std::collections::BTreeMap;

use crate::{
    advice,
    event::{Gap, LossReason},
    evidence::evidence,
    promise::{Promise, Violation},
    state::{Blind, Born, Destroy, Shutdown, State},
    verdict::{Ordering, Verdict, VerdictKind},
};

/// Every verdict: the destroys in the order of their entry, then the broken promises.
#[must_use]
pub fn verdicts(state: &State) -> Vec<Verdict> {
    let destroys = state.destroys.iter().map(|destroy| of_destroy(state, destroy));
    let violations = state.violations().iter().filter(|violation| is_proved(state, violation));
    destroys.chain(violations.filter_map(|violation| of_violation(state, violation))).collect()
}

/// Whether no event can be missing that would have shown that nothing was broken: a loss is known only
/// some events after it happened.
fn is_proved(state: &State, violation: &Violation) -> bool {
    !state.gaps.iter().any(|gap| gap.from <= violation.at && gap.until >= violation.oldest)
}

/// What the kernel left behind, split by what is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    pending: u64,
    leaked: Option<u64>,
    undecided: u64,
}

fn of_destroy(state: &State, destroy: &Destroy) -> Verdict {
    let mut verdict = evidence(state, destroy);
    let losses: Vec<&Gap> = state.gaps.iter().filter(|gap| touches(state, destroy, gap)).collect();
    let (kind, notes) = decide(state, destroy, &losses, &mut verdict);
    verdict.verdict = kind;
    verdict.flagged = kind.is_flagged();
    verdict.flagged_strictly = kind.is_flagged_strictly();
    verdict.notes = notes;
    verdict.advice = advice::of(&verdict);
    verdict
}

/// Whether a loss falls into the life of this cache, as far as its verdict depends on it.
fn touches(state: &State, destroy: &Destroy, gap: &Gap) -> bool {
    let born = match &destroy.born {
        Born::Watched { at, .. } => at.time,
        Born::BeforeAttach => state.watch.attached,
    };
    let end = destroy.end.map_or(state.now.max(gap.from), |end| end.time);
    gap.from <= end && gap.until >= born
}

fn decide(
    state: &State,
    destroy: &Destroy,
    losses: &[&Gap],
    verdict: &mut Verdict,
) -> (VerdictKind, Vec<String>) {
    if destroy.facts.refcount != 1 && destroy.look.is_none() && losses.is_empty() {
        let note = match destroy.facts.refcount - 1 {
            1 => "the cache is merged with another and stays for it; this dropped a reference".to_owned(),
            others if others > 1 => {
                format!(
                    "the cache is merged with others and stays for {others} users; this dropped a reference"
                )
            }
            _ => "the cache was destroyed before, which failed: this call changes nothing".to_owned(),
        };
        return (VerdictKind::Alias, vec![note]);
    }
    let mut notes = Vec::new();
    let mut lost: BTreeMap<LossReason, u64> = BTreeMap::new();
    for gap in losses {
        *lost.entry(gap.reason).or_default() += gap.events;
    }
    notes.extend(lost.iter().map(|(reason, events)| match events {
        // Of what nobody counted.
        0 => format!("an unknown number of events was {}", reason.words()),
        events => format!("{events} events were {}", reason.words()),
    }));
    let Some(shutdown) = destroy.shutdown else {
        notes.push("how the destroy ended was not seen".to_owned());
        return (VerdictKind::Inconclusive, notes);
    };
    if !losses.is_empty() {
        return (VerdictKind::Inconclusive, notes);
    }
    if state.watch.blind.contains(&Blind::Frees) && destroy.queued > 0 {
        notes.push("this kernel does not let every deferred free be seen".to_owned());
        return (VerdictKind::Inconclusive, notes);
    }
    if shutdown == Shutdown::Empty && destroy.late > 0 {
        // Only now: were a free unseen, that of another object at the same address would look like this.
        notes.push(format!(
            "{} deferred frees ran after the memory of the cache was given back",
            destroy.late
        ));
        return (VerdictKind::LateFree, notes);
    }
    match shutdown {
        Shutdown::Left(_) => of_failed(state, destroy, verdict, notes),
        Shutdown::Empty => of_emptied(state, destroy, verdict, notes),
    }
}

/// The kernel says that objects remain: whose are they?
fn of_failed(
    state: &State,
    destroy: &Destroy,
    verdict: &mut Verdict,
    mut notes: Vec<String>,
) -> (VerdictKind, Vec<String>) {
    let left = verdict.kernel_objects_left;
    if left.is_some_and(|left| destroy.outstanding_after > left) {
        notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel counts {} objects",
            destroy.outstanding_after,
            left.unwrap_or(0)
        ));
        return (VerdictKind::ModelDisagrees, notes);
    }
    let split = split(state, destroy, left);
    verdict.queued_by_kfree_rcu = split.pending;
    verdict.leaked = split.leaked;
    verdict.undecided = split.undecided;
    let is_inexact = left.is_some() && split.leaked.is_none() && split.undecided == 0;
    if is_inexact {
        notes.push(
            "deferred frees ran or were queued while the kernel looked, so its count is of no one moment"
                .to_owned(),
        );
    }
    if destroy.callbacks > 0 && split.leaked.is_some_and(|leaked| leaked > 0) {
        notes.push("every callback of call_rcu() had run; what a callback hands to a work item or a timer is not followed".to_owned());
    }
    if split.undecided > 0 {
        if destroy.born == Born::BeforeAttach {
            notes.push(format!(
                "{} of the objects left were allocated before the probes were attached: attach before the module is loaded to know whether they were queued",
                split.undecided
            ));
        } else if destroy.counted {
            notes.push("deferred frees of a built-in cache are counted, not followed".to_owned());
        } else {
            verdict.queued_by_call_rcu = None;
            notes.push(format!(
                "{} of the objects left may belong to callbacks of call_rcu() that no rcu_barrier() has waited for",
                split.undecided
            ));
        }
    }
    if split.pending > 0 {
        (VerdictKind::Pending, notes)
    } else if split.undecided > 0 || is_inexact {
        (VerdictKind::Inconclusive, notes)
    } else {
        (VerdictKind::Leaked, notes)
    }
}

fn split(state: &State, destroy: &Destroy, left: Option<u64>) -> Split {
    // What was outstanding at the look; an object whose free was running then may have been free
    // already, and counts only if the kernel found something.
    let pending = destroy.at_look.outstanding + destroy.at_look.being_freed + destroy.late_unknown;
    let unknown_past = has_unknown_past(state, destroy);
    let Some(left) = left else {
        // Without the kernel's count, how many more are left is not known.
        return Split { pending, leaked: None, undecided: u64::from(pending == 0 && unknown_past) };
    };
    // The slabs were counted when the look was over, and are held against what was outstanding then:
    // frees that ran in between are in neither.
    let known = destroy.outstanding_after + destroy.being_freed_after + destroy.late_unknown;
    let rest = left.saturating_sub(known);
    if rest > 0 && unknown_past {
        return Split { pending, leaked: None, undecided: rest };
    }
    // Frees that were running may have ended while the slabs were counted, and objects that were
    // allocated meanwhile make a slab look full: then the rest says nothing.
    // So does what is freed between the look's flush and its count: the slab may go to a CPU's own list and
    // is then counted as a full one, though nothing may be left in it. Slabs on the node's list are exact.
    let at_look = destroy.at_look.outstanding + destroy.at_look.being_freed;
    let freed_during = at_look > destroy.outstanding_after + destroy.being_freed_after;
    let all_listed =
        matches!(destroy.shutdown, Some(Shutdown::Left(Some(left))) if left.listed >= left.objects);
    let may_be_counted_full = freed_during && !all_listed && rest > 0;
    let is_exact = destroy.being_freed_after == 0 && !destroy.queued_during && !may_be_counted_full;
    Split { pending, leaked: is_exact.then_some(rest), undecided: 0 }
}

/// Whether objects may have been queued of which nothing was seen.
fn has_unknown_past(state: &State, destroy: &Destroy) -> bool {
    destroy.born == Born::BeforeAttach
        || destroy.counted
        || destroy.has_open_callbacks()
        || state.watch.blind.contains(&Blind::Callbacks)
}

/// The kernel found nothing left: by order, or by luck?
fn of_emptied(
    state: &State,
    destroy: &Destroy,
    verdict: &mut Verdict,
    mut notes: Vec<String>,
) -> (VerdictKind, Vec<String>) {
    if destroy.outstanding_after > 0 {
        notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel found nothing left",
            destroy.outstanding_after
        ));
        return (VerdictKind::ModelDisagrees, notes);
    }
    verdict.leaked = Some(0);
    // What was being freed at the look was free when the slabs were looked at.
    verdict.queued_by_kfree_rcu = 0;
    let unseen_queue_before = destroy.freed_unknown > 0 && destroy.covered == 0;
    let unordered_frees = destroy.has_uncovered_frees() || unseen_queue_before;
    if unordered_frees || destroy.has_open_callbacks() {
        let callbacks_prove = destroy.has_open_callbacks() && !state.watch.blind.contains(&Blind::RcuBarrier);
        if state.watch.blind.contains(&Blind::KvfreeBarrier) && unordered_frees && !callbacks_prove {
            notes.push("this kernel does not let its barrier for kfree_rcu() be seen".to_owned());
            return (VerdictKind::Inconclusive, notes);
        }
        if state.watch.blind.contains(&Blind::RcuBarrier) && !unordered_frees {
            notes.push("this kernel does not let rcu_barrier() be seen".to_owned());
            return (VerdictKind::Inconclusive, notes);
        }
        verdict.ordering = Ordering::Unordered;
        return (VerdictKind::Unordered, notes);
    }
    verdict.ordering = if destroy.queued + destroy.callbacks + destroy.freed_unknown > 0 {
        Ordering::Ordered
    } else {
        Ordering::NothingDeferred
    };
    verdict.waited_for_callbacks = destroy.waited_for_callbacks();
    let waited_for_own = destroy.at_begin.outstanding + destroy.at_begin.being_freed;
    let waited_for_frees = destroy.barrier_inside && waited_for_own + destroy.unknown_while_waiting > 0;
    if waited_for_frees || verdict.waited_for_callbacks {
        verdict.waited_for_own = waited_for_own + destroy.unknown_while_waiting;
        verdict.waited_for_other = destroy.others_at_begin;
        return (VerdictKind::Waited, notes);
    }
    let before_attach = destroy.born == Born::BeforeAttach || destroy.counted;
    if before_attach && verdict.ordering == Ordering::NothingDeferred {
        verdict.ordering = Ordering::Unknown;
    }
    if before_attach && !destroy.barrier_inside {
        verdict.ordering = Ordering::Unknown;
        notes.push(
            "nothing was left, but what was queued before the probes were attached is not known to be ordered: attach before the module is loaded to know"
                .to_owned(),
        );
    }
    (VerdictKind::Clean, notes)
}

/// A broken promise, told of the cache that it concerns; none where the verdict of a destroy says it.
fn of_violation(state: &State, violation: &Violation) -> Option<Verdict> {
    let Violation { promise, cache, begin, at, objects, oldest, .. } = violation;
    let took = at.since(*begin);
    let (objects_were, objects_had) =
        if *objects == 1 { ("object was", "object that had") } else { ("objects were", "objects that had") };
    let (kind, note, wait_ns) = match promise {
        Promise::BarrierCovers => (
            VerdictKind::BarrierEarly,
            format!(
                "a barrier returned after {took} ns without the free of {objects} {objects_had} been queued before it"
            ),
            Some(took),
        ),
        Promise::GracePeriodKept => (
            VerdictKind::FreedEarly,
            format!(
                "{objects} {objects_were} freed before a grace period had passed since they were queued, the first after {took} ns"
            ),
            None,
        ),
        _ => return None,
    };
    let life = state.caches.values().find(|life| Some(life.id) == *cache);
    let destroy = state.destroys.iter().find(|destroy| Some(destroy.cache) == *cache);
    let name = life.map(|life| life.facts.name.clone()).or_else(|| destroy.map(|d| d.facts.name.clone()));
    let mut verdict = Verdict {
        verdict: kind,
        flagged: kind.is_flagged(),
        flagged_strictly: kind.is_flagged_strictly(),
        cache: name.unwrap_or_default(),
        queued_by_kfree_rcu: *objects,
        oldest_age_ns: Some(at.since(*oldest)),
        wait_ns,
        notes: vec![note],
        ..Verdict::of_nothing()
    };
    verdict.advice = advice::of(&verdict);
    Some(verdict)
}
