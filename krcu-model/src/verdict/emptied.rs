//! Emptied: the rules for a look that found nothing left. They tell whether a barrier ordered that, or luck.

use crate::{
    event::{Blind, Task, Time},
    rules::Rule,
    state::{
        State,
        barriers::{Cover, Returned},
        destroy::Coverage,
    },
    verdict::{
        case::Case,
        decision::{Decision, Left, Waited},
        evidence::LuckyBarrier,
        gather,
        kind::{Ordering, VerdictKind},
        note::{Note, OfLeft, Unseen},
        reason::Reason,
    },
};

/// Decides about a look that found every slab empty.
pub(crate) fn decide(case: &Case<'_>) -> Decision {
    let destroy = case.destroy;
    let after = destroy.after.counts;
    let mut decision = case.undecided();
    if after.outstanding > 0 {
        let note = OfLeft::MoreThanKernelCounts { outstanding: after.outstanding, left: None };
        return decision.is(VerdictKind::ModelDisagrees).note(note);
    }
    // Objects that were being freed when the look began were free when the kernel checked the slabs.
    let callbacks = case.callbacks_if_known(&decision.left, after.callbacks_waiting);
    let (others, waiting) = (after.others_waiting, after.callbacks_waiting + after.others_waiting);
    decision.left = Left { callbacks, others, leaked: Some(0), ..Left::default() };
    if waiting > 0 {
        decision.ordering = Ordering::Unordered;
        let note = Note::CallbacksOutliveMemory(waiting);
        return decision.is(VerdictKind::Pending).note(note);
    }
    // Nothing was left, so everything that an unseen call queued has been freed. If the queueing of each
    // freed object was seen, there was no such call for this cache.
    let (objects, calls) = (destroy.past().unknown.total(), case.unseen_calls);
    if calls > 0 && objects > 0 && case.has(Rule::UnseenCalls) {
        return decision.because(Reason::ProbeMissed, Unseen::FreedMaybeQueued { objects, calls });
    }
    if destroy.coverage.has_unordered_past {
        decision.ordering = Ordering::Unordered;
        return decision.is(VerdictKind::Unordered);
    }
    let unseen_queue_before = destroy.past().unknown.frees > 0 && destroy.coverage.frees == 0;
    let unordered_frees = destroy.has_uncovered_frees() && case.has(Rule::OpenFrees)
        || unseen_queue_before && case.has(Rule::OlderFree);
    let has_open_domains = case.has(Rule::OpenDomains) && destroy.open_domains().next().is_some();
    let has_open_callbacks = case.has(Rule::OpenCallbacks) && destroy.has_open_callbacks();
    if unordered_frees || has_open_callbacks || has_open_domains {
        return unordered(case, unordered_frees, decision);
    }
    if destroy.past().unknown.chained > 0 {
        return decision.because(Reason::BlindCallbackRuns, Unseen::BlindCallbackRuns);
    }
    if let Some(open) = destroy.foreign.open()
        && destroy.foreign.is_seen
        && case.has(Rule::ForeignSeen)
    {
        let module = case.module();
        let Coverage { callbacks_before_by_others, callbacks_by_others, .. } = &destroy.coverage;
        let before = callbacks_before_by_others.cover(open.last, module.as_deref());
        let cover = destroy.at_the_look(before, callbacks_by_others.cover(open.last, module.as_deref()));
        let cover = if open.deferral.is_none() { cover } else { Cover::Nobody };
        let look = destroy.look.unwrap_or(destroy.begin).time;
        let by = (look, destroy.caller.task);
        return by_others(case.state, &[cover], by, decision.note(Note::EmptiedByForeign));
    }
    let is_unexplained = destroy.past().unknown.unexplained > 0;
    if case.is_blind(Blind::Flavours) && is_unexplained && case.has(Rule::BlindToFlavours) {
        return decision.because(Reason::BlindFlavours, Unseen::BlindFlavours);
    }
    let is_deferred = destroy.past().is_deferred() || destroy.foreign.any;
    decision.ordering = if is_deferred { Ordering::Ordered } else { Ordering::NothingDeferred };
    // Callbacks that nobody saw may be ordered by nothing.
    let may_miss = case.is_blind(Blind::Callbacks) && case.has(Rule::WaitIsBlind);
    if let Some(waited) = waited(case).filter(|_| !may_miss && case.has(Rule::DestroyWaits)) {
        decision.ordering = Ordering::Ordered;
        decision.waited = waited;
        if waited.in_sheaves > 0 {
            decision = decision.note(Note::LayInSheaves(waited.in_sheaves));
        }
        return decision.is(VerdictKind::Waited);
    }
    if destroy.foreign.open().is_some() && case.has(Rule::ForeignOpen) {
        decision.ordering = Ordering::Unknown;
        return decision.because(Reason::HeadsElsewhere, Unseen::FreedByForeign);
    }
    if destroy.begin.time < case.state.watch.attached {
        return decision.because(Reason::LateAttach, Unseen::UnderWayAtAttach);
    }
    clean(case, decision)
}

/// No barrier of the teardown covers what was deferred last: somebody else's may, or none does.
fn unordered(case: &Case<'_>, unordered_frees: bool, mut decision: Decision) -> Decision {
    let destroy = case.destroy;
    let module = case.module();
    let doubt = unordered_frees.then(|| doubt_of_frees(case)).flatten();
    let frees = (unordered_frees && doubt.is_none()).then(|| destroy.frees_cover(module.as_deref()));
    let callbacks_prove = destroy.has_open_callbacks() && !case.is_blind(Blind::RcuBarrier);
    let callbacks = callbacks_prove.then(|| destroy.callbacks_cover(module.as_deref()));
    let domains = (!case.is_blind(Blind::Flavours)).then(|| destroy.open_domains());
    let is_blind = case.is_blind(Blind::RcuBarrier) && case.has(Rule::BlindToBarriers);
    let domains = domains.into_iter().flatten();
    let domains = domains.filter(|reach| !is_blind || !reach.deferral.needs_rcu_barrier());
    let domains = domains.map(|reach| destroy.domain_cover(reach, module.as_deref()));
    let covers: Vec<Cover<'_>> = frees.into_iter().chain(callbacks).chain(domains).collect();
    if !covers.is_empty() {
        let look = destroy.look.unwrap_or(destroy.begin).time;
        return by_others(case.state, &covers, (look, destroy.caller.task), decision);
    }
    decision = match doubt {
        Some((reason, unseen)) => decision.because(reason, unseen),
        None if case.is_blind(Blind::Flavours) && !destroy.has_open_callbacks() => {
            decision.because(Reason::BlindFlavours, Unseen::BlindFlavours)
        }
        None => decision.because(Reason::BlindRcuBarrier, Unseen::BlindRcuBarrier),
    };
    decision
}

/// Whether barriers of others were luck, or are not known to be none. What no barrier covers proves the first.
pub(crate) fn by_others(
    state: &State,
    covers: &[Cover<'_>],
    (until, task): (Time, Task),
    mut decision: Decision,
) -> Decision {
    let lucky = covers.iter().find_map(|cover| match cover {
        Cover::Luck(barrier) => Some(*barrier),
        Cover::Helper(barrier) if !state.rules.has(Rule::HelperIsOpen) => Some(*barrier),
        Cover::Unknown(barrier) if !state.rules.has(Rule::CallerIsOpen) => Some(*barrier),
        _ => None,
    });
    let is_nobodys = covers.contains(&Cover::Nobody);
    if is_nobodys || lucky.is_some() {
        decision.ordering = Ordering::Unordered;
        if let Some(barrier) = lucky.filter(|_| !is_nobodys) {
            decision.lucky = Some(lucky_barrier(state, barrier, until));
            decision = decision.note(luck(barrier, task));
        }
        return decision.is(VerdictKind::Unordered);
    }
    if covers.iter().any(|cover| matches!(cover, Cover::Unknown(_))) {
        return decision.because(Reason::BarrierCallerUnknown, Unseen::BarrierCaller);
    }
    decision.because(Reason::HelperUnawaited, Unseen::HelperAwaited)
}

/// What luck a barrier was, for a teardown of this task.
pub(crate) fn luck(barrier: &Returned, task: Task) -> Note {
    if barrier.task == task { Note::BarrierByChance } else { Note::LuckyBarrier }
}

/// The barrier of somebody else that happened to run before a moment.
fn lucky_barrier(state: &State, barrier: &Returned, moment: Time) -> LuckyBarrier {
    LuckyBarrier {
        function: barrier.kind.function().to_owned(),
        comm: barrier.comm.clone(),
        task: barrier.task.0,
        stack: gather::frames(state, barrier.stack),
        before_ns: moment.since(barrier.returned),
    }
}

/// Why it is not known that no barrier orders the last `kfree_rcu()`.
fn doubt_of_frees(case: &Case<'_>) -> Option<(Reason, Unseen)> {
    if case.is_blind(Blind::KvfreeBarrier) {
        return Some((Reason::BlindKvfreeBarrier, Unseen::BlindKvfreeBarrier));
    }
    if case.destroy.may_be_covered() {
        return Some((Reason::MapFull, Unseen::WaitUnknown));
    }
    let is_after_older =
        !case.destroy.has_uncovered_frees() && case.destroy.coverage.doubt.after_older_barrier;
    is_after_older.then_some((Reason::LateAttach, Unseen::OlderBarrierMayOrder))
}

/// Whether nothing of `call_rcu()` was outstanding at the entry, and the module's helper, or nobody knows who, had called
/// a barrier that covers it: then the barrier inside the destroy is not known to be the only one.
fn may_be_ordered_before(case: &Case<'_>) -> bool {
    let destroy = case.destroy;
    let is_before = destroy.past().callbacks.last.is_some_and(|last| last < destroy.begin);
    let module = case.module();
    let cover = match destroy.chain_that_ends_inside() {
        Some(chain) => chain.cover(module.as_deref()),
        None => destroy.callbacks_cover_before(module.as_deref()),
    };
    is_before
        && destroy.at_begin.counts.callbacks() == 0
        && matches!(cover, Cover::Helper(_) | Cover::Unknown(_))
}

/// What the destroy itself waited for; none if it waited for nothing.
fn waited(case: &Case<'_>) -> Option<Waited> {
    let destroy = case.destroy;
    let unknown_callbacks = destroy.meanwhile.unknown_callbacks;
    let for_known = destroy.waited_for_callbacks() && !may_be_ordered_before(case) && !queues_works(case);
    let for_callbacks = for_known || (destroy.rcu_barrier_inside() && unknown_callbacks > 0);
    let own_frees = destroy.at_begin.counts.frees() + destroy.meanwhile.unknown_frees;
    let for_frees = destroy.coverage.inside && own_frees > 0;
    if !for_frees && !for_callbacks {
        return None;
    }
    let sheaves_before = destroy.at_begin.past.freed_by.sheaf;
    let from_sheaves = destroy.at_look.past.freed_by.sheaf.saturating_sub(sheaves_before);
    let callbacks = destroy.at_begin.counts.callbacks() + unknown_callbacks;
    Some(Waited {
        own_frees,
        other_frees: destroy.meanwhile.others_freed,
        own_callbacks: if for_callbacks { callbacks } else { 0 },
        for_callbacks,
        in_sheaves: from_sheaves.min(own_frees),
    })
}

/// Whether callbacks of the cache have queued works, for which no `rcu_barrier()` waits.
fn queues_works(case: &Case<'_>) -> bool {
    gather::functions(case.state, case.destroy).iter().any(|function| function == RCU_WORK)
}

/// The callback by which `queue_rcu_work()` queues its work.
const RCU_WORK: &str = "rcu_work_rcufn";

/// Nothing is known to be wrong; how much of it is known?
fn clean(case: &Case<'_>, mut decision: Decision) -> Decision {
    let destroy = case.destroy;
    let has_unseen_past = destroy.life.has_unseen_past();
    // If callbacks were queued before the probes were attached, only an rcu_barrier() since then orders them.
    let unknown_callbacks = destroy.past().unknown.callbacks > 0 && destroy.coverage.callbacks == 0;
    let may_be_unordered = !destroy.coverage.inside || unknown_callbacks;
    if has_unseen_past
        && case.has(Rule::OlderIsOpen)
        && (may_be_unordered || decision.ordering == Ordering::NothingDeferred)
    {
        decision.ordering = Ordering::Unknown;
        decision.reasons.push(if destroy.life.counted { Reason::Counted } else { Reason::LateAttach });
    }
    if case.is_blind(Blind::Callbacks) && case.has(Rule::BlindToCallbacks) {
        decision.ordering = Ordering::Unknown;
        decision = decision.because(Reason::BlindCallbacks, Unseen::BlindCallbacks);
    }
    if queues_works(case) {
        decision.ordering = Ordering::Unknown;
        decision = decision.because(Reason::HandedOn, Unseen::WorksUnordered);
    }
    if has_unseen_past && may_be_unordered {
        decision = decision.note(Unseen::PastUnordered);
    }
    decision.is(VerdictKind::Clean)
}
