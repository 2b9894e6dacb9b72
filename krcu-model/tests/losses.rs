//! What a loss touches, by what it could have been of, and what it leaves alone; the reasons of an inconclusive
//! verdict, as words.

mod run;

use krcu_common::{BarrierKind, FreePath, wire::FLUSHES_UNKNOWN};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, Gap, LossReason, Losses, Scope, Time, What},
    reason::Reason,
    state::Blind,
    verdict::Ordering,
};
use run::*;

/// A loss between two microseconds, known from here on.
fn lost(run: Run, reason: LossReason, scope: Scope, from: u64, until: u64) -> Run {
    let (from, until) = (Time(from * 1000), Time(until * 1000));
    let programs =
        if reason == LossReason::ProbeMissed { vec!["freed_single".to_owned()] } else { Vec::new() };
    run.then(0, What::Gap(Gap { reason, events: 2, from, until, scope, programs }))
}

#[test]
fn a_loss_of_one_cache_touches_its_destroys_and_no_others() {
    let destroyed = |scope, from, until| {
        let run = Run::live().at(100).created(CACHE).at(200).destroy_begin().look(0).emptied();
        let verdict = lost(run, LossReason::MapFull, scope, from, until).verdict();
        (verdict.decision.kind, verdict.decision.reasons)
    };
    let (clean, unclear) = ((VerdictKind::Clean, vec![]), (VerdictKind::Inconclusive, vec![Reason::MapFull]));
    assert_eq!(destroyed(Scope::Cache(CACHE), 150, 160), unclear);
    assert_eq!(destroyed(Scope::Everything, 150, 160), unclear);
    assert_eq!(destroyed(Scope::Cache(OTHER), 150, 160), clean);
    assert_eq!(destroyed(Scope::Grace, 150, 160), clean);
    // Of the cache that had the address before, or has it after.
    assert_eq!(destroyed(Scope::Cache(CACHE), 10, 99), clean);
    assert_eq!(destroyed(Scope::Cache(CACHE), 300, 301), clean);
}

#[test]
fn a_loss_takes_back_an_accusation_only_if_it_could_explain_it() {
    let early = |scope: fn(CacheAddress) -> Scope, from, until| {
        let run = Run::live().at(100).created(CACHE).at(200).queued(EXIT, 0..1);
        let known_before = lost(run, LossReason::ProbeMissed, scope(CACHE), from, until);
        let before = known_before.barrier(EXIT, BarrierKind::Kvfree).kinds();
        let run =
            Run::live().at(100).created(CACHE).at(200).queued(EXIT, 0..1).barrier(EXIT, BarrierKind::Kvfree);
        let after = lost(run, LossReason::ProbeMissed, scope(CACHE), from, until).kinds();
        assert_eq!(before, after, "whenever it is known");
        before
    };
    assert_eq!(early(Scope::Cache, 200, 201), []);
    assert_eq!(early(|_| Scope::Everything, 200, 201), []);
    assert_eq!(early(|_| Scope::Cache(OTHER), 200, 201), [VerdictKind::BarrierEarly]);
    assert_eq!(early(|_| Scope::Grace, 200, 201), [VerdictKind::BarrierEarly]);
    // What was lost before it was queued says nothing of it.
    assert_eq!(early(|_| Scope::Everything, 150, 199), [VerdictKind::BarrierEarly]);
}

#[test]
fn a_lost_grace_period_takes_back_only_that_one_was_too_short() {
    let freed = |scope, from, until| {
        let run = Run::seeing(vec![Blind::Inside]).at(100).created(CACHE).at(200).queued(EXIT, 0..1);
        lost(run, LossReason::MapFull, scope, from, until).freed(0..1, FreePath::Bulk).kinds()
    };
    assert_eq!(freed(Scope::Grace, 200, 201), []);
    assert_eq!(freed(Scope::Grace, 150, 199), [VerdictKind::FreedEarly]);
    assert_eq!(freed(Scope::Cache(OTHER), 200, 201), [VerdictKind::FreedEarly]);
}

#[test]
fn flushed_works_that_were_not_counted_matter_only_where_nothing_else_decides() {
    let look = |run: Run| {
        let verdict = run.look(FLUSHES_UNKNOWN).emptied().verdict();
        (verdict.decision.kind, verdict.decision.reasons)
    };
    let unclear = (VerdictKind::Inconclusive, vec![Reason::MapFull]);
    let queued = || Run::live().created(CACHE).queued(EXIT, 0..1);
    let freed = |run: Run| run.freed(0..1, FreePath::Bulk);
    assert_eq!(look(freed(queued()).destroy_begin()), unclear);
    assert_eq!(look(freed(queued().destroy_begin())), unclear);
    // Nothing was queued; a barrier that is seen; or one that could not have covered it.
    assert_eq!(look(Run::live().created(CACHE).destroy_begin()), (VerdictKind::Clean, vec![]));
    let ordered = freed(queued()).barrier(EXIT, BarrierKind::Kvfree).destroy_begin();
    assert_eq!(look(ordered), (VerdictKind::Clean, vec![]));
    let inside = freed(queued().destroy_begin()).barrier(EXIT, BarrierKind::Kvfree);
    assert_eq!(look(inside), (VerdictKind::Waited, vec![]));
    let after = freed(Run::live().created(CACHE).destroy_begin().queued(30, 0..1));
    assert_eq!(look(after), (VerdictKind::Unordered, vec![]));
    // Callbacks have a barrier of their own.
    let callbacks = Run::live().created(CACHE).callbacks(EXIT, 0..1).ran(0..1).destroy_begin();
    assert_eq!(look(callbacks), (VerdictKind::Unordered, vec![]));
    // What is left is left.
    let left = queued().destroy_begin().look(FLUSHES_UNKNOWN).left(1).verdict();
    assert_eq!((left.decision.kind, left.decision.left.leaked), (VerdictKind::Pending, Some(0)));
}

#[test]
fn each_reason_is_named_where_it_decides_and_nowhere_else() {
    let reasons = |run: Run| {
        let verdict = run.verdict();
        let is_open = verdict.decision.kind == VerdictKind::Inconclusive
            || (verdict.decision.kind == VerdictKind::Clean
                && verdict.decision.ordering == Ordering::Unknown);
        assert_eq!(is_open, !verdict.decision.reasons.is_empty(), "{verdict:#?}");
        verdict.decision.reasons
    };
    let blind = |blind| Run::seeing(vec![blind, Blind::Grace, Blind::Inside]).created(CACHE);
    let freed =
        |run: Run| run.queued(EXIT, 0..1).freed(0..1, FreePath::Bulk).destroy_begin().look(0).emptied();
    assert_eq!(reasons(freed(blind(Blind::Frees))), [Reason::BlindFrees]);
    assert_eq!(reasons(freed(blind(Blind::KvfreeBarrier))), [Reason::BlindKvfreeBarrier]);
    assert_eq!(reasons(freed(blind(Blind::RcuBarrier))), []);
    let ran = |run: Run| run.callbacks(EXIT, 0..1).ran(0..1).destroy_begin().look(0).emptied();
    assert_eq!(reasons(ran(blind(Blind::RcuBarrier))), [Reason::BlindRcuBarrier]);
    assert_eq!(reasons(ran(blind(Blind::KvfreeBarrier))), []);
    assert_eq!(reasons(blind(Blind::Callbacks).destroy_begin().look(0).left(1)), [Reason::BlindCallbacks]);
    assert_eq!(reasons(blind(Blind::Callbacks).destroy_begin().look(0).emptied()), [Reason::BlindCallbacks]);
    assert_eq!(reasons(Run::live().destroy_begin().look(0).emptied()), [Reason::LateAttach]);
    assert_eq!(reasons(Run::live().destroy_begin().look(0).left(1)), [Reason::LateAttach]);
    assert_eq!(reasons(Run::live().created(CACHE).destroy_begin().look(0)), [Reason::EndUnseen]);
    // The free ran, or ended, while the slabs were counted, and nothing else is left that was queued.
    let inexact = Run::live().created(CACHE).destroy_begin().look(0).then(WORKER, queued(1, false));
    let inexact = inexact.freed(1..2, FreePath::Bulk).left(1);
    assert_eq!(reasons(inexact), [Reason::InexactCount]);
    let run = Run::live().created(CACHE).destroy_begin().look(0);
    let run = lost(run, LossReason::RingFull, Scope::Everything, 0, 1);
    let run = lost(run, LossReason::ProbeMissed, Scope::Cache(CACHE), 0, 1);
    assert_eq!(reasons(run.left(1)), [Reason::RingFull, Reason::ProbeMissed]);
}

#[test]
fn the_last_rcu_barrier_is_known_of_the_last_tasks_that_called_one() {
    let before = |others: u32| {
        let run = Run::live().created(CACHE).barrier(EXIT, BarrierKind::Rcu);
        let run = (0..others).fold(run, |run, other| run.barrier(1000 + other, BarrierKind::Rcu));
        run.destroy_begin().look(0).emptied().verdict().evidence.destroyed.rcu_barrier_before_ns.is_some()
    };
    assert!(before(63));
    assert!(!before(64));
}

#[test]
fn a_call_that_was_not_seen_shows_by_what_it_queued() {
    let missed = |run: Run| lost(run, LossReason::ProbeMissed, Scope::Queueing, 150, 160).verdict();
    let begun = || Run::live().at(100).created(CACHE).at(200);
    // Nothing was freed of which nobody knows who queued it: the call was of another cache.
    let clean = missed(begun().destroy_begin().look(0).emptied());
    assert_eq!((clean.decision.kind, clean.decision.reasons), (VerdictKind::Clean, vec![]));
    // Something was.
    let freed = begun().freed(0..1, FreePath::Bulk);
    let open = missed(freed.destroy_begin().look(0).emptied());
    assert_eq!(
        (open.decision.kind, open.decision.reasons),
        (VerdictKind::Inconclusive, vec![Reason::ProbeMissed])
    );
    // All that is left is known to be queued; or one more object is left, which may be its.
    let pending = missed(begun().queued(EXIT, 0..2).destroy_begin().look(0).left(2));
    assert_eq!((pending.decision.kind, pending.decision.left.leaked), (VerdictKind::Pending, Some(0)));
    let one_more = missed(begun().queued(EXIT, 0..2).destroy_begin().look(0).left(3));
    assert_eq!(
        (one_more.decision.kind, one_more.decision.left.leaked, one_more.decision.left.undecided),
        (VerdictKind::Pending, Some(0), 1)
    );
    // Two calls queue two objects: of four, two are nobody's.
    let more = missed(begun().destroy_begin().look(0).left(4));
    assert_eq!(
        (more.decision.kind, more.decision.left.leaked, more.decision.left.undecided),
        (VerdictKind::Leaked, Some(2), 2)
    );
    assert_eq!(more.decision.reasons, [Reason::ProbeMissed]);
    let left = missed(begun().destroy_begin().look(0).left(1));
    assert_eq!(
        (left.decision.kind, left.decision.reasons),
        (VerdictKind::Inconclusive, vec![Reason::ProbeMissed])
    );
}

#[test]
fn a_free_that_was_not_seen_leaves_open_only_what_seems_outstanding() {
    let missed = |run: Run| {
        let verdict = lost(run, LossReason::ProbeMissed, Scope::Freeing, 150, 160).verdict();
        (verdict.decision.kind, verdict.decision.reasons, verdict.decision.missed_programs)
    };
    let stands = |kind| (kind, vec![], vec![]);
    let open = (VerdictKind::Inconclusive, vec![Reason::ProbeMissed], vec!["freed_single".to_owned()]);
    let begun = || Run::live().at(100).created(CACHE).at(200);
    let queued = || begun().queued(EXIT, 0..2);
    // Nothing was to be freed, or all of it was seen to be.
    assert_eq!(missed(begun().destroy_begin().look(0).emptied()), stands(VerdictKind::Clean));
    let freed = || queued().freed(0..2, FreePath::Bulk);
    assert_eq!(missed(freed().destroy_begin().look(0).emptied()), stands(VerdictKind::Unordered));
    let waited = queued().destroy_begin().freed(0..2, FreePath::Bulk).look(4).emptied();
    assert_eq!(missed(waited), stands(VerdictKind::Waited));
    assert_eq!(missed(begun().destroy_begin().look(0).left(3)), stands(VerdictKind::Leaked));
    // Some of what seems outstanding may be free, or a call may have returned that seems to be freeing.
    assert_eq!(missed(queued().destroy_begin().look(0).left(2)), open);
    assert_eq!(missed(queued().destroy_begin().look(0).emptied()), open);
    let running = queued().then(WORKER, freed_by_its_call(0)).then(WORKER, freed_by_its_call(1));
    assert_eq!(missed(running.destroy_begin().look(0).left(1)), open);
    assert_eq!(missed(begun().callbacks(EXIT, 0..1).destroy_begin().look(0).left(1)), open);
    // Of what was queued before the probes the free is all that is seen.
    assert_eq!(missed(Run::live().at(200).destroy_begin().look(4).emptied()).0, VerdictKind::Inconclusive);
    // What an unseen call queued shows by its free, if that was seen.
    let calls = lost(begun(), LossReason::ProbeMissed, Scope::Queueing, 150, 160);
    assert_eq!(missed(calls.destroy_begin().look(0).emptied()), open);
}

#[test]
fn a_barrier_that_was_not_seen_leaves_open_only_what_seems_unordered() {
    let missed = |run: Run| {
        let verdict = lost(run, LossReason::ProbeMissed, Scope::Barriers, 150, 160).verdict();
        (verdict.decision.kind, verdict.decision.ordering, verdict.decision.reasons)
    };
    let open = (VerdictKind::Inconclusive, Ordering::Unknown, vec![Reason::ProbeMissed]);
    let begun = || Run::live().at(100).created(CACHE).at(200);
    let freed = |run: Run| run.queued(EXIT, 0..2).freed(0..2, FreePath::Bulk);
    let clean = missed(begun().destroy_begin().look(0).emptied());
    assert_eq!(clean, (VerdictKind::Clean, Ordering::NothingDeferred, vec![]));
    let ordered = missed(freed(begun()).barrier(EXIT, BarrierKind::Kvfree).destroy_begin().look(0).emptied());
    assert_eq!(ordered, (VerdictKind::Clean, Ordering::Ordered, vec![]));
    let pending = missed(begun().queued(EXIT, 0..2).destroy_begin().look(0).left(2));
    assert_eq!(pending, (VerdictKind::Pending, Ordering::Unknown, vec![]));
    assert_eq!(missed(freed(begun()).destroy_begin().look(0).emptied()), open);
    // A barrier inside of one whose begin was missed seems to be one of its own: for callbacks nothing is sure.
    let callbacks = begun().callbacks(EXIT, 0..1).ran(0..1).barrier(EXIT, BarrierKind::Rcu);
    assert_eq!(missed(callbacks.destroy_begin().look(0).emptied()), open);
}

#[test]
fn a_destroy_that_was_under_way_when_the_probes_came_may_have_waited() {
    let destroyed = |begin| Run::attached(500).at(begin).destroy_begin().at(600).look(4).emptied().verdict();
    let (before, after) = (destroyed(499), destroyed(500));
    assert_eq!(
        (before.decision.kind, before.decision.reasons),
        (VerdictKind::Inconclusive, vec![Reason::LateAttach])
    );
    assert_eq!((after.decision.kind, after.decision.ordering), (VerdictKind::Clean, Ordering::Unknown));
}

#[test]
fn losses_that_no_number_can_hold_are_told_as_the_largest_number() {
    let gap = || {
        let (from, until) = (Time(150_000), Time(160_000));
        let reason = LossReason::RingFull;
        What::Gap(Gap { reason, events: u64::MAX, from, until, scope: Scope::Everything, programs: vec![] })
    };
    let run = Run::live().at(100).created(CACHE).at(200).destroy_begin().look(0).emptied();
    let verdict = run.then(0, gap()).then(0, gap()).verdict();
    assert_eq!(verdict.decision.kind, VerdictKind::Inconclusive);
    assert_eq!(verdict.decision.reasons, [Reason::RingFull]);
    let losses = Losses { ring_full: u64::MAX, probe_missed: 1, map_full: u64::MAX, destroys: 0 };
    assert_eq!(losses.total(), u64::MAX);
}
