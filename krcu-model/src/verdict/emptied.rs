//! Emptied: the rules for a look that found nothing left. They tell whether a barrier ordered that, or luck.

use crate::{
    event::Blind,
    verdict::{
        case::Case,
        decision::{Decision, Left, Waited},
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
    decision.left = Left { frees: 0, callbacks, leaked: Some(0), undecided: 0 };
    if after.callbacks_waiting > 0 {
        decision.ordering = Ordering::Unordered;
        let note = Note::CallbacksOutliveMemory { callbacks: after.callbacks_waiting };
        return decision.is(VerdictKind::Pending).note(note);
    }
    // Nothing was left, so everything that an unseen call queued has been freed. If the queueing of each
    // freed object was seen, there was no such call for this cache.
    let (objects, calls) = (destroy.past().unknown.total(), case.unseen_calls);
    if calls > 0 && objects > 0 {
        return decision.because(Reason::ProbeMissed, Unseen::FreedMaybeQueued { objects, calls });
    }
    let unseen_queue_before = destroy.past().unknown.frees > 0 && destroy.coverage.frees.covered == 0;
    let unordered_frees = destroy.has_uncovered_frees() || unseen_queue_before;
    if unordered_frees || destroy.has_open_callbacks() {
        return unordered(case, unordered_frees, decision);
    }
    let is_deferred = destroy.past().is_deferred();
    decision.ordering = if is_deferred { Ordering::Ordered } else { Ordering::NothingDeferred };
    if let Some(waited) = waited(case) {
        decision.ordering = Ordering::Ordered;
        decision.waited = waited;
        if waited.in_sheaves > 0 {
            decision = decision.note(Note::LayInSheaves { objects: waited.in_sheaves });
        }
        return decision.is(VerdictKind::Waited);
    }
    if destroy.begin.time < case.state.watch.attached {
        return decision.because(Reason::LateAttach, Unseen::UnderWayAtAttach);
    }
    clean(case, decision)
}

/// No known barrier orders the frees before the destroy. If an unseen barrier may do so, it cannot be
/// decided.
fn unordered(case: &Case<'_>, unordered_frees: bool, mut decision: Decision) -> Decision {
    let destroy = case.destroy;
    let sees_rcu_barrier = !case.is_blind(Blind::RcuBarrier);
    let callbacks_prove = destroy.has_open_callbacks() && sees_rcu_barrier;
    if unordered_frees && !callbacks_prove {
        if case.is_blind(Blind::KvfreeBarrier) {
            return decision.because(Reason::BlindKvfreeBarrier, Unseen::BlindKvfreeBarrier);
        }
        if destroy.may_be_covered() {
            return decision.because(Reason::MapFull, Unseen::WaitUnknown);
        }
        if !destroy.has_uncovered_frees() && destroy.coverage.frees.after_older_barrier {
            return decision.because(Reason::LateAttach, Unseen::OlderBarrierMayOrder);
        }
    }
    if !sees_rcu_barrier && !unordered_frees {
        return decision.because(Reason::BlindRcuBarrier, Unseen::BlindRcuBarrier);
    }
    decision.ordering = Ordering::Unordered;
    decision.is(VerdictKind::Unordered)
}

/// What the destroy itself waited for; none if it waited for nothing.
fn waited(case: &Case<'_>) -> Option<Waited> {
    let destroy = case.destroy;
    let unknown_callbacks = destroy.meanwhile.unknown_callbacks;
    let for_callbacks =
        destroy.waited_for_callbacks() || (destroy.rcu_barrier_inside() && unknown_callbacks > 0);
    let own_frees = destroy.at_begin.counts.frees() + destroy.meanwhile.unknown_frees;
    if !for_callbacks && !(destroy.coverage.inside && own_frees > 0) {
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

/// Nothing is known to be wrong. Adds the reasons why the ordering may not be known.
fn clean(case: &Case<'_>, mut decision: Decision) -> Decision {
    let destroy = case.destroy;
    let has_unseen_past = destroy.life.has_unseen_past();
    // If callbacks were queued before the probes were attached, only an rcu_barrier() since then orders them.
    let unknown_callbacks = destroy.past().unknown.callbacks > 0 && destroy.coverage.callbacks == 0;
    let may_be_unordered = !destroy.coverage.inside || unknown_callbacks;
    if has_unseen_past && (may_be_unordered || decision.ordering == Ordering::NothingDeferred) {
        decision.ordering = Ordering::Unknown;
        decision.reasons.push(if destroy.life.counted { Reason::Counted } else { Reason::LateAttach });
    }
    if case.is_blind(Blind::Callbacks) {
        decision.ordering = Ordering::Unknown;
        decision = decision.because(Reason::BlindCallbacks, Unseen::BlindCallbacks);
    }
    if has_unseen_past && may_be_unordered {
        decision = decision.note(Unseen::PastUnordered);
    }
    decision.is(VerdictKind::Clean)
}
