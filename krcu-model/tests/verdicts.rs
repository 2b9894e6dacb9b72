//! Each verdict from the fewest events that lead to it, and each way to be misled by them.
//!
//! Times are microseconds; the expectation of each case follows from the covering rule and from what
//! the destroy's shutdown returned, not from what the program printed.

mod run;

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    VerdictKind,
    event::{Domain, FunctionAddress, Leftover, ObjectAddress, Site, What},
    promise::Promise,
    reason::Reason,
    state::Blind,
    verdict::{KernelResult, Ordering},
    verdicts,
};
use run::*;

#[test]
fn what_is_queued_at_the_look_is_pending_and_lands_late() {
    let run = Run::new().created(CACHE).queued(EXIT, 0..7).destroy_begin().look(0).left(7);
    assert!(run.state.is_unsettled(), "seven deferred frees are still to come");
    let run = run.freed(0..7, FreePath::Bulk);
    assert!(!run.state.is_unsettled());
    let verdict = run.verdict();
    assert_eq!(verdict.decision.kind, VerdictKind::Pending);
    assert_eq!(
        (verdict.decision.left.frees, verdict.decision.left.leaked, verdict.evidence.late.frees),
        (7, Some(0), 7)
    );
    // Queued at 1 µs (the creation is at 0), looked at 9 µs.
    assert_eq!(verdict.evidence.deferred.oldest_age_ns, Some(8_000));
    assert!(verdict.decision.kind.is_flagged());
}

#[test]
fn a_free_that_runs_at_the_look_is_still_pending_if_the_kernel_found_it() {
    // The worker has begun to free object 1 and has not returned from the call.
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..2)
        .freed(0..1, FreePath::Bulk)
        .then(WORKER, freed(1, FreePath::Bulk))
        .destroy_begin()
        .look(0)
        .left(1);
    let verdict = run.verdict();
    // Or the free had ended, and what is left was leaked: that much is not known.
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, None));
    assert_eq!(verdict.decision.left.frees, 1);
}

#[test]
fn what_nobody_queued_is_leaked_also_beside_what_is_pending() {
    let leak = Run::new().created(CACHE).destroy_begin().look(0).left(5);
    assert!(!leak.state.is_unsettled(), "nothing will free a leak");
    let verdict = leak.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Leaked, Some(5)));
    assert_eq!(verdict.decision.left.frees, 0);

    let mixed = Run::new().created(CACHE).queued(EXIT, 0..3).destroy_begin().look(0).left(8);
    let verdict = mixed.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, Some(5)));
    assert_eq!(verdict.decision.left.frees, 3);
}

#[test]
fn frees_between_the_look_and_its_end_make_no_leak_and_hide_none() {
    // Three pending and two leaked at the look; two of the three are freed before the slabs are counted.
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..3)
        .destroy_begin()
        .look(0)
        .freed(0..2, FreePath::Bulk)
        .left(3);
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, Some(2)));
    assert_eq!(verdict.decision.left.frees, 3);
}

/// Seen on 6.1: all of 1,465 objects were freed during the look, and eight slabs of thirty that lay on no
/// node's list were counted as full. Nothing was leaked.
#[test]
fn a_slab_that_is_freed_into_after_the_flush_is_no_leak() {
    let seen = |objects, listed| {
        let run = Run::new()
            .created(CACHE)
            .queued(EXIT, 0..60)
            .destroy_begin()
            .look(0)
            .freed(0..60, FreePath::Bulk)
            .then(EXIT, What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects, listed }) });
        let verdict = run.verdict();
        (verdict.decision.kind, verdict.decision.left.frees, verdict.decision.left.leaked)
    };
    assert_eq!(seen(30, 0), (VerdictKind::Pending, 60, None));
    // What lies on a node's list is allocated, whatever was freed meanwhile.
    assert_eq!(seen(2, 2), (VerdictKind::Pending, 60, Some(2)));
}

#[test]
fn a_barrier_inside_the_destroy_makes_it_waited() {
    let seen = |run: Run| run.created(CACHE).queued(EXIT, 0..4).destroy_begin();
    let by_function = seen(Run::new())
        .then(
            EXIT,
            What::BarrierBegin {
                barrier: BarrierKind::Kvfree,
                rcu_works_flushed: 0,
                site: Site(0),
                comm: String::new(),
            },
        )
        .freed(0..4, FreePath::Bulk)
        .then(EXIT, What::BarrierEnd { barrier: BarrierKind::Kvfree, cache: None, of: 0 })
        .look(0)
        .emptied();
    // Where the barrier is inlined, two flushed works for each of the two CPUs are what is seen of it.
    let by_works = seen(Run::new()).freed(0..4, FreePath::Sheaf).look(4).emptied();
    for run in [by_function, by_works] {
        let verdict = run.verdict();
        assert_eq!(verdict.decision.kind, VerdictKind::Waited);
        assert_eq!((verdict.decision.waited.own_frees, verdict.decision.ordering), (4, Ordering::Ordered));
        assert_eq!(
            (verdict.decision.kind.is_flagged(), verdict.decision.kind.is_flagged_strictly()),
            (false, true)
        );
    }
    // Three are fewer than the barrier makes: the frees were luck.
    let too_few = seen(Run::new()).freed(0..4, FreePath::Bulk).look(3).emptied();
    assert_eq!(too_few.verdict().decision.kind, VerdictKind::Unordered);
}

#[test]
fn what_is_queued_after_the_barrier_inside_began_is_not_covered_by_it() {
    let run = Run::new()
        .created(CACHE)
        .destroy_begin()
        .then(
            EXIT,
            What::BarrierBegin {
                barrier: BarrierKind::Kvfree,
                rcu_works_flushed: 0,
                site: Site(0),
                comm: String::new(),
            },
        )
        .queued(30, 0..1)
        .then(EXIT, What::BarrierEnd { barrier: BarrierKind::Kvfree, cache: None, of: 0 })
        .look(0);
    let verdict = run.left(1).verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.evidence.destroyed.barrier_inside),
        (VerdictKind::Pending, true)
    );
}

#[test]
fn frees_that_all_ended_without_a_barrier_are_unordered() {
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..1)
        .at(100)
        .freed(0..1, FreePath::Bulk)
        .at(900)
        .destroy_begin()
        .look(0)
        .emptied();
    let verdict = run.verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.decision.ordering),
        (VerdictKind::Unordered, Ordering::Unordered)
    );
    // Freed at 100 µs, looked at 901 µs.
    assert_eq!(verdict.evidence.destroyed.margin_ns, Some(801_000));
    assert_eq!(
        (verdict.decision.kind.is_flagged(), verdict.decision.kind.is_flagged_strictly()),
        (false, true)
    );
}

#[test]
fn only_the_barrier_for_kfree_rcu_orders_kfree_rcu() {
    let after = |barrier| {
        Run::new()
            .created(CACHE)
            .queued(EXIT, 0..1)
            .freed(0..1, FreePath::Bulk)
            .barrier(EXIT, barrier)
            .destroy_begin()
            .look(0)
            .emptied()
            .verdict()
    };
    assert_eq!(after(BarrierKind::Kvfree).decision.kind, VerdictKind::Clean);
    assert_eq!(after(BarrierKind::Kvfree).decision.ordering, Ordering::Ordered);
    assert_eq!(after(BarrierKind::Rcu).decision.kind, VerdictKind::Unordered);
    assert!(after(BarrierKind::Rcu).evidence.destroyed.rcu_barrier_before_ns.is_some());
    // And only what was queued before it.
    let too_early = Run::new()
        .created(CACHE)
        .barrier(EXIT, BarrierKind::Kvfree)
        .queued(EXIT, 0..1)
        .freed(0..1, FreePath::Bulk)
        .destroy_begin()
        .look(0)
        .emptied();
    assert_eq!(too_early.verdict().decision.kind, VerdictKind::Unordered);
}

#[test]
fn rcu_barrier_orders_call_rcu_unless_it_ran_by_chance() {
    let callback = What::CallbackQueued {
        object: ObjectAddress(99),
        cache: CACHE,
        function: FunctionAddress(0),
        text: None,
        domain: Domain::default(),
        site: Site(0),
    };
    let queue = || Run::new().created(CACHE).then(EXIT, callback.clone());
    let ordered = queue().barrier(EXIT, BarrierKind::Rcu).destroy_begin().look(0).emptied();
    assert_eq!(
        (ordered.verdict().decision.kind, ordered.verdict().decision.left.callbacks),
        (VerdictKind::Clean, Some(0))
    );

    let without = queue().destroy_begin().look(0).emptied();
    assert_eq!(
        (without.verdict().decision.kind, without.verdict().decision.left.callbacks),
        (VerdictKind::Unordered, None)
    );

    // flush_rcu_work() calls rcu_barrier() only if it meets a batch that waits.
    let by_chance = queue()
        .destroy_begin()
        .then(
            EXIT,
            What::BarrierBegin {
                barrier: BarrierKind::Rcu,
                rcu_works_flushed: 1,
                site: Site(0),
                comm: String::new(),
            },
        )
        .then(EXIT, What::BarrierEnd { barrier: BarrierKind::Rcu, cache: None, of: 0 })
        .look(4)
        .emptied();
    assert_eq!(by_chance.verdict().decision.kind, VerdictKind::Unordered);

    // The destroy's own, which newer kernels call before they flush any work, does count: there.
    let own = queue().destroy_begin().barrier(EXIT, BarrierKind::Rcu).look(4).emptied().verdict();
    assert_eq!((own.decision.kind, own.decision.ordering), (VerdictKind::Waited, Ordering::Ordered));
    assert!(own.decision.waited.for_callbacks && own.decision.kind.is_flagged_strictly());
}

#[test]
fn objects_left_beside_open_callbacks_are_not_called_leaked() {
    let callback = What::CallbackQueued {
        object: ObjectAddress(99),
        cache: CACHE,
        function: FunctionAddress(0),
        text: None,
        domain: Domain::default(),
        site: Site(0),
    };
    let run = Run::new().created(CACHE).then(EXIT, callback).destroy_begin().look(0).left(1);
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Inconclusive, None));
    assert_eq!((verdict.decision.left.undecided, verdict.decision.left.callbacks), (1, None));
}

#[test]
fn what_is_counted_is_left_open_whenever_the_cache_was_created() {
    // Without a barrier in the destroy, and with one: it orders whatever was queued, and whether anything was is not known.
    for flushed in [0, 4] {
        let counted = || {
            let (facts, site, comm) = (facts(1), Site(0), "kunit".to_owned());
            let begin = What::DestroyBegin { cache: CACHE, facts, site, comm, counted: true };
            Run::live().created(CACHE).then(EXIT, begin).look(flushed)
        };
        let empty = counted().emptied().verdict().decision;
        assert_eq!((empty.kind, empty.ordering), (VerdictKind::Clean, Ordering::Unknown));
        assert_eq!(empty.reasons, [Reason::Counted]);
        let left = counted().left(1).verdict().decision;
        assert_eq!((left.kind, left.left.leaked, left.left.undecided), (VerdictKind::Inconclusive, None, 1));
        assert_eq!(left.reasons, [Reason::Counted]);
    }
}

#[test]
fn an_object_that_its_own_call_freed_was_never_deferred() {
    let run = Run::new()
        .created(CACHE)
        .then(EXIT, queued(1, true))
        .then(EXIT, freed(1, FreePath::Single))
        .destroy_begin()
        .look(0)
        .emptied();
    assert_eq!(run.verdict().decision.kind, VerdictKind::Clean);
    // The same form, freed by a worker, was.
    let run = Run::new()
        .created(CACHE)
        .then(EXIT, queued(1, true))
        .freed(1..2, FreePath::Bulk)
        .destroy_begin()
        .look(0)
        .emptied();
    assert_eq!(run.verdict().decision.kind, VerdictKind::Unordered);
}

#[test]
fn of_two_users_that_let_go_at_once_one_destroys() {
    // Both tasks found two users at their entry; the second to get the lock shuts down.
    let begin = What::DestroyBegin {
        cache: CACHE,
        facts: facts(2),
        site: Site(0),
        comm: "kthread".to_owned(),
        counted: false,
    };
    let run = Run::new().created(CACHE).then(30, begin.clone()).then(EXIT, begin).look(0).left(7);
    assert_eq!(run.kinds(), [VerdictKind::Alias, VerdictKind::Leaked]);
    assert!(!run.state.is_unsettled());
}

#[test]
fn a_cache_that_is_found_again_after_a_failed_destroy_keeps_its_objects() {
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..3)
        .destroy_begin()
        .look(0)
        .left(3)
        .created(CACHE)
        .destroy_begin()
        .look(0)
        .left(3);
    let verdicts = verdicts(&run.state);
    let counts: Vec<_> =
        verdicts.iter().map(|v| (v.decision.kind, v.decision.left.frees, v.decision.left.leaked)).collect();
    assert_eq!(counts, [(VerdictKind::Pending, 3, Some(0)); 2]);
}

#[test]
fn counts_of_no_one_moment_make_no_leak() {
    // Two of four are being freed when the slabs are counted: three are left, or two, or four.
    let freeing = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..4)
        .then(WORKER, freed(0, FreePath::Bulk))
        .then(WORKER, freed(1, FreePath::Bulk))
        .destroy_begin()
        .look(0)
        .left(3)
        .verdict();
    assert_eq!((freeing.decision.kind, freeing.decision.left.leaked), (VerdictKind::Pending, None));
    // Another CPU allocates and queues during the look: its new slab counts as a full one.
    let racing = Run::new().created(CACHE).destroy_begin().look(0).queued(30, 0..2).left(32).verdict();
    assert_eq!((racing.decision.kind, racing.decision.left.leaked), (VerdictKind::Pending, None));
    assert_eq!(racing.decision.left.frees, 2);
}

#[test]
fn an_array_of_objects_that_nobody_queued_is_the_modules_own_free() {
    let run = Run::new().created(CACHE).freed(0..3, FreePath::Bulk).destroy_begin().look(0).emptied();
    assert_eq!(
        (run.verdict().decision.kind, run.verdict().decision.ordering),
        (VerdictKind::Clean, Ordering::NothingDeferred)
    );
}

#[test]
fn a_shared_cache_only_loses_a_reference() {
    let what = What::DestroyBegin {
        cache: CACHE,
        facts: facts(3),
        site: Site(0),
        comm: "rmmod".to_owned(),
        counted: false,
    };
    let run = Run::new().then(EXIT, what);
    let verdict = run.verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.evidence.kernel.result),
        (VerdictKind::Alias, KernelResult::ReferenceDropped)
    );
    assert!(!run.state.is_unsettled());
}

#[test]
fn a_cache_older_than_the_probes_is_decided_as_far_as_it_can_be() {
    // Emptied: nothing was left, so nothing was pending; how it was ordered before is not known.
    let emptied = Run::new().destroy_begin().look(0).emptied().verdict();
    assert_eq!((emptied.decision.kind, emptied.decision.ordering), (VerdictKind::Clean, Ordering::Unknown));
    // With a barrier inside the destroy, that covers the unknown too.
    let covered = Run::new().destroy_begin().look(4).emptied().verdict();
    assert_eq!((covered.decision.kind, covered.decision.ordering), (VerdictKind::Clean, Ordering::Unknown));
    assert_eq!(covered.decision.notes, []);
    // A deferred free of an object that was queued before is seen, and no barrier after it.
    let freed_before = Run::new().freed(0..1, FreePath::Bulk).destroy_begin().look(0).emptied().verdict();
    assert_eq!(freed_before.decision.kind, VerdictKind::Unordered);
    // The same inside a destroy that waits.
    let waited = Run::new().destroy_begin().freed(0..2, FreePath::Bulk).look(4).emptied().verdict();
    assert_eq!((waited.decision.kind, waited.decision.waited.own_frees), (VerdictKind::Waited, 2));

    // Objects left: queued before, or leaked? Not known, until their frees land.
    let left = Run::new().destroy_begin().look(0).left(2);
    assert_eq!(
        (left.verdict().decision.kind, left.verdict().decision.left.undecided),
        (VerdictKind::Inconclusive, 2)
    );
    assert!(left.state.is_unsettled());
    let landed = left.freed(0..2, FreePath::Bulk);
    assert!(!landed.state.is_unsettled());
    let verdict = landed.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.frees), (VerdictKind::Pending, 2));
    assert_eq!((verdict.decision.left.undecided, verdict.decision.left.leaked), (0, Some(0)));
}

#[test]
fn a_loss_touches_the_verdicts_of_the_caches_that_lived_then_and_no_others() {
    let run = |from, until| {
        Run::new().at(100).created(CACHE).at(200).destroy_begin().look(0).emptied().gap(from, until).kinds()
    };
    assert_eq!(run(150, 160), [VerdictKind::Inconclusive]);
    assert_eq!(run(10, 120), [VerdictKind::Inconclusive]);
    assert_eq!(run(201, 900), [VerdictKind::Inconclusive]);
    assert_eq!(run(10, 99), [VerdictKind::Clean]);
    assert_eq!(run(300, 900), [VerdictKind::Clean]);
}

#[test]
fn a_cache_at_the_same_address_is_another_cache() {
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..2)
        .freed(0..2, FreePath::Bulk)
        .destroy_begin()
        .look(0)
        .emptied()
        .created(CACHE)
        .destroy_begin()
        .look(0)
        .emptied();
    assert_eq!(run.kinds(), [VerdictKind::Unordered, VerdictKind::Clean]);
}

#[test]
fn the_destroy_of_one_cache_is_not_touched_by_the_queue_of_another() {
    let other = |object| What::Queued {
        object: ObjectAddress(object),
        cache: OTHER,
        site: Site(0),
        form: QueueForm::Head,
    };
    let run = Run::new()
        .created(CACHE)
        .created(OTHER)
        .then(30, other(1))
        .destroy_begin()
        .then(30, other(2))
        .look(0)
        .emptied();
    assert_eq!(run.kinds(), [VerdictKind::Clean]);
    assert_eq!(run.state.outstanding(), 2);
}

#[test]
fn results_that_cannot_both_be_right_are_said_so() {
    let nothing_left = Run::new().created(CACHE).queued(EXIT, 0..1).destroy_begin().look(0).emptied();
    assert_eq!(nothing_left.verdict().decision.kind, VerdictKind::ModelDisagrees);
    let fewer_left = Run::new().created(CACHE).queued(EXIT, 0..3).destroy_begin().look(0).left(2);
    assert_eq!(fewer_left.verdict().decision.kind, VerdictKind::ModelDisagrees);
    // And if the free then runs after all, into memory that was given back:
    let late = nothing_left.freed(0..1, FreePath::Bulk).verdict();
    assert_eq!((late.decision.kind, late.evidence.late.frees), (VerdictKind::LateFree, 1));
}

#[test]
fn the_kernel_is_accused_only_of_what_program_order_proves() {
    let barrier =
        |queuer| Run::new().created(CACHE).queued(queuer, 0..2).barrier(EXIT, BarrierKind::Kvfree).kinds();
    assert_eq!(barrier(EXIT), [VerdictKind::BarrierEarly]);
    // Another task's call may not have returned when the barrier was entered.
    assert_eq!(barrier(30), []);
    // Where frees can go unseen, nothing is proved.
    let blind =
        Run::with(vec![Blind::Frees]).created(CACHE).queued(EXIT, 0..2).barrier(EXIT, BarrierKind::Kvfree);
    assert_eq!(blind.kinds(), []);
}

#[test]
fn an_object_must_not_be_freed_before_a_whole_grace_period() {
    let (begin, end) = (What::GraceBegin { expedited: false }, What::GraceEnd { expedited: false });
    let queue = || Run::seeing(vec![Blind::CallbackRuns]).created(CACHE).queued(EXIT, 0..2);
    let free = |run: Run| run.freed(0..2, FreePath::Bulk).kinds();
    // None, or one that ends and began before: half a grace period.
    assert_eq!(free(queue()), [VerdictKind::FreedEarly]);
    let half = Run::seeing(vec![Blind::CallbackRuns]).created(CACHE).then(0, begin.clone());
    assert_eq!(free(half.queued(EXIT, 0..2).then(0, end.clone())), [VerdictKind::FreedEarly]);
    // One that began and has not ended.
    assert_eq!(free(queue().then(0, begin.clone())), [VerdictKind::FreedEarly]);
    assert_eq!(free(queue().then(0, begin).then(0, end)), []);
    // An expedited one may end as soon as it has begun.
    assert_eq!(free(queue().then(0, What::GraceBegin { expedited: true })), []);
    // A loss meanwhile may be the loss of what would show that all is well, also where it is found late.
    assert_eq!(free(queue().gap(2, 3)), []);
    let found_late = queue().freed(0..2, FreePath::Bulk).gap(2, 3).kinds();
    assert_eq!(found_late, []);
    // The evidence: two objects, queued at 1 and 2 µs, freed from 3 µs on.
    let verdict = queue().freed(0..2, FreePath::Bulk).verdict();
    assert_eq!((verdict.decision.left.frees, verdict.evidence.deferred.oldest_age_ns), (2, Some(2_000)));
    assert!(verdict.decision.kind.is_flagged());
}

#[test]
fn what_cannot_be_seen_is_not_called_clean() {
    let frees = Run::with(vec![Blind::Frees])
        .created(CACHE)
        .queued(EXIT, 0..1)
        .destroy_begin()
        .look(4)
        .emptied()
        .verdict();
    assert_eq!(frees.decision.kind, VerdictKind::Inconclusive);
    let callbacks =
        Run::with(vec![Blind::Callbacks]).created(CACHE).destroy_begin().look(0).left(1).verdict();
    assert_eq!((callbacks.decision.kind, callbacks.decision.left.undecided), (VerdictKind::Inconclusive, 1));
    let unseen_end = Run::new().created(CACHE).destroy_begin().look(0).verdict();
    assert_eq!(unseen_end.decision.kind, VerdictKind::Inconclusive);
}

#[test]
fn a_module_is_named_by_who_created_queued_or_is_going() {
    let site = |run: Run, frames: &[&str]| {
        let frames = frames.iter().map(|frame| (*frame).to_owned()).collect();
        run.then(EXIT, What::Site { site: Site(1), frames })
    };
    let destroy = What::DestroyBegin {
        cache: CACHE,
        facts: facts(1),
        site: Site(1),
        comm: "rmmod".to_owned(),
        counted: false,
    };
    // The exit function ended in the destroy: its frame is gone, and only the module's end tells.
    let tail_call = site(Run::new(), &["kmem_cache_destroy+0x5/0x150", "__do_sys_delete_module+0x1b9/0x330"])
        .then(EXIT, destroy.clone())
        .look(0)
        .emptied();
    assert_eq!(tail_call.verdict().cache.module, None);
    let gone = tail_call.then(EXIT, What::ModuleFreed { name: "my_module".to_owned() });
    assert_eq!(gone.verdict().cache.module.as_deref(), Some("my_module"));

    let frame = site(Run::new(), &["kmem_cache_destroy+0x5/0x150", "my_exit+0x10/0x20 [my_module]"])
        .then(EXIT, destroy)
        .look(0)
        .emptied();
    assert_eq!(frame.verdict().cache.module.as_deref(), Some("my_module"));
    assert_eq!(frame.verdict().evidence.destroyed.by.stack, ["my_exit+0x10 [my_module]"]);
}

#[test]
fn what_somebody_else_waits_for_meanwhile_is_not_waited_for_by_the_destroy() {
    // The look came after the other's barrier by luck, whoever that is.
    let frees = Run::new().created(CACHE).queued(EXIT, 0..1).destroy_begin();
    let frees = around(frees, 30, BarrierKind::Kvfree, |run| run.freed(0..1, FreePath::Bulk));
    let verdict = frees.look(0).emptied().verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.evidence.destroyed.barrier_inside),
        (VerdictKind::Unordered, false)
    );
    let callbacks = Run::new().created(CACHE).then(EXIT, callback(99)).destroy_begin();
    let verdict = callbacks.barrier(30, BarrierKind::Rcu).look(0).emptied().verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.decision.waited.for_callbacks),
        (VerdictKind::Unordered, false)
    );
    // A barrier that returned inside another reaches further than the other.
    let nested = Run::new().created(CACHE).destroy_begin();
    let nested = around(nested, EXIT, BarrierKind::Kvfree, |run| {
        let on_cache = BarrierKind::KvfreeOnCache;
        run.queued(30, 0..1)
            .then(
                EXIT,
                What::BarrierBegin {
                    barrier: on_cache,
                    rcu_works_flushed: 0,
                    site: Site(0),
                    comm: String::new(),
                },
            )
            .freed(0..1, FreePath::Bulk)
            .then(EXIT, What::BarrierEnd { barrier: on_cache, cache: Some(CACHE), of: 0 })
    });
    assert_eq!(nested.look(0).emptied().verdict().decision.ordering, Ordering::Ordered);
}

#[test]
fn a_destroy_of_a_cache_that_was_given_up_is_told_from_one_that_drops_a_reference() {
    let again = |refcount| {
        let what = What::DestroyBegin {
            cache: CACHE,
            facts: facts(refcount),
            site: Site(0),
            comm: "rmmod".to_owned(),
            counted: false,
        };
        let failed = Run::live().created(CACHE).destroy_begin().look(0).left(1);
        failed.then(EXIT, what).kinds()
    };
    assert_eq!(again(0), [VerdictKind::Leaked, VerdictKind::Repeated]);
    assert_eq!(again(-1), [VerdictKind::Leaked, VerdictKind::Repeated]);
    // Somebody has asked for it meanwhile, and got it.
    assert_eq!(again(2), [VerdictKind::Leaked, VerdictKind::Alias]);
}

#[test]
fn a_leak_of_a_cache_of_which_nothing_was_deferred_says_so() {
    let leaked = |run: Run| {
        let verdict = run.destroy_begin().look(0).left(1).verdict();
        (verdict.decision.kind, verdict.decision.ordering)
    };
    assert_eq!(leaked(Run::live().created(CACHE)), (VerdictKind::Leaked, Ordering::NothingDeferred));
    let freed = Run::live().created(CACHE).queued(EXIT, 0..1).freed(0..1, FreePath::Bulk);
    assert_eq!(leaked(freed), (VerdictKind::Leaked, Ordering::Unknown));
}

#[test]
fn a_barrier_that_is_older_than_the_probes_may_order_what_is_older_too() {
    let destroyed = |run: Run| {
        let verdict = run.destroy_begin().look(0).emptied().verdict();
        (verdict.decision.kind, verdict.decision.reasons)
    };
    let ends = |barrier, cache| What::BarrierEnd { barrier, cache, of: 0 };
    let old = || Run::live().freed(0..1, FreePath::Bulk);
    let open = (VerdictKind::Inconclusive, vec![Reason::LateAttach]);
    assert_eq!(destroyed(old()), (VerdictKind::Unordered, vec![]));
    assert_eq!(destroyed(old().then(30, ends(BarrierKind::Kvfree, None))), open);
    assert_eq!(destroyed(old().then(30, ends(BarrierKind::KvfreeOnCache, Some(CACHE)))), open);
    // For another cache, or for callbacks; or what is unordered was seen to be queued.
    let other = old().then(30, ends(BarrierKind::KvfreeOnCache, Some(OTHER)));
    assert_eq!(destroyed(other).0, VerdictKind::Unordered);
    assert_eq!(destroyed(old().then(30, ends(BarrierKind::Rcu, None))).0, VerdictKind::Unordered);
    let seen = old().queued(EXIT, 1..2).freed(1..2, FreePath::Bulk);
    assert_eq!(destroyed(seen.then(30, ends(BarrierKind::Kvfree, None))).0, VerdictKind::Unordered);
}

#[test]
fn a_cache_that_is_asked_for_by_one_name_again_and_again_has_it_once() {
    let asked = |name: &str| What::CacheCreated {
        cache: CACHE,
        facts: facts(2),
        asked_name: name.to_owned(),
        site: Site(0),
    };
    let run =
        ["b", "c", "b", "c"].iter().fold(Run::live().created(CACHE), |run, name| run.then(EXIT, asked(name)));
    assert_eq!(run.destroy_begin().look(0).emptied().verdict().cache.aliases, ["b", "c"]);
}

#[test]
fn what_is_deferred_while_the_destroy_looks_is_ordered_by_nothing() {
    let looks = || Run::new().created(CACHE).destroy_begin().look(0);
    let freed = looks().queued(30, 0..1).freed(0..1, FreePath::Bulk).emptied().verdict();
    assert_eq!((freed.decision.kind, freed.decision.ordering), (VerdictKind::Unordered, Ordering::Unordered));
    // One that its own call has freed by then was not deferred.
    let within = Run::new().created(CACHE).then(30, queued(1, true)).destroy_begin().look(0);
    let within = within.then(30, freed_by_its_call(1)).emptied().verdict();
    assert_eq!(
        (within.decision.kind, within.decision.ordering),
        (VerdictKind::Clean, Ordering::NothingDeferred)
    );
    // A callback may hold what is left.
    let callback = looks().then(30, callback(99)).left(1).verdict();
    assert_eq!((callback.decision.kind, callback.decision.left.undecided), (VerdictKind::Inconclusive, 1));
    // So it is with what was queued before the probes.
    let unknown = Run::new().destroy_begin().look(0).freed(0..1, FreePath::Bulk).emptied().verdict();
    assert_eq!(unknown.decision.kind, VerdictKind::Unordered);
}

#[test]
fn a_free_is_late_as_soon_as_the_slabs_are_given_back() {
    let emptied = What::ShutdownEnd { empty: Some(true), left: None };
    let run = Run::new().created(CACHE).queued(EXIT, 0..1).destroy_begin().look(0).then(EXIT, emptied);
    let verdict = run.freed(0..1, FreePath::Bulk).verdict();
    assert_eq!((verdict.decision.kind, verdict.evidence.late.frees), (VerdictKind::LateFree, 1));
}

#[test]
fn a_free_that_may_be_of_another_object_is_not_called_late() {
    let queue = |blind| Run::with(blind).created(CACHE).at(100).queued(EXIT, 0..1);
    let destroy = |run: Run| run.destroy_begin().look(0).emptied().freed(0..1, FreePath::Bulk).verdict();
    // The object's own free was lost, and its address used again.
    assert_eq!(destroy(queue(vec![]).gap(101, 102)).decision.kind, VerdictKind::Inconclusive);
    assert_eq!(destroy(queue(vec![Blind::Frees])).decision.kind, VerdictKind::Inconclusive);
    assert_eq!(destroy(queue(vec![])).decision.kind, VerdictKind::LateFree);
}

#[test]
fn a_release_tells_how_a_look_ended_that_nobody_saw_end() {
    let looks = || Run::new().created(CACHE).queued(EXIT, 0..2).destroy_begin().look(4);
    let released = |run: Run| run.then(EXIT, What::CacheReleased { cache: CACHE });
    let run = released(looks().freed(0..1, FreePath::Bulk));
    assert_eq!(run.verdict().decision.kind, VerdictKind::ModelDisagrees);
    assert_eq!(run.freed(1..2, FreePath::Bulk).verdict().decision.kind, VerdictKind::LateFree);
    let run = released(looks().freed(0..2, FreePath::Bulk));
    assert_eq!(run.verdict().decision.kind, VerdictKind::Waited);
    assert!(!run.state.is_unsettled());
}

#[test]
fn of_destroys_that_meet_the_one_that_looks_has_the_evidence() {
    let begin = || What::DestroyBegin {
        cache: CACHE,
        facts: facts(2),
        site: Site(0),
        comm: "kthread".to_owned(),
        counted: false,
    };
    // Older than the probes; the other user lets go first and never looks.
    let waited = Run::new().then(5, begin()).destroy_begin().freed(0..2, FreePath::Bulk).look(4).emptied();
    let verdicts = verdicts(&waited.state);
    assert_eq!(waited.kinds(), [VerdictKind::Alias, VerdictKind::Waited]);
    assert_eq!(verdicts[1].decision.waited.own_frees, 2);
    // The other comes later, and the free is late for the one that has given the memory back.
    let late =
        Run::new().created(CACHE).queued(EXIT, 0..1).destroy_begin().then(5, begin()).look(0).emptied();
    assert_eq!(late.freed(0..1, FreePath::Bulk).kinds(), [VerdictKind::LateFree, VerdictKind::Alias]);
}

#[test]
fn a_barrier_that_is_seen_decides_where_another_is_not() {
    let both = |blind| {
        let run = Run::with(blind).created(CACHE).queued(EXIT, 0..1).then(EXIT, callback(99));
        run.freed(0..1, FreePath::Bulk).destroy_begin().look(0).emptied().verdict().decision.kind
    };
    assert_eq!(both(vec![Blind::KvfreeBarrier]), VerdictKind::Unordered);
    assert_eq!(both(vec![Blind::RcuBarrier]), VerdictKind::Unordered);
    assert_eq!(both(vec![Blind::KvfreeBarrier, Blind::RcuBarrier]), VerdictKind::Inconclusive);
}

#[test]
fn a_call_that_still_frees_says_nothing_of_the_next_cache_at_the_address() {
    let run = Run::new()
        .created(CACHE)
        .queued(EXIT, 0..1)
        .then(WORKER, freed(0, FreePath::Bulk))
        .destroy_begin()
        .look(4)
        .emptied()
        .created(CACHE)
        .queued(EXIT, 1..2)
        .then(21, freed(1, FreePath::Bulk))
        .then(WORKER, What::BatchFreed { path: FreePath::Bulk })
        .destroy_begin()
        .look(0)
        .left(1);
    assert_eq!(run.kinds(), [VerdictKind::Waited, VerdictKind::Pending]);
}

#[test]
fn a_barrier_for_a_cache_that_could_not_be_read_accuses_nobody() {
    let run = Run::new().created(CACHE).queued(EXIT, 0..1).barrier(EXIT, BarrierKind::KvfreeOnCache);
    assert_eq!(run.kinds(), []);
}

#[test]
fn an_rcu_barrier_that_something_else_called_is_held_to_its_word_too() {
    let run = Run::seeing(vec![Blind::Grace]).created(CACHE).then(EXIT, callback(99));
    let inner = |run: Run| run.barrier(EXIT, BarrierKind::Rcu);
    assert_eq!(around(run, EXIT, BarrierKind::Kvfree, inner).kinds(), [VerdictKind::BarrierEarly]);
}

#[test]
fn only_the_return_of_the_call_itself_proves_that_it_had_returned() {
    let seeing = || Run::seeing(vec![Blind::Grace]).created(CACHE);
    let returns = |run: Run, task| run.then(task, What::QueueReturned { object: ObjectAddress(1) });
    let covered = |run: Run| around(returns(run, 30), EXIT, BarrierKind::Kvfree, |run| run).kinds();
    assert_eq!(covered(seeing().then(30, queued(1, false))), [VerdictKind::BarrierEarly]);
    // Another task's call for what was at that address before; or one that was over when this began.
    assert_eq!(covered(seeing().then(31, queued(1, false))), []);
    let freed_within = |run: Run| returns(run.then(30, queued(1, true)).then(30, freed_by_its_call(1)), 30);
    let again =
        around(freed_within(seeing()), EXIT, BarrierKind::Kvfree, |run| run.then(30, queued(1, false)));
    assert_eq!(again.kinds(), []);
}

#[test]
fn a_callback_accuses_the_cache_that_it_was_queued_for() {
    let run = Run::seeing(vec![])
        .created(CACHE)
        .then(EXIT, callback(99))
        .destroy_begin()
        .look(0)
        .emptied()
        .created(CACHE)
        .then(30, What::CallbackRan { object: ObjectAddress(99), text: None });
    let cache = run.state.destroys().next().unwrap().life.id;
    let accused: Vec<_> = run
        .state
        .violations()
        .iter()
        .filter(|violation| violation.promise == Promise::GracePeriodKept)
        .map(|violation| violation.cache)
        .collect();
    assert_eq!(accused, [Some(cache)]);
}

#[test]
fn of_calls_without_a_head_the_last_one_decides_what_is_ordered() {
    // The first began before the barrier, the second after it, and a worker has yet to free both.
    let run = Run::new()
        .created(CACHE)
        .then(30, queued(1, true))
        .barrier(EXIT, BarrierKind::Kvfree)
        .then(31, queued(2, true))
        .destroy_begin()
        .look(0)
        .then(EXIT, What::Lingers { cache: CACHE })
        .freed(1..3, FreePath::Bulk)
        .then(0, What::CacheReleased { cache: CACHE });
    assert_eq!(run.verdict().decision.kind, VerdictKind::Unordered);
}

#[test]
fn one_address_is_one_object_however_many_caches_were_given_back_with_it() {
    let given_back = |run: Run| run.created(CACHE).queued(EXIT, 0..1).destroy_begin().look(0).emptied();
    let run = given_back(given_back(Run::new()));
    assert_eq!(run.state.outstanding(), 1);
    assert_eq!(run.freed(0..1, FreePath::Bulk).state.outstanding(), 0);
}
