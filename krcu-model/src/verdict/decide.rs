//! Which verdict follows from a destroy, and why.
//!
//! [`verdicts`] looks at the state and changes nothing; it may be asked at any time, and the answer
//! is final once [`State::is_unsettled`] says that there is nothing to wait for. Each destroy has one
//! verdict; what cannot be decided is `inconclusive`, with the reasons.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{Blind, Gap, LossReason},
    state::{
        State,
        barriers::{Cover, Returned},
        cache::Born,
        destroy::{Destroy, Shutdown},
    },
    verdict::{
        accuse, advice, evidence,
        kind::{Ordering, VerdictKind},
        line::{LuckyBarrier, Verdict},
        loss::Losses,
        reason::Reason,
    },
};

/// Every verdict: the destroys in the order of their entry, then the broken promises, then the double frees.
#[must_use]
pub fn verdicts(state: &State) -> Vec<Verdict> {
    let destroys = state.destroys().map(|destroy| of_destroy(state, destroy));
    destroys.chain(accuse::all(state).map(|accusation| accusation.verdict)).collect()
}

/// What the kernel left behind, split by what is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    /// Objects of `kfree_rcu()`.
    frees: u64,
    /// Objects of `call_rcu()`.
    callbacks: u64,
    /// Callbacks that wait beyond what is left.
    excess: u64,
    /// Whether each callback that waits has an object of its own among what is left.
    is_one_each: bool,
    leaked: Option<u64>,
    undecided: u64,
}

/// What follows for one destroy from what is believed now.
#[must_use]
pub fn of_destroy(state: &State, destroy: &Destroy) -> Verdict {
    let losses = Losses::of(state, destroy);
    let mut verdict = evidence::of(state, destroy);
    let mut kind = decide(state, destroy, &losses.open, losses.unseen_calls(), &mut verdict);
    let behind = losses.behind(state, destroy, kind);
    if !behind.is_empty() {
        verdict = evidence::of(state, destroy);
        lost(&behind, &mut verdict);
        kind = VerdictKind::Inconclusive;
    }
    verdict.verdict = kind;
    verdict.flagged = kind.is_flagged();
    verdict.flagged_strictly = kind.is_flagged_strictly();
    let is_open = kind == VerdictKind::Clean && verdict.ordering == Ordering::Unknown;
    if kind != VerdictKind::Inconclusive && !is_open {
        verdict.reasons.clear();
    }
    verdict.reasons.sort_unstable();
    verdict.reasons.dedup();
    if verdict.reasons.contains(&Reason::ProbeMissed) {
        let why = [losses.open, behind, losses.calls].into_iter().find(|gaps| !gaps.is_empty());
        verdict.missed_programs = why.into_iter().flatten().flat_map(|gap| gap.programs.clone()).collect();
        verdict.missed_programs.sort_unstable();
        verdict.missed_programs.dedup();
    }
    verdict.callbacks = evidence::callbacks(state, destroy, &verdict);
    evidence::note_of_modules(&mut verdict);
    evidence::leaks(state, destroy, &mut verdict);
    verdict.advice = advice::of(&verdict);
    verdict
}

fn decide(
    state: &State,
    destroy: &Destroy,
    losses: &[&Gap],
    unseen_calls: u64,
    verdict: &mut Verdict,
) -> VerdictKind {
    if destroy.life.facts.refcount < 1 && destroy.look.is_none() && losses.is_empty() {
        verdict
            .notes
            .push("the cache was destroyed before, which failed: this call changes nothing".to_owned());
        return VerdictKind::Repeated;
    }
    if destroy.life.facts.refcount != 1 && destroy.look.is_none() && losses.is_empty() {
        verdict.notes.push(match destroy.life.facts.refcount - 1 {
            1 => "the cache is merged with another and stays for it; this dropped a reference".to_owned(),
            others => format!(
                "the cache is merged with others and stays for {others} users; this dropped a reference"
            ),
        });
        return VerdictKind::Alias;
    }
    lost(losses, verdict);
    let Some(shutdown) = destroy.shutdown else {
        return open(verdict, Reason::EndUnseen, "how the destroy ended was not seen");
    };
    if !losses.is_empty() {
        return VerdictKind::Inconclusive;
    }
    if state.watch.blind.contains(&Blind::Frees) && destroy.latest().frees.ever > 0 {
        return open(verdict, Reason::BlindFrees, "this kernel does not let every deferred free be seen");
    }
    if shutdown == Shutdown::Empty && destroy.late.frees > 0 {
        // Only now: were a free unseen, that of another object at the same address would look like this.
        verdict.notes.push(format!(
            "{} deferred frees ran after the memory of the cache was given back",
            destroy.late.frees
        ));
        return VerdictKind::LateFree;
    }
    match shutdown {
        Shutdown::Left(_) => of_failed(state, destroy, unseen_calls, verdict),
        Shutdown::Empty => of_emptied(state, destroy, unseen_calls, verdict),
    }
}

/// Why it cannot be decided: what went unseen.
fn lost(losses: &[&Gap], verdict: &mut Verdict) {
    let mut lost: BTreeMap<LossReason, (u64, BTreeSet<&str>)> = BTreeMap::new();
    for gap in losses {
        let (events, programs) = lost.entry(gap.reason).or_default();
        *events += gap.events;
        programs.extend(gap.programs.iter().map(String::as_str));
    }
    for (reason, (events, programs)) in lost {
        verdict.reasons.push(reason.into());
        let programs: Vec<&str> = programs.into_iter().collect();
        let of = if programs.is_empty() { String::new() } else { format!(" ({})", programs.join(", ")) };
        verdict.notes.push(match events {
            0 => format!("events that nobody counted were {}{of}", reason.words()),
            events => format!("{events} events were {}{of}", reason.words()),
        });
    }
}

fn open(verdict: &mut Verdict, reason: Reason, note: &str) -> VerdictKind {
    verdict.reasons.push(reason);
    verdict.notes.push(note.to_owned());
    VerdictKind::Inconclusive
}

/// The kernel says that objects remain: whose are they?
fn of_failed(state: &State, destroy: &Destroy, unseen_calls: u64, verdict: &mut Verdict) -> VerdictKind {
    let left = verdict.kernel_objects_left;
    if let Some(left) = left.filter(|left| destroy.after.counts.outstanding > *left) {
        verdict.notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel counts {left} objects",
            destroy.after.counts.outstanding,
        ));
        return VerdictKind::ModelDisagrees;
    }
    let split = split(state, destroy, unseen_calls, left);
    verdict.queued_by_kfree_rcu = split.frees;
    if state.sees_callbacks_run() && verdict.queued_by_call_rcu.is_some() {
        verdict.queued_by_call_rcu = Some(split.callbacks);
    }
    verdict.leaked = split.leaked;
    verdict.undecided = split.undecided;
    if split.excess > 0 {
        verdict.notes.push(format!(
            "{} more callbacks of call_rcu() wait than objects are left: several lie in one object, or in objects that somebody else has freed",
            split.excess
        ));
    } else if !split.is_one_each && split.leaked.is_none() {
        verdict.notes.push(
            "callbacks of call_rcu() wait that may lie in one object, so how many objects nobody queued is not known"
                .to_owned(),
        );
    }
    let is_inexact = left.is_some() && split.leaked.is_none() && split.undecided == 0;
    if is_inexact && split.is_one_each {
        verdict.reasons.push(Reason::InexactCount);
        verdict.notes.push(
            "deferred frees ran or were queued while the kernel looked, so its count is of no one moment"
                .to_owned(),
        );
    }
    if destroy.latest().callbacks.ever > 0 && split.leaked.is_some_and(|leaked| leaked > 0) {
        verdict.notes.push(if split.callbacks > 0 {
            "what a callback of call_rcu() hands to a work item or a timer is not followed".to_owned()
        } else {
            "every callback of call_rcu() had run; what a callback hands to a work item or a timer is not followed".to_owned()
        });
    }
    if split.undecided > 0 {
        if destroy.life.born == Born::BeforeAttach {
            verdict.reasons.push(Reason::LateAttach);
            verdict.notes.push(format!(
                "{} of the objects left were allocated before the probes were attached: attach before the module is loaded to know whether they were queued",
                split.undecided
            ));
        } else if destroy.life.counted {
            verdict.reasons.push(Reason::Counted);
            verdict.notes.push("deferred frees of a built-in cache are counted, not followed".to_owned());
        } else if unseen_calls > 0 {
            verdict.reasons.push(Reason::ProbeMissed);
            verdict.notes.push(format!(
                "{} of the objects left may have been queued by one of the {unseen_calls} calls of kfree_rcu() and call_rcu() that were {}",
                split.undecided,
                LossReason::ProbeMissed.words()
            ));
        } else {
            let hidden = [Blind::Callbacks, Blind::CallbackRuns];
            let hidden = hidden.into_iter().filter(|blind| state.watch.blind.contains(blind));
            verdict.reasons.extend(hidden.filter_map(Reason::of_blind));
            verdict.queued_by_call_rcu = None;
            verdict.notes.push(format!(
                "{} of the objects left may belong to callbacks of call_rcu() that no rcu_barrier() has waited for",
                split.undecided
            ));
        }
    }
    if split.frees + split.callbacks > 0 {
        VerdictKind::Pending
    } else if split.undecided > 0 || is_inexact {
        VerdictKind::Inconclusive
    } else {
        if !destroy.past().is_deferred() {
            verdict.ordering = Ordering::NothingDeferred;
        }
        VerdictKind::Leaked
    }
}

/// No barrier of the teardown covers what was deferred last: somebody else's may, or none does.
fn of_unordered(
    state: &State,
    destroy: &Destroy,
    unordered_frees: bool,
    verdict: &mut Verdict,
) -> VerdictKind {
    let module = verdict.module.clone();
    let doubt = unordered_frees.then(|| doubt_of_frees(state, destroy)).flatten();
    let frees = (unordered_frees && doubt.is_none()).then(|| destroy.frees_cover(module.as_deref()));
    let sees_rcu_barrier = !state.watch.blind.contains(&Blind::RcuBarrier);
    let callbacks = (destroy.has_open_callbacks() && sees_rcu_barrier)
        .then(|| destroy.callbacks_cover(module.as_deref()));
    let covers: Vec<Cover<'_>> = frees.into_iter().chain(callbacks).collect();
    let lucky =
        covers.iter().find_map(|cover| if let Cover::Luck(barrier) = cover { Some(*barrier) } else { None });
    let is_nobodys = covers.contains(&Cover::Nobody);
    if is_nobodys || lucky.is_some() {
        verdict.ordering = Ordering::Unordered;
        if let Some(barrier) = lucky.filter(|_| !is_nobodys) {
            is_lucky(state, destroy, barrier, verdict);
        }
        return VerdictKind::Unordered;
    }
    if covers.iter().any(|cover| matches!(cover, Cover::Unknown(_))) {
        let note = "another task called the barrier that covers what was deferred last, and who called it is not known";
        return open(verdict, Reason::BarrierCallerUnknown, note);
    }
    if !covers.is_empty() {
        let note = "the module's own code called the barrier that covers what was deferred last, in another task, and whether the destroying task has waited for that task is not seen";
        return open(verdict, Reason::HelperUnawaited, note);
    }
    match doubt {
        Some((reason, note)) => open(verdict, reason, note),
        None => open(verdict, Reason::BlindRcuBarrier, "this kernel does not let rcu_barrier() be seen"),
    }
}

/// Whether nothing of `call_rcu()` was outstanding at the entry, and the module's helper, or nobody knows who, had called
/// a barrier that covers it: then the barrier inside the destroy is not known to be the only one.
fn may_be_ordered_before(destroy: &Destroy, verdict: &Verdict) -> bool {
    let cover = destroy.callbacks_cover(verdict.module.as_deref());
    let is_before = destroy.past().callbacks.last.is_some_and(|last| last < destroy.begin);
    is_before
        && destroy.at_begin.counts.callbacks() == 0
        && matches!(cover, Cover::Helper(_) | Cover::Unknown(_))
}

/// Why it is not known that no barrier orders the last `kfree_rcu()`.
fn doubt_of_frees(state: &State, destroy: &Destroy) -> Option<(Reason, &'static str)> {
    if state.watch.blind.contains(&Blind::KvfreeBarrier) {
        let note = "this kernel does not let its barrier for kfree_rcu() be seen";
        return Some((Reason::BlindKvfreeBarrier, note));
    }
    if destroy.may_be_covered() {
        let note = "a map of the probes was full, so whether the destroy waited is not known";
        return Some((Reason::MapFull, note));
    }
    (!destroy.has_uncovered_frees() && destroy.coverage.doubt.after_older_barrier).then_some((
        Reason::LateAttach,
        "a barrier that was running when the probes were attached may order what was queued before them",
    ))
}

/// Tells of the barrier of somebody else that happened to run.
fn is_lucky(state: &State, destroy: &Destroy, barrier: &Returned, verdict: &mut Verdict) {
    let look = destroy.look.unwrap_or(destroy.begin).time;
    verdict.notes.push(
        "a barrier that somebody else called happened to run before the destroy: this teardown did not ask for it"
            .to_owned(),
    );
    verdict.lucky_barrier = Some(LuckyBarrier {
        function: barrier.kind.function().to_owned(),
        comm: barrier.comm.clone(),
        task: barrier.task.0,
        stack: evidence::frames(state, barrier.stack),
        before_ns: look.since(barrier.returned),
    });
}

fn split(state: &State, destroy: &Destroy, unseen_calls: u64, left: Option<u64>) -> Split {
    // What was outstanding at the look; an object whose free was running then may have been free
    // already, and counts only if the kernel found something.
    let frees = destroy.judged_at().counts.frees() + destroy.late.unknown_frees;
    let callbacks = destroy.judged_at().counts.callbacks() + destroy.late.unknown_callbacks;
    let unknown_past = unseen_calls > 0 || has_unknown_past(state, destroy);
    let Some(left) = left else {
        // Without the kernel's count, how many more are left is not known.
        let undecided = u64::from(frees + callbacks == 0 && unknown_past);
        return Split { frees, callbacks, undecided, is_one_each: true, ..Split::default() };
    };
    // Objects of `kfree_rcu()` that have not begun to be freed are surely left; two heads of `call_rcu()` may
    // lie in one object, and an object that somebody else has freed is not left at all.
    let waiting = destroy.after.counts.callbacks_waiting + destroy.late.unknown_callbacks;
    let excess = waiting.saturating_sub(left.saturating_sub(destroy.after.counts.outstanding));
    let is_one_each = excess == 0 && !(waiting > 0 && destroy.judged_at().shares_objects);
    let split =
        Split { frees, callbacks: callbacks.saturating_sub(excess), excess, is_one_each, ..Split::default() };
    // The slabs were counted when the look was over, and are held against what was outstanding then:
    // frees that ran in between are in neither.
    let rest = left.saturating_sub(destroy.frees_after() + destroy.callbacks_after());
    if rest > 0 && unknown_past {
        return Split { undecided: rest, ..split };
    }
    // Frees that were running may have ended while the slabs were counted, and objects that were
    // allocated meanwhile make a slab look full: then the rest says nothing.
    // So does what is freed between the look's flush and its count: the slab may go to a CPU's own list and
    // is then counted as a full one, though nothing may be left in it. Slabs on the node's list are exact.
    let running_after = destroy.after.counts.being_freed + destroy.after.counts.callbacks_running;
    let after = destroy.after.counts.outstanding + destroy.after.counts.callbacks_waiting + running_after;
    let freed_during = destroy.judged_at().counts.frees() + destroy.judged_at().counts.callbacks() > after;
    let all_listed =
        matches!(destroy.shutdown, Some(Shutdown::Left(Some(left))) if left.listed >= left.objects);
    let may_be_counted_full = freed_during && !all_listed && rest > 0;
    let is_exact =
        running_after == 0 && !destroy.meanwhile.queued_while_looking && !may_be_counted_full && is_one_each;
    Split { leaked: is_exact.then_some(rest), ..split }
}

/// Whether objects may have been queued of which nothing was seen.
fn has_unknown_past(state: &State, destroy: &Destroy) -> bool {
    destroy.life.has_unseen_past()
        || (destroy.has_open_callbacks() && !state.sees_callbacks_run())
        || state.watch.blind.contains(&Blind::Callbacks)
}

/// The kernel found nothing left: by order, or by luck?
fn of_emptied(state: &State, destroy: &Destroy, unseen_calls: u64, verdict: &mut Verdict) -> VerdictKind {
    if destroy.after.counts.outstanding > 0 {
        verdict.notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel found nothing left",
            destroy.after.counts.outstanding
        ));
        return VerdictKind::ModelDisagrees;
    }
    verdict.leaked = Some(0);
    // What was being freed at the look was free when the slabs were looked at.
    verdict.queued_by_kfree_rcu = 0;
    if state.sees_callbacks_run() && verdict.queued_by_call_rcu.is_some() {
        verdict.queued_by_call_rcu = Some(destroy.after.counts.callbacks_waiting);
    }
    if destroy.after.counts.callbacks_waiting > 0 {
        verdict.ordering = Ordering::Unordered;
        verdict.notes.push(format!(
            "nothing was left, and {} callbacks of call_rcu() had not run: somebody else has freed their objects, and they will run on memory that is gone",
            destroy.after.counts.callbacks_waiting
        ));
        return VerdictKind::Pending;
    }
    // Nothing was left, so what an unseen call queued has been freed. Where each free was of something that was
    // seen to be queued, there was no such call for this cache.
    let unexplained = destroy.past().unknown.total();
    if unseen_calls > 0 && unexplained > 0 {
        let note = format!(
            "{unexplained} objects were freed that nobody was seen to queue, and {unseen_calls} calls of kfree_rcu() and call_rcu() were {}",
            LossReason::ProbeMissed.words()
        );
        return open(verdict, Reason::ProbeMissed, &note);
    }
    let unseen_queue_before = destroy.past().unknown.frees > 0 && destroy.coverage.frees == 0;
    let unordered_frees = destroy.has_uncovered_frees() || unseen_queue_before;
    if unordered_frees || destroy.has_open_callbacks() {
        return of_unordered(state, destroy, unordered_frees, verdict);
    }
    verdict.ordering =
        if destroy.past().is_deferred() { Ordering::Ordered } else { Ordering::NothingDeferred };
    let unknown_callbacks = destroy.meanwhile.unknown_callbacks;
    let waited_for_unknown = destroy.rcu_barrier_inside() && unknown_callbacks > 0;
    let waited_for_known = destroy.waited_for_callbacks() && !may_be_ordered_before(destroy, verdict);
    verdict.waited_for_callbacks = waited_for_known || waited_for_unknown;
    let waited_for_own = destroy.at_begin.counts.frees();
    let waited_for_frees = destroy.coverage.inside && waited_for_own + destroy.meanwhile.unknown_frees > 0;
    if waited_for_frees || verdict.waited_for_callbacks {
        verdict.ordering = Ordering::Ordered;
        verdict.waited_for_own = waited_for_own + destroy.meanwhile.unknown_frees;
        verdict.waited_for_other = destroy.meanwhile.others_freed;
        let from_sheaves =
            destroy.at_look.past.freed_by.sheaf.saturating_sub(destroy.at_begin.past.freed_by.sheaf);
        verdict.in_sheaves = from_sheaves.min(verdict.waited_for_own);
        if verdict.in_sheaves > 0 {
            verdict.notes.push(format!(
                "{} of what it waited for lay in sheaves of the CPUs, which are freed when they are full or flushed, and not before: normal where a kernel has sheaves, and no leak",
                verdict.in_sheaves
            ));
        }
        if verdict.waited_for_callbacks {
            verdict.waited_for_own_callbacks = destroy.at_begin.counts.callbacks() + unknown_callbacks;
        }
        return VerdictKind::Waited;
    }
    if destroy.begin.time < state.watch.attached {
        let note = "the destroy was under way when the probes were attached, so what it may have waited for was not seen";
        return open(verdict, Reason::LateAttach, note);
    }
    let before_attach = destroy.life.has_unseen_past();
    // Of callbacks that were queued before the probes it is known only what an rcu_barrier() since then covers.
    let unknown_callbacks = destroy.past().unknown.callbacks > 0 && destroy.coverage.callbacks == 0;
    let is_unclear =
        verdict.ordering == Ordering::NothingDeferred || !destroy.coverage.inside || unknown_callbacks;
    if before_attach && is_unclear {
        verdict.ordering = Ordering::Unknown;
        verdict.reasons.push(if destroy.life.counted { Reason::Counted } else { Reason::LateAttach });
    }
    if state.watch.blind.contains(&Blind::Callbacks) {
        verdict.ordering = Ordering::Unknown;
        verdict.reasons.push(Reason::BlindCallbacks);
        verdict.notes.push("nothing was left, but this kernel does not let call_rcu() be seen".to_owned());
    }
    if before_attach && (!destroy.coverage.inside || unknown_callbacks) {
        verdict.notes.push(
            "nothing was left, but what was queued before the probes were attached is not known to be ordered: attach before the module is loaded to know"
                .to_owned(),
        );
    }
    VerdictKind::Clean
}
