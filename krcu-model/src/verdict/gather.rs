//! Gather: collects the evidence for the decision about a destroy.

use std::collections::BTreeMap;

use krcu_common::Flavour;

use crate::{
    event::{Blind, Gap, Scope, sum},
    state::{
        State,
        cache::Born,
        destroy::{Destroy, Shutdown},
        domains::Reach,
        freed_by::FreedBy,
        function::{FunctionId, Recent},
        moment::Moment,
        stack::StackId,
    },
    verdict::{
        decision::{About, Decision, Verdict},
        evidence::{
            AboutCache, CallbackCount, CpuCount, DeferredFrees, Destroyed, DestroyedBy, Evidence, KernelSaid,
            LateFrees, SiteCount,
        },
        kind::{KernelResult, VerdictKind},
        note::{Note, OfLeft},
        reason::Reason,
    },
};

/// The verdict: the decision with its evidence.
pub(crate) fn verdict(state: &State, destroy: &Destroy, mut decision: Decision) -> Verdict {
    let callbacks = callbacks(state, destroy, &decision);
    let mut outlive = in_modules(decision.kind, &callbacks);
    outlive.retain(|note| !is_ordered_by_unload(state, destroy, note));
    decision.notes.extend(outlive);
    let leaked = decision.left.leaked.filter(|leaked| *leaked > 0 && state.ledger.sees_allocations);
    // What callbacks have freed since the look is nobody's leak.
    let allocated = if decision.reasons.contains(&Reason::CallbacksOutstanding) {
        state.ledger.leaked_by_stack(destroy.address)
    } else {
        destroy.allocated.clone()
    };
    let elsewhere = leaked.and_then(|leaked| allocated_elsewhere(destroy, &allocated, leaked));
    decision.notes.extend(elsewhere.map(Note::from));
    let left = match destroy.shutdown {
        Some(Shutdown::Left(left)) => left,
        Some(Shutdown::Empty) | None => None,
    };
    let look = destroy.look.unwrap_or(destroy.begin).time;
    let moment = destroy.judged_at();
    let evidence = Evidence {
        destroyed: destroyed(state, destroy),
        kernel: KernelSaid { result: kernel_result(destroy), left },
        deferred: DeferredFrees {
            queued_ever: destroy.latest().frees.ever,
            callbacks_ever: destroy.latest().callbacks.ever,
            queued_twice: state.queued_twice(destroy.life.id),
            oldest_age_ns: moment.oldest.map(|oldest| look.since(oldest)),
            sites: sites(state, destroy),
            cpus: cpus(moment),
            callbacks,
            freed_by: freed_by(destroy, &decision),
        },
        late: LateFrees {
            frees: destroy.late.frees,
            last_ns: destroy.late.last.map(|late| late.since(look)),
        },
        leak_sites: leaked.map(|_| counted_sites(state, &allocated)).unwrap_or_default(),
    };
    Verdict { about: About::Cache, cache: about(state, destroy), decision, evidence }
}

pub(crate) fn about(state: &State, destroy: &Destroy) -> AboutCache {
    AboutCache {
        name: destroy.life.facts.name.clone(),
        aliases: destroy.life.aliases.clone(),
        module: module_of(state, destroy),
        object_bytes: destroy.life.facts.object_size,
        created_while_watched: destroy.life.born.stack().is_some(),
    }
}

fn destroyed(state: &State, destroy: &Destroy) -> Destroyed {
    let Destroy { caller, begin, look, .. } = destroy;
    let looked = look.unwrap_or(*begin).time;
    Destroyed {
        by: DestroyedBy {
            comm: caller.comm.clone(),
            task: caller.task.0,
            stack: frames(state, caller.stack),
        },
        at_ns: begin.time.since(state.watch.attached),
        wait_ns: look.map(|look| look.time.since(begin.time)),
        grace_periods: waited_grace_periods(state, destroy),
        barrier_inside: destroy.coverage.inside,
        rcu_barrier_before_ns: caller.rcu_barrier_before.map(|barrier| begin.time.since(barrier)),
        margin_ns: destroy.at_look.past.last_freed.map(|freed| looked.since(freed)),
    }
}

fn kernel_result(destroy: &Destroy) -> KernelResult {
    match destroy.shutdown {
        Some(Shutdown::Empty) => KernelResult::Empty,
        Some(Shutdown::Left(_)) => KernelResult::ObjectsRemain,
        None if destroy.life.facts.refcount != 1 => KernelResult::ReferenceDropped,
        None => KernelResult::Unseen,
    }
}

/// Grace periods that ended while the destroy waited; none if not all of them were seen.
fn waited_grace_periods(state: &State, destroy: &Destroy) -> Option<u64> {
    let look = destroy.look?;
    let is_lost = |gap: &Gap| {
        matches!(gap.scope, Scope::Everything | Scope::Grace)
            && gap.from <= look.time
            && gap.until >= destroy.begin.time
    };
    let sees_all = !state.watch.blind.contains(&Blind::Grace) && !state.gaps.iter().any(is_lost);
    sees_all.then(|| destroy.at_look.graces_ended.saturating_sub(destroy.at_begin.graces_ended))
}

/// What each CPU has queued of what waits at this moment.
pub(crate) fn cpus(moment: &Moment) -> Vec<CpuCount> {
    moment.cpus.iter().map(|(cpu, objects)| CpuCount { cpu: *cpu, objects: *objects }).collect()
}

/// Stacks with their numbers of objects, most first.
pub(crate) fn counted_sites(state: &State, stacks: &BTreeMap<StackId, u64>) -> Vec<SiteCount> {
    // Several numbers may stand for stacks that print alike.
    let mut alike: BTreeMap<Vec<String>, (StackId, u64)> = BTreeMap::new();
    for (id, objects) in stacks {
        let (_, known) = alike.entry(frames(state, *id)).or_insert((*id, 0));
        *known = known.saturating_add(*objects);
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(_, (id, objects))| (core::cmp::Reverse(*objects), *id));
    alike.into_iter().map(|(stack, (_, objects))| SiteCount { objects, stack }).collect()
}

/// Callbacks with their numbers of objects, most first.
pub(crate) fn counted_callbacks(state: &State, functions: &BTreeMap<FunctionId, u64>) -> Vec<CallbackCount> {
    let functions = functions.iter();
    let mut callbacks: Vec<CallbackCount> =
        functions.map(|(function, objects)| callback(state, *function, *objects)).collect();
    callbacks.sort_by_key(|callback| core::cmp::Reverse(callback.objects));
    callbacks
}

/// A callback, with its number of objects.
pub(crate) fn callback(state: &State, function: FunctionId, objects: u64) -> CallbackCount {
    let function = state.functions.get(function);
    CallbackCount {
        objects,
        function: function.name.clone(),
        module: function.module.clone(),
        flavour: function.flavour,
    }
}

/// What is not known about the place where this number of leaked objects were allocated.
fn allocated_elsewhere(destroy: &Destroy, allocated: &BTreeMap<StackId, u64>, leaked: u64) -> Option<OfLeft> {
    let allocated = sum(allocated.values().copied());
    let objects = leaked.saturating_sub(allocated);
    match destroy.life.born {
        Born::BeforeAttach if objects > 0 => Some(OfLeft::LeaksOlderThanProbes(objects)),
        Born::Watched { .. } if objects > 0 => Some(OfLeft::LeaksFromUnseen(objects)),
        _ if allocated > leaked => Some(OfLeft::MoreAllocated { allocated, excess: allocated - leaked }),
        _ => None,
    }
}

/// What is known to have been freed, by how: what callbacks may have handed on is not.
fn freed_by(destroy: &Destroy, decision: &Decision) -> FreedBy {
    let mut freed_by = destroy.at_look.past.freed_by;
    if decision.reasons.contains(&Reason::HandedOn) {
        freed_by.callback = freed_by.callback.saturating_sub(decision.left.undecided);
    }
    freed_by
}

/// The callbacks that a verdict is about, most objects first.
fn callbacks(state: &State, destroy: &Destroy, decision: &Decision) -> Vec<CallbackCount> {
    let waiting = if decision.kind == VerdictKind::Waited && decision.waited.for_callbacks {
        &destroy.at_begin.functions
    } else {
        &destroy.judged_at().functions
    };
    let is_by_count = match decision.kind {
        VerdictKind::Pending | VerdictKind::LateFree | VerdictKind::Inconclusive | VerdictKind::Alias => true,
        VerdictKind::Waited => decision.waited.for_callbacks,
        _ => false,
    };
    let mut callbacks = if is_by_count { counted_callbacks(state, waiting) } else { Vec::new() };
    let uncovered = match decision.kind {
        VerdictKind::Unordered | VerdictKind::LateFree => Some(destroy.coverage.callbacks),
        VerdictKind::Waited if decision.waited.for_callbacks => Some(destroy.coverage.callbacks_before),
        // The reference goes, and with it the module whose text they are in.
        VerdictKind::Alias => Some(destroy.coverage.callbacks_before),
        // Those that may have handed their objects on.
        _ if decision.reasons.contains(&Reason::HandedOn) => Some(0),
        _ => None,
    };
    if let Some(covered) = uncovered.filter(|_| callbacks.is_empty()) {
        callbacks.extend(open_functions(
            state,
            &destroy.latest().functions,
            covered,
            &mut destroy.open_domains(),
        ));
    }
    if destroy.shutdown == Some(Shutdown::Empty) && callbacks.is_empty() {
        let is_told =
            decision.kind == VerdictKind::Unordered || decision.reasons.contains(&Reason::HeadsElsewhere);
        let open = destroy.foreign.open().filter(|_| is_told);
        callbacks.extend(open.map(|open| callback(state, open.function, 0)));
    }
    callbacks
}

/// The functions of callbacks of `call_rcu()` that were queued at this position or later, and of the other kinds that are open.
pub(crate) fn open_functions(
    state: &State,
    functions: &Recent,
    covered: u64,
    open: &mut dyn Iterator<Item = &Reach>,
) -> Vec<CallbackCount> {
    let (chains, open): (Vec<_>, Vec<_>) = open.partition(|reach| reach.is_chain());
    let open: Vec<Flavour> = open.into_iter().map(|reach| reach.deferral.flavour).collect();
    // Of callbacks that callbacks queued, those that were queued after the last that began it.
    let covered = chains.into_iter().map(|chain| chain.last + 1).fold(covered, u64::min);
    let all = functions.since(0).into_iter().map(|function| callback(state, function, 0));
    let others = all.filter(|callback| open.contains(&callback.flavour));
    let of_rcu = functions.since(covered).into_iter().map(|function| callback(state, function, 0));
    of_rcu.filter(|callback| callback.flavour == Flavour::Rcu).chain(others).collect()
}

/// The functions of the last callbacks of the cache, by name.
pub(crate) fn functions(state: &State, destroy: &Destroy) -> Vec<String> {
    let functions = destroy.past().functions.since(0).into_iter();
    functions.map(|function| state.functions.get(function).name.clone()).collect()
}

/// A callback that nothing waits for may run when its own code is gone.
pub(crate) fn in_modules(kind: VerdictKind, callbacks: &[CallbackCount]) -> Vec<Note> {
    if !matches!(kind, VerdictKind::Pending | VerdictKind::Unordered) {
        return Vec::new();
    }
    let note = |callback: &CallbackCount| {
        let CallbackCount { function, module, flavour, .. } = callback.clone();
        Some(Note::CallbackInModule { function, module: module?, flavour })
    };
    callbacks.iter().filter_map(note).collect()
}

/// Whether the module of such a callback has gone since, and its own teardown had waited for its callbacks.
fn is_ordered_by_unload(state: &State, destroy: &Destroy, note: &Note) -> bool {
    let Note::CallbackInModule { module: of, .. } = note else { return false };
    let mut unloads = state.unloads().iter();
    let next = unloads.find(|unload| unload.module == *of && unload.at > destroy.begin);
    next.is_some_and(|unload| unload.covers().next().is_none())
}

/// The module of a cache: the one that created it; else the one whose code destroyed it, whose exit function
/// ran, or that queued objects of it.
fn module_of(state: &State, destroy: &Destroy) -> Option<String> {
    let of_stack = |id: StackId| state.stack(id).module().map(str::to_owned);
    state
        .maker_of(Some(&destroy.life), destroy.caller.stack)
        .map(str::to_owned)
        .or_else(|| {
            state
                .stack(destroy.caller.stack)
                .is_module_exit()
                .then(|| destroy.caller.module_going.clone())
                .flatten()
        })
        .or_else(|| of_stack(destroy.past().frees.stack))
        .or_else(|| of_stack(destroy.past().callbacks.stack))
        .or_else(|| of_stack(destroy.past().others.last()?.stack))
}

pub(crate) fn frames(state: &State, id: StackId) -> Vec<String> {
    state.stack(id).frames.iter().map(ToString::to_string).collect()
}

/// The sites of the objects that were left at the look, or of those that the destroy waited for; else the
/// site of the last deferred free.
fn sites(state: &State, destroy: &Destroy) -> Vec<SiteCount> {
    let is_waited_for = destroy.coverage.inside || destroy.waited_for_callbacks();
    let taken = match destroy.shutdown {
        Some(Shutdown::Empty) if destroy.after.counts.waiting() > 0 => Some(destroy.judged_at()),
        Some(Shutdown::Empty) if is_waited_for => Some(&destroy.at_begin),
        Some(Shutdown::Empty) => None,
        Some(Shutdown::Left(_)) | None => Some(destroy.judged_at()),
    };
    let mut sites = taken.map(|moment| counted_sites(state, &moment.stacks)).unwrap_or_default();
    if sites.is_empty() {
        let open_kinds = destroy.open_domains().map(|reach| reach.deferral);
        let last = if destroy.has_open_callbacks() {
            destroy.past().callbacks.stack
        } else if let Some(queued) = destroy.past().others.last_of(open_kinds) {
            queued.stack
        } else {
            destroy.past().frees.stack
        };
        if last != StackId::default() {
            sites.push(SiteCount { objects: 0, stack: frames(state, last) });
        }
    }
    sites
}
