//! Unload: a module's text goes. Had every callback in it run, by order of its own teardown?

use crate::{
    event::{Blind, Gap, Scope, Time},
    rules::Rule,
    state::{
        State,
        barriers::Cover,
        cache::Born,
        module::{Abandoned, Unload},
        stack::StackId,
    },
    verdict::{
        decision::{About, Decision, Left, Verdict},
        emptied::by_others,
        evidence::{AboutCache, CallbackCount, DeferredFrees, Destroyed, DestroyedBy, Evidence, SiteCount},
        gather::{counted_callbacks, counted_sites, cpus, frames, in_modules, open_functions},
        kind::{Ordering, VerdictKind},
        loss::lost,
        note::Unseen,
        reason::Reason,
    },
};

/// What follows for one unload from what is believed now.
#[must_use]
pub fn of_unload(state: &State, unload: &Unload) -> Verdict {
    let mut decision = decide(state, unload);
    let callbacks = callbacks(state, unload, decision.kind);
    decision.notes.extend(in_modules(decision.kind, &callbacks));
    let evidence = Evidence {
        destroyed: Destroyed {
            by: DestroyedBy { task: unload.task.0, ..DestroyedBy::default() },
            at_ns: unload.at.time.since(state.watch.attached),
            ..Destroyed::default()
        },
        deferred: DeferredFrees {
            callbacks_ever: unload.text.ever(),
            oldest_age_ns: unload.left.oldest.map(|oldest| unload.at.time.since(oldest)),
            sites: sites(state, unload),
            cpus: cpus(&unload.left),
            callbacks,
            ..DeferredFrees::default()
        },
        ..Evidence::default()
    };
    let cache = AboutCache {
        module: Some(unload.module.clone()),
        created_while_watched: unload.text.loaded.is_some(),
        ..AboutCache::default()
    };
    Verdict { about: About::Module, cache, decision, evidence }
}

/// What follows for a cache that was left behind.
#[must_use]
pub fn of_abandoned(state: &State, abandoned: &Abandoned) -> Verdict {
    let Abandoned { module, task, at, life, merged, address, left } = abandoned;
    let mut decision = Decision {
        left: Left {
            frees: left.counts.frees(),
            callbacks: state.sees_callbacks_run().then_some(left.counts.callbacks()),
            ..Left::default()
        },
        ..Decision::default()
    };
    let born = if let Born::Watched { at, .. } = life.born { at.time } else { state.watch.attached };
    let is_about = |gap: &&Gap| {
        let is_of_it = matches!(gap.scope, Scope::Everything) || gap.scope == Scope::Cache(*address);
        is_of_it && gap.until >= born && gap.from <= at.time
    };
    // That it was destroyed may be what went unseen.
    let losses: Vec<&Gap> = state.gaps.iter().filter(is_about).collect();
    decision = lost(&losses, decision);
    if decision.reasons.is_empty() {
        decision = decision.is(VerdictKind::Abandoned);
    }
    let evidence = Evidence {
        destroyed: Destroyed {
            by: DestroyedBy { task: task.0, ..DestroyedBy::default() },
            at_ns: at.time.since(state.watch.attached),
            ..Destroyed::default()
        },
        deferred: DeferredFrees {
            queued_ever: left.past.frees.ever,
            callbacks_ever: left.past.callbacks.ever,
            freed_by: left.past.freed_by,
            oldest_age_ns: left.oldest.map(|oldest| at.time.since(oldest)),
            sites: counted_sites(state, &left.stacks),
            ..DeferredFrees::default()
        },
        ..Evidence::default()
    };
    let cache = AboutCache {
        name: merged.as_ref().unwrap_or(&life.facts.name).clone(),
        aliases: if merged.is_none() { life.aliases.clone() } else { Vec::new() },
        module: Some(module.clone()),
        object_bytes: life.facts.object_size,
        created_while_watched: true,
    };
    Verdict { about: About::Cache, cache, decision, evidence }
}

fn decide(state: &State, unload: &Unload) -> Decision {
    let counts = unload.left.counts;
    let left = counts.callbacks() + counts.others();
    let sees_runs = state.sees_callbacks_run();
    let known = sees_runs.then_some(left);
    let callbacks = sees_runs.then_some(counts.callbacks());
    let left = Left { callbacks, others: counts.others(), ..Left::default() };
    let mut decision = Decision { left, ..Decision::default() };
    let unseen = |is_of: &dyn Fn(Scope) -> bool, since: Time| losses(state, unload, is_of, since);
    let begin = unload.text.loaded.map_or(state.watch.attached, |loaded| loaded.time);
    let everything = unseen(&|scope| scope == Scope::Everything, begin);
    if !everything.is_empty() {
        return lost(&everything, decision);
    }
    if known.is_some_and(|left| left > 0) && state.rules.has(Rule::UnloadPending) {
        // A run that was not seen makes its callback look outstanding.
        let hides_runs = |scope| match scope {
            Scope::Cache(cache) => unload.left_in.contains(&cache),
            scope => scope == Scope::Freeing,
        };
        let runs = unseen(&hides_runs, begin);
        if !runs.is_empty() {
            return lost(&runs, decision);
        }
        decision.ordering = Ordering::Unordered;
        return decision.is(VerdictKind::Pending);
    }
    let covers: Vec<Cover<'_>> = unload.covers().collect();
    if covers.is_empty() {
        // What an unseen call has queued is covered as well, if that was before the barrier.
        let hides_calls = |scope| matches!(scope, Scope::Queueing | Scope::Cache(_));
        let calls = unseen(&hides_calls, unload.covered_since);
        if !calls.is_empty() {
            // Nothing is known to be wrong, and a call that went unseen may have come after the barrier.
            decision.ordering = Ordering::Unknown;
            return lost(&calls, decision).is(VerdictKind::Clean);
        }
        if unload.text.has_unseen_chain {
            decision.ordering = Ordering::Unknown;
            let note = Unseen::BlindCallbackRuns;
            return decision.because(Reason::BlindCallbackRuns, note).is(VerdictKind::Clean);
        }
        if unload.has_open_past() {
            decision.ordering = Ordering::Unknown;
            return decision.because(Reason::LateAttach, Unseen::TextOlder).is(VerdictKind::Clean);
        }
        decision.ordering = Ordering::Ordered;
        return decision.is(VerdictKind::Clean);
    }
    if state.watch.blind.contains(&Blind::RcuBarrier) {
        return decision.because(Reason::BlindRcuBarrier, Unseen::BlindRcuBarrier);
    }
    let barriers = unseen(&|scope| scope == Scope::Barriers, begin);
    if !barriers.is_empty() {
        return lost(&barriers, decision);
    }
    by_others(state, &covers, (unload.at.time, unload.task), decision)
}

/// What went unseen of this kind since then, and before the module went.
fn losses<'a>(state: &'a State, unload: &Unload, is_of: &dyn Fn(Scope) -> bool, since: Time) -> Vec<&'a Gap> {
    let is_about = |gap: &&Gap| is_of(gap.scope) && gap.until >= since && gap.from <= unload.at.time;
    state.gaps.iter().filter(is_about).collect()
}

/// The callbacks that are left, most first; else those that no barrier of the teardown orders before the text goes.
fn callbacks(state: &State, unload: &Unload, kind: VerdictKind) -> Vec<CallbackCount> {
    let mut callbacks = counted_callbacks(state, &unload.left.functions);
    if callbacks.is_empty() && matches!(kind, VerdictKind::Unordered | VerdictKind::Inconclusive) {
        let mut open = unload.open_domains();
        callbacks.extend(open_functions(state, &unload.text.functions, unload.covered, &mut open));
    }
    callbacks
}

/// Where what is left was queued; else where the last callback was, unless it is ordered.
fn sites(state: &State, unload: &Unload) -> Vec<SiteCount> {
    let mut sites = counted_sites(state, &unload.left.stacks);
    let open_kinds = unload.open_domains().map(|reach| reach.deferral);
    let others = || unload.text.others.last_of(open_kinds).map_or(StackId::default(), |queued| queued.stack);
    let last = if unload.has_open_callbacks() { unload.text.callbacks.stack } else { others() };
    let is_open = unload.covers().next().is_some();
    if sites.is_empty() && is_open && last != StackId::default() {
        sites.push(SiteCount { objects: 0, stack: frames(state, last) });
    }
    sites
}
