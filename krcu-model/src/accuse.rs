//! Accusations: what the kernel is said to have broken, and when nothing unseen can explain it.

use crate::{
    advice,
    event::{CacheAddress, Gap, Scope, Time},
    promise::{Promise, Violation},
    state::State,
    verdict::{Verdict, VerdictKind},
};

/// The verdicts of broken promises, in the order in which they were found.
pub(crate) fn of_promises(state: &State) -> impl Iterator<Item = Verdict> {
    let violations = state.violations().iter().filter(|violation| is_proved(state, violation));
    violations.filter_map(|violation| of_violation(state, violation))
}

/// Whether no event can be missing that would have shown that nothing was broken: a loss is known only
/// some events after it happened.
fn is_proved(state: &State, violation: &Violation) -> bool {
    let Violation { promise, address, oldest, at, .. } = violation;
    let needs_grace = *promise == Promise::GracePeriodKept;
    !state.gaps.iter().any(|gap| gap.may_explain(*address, needs_grace, *oldest) && gap.from <= *at)
}

impl Gap {
    /// Whether it may be this loss that makes something look broken which was queued, or begun, at `since`:
    /// about a cache, and by the grace periods where that needs them.
    pub(crate) fn may_explain(&self, cache: Option<CacheAddress>, needs_grace: bool, since: Time) -> bool {
        let is_about = match self.scope {
            Scope::Everything => true,
            Scope::Cache(address) => cache.is_none_or(|cache| cache == address),
            Scope::Grace => needs_grace,
        };
        is_about && self.until >= since
    }
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
