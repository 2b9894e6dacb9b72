//! A barrier that returns while somebody for whom it does not wait frees what it covers.
//!
//! What is expected follows from the promise (a barrier returns only after everything that it covers has been freed) and
//! from the order of events: the end of a freeing call for which a barrier waits comes before the end of that barrier.

mod run;

use krcu_common::{BarrierKind, FreePath};
use krcu_model::{
    Verdict, VerdictKind,
    event::{CacheAddress, Gap, LossReason, Scope, Task, Time, What},
    promise::BeingFreed,
    state::Blind,
    verdict::{Note, Ordering},
};
use run::*;

/// The task that writes to `drop_caches`: the shrinker runs in it.
const RECLAIMER: u32 = 40;
/// The call that frees an array has returned.
const BULK_ENDS: What = What::BatchFreed { path: FreePath::Bulk };

/// Four objects that this task had queued are being freed, in a call that has not returned.
fn reclaiming(run: Run, queuer: u32) -> Run {
    let run = run.created(CACHE).queued(queuer, 0..4);
    (0..4).fold(run, |run, object| run.then(RECLAIMER, freed(object, FreePath::Bulk)))
}

fn kvfree(run: Run) -> Run {
    run.barrier(EXIT, BarrierKind::Kvfree)
}

/// The accusations among the verdicts of a run.
fn accused(run: &Run) -> Vec<Verdict> {
    let all = krcu_model::verdicts(&run.state);
    all.into_iter().filter(|verdict| verdict.kind() == VerdictKind::BarrierEarly).collect()
}

#[test]
fn a_barrier_that_returns_while_the_shrinker_frees_what_it_covers_is_early() {
    let run = kvfree(reclaiming(Run::new(), EXIT));
    assert_eq!(run.kinds(), [], "nothing is said before the call is seen to return");
    assert!(run.state.is_unsettled(), "the call is still to return");
    // Created at 0 µs, queued from 1, freed from 5, the barrier from 9 to 10; the call returns at 30.
    let run = run.at(30).then(RECLAIMER, BULK_ENDS);
    assert!(!run.state.is_unsettled());
    let [verdict] = &accused(&run)[..] else { panic!("one accusation") };
    assert_eq!((verdict.cache.name.as_str(), verdict.decision.left.frees), ("cache", 4));
    assert_eq!(verdict.decision.left.being_freed, 4);
    assert_eq!(verdict.evidence.deferred.oldest_age_ns, Some(9_000));
    let being_freed = Some(BeingFreed { objects: 4, task: Task(RECLAIMER), ended_after_ns: 20_000 });
    let note = Note::BarrierEarly { objects: 4, took_ns: 1_000, being_freed };
    assert_eq!(verdict.decision.notes, [note]);
}

#[test]
fn a_barrier_that_waited_for_the_call_is_not_accused() {
    // The call returns before the barrier does, and be it by one event.
    let run =
        around(reclaiming(Run::new(), EXIT), EXIT, BarrierKind::Kvfree, |run| run.then(RECLAIMER, BULK_ENDS));
    assert_eq!(run.kinds(), []);
    assert!(!run.state.is_unsettled());
}

#[test]
fn what_the_barrier_need_not_cover_accuses_nobody() {
    let ends = |run: Run| run.then(RECLAIMER, BULK_ENDS).kinds();
    // Another task queued it: that its call had returned is not proved.
    assert_eq!(ends(kvfree(reclaiming(Run::new(), 30))), []);
    // It was queued after the barrier began, by an interrupt on top of its caller.
    let inside = around(Run::new().created(CACHE), EXIT, BarrierKind::Kvfree, |run| {
        run.queued(EXIT, 0..1).then(RECLAIMER, freed(0, FreePath::Bulk))
    });
    assert_eq!(ends(inside), []);
    // Of a batch that holds both, it is not told which objects are free.
    let both = around(Run::new().created(CACHE).queued(EXIT, 0..1), EXIT, BarrierKind::Kvfree, |run| {
        let run = run.queued(EXIT, 1..2);
        run.then(RECLAIMER, freed(0, FreePath::Bulk)).then(RECLAIMER, freed(1, FreePath::Bulk))
    });
    assert_eq!(ends(both), []);
    // rcu_barrier() covers callbacks; a barrier of another cache covers nothing of this one.
    assert_eq!(ends(reclaiming(Run::new(), EXIT).barrier(EXIT, BarrierKind::Rcu)), []);
    let of_other =
        reclaiming(Run::new(), EXIT).created(OTHER).barrier_of(EXIT, BarrierKind::KvfreeOnCache, Some(OTHER));
    assert_eq!(ends(of_other), []);
    let of_this = reclaiming(Run::new(), EXIT).barrier_of(EXIT, BarrierKind::KvfreeOnCache, Some(CACHE));
    assert_eq!(ends(of_this), [VerdictKind::BarrierEarly]);
}

#[test]
fn an_object_whose_queueing_was_not_seen_accuses_nobody() {
    let older = Run::new().then(RECLAIMER, freed(7, FreePath::Bulk));
    assert_eq!(kvfree(older).then(RECLAIMER, BULK_ENDS).kinds(), []);
}

#[test]
fn frees_whose_end_is_not_seen_accuse_nobody() {
    // One by one, and by a callback: that the call had not returned follows from nothing.
    let single = Run::new().created(CACHE).queued(EXIT, 0..1).then(RECLAIMER, freed(0, FreePath::Single));
    assert_eq!(kvfree(single).then(RECLAIMER, What::BatchFreed { path: FreePath::Single }).kinds(), []);
    // The end of an array's call is lost: no end, no accusation.
    assert_eq!(kvfree(reclaiming(Run::new(), EXIT)).kinds(), []);
    // Where frees can go unseen, nothing is proved.
    let blind = kvfree(reclaiming(Run::with(vec![Blind::Frees]), EXIT));
    assert_eq!(blind.then(RECLAIMER, BULK_ENDS).kinds(), []);
}

#[test]
fn a_loss_takes_the_accusation_back() {
    let loss = |scope, from: u64, until: u64| {
        let gap = Gap {
            reason: LossReason::RingFull,
            events: 1,
            from: Time(from * 1000),
            until: Time(until * 1000),
            scope,
            programs: Vec::new(),
        };
        // It becomes known after all the rest.
        let run = kvfree(reclaiming(Run::new(), EXIT)).then(RECLAIMER, BULK_ENDS);
        run.then(0, What::Gap(gap)).kinds()
    };
    // Queued from 1 µs, freed from 5, the barrier from 9 to 10, the end at 11.
    for scope in [Scope::Everything, Scope::Freeing, Scope::Barriers, Scope::Cache(CACHE)] {
        assert_eq!(loss(scope, 6, 7), [], "{scope:?}");
    }
    for scope in [Scope::Queueing, Scope::Grace, Scope::Cache(CacheAddress(0x9000))] {
        assert_eq!(loss(scope, 6, 7), [VerdictKind::BarrierEarly], "{scope:?}");
    }
    assert_eq!(loss(Scope::Everything, 20, 21), [VerdictKind::BarrierEarly], "after it was over");
    // A loss before the barrier returned explains the suspicion, so nothing waits for the end of the call.
    let run = kvfree(reclaiming(Run::new(), EXIT).gap(2, 3));
    assert!(!run.state.is_unsettled());
}

/// The destroy of 6.12: its barrier is a function.
fn destroyed(run: Run) -> Run {
    kvfree(run.destroy_begin()).look(4).left(3)
}

#[test]
fn a_cache_whose_destroy_the_barrier_failed_is_pending_through_no_fault_of_its_module() {
    let run = destroyed(reclaiming(Run::new(), EXIT)).then(RECLAIMER, BULK_ENDS);
    assert_eq!(run.kinds(), [VerdictKind::Pending, VerdictKind::BarrierEarly]);
    let verdict = &krcu_model::verdicts(&run.state)[0];
    assert!(verdict.evidence.destroyed.barrier_inside);
    let left = verdict.decision.left;
    assert_eq!((left.frees, left.being_freed, left.missed_by_barrier), (4, 4, 4));
    assert_eq!(verdict.decision.ordering, Ordering::Unknown);
}

#[test]
fn the_barrier_inside_a_newer_destroy_is_held_to_the_same() {
    // It is no function; the works that it flushes show it, two for each of two CPUs.
    let destroy = |flushed| {
        reclaiming(Run::new(), EXIT).destroy_begin().look(flushed).left(3).then(RECLAIMER, BULK_ENDS)
    };
    assert_eq!(destroy(4).kinds(), [VerdictKind::Pending, VerdictKind::BarrierEarly]);
    assert_eq!(krcu_model::verdicts(&destroy(4).state)[0].decision.left.missed_by_barrier, 4);
    // No barrier ran: the destroy of 6.1 does not wait.
    assert_eq!(destroy(0).kinds(), [VerdictKind::Pending]);
    assert_eq!(krcu_model::verdicts(&destroy(0).state)[0].decision.left.missed_by_barrier, 0);
}

#[test]
fn a_cache_that_is_found_empty_accuses_nobody() {
    // The objects may all have been free when the barrier returned, and only the call not over.
    let run =
        kvfree(reclaiming(Run::new(), EXIT).destroy_begin()).look(4).emptied().then(RECLAIMER, BULK_ENDS);
    assert_eq!(accused(&run), []);
    assert!(!run.state.is_unsettled());
}

#[test]
fn two_barriers_that_miss_one_call_are_one_accusation_about_its_objects() {
    let run = kvfree(kvfree(reclaiming(Run::new(), EXIT))).then(RECLAIMER, BULK_ENDS);
    let [verdict] = &accused(&run)[..] else { panic!("one accusation") };
    assert_eq!(verdict.decision.left.frees, 4);
}

#[test]
fn what_waits_behind_the_batch_is_counted_with_it() {
    // The shrinker has taken two batches off: it frees the first, and the objects of the second are still queued.
    let run = kvfree(reclaiming(Run::new(), EXIT).queued(EXIT, 4..6)).then(RECLAIMER, BULK_ENDS);
    let [verdict] = &accused(&run)[..] else { panic!("one accusation") };
    assert_eq!((verdict.decision.left.frees, verdict.decision.left.being_freed), (6, 4));
}
