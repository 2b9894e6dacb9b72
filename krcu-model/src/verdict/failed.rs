//! Failed: the rules for a look that left objects. They tell whether these objects are pending or leaked.

use crate::{
    event::{Blind, Leftover},
    rules::Rule,
    state::cache::Born,
    verdict::{
        case::Case,
        decision::{Decision, Left},
        gather,
        kind::{Ordering, VerdictKind},
        note::{OfLeft, Unseen},
        reason::Reason,
    },
};

/// The objects that the kernel left behind, by what is known about them.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    /// Objects of `kfree_rcu()`.
    frees: u64,
    /// Objects of `call_rcu()`.
    callbacks: u64,
    /// Objects of other kinds of RCU.
    others: u64,
    /// The number of waiting callbacks beyond the number of objects that are left.
    excess: u64,
    /// Whether each waiting callback has an object of its own among those that are left.
    is_one_each: bool,
    leaked: Option<u64>,
    undecided: u64,
}

/// Decides about a look that left objects, with the kernel's count of them.
pub(crate) fn decide(case: &Case<'_>, leftover: Option<Leftover>) -> Decision {
    let destroy = case.destroy;
    let left = leftover.map(|leftover| leftover.objects);
    let mut decision = case.undecided();
    let outstanding = destroy.after.counts.outstanding;
    // The event has its place before the slabs are counted. What is freed meanwhile comes after it.
    let meanwhile = if case.has(Rule::CountIsLater) { destroy.late.frees } else { 0 };
    if left.is_some_and(|left| outstanding.saturating_sub(meanwhile) > left) {
        return decision
            .is(VerdictKind::ModelDisagrees)
            .note(OfLeft::MoreThanKernelCounts { outstanding, left });
    }
    // Something was left, and was freed before it was counted: then the count tells nothing.
    let leftover = leftover.filter(|left| left.objects > 0 || !case.has(Rule::CountOfNothing));
    let split = Split::of(case, leftover);
    decision.left = Left {
        frees: split.frees,
        callbacks: case.callbacks_if_known(&decision.left, split.callbacks),
        others: split.others,
        leaked: split.leaked,
        undecided: split.undecided,
        ..decision.left
    };
    if split.excess > 0 {
        decision = decision.note(OfLeft::MoreCallbacks(split.excess));
    } else if !split.is_one_each && split.leaked.is_none() {
        decision = decision.note(OfLeft::CallbacksMayShare);
    }
    // Without a count, what the look found may be what was queued meanwhile; or what was freed, if nothing waits.
    let is_pending = split.frees + split.callbacks + split.others > 0;
    let has_changed =
        destroy.meanwhile.queued_while_looking || destroy.meanwhile.freed_while_looking && !is_pending;
    let has_count = leftover.is_some() || has_changed;
    let is_inexact = has_count && split.leaked.is_none() && split.undecided == 0;
    if is_inexact && split.is_one_each {
        decision = decision.because(Reason::InexactCount, OfLeft::CountOfSeveralMoments);
    }
    if split.undecided > 0 {
        decision = whose(case, split.undecided, decision);
    }
    if is_pending {
        decision.is(VerdictKind::Pending)
    } else if split.leaked.is_none_or(|leaked| leaked == 0) && (split.undecided > 0 || is_inexact) {
        decision
    } else {
        if !destroy.past().is_deferred() {
            decision.ordering = Ordering::NothingDeferred;
        }
        decision.is(VerdictKind::Leaked)
    }
}

/// Adds the reasons why it is not known of this number of objects whether they were queued.
fn whose(case: &Case<'_>, objects: u64, mut decision: Decision) -> Decision {
    let life = &case.destroy.life;
    let calls = case.unseen_calls;
    if life.born == Born::BeforeAttach {
        decision.because(Reason::LateAttach, OfLeft::OlderThanProbes(objects))
    } else if life.counted {
        decision.because(Reason::Counted, Unseen::Counted)
    } else if !has_unknown_past(case) && case.destroy.foreign.waiting > 0 {
        let callbacks = case.destroy.foreign.waiting;
        decision.because(Reason::HeadsElsewhere, OfLeft::MaybeForeign { objects, callbacks })
    } else if !has_unknown_past(case) {
        let functions = || gather::functions(case.state, case.destroy);
        let (callbacks, handed_on) = (case.outstanding_callbacks(), case.handed_on());
        if callbacks > 0 && (handed_on == 0 || callbacks > case.destroy.works) {
            let note = OfLeft::MaybeSiblings { objects, callbacks, functions: functions() };
            decision = decision.because(Reason::CallbacksOutstanding, note);
        }
        if handed_on > 0 {
            let note = OfLeft::MaybeHandedOn { objects, callbacks: handed_on, functions: functions() };
            decision = decision.because(Reason::HandedOn, note);
        }
        if calls > 0 {
            decision = decision.because(Reason::ProbeMissed, OfLeft::MaybeQueued { objects, calls });
        }
        decision
    } else {
        let hidden = [Blind::Callbacks, Blind::CallbackRuns, Blind::Flavours];
        let hidden = hidden.into_iter().filter(|blind| case.is_blind(*blind));
        let of_call_rcu = hidden.clone().any(|blind| blind != Blind::Flavours);
        decision.reasons.extend(hidden.filter_map(Reason::of_blind));
        decision.left.callbacks = decision.left.callbacks.filter(|_| !of_call_rcu);
        decision.note(OfLeft::MaybeCallbacks(objects))
    }
}

impl Split {
    fn of(case: &Case<'_>, leftover: Option<Leftover>) -> Split {
        let destroy = case.destroy;
        let (at_look, after) = (destroy.judged_at(), destroy.after.counts);
        // The frees that were outstanding at the look. An object whose free was running then may have been
        // free already, so it counts only if the kernel found something.
        let frees = at_look.counts.frees() + destroy.late.unknown_frees;
        let callbacks = at_look.counts.callbacks() + destroy.late.unknown_callbacks;
        let others = at_look.counts.others();
        let unknown_past = has_unknown_past(case);
        // What an unseen call has queued is one object; so is what a callback that has returned has handed on.
        let unknown_objects = case.unseen_calls + case.handed_on();
        let Some(Leftover { objects: left, listed }) = leftover else {
            // Without the kernel's count, how many more are left is not known.
            let is_unknown = unknown_past || unknown_objects > 0;
            let undecided = u64::from(frees + callbacks + others == 0 && is_unknown);
            return Split { frees, callbacks, others, undecided, is_one_each: true, ..Split::default() };
        };
        // Objects of `kfree_rcu()` whose free has not begun are surely left. With `call_rcu()`, two heads may
        // lie in one object, and an object that was freed in another way is not left at all.
        let waiting = after.callbacks_waiting + after.others_waiting + destroy.late.unknown_callbacks;
        let excess = waiting.saturating_sub(left.saturating_sub(after.outstanding));
        let is_one_each = excess == 0 && !(waiting > 0 && at_look.shares_objects);
        let (callbacks, others) =
            (callbacks.saturating_sub(excess), others.saturating_sub(excess.saturating_sub(callbacks)));
        let split = Split { frees, callbacks, others, excess, is_one_each, ..Split::default() };
        // The kernel counted the slabs when the look was over. That count is compared with what was
        // outstanding at that time, so that frees during the look are in neither number.
        let known = destroy.frees_after() + destroy.callbacks_after() + destroy.others_after();
        let rest = left.saturating_sub(known);
        let may_be_foreign = destroy.foreign.waiting > 0 && case.has(Rule::ForeignWaits);
        if rest > 0 && (unknown_past || may_be_foreign) {
            return Split { undecided: rest, ..split };
        }
        // Frees that were running may have ended while the slabs were counted, and objects that were
        // allocated meanwhile make a slab look full. In both cases the rest proves nothing. The same is true
        // for an object that is freed between the flush and the count: its slab may go to a CPU's own list,
        // and then it counts as a full one even if it is empty. Slabs on the node's list are exact.
        let freed_during =
            at_look.counts.waiting() + at_look.counts.running() > after.waiting() + after.running();
        let may_be_counted_full = freed_during && listed < left && rest > 0;
        let is_running = after.running() > 0 && case.has(Rule::RunningIsInexact);
        let is_miscounted = may_be_counted_full && case.has(Rule::MiscountIsInexact);
        let is_exact =
            !is_running && !is_miscounted && !destroy.meanwhile.queued_while_looking && is_one_each;
        if is_exact && rest > 0 && case.outstanding_callbacks() > 0 {
            // Each of them may free more than the object that its head is in. Once they have, what is left is nobody's.
            let leaked = case.still_allocated().map_or(0, |still| rest.min(still));
            return Split { leaked: Some(leaked), undecided: rest - leaked, ..split };
        }
        // Of a count that is inexact it is not known either how many objects those would be.
        let undecided = if is_exact { rest.min(unknown_objects) } else { 0 };
        Split { leaked: is_exact.then_some(rest - undecided), undecided, ..split }
    }
}

/// Whether objects may have been queued unseen.
fn has_unknown_past(case: &Case<'_>) -> bool {
    let has_open = case.destroy.has_open_callbacks() || case.destroy.open_domains().next().is_some();
    let has_unseen_past = case.destroy.life.has_unseen_past() && case.has(Rule::PastIsUnknown);
    has_unseen_past
        || (has_open && !case.state.sees_callbacks_run())
        || case.is_blind(Blind::Callbacks)
        || case.is_blind(Blind::Flavours)
}
