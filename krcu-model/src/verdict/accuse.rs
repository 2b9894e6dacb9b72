//! Accusations: what the kernel broke, if no unseen event can explain it.

use std::{collections::BTreeMap, mem::take};

use crate::{
    event::{CacheFacts, Time},
    promise::{
        Promise, Violation,
        doubles::{AllDoubles, Doubles},
    },
    state::{State, destroy::Destroy, id::CacheId, stack::StackId},
    verdict::{
        decision::{About, Decision, Left, Verdict},
        evidence::{AboutCache, DeferredFrees, Destroyed, Evidence, SiteCount},
        gather::frames,
        kind::VerdictKind,
        note::Note,
    },
};

/// An accusation: the kernel broke a promise, or an object was freed twice.
#[derive(Debug)]
pub struct Accusation {
    /// The life of the cache that it is about, if it is about one.
    pub life: Option<CacheId>,
    /// When it was found; if it was found several times, the last time.
    pub at: Time,
    /// The verdict.
    pub verdict: Verdict,
}

/// All accusations that hold: the broken promises in the order in which they were found, then the double
/// frees in the order in which the watch met their caches.
pub fn all(state: &State) -> impl Iterator<Item = Accusation> {
    let proved = state.violations().iter().filter(|violation| is_proved(state, violation));
    let broken = proved.filter_map(|violation| {
        let verdict = of_violation(state, violation)?;
        Some(Accusation { life: violation.cache, at: violation.at, verdict })
    });
    let doubles = state.doubles.iter().filter_map(|(life, doubles)| {
        let verdict = of_double(state, *life, doubles)?;
        Some(Accusation { life: Some(*life), at: doubles.last(), verdict })
    });
    broken.chain(doubles)
}

/// Whether no missing event can show that nothing was broken. A loss becomes known only some events after it
/// happened.
fn is_proved(state: &State, violation: &Violation) -> bool {
    let Violation { promise, address, oldest, at, .. } = violation;
    let needs_grace = *promise == Promise::GracePeriodKept;
    !state.gaps.iter().any(|gap| gap.may_explain(*address, needs_grace, *oldest) && gap.from <= *at)
}

/// The verdict about a broken promise; none if the verdict about a destroy says it already.
fn of_violation(state: &State, violation: &Violation) -> Option<Verdict> {
    let Violation { promise, cache, begin, at, objects, oldest, being_freed, .. } = violation;
    let (objects, took_ns) = (*objects, at.since(*begin));
    let (kind, note, wait_ns) = match promise {
        Promise::BarrierCovers => {
            let note = Note::BarrierEarly { objects, took_ns, being_freed: *being_freed };
            (VerdictKind::BarrierEarly, note, Some(took_ns))
        }
        Promise::GracePeriodKept => {
            (VerdictKind::FreedEarly, Note::FreedEarly { objects, after_ns: took_ns }, None)
        }
        _ => return None,
    };
    let facts = cache.map(|cache| facts_of(state, cache)).unwrap_or_default();
    let being_freed = being_freed.map_or(0, |running| running.objects);
    let left = Left { frees: objects, being_freed, ..Left::default() };
    let oldest_age_ns = Some(at.since(*oldest));
    Some(Verdict {
        about: About::Cache,
        cache: AboutCache { name: facts.name, ..AboutCache::default() },
        decision: Decision { left, ..Decision::default() }.is(kind).note(note),
        evidence: Evidence {
            destroyed: Destroyed { wait_ns, ..Destroyed::default() },
            deferred: DeferredFrees { oldest_age_ns, ..DeferredFrees::default() },
            ..Evidence::default()
        },
    })
}

/// Objects of its cache that the barrier inside a destroy covers and did not wait for.
pub(crate) fn missed_by_barrier(state: &State, destroy: &Destroy) -> u64 {
    let looked = destroy.look.unwrap_or(destroy.begin).time;
    let is_inside = |violation: &&Violation| {
        violation.promise == Promise::BarrierCovers
            && violation.cache == Some(destroy.life.id)
            && (destroy.begin.time..=looked).contains(&violation.at)
            && is_proved(state, violation)
    };
    state.violations().iter().find(is_inside).map_or(0, |violation| violation.objects)
}

/// What is known about a cache, whether it still exists or not.
fn facts_of(state: &State, cache: CacheId) -> CacheFacts {
    let destroyed =
        state.destroys().rfind(|destroy| destroy.life.id == cache).map(|destroy| &destroy.life.facts);
    let alive = state.caches.values().find(|alive| alive.life.id == cache).map(|alive| &alive.life.facts);
    alive.or(destroyed).cloned().unwrap_or_default()
}

/// Forgets the accusations for which `is_over` is true; it gets the life of the cache and the time when the
/// accusation was last found. Returns the kinds of the forgotten accusations.
pub(crate) fn forget(state: &mut State, is_over: impl Fn(CacheId, Time) -> bool) -> Vec<VerdictKind> {
    let (over, kept): (Vec<_>, Vec<_>) = take(&mut state.ledger.violations)
        .into_iter()
        .partition(|violation| violation.cache.is_some_and(|life| is_over(life, violation.at)));
    state.ledger.violations = kept;
    let proved = over.iter().filter(|violation| is_proved(state, violation));
    let mut words: Vec<VerdictKind> =
        proved.filter_map(|violation| Some(of_violation(state, violation)?.kind())).collect();
    let (over, kept): (AllDoubles, AllDoubles) =
        take(&mut state.doubles).into_iter().partition(|(life, doubles)| is_over(*life, doubles.last()));
    state.doubles = kept;
    let doubles = over.iter().filter_map(|(life, doubles)| of_double(state, *life, doubles));
    words.extend(doubles.map(|verdict| verdict.kind()));
    words
}

fn of_double(state: &State, cache: CacheId, doubles: &Doubles) -> Option<Verdict> {
    let (objects, proved) = doubles.proved(&state.gaps);
    let first = proved.first()?;
    let mut pairs: BTreeMap<(Option<StackId>, StackId), u64> = BTreeMap::new();
    for double in &proved {
        *pairs.entry((double.second.1, double.first.1)).or_default() += 1;
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, objects)| core::cmp::Reverse(*objects));
    let stacks = pairs.iter().flat_map(|((second, first), objects)| {
        let both = [*second, Some(*first)].into_iter().flatten();
        both.filter(|stack| *stack != StackId::default()).map(|stack| (*objects, stack))
    });
    let module = stacks.clone().find_map(|(_, stack)| state.stack(stack).module().map(str::to_owned));
    let sites = stacks.map(|(objects, stack)| SiteCount { objects, stack: frames(state, stack) });
    let CacheFacts { name, object_size, .. } = facts_of(state, cache);
    let after_ns = first.second.0.time.since(first.first.0.time);
    let note = Note::HandedOverTwice { objects, after_ns };
    let deferred =
        DeferredFrees { queued_twice: objects, sites: sites.collect(), ..DeferredFrees::default() };
    Some(Verdict {
        about: About::Cache,
        cache: AboutCache { name, module, object_bytes: object_size, ..AboutCache::default() },
        decision: Decision::default().is(VerdictKind::DoubleFree).note(note),
        evidence: Evidence { deferred, ..Evidence::default() },
    })
}
