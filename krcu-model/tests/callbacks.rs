//! Verdicts about `call_rcu()`, where it is told when callbacks run: each from the fewest events, and its
//! nearest neighbours.
//!
//! Times are microseconds; what is expected follows from what `call_rcu()` and `rcu_barrier()` promise, and
//! from what the destroy's shutdown returned.

mod run;

use krcu_common::{BarrierKind, Flavour, FreePath};
use krcu_model::{
    VerdictKind,
    event::{Domain, FunctionAddress, ObjectAddress, Site, What},
    reason::Reason,
    state::Blind,
    verdict::{CallbackCount, Left, Note, OfLeft, Ordering},
};
use run::*;

const FUNCTION: FunctionAddress = FunctionAddress(0xffff_ffff_c000_0000);

/// A function of a module, and a callback with it.
fn named(head: u64) -> What {
    What::CallbackQueued {
        object: ObjectAddress(head),
        cache: CACHE,
        function: FUNCTION,
        text: None,
        domain: Domain::default(),
        site: Site(0),
    }
}

fn names(run: Run) -> Run {
    run.then(EXIT, What::Function { function: FUNCTION, symbol: "my_free+0x0/0x20 [my_module]".to_owned() })
}

fn in_module() -> Note {
    Note::CallbackInModule {
        function: "my_free".to_owned(),
        module: "my_module".to_owned(),
        flavour: Flavour::Rcu,
    }
}

fn count(objects: u64) -> CallbackCount {
    CallbackCount {
        objects,
        function: "my_free".to_owned(),
        module: Some("my_module".to_owned()),
        flavour: Flavour::Rcu,
    }
}

#[test]
fn callbacks_that_wait_at_the_look_are_pending_and_run_late() {
    let run = names(Run::live().created(CACHE));
    let run = (0..5).fold(run, |run, object| run.then(EXIT, named(object * 64)));
    let run = run.destroy_begin().look(0).left(5);
    assert!(run.state.is_unsettled(), "five callbacks are still to run");
    let run = (0..5).fold(run, |run, object| run.then(SOFTIRQ, runs(object * 64)).then(SOFTIRQ, RETURNED));
    assert!(!run.state.is_unsettled());
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Pending, Some(5)));
    assert_eq!(
        (verdict.decision.left.frees, verdict.decision.left.leaked, verdict.decision.left.undecided),
        (0, Some(0), 0)
    );
    assert_eq!((verdict.evidence.late.frees, verdict.evidence.deferred.callbacks), (5, vec![count(5)]));
    // The first was queued at 2 µs, the look was at 8 µs.
    assert_eq!(verdict.evidence.deferred.oldest_age_ns, Some(6_000));
    assert!(verdict.decision.notes.contains(&in_module()), "{:?}", verdict.decision.notes);
}

#[test]
fn what_is_left_is_split_one_by_one() {
    // Two of kfree_rcu(), three callbacks, and four that nobody queued.
    let run = Run::live().created(CACHE).queued(EXIT, 1000..1002);
    let run = run.callbacks(EXIT, 0..1).callbacks(EXIT, 64..65).callbacks(EXIT, 128..129);
    let run = run.destroy_begin().look(0).left(9);
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.frees), (VerdictKind::Pending, 2));
    assert_eq!((verdict.decision.left.callbacks, verdict.decision.left.leaked), (Some(3), Some(0)));
    // A callback may free more than the object that its head is in.
    assert_eq!(verdict.decision.left.undecided, 4);
}

#[test]
fn a_callback_that_runs_at_the_look_is_pending_if_the_kernel_found_something() {
    let looks =
        || Run::live().created(CACHE).callbacks(EXIT, 0..1).then(SOFTIRQ, runs(0)).destroy_begin().look(0);
    // It may have freed its object, and then another is left: that much is not known.
    let verdict = looks().left(1).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, None));
    assert_eq!(verdict.decision.left.callbacks, Some(1));
    // Once it has returned it may have handed its object on, which is what is left then.
    let returned = Run::live().created(CACHE).callbacks(EXIT, 0..1).ran(0..1).destroy_begin().look(0);
    let verdict = returned.left(1).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.undecided), (VerdictKind::Inconclusive, 1));
    assert_eq!(verdict.decision.reasons, [Reason::HandedOn]);
    // If nothing was left, all was freed in time, by luck.
    let verdict = looks().emptied().verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Unordered, Some(0)));
}

#[test]
fn a_callback_runs_on_top_of_a_task_and_says_nothing_of_what_that_does() {
    // A worker is freeing object 1 one by one when a callback runs on its CPU.
    let run = Run::live()
        .created(CACHE)
        .queued(EXIT, 1..2)
        .callbacks(EXIT, 64..65)
        .barrier(30, BarrierKind::Rcu)
        .then(WORKER, freed(1, FreePath::Single))
        .then(WORKER, runs(64))
        .then(WORKER, RETURNED)
        .destroy_begin()
        .look(0);
    let verdict = run.left(1).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.frees), (VerdictKind::Pending, 1));
    assert_eq!(verdict.decision.left.callbacks, Some(0));
}

#[test]
fn callbacks_that_happened_to_finish_are_unordered_and_named() {
    let queue = || names(Run::live().created(CACHE)).then(EXIT, named(0));
    let verdict = queue().at(100).ran(0..1).at(300).destroy_begin().look(0).emptied().verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.decision.ordering),
        (VerdictKind::Unordered, Ordering::Unordered)
    );
    assert_eq!(
        (verdict.evidence.deferred.callbacks, verdict.decision.left.callbacks),
        (vec![count(0)], Some(0))
    );
    assert_eq!(verdict.evidence.destroyed.margin_ns, Some(201_000));
    assert!(verdict.decision.kind.is_flagged_strictly() && !verdict.decision.kind.is_flagged());
    assert!(verdict.decision.notes.contains(&in_module()), "{:?}", verdict.decision.notes);
    assert_eq!(verdict.decision.reasons, []);
    // With the barrier it is right, and nothing of it is left to be said.
    let ordered = queue().ran(0..1).barrier(EXIT, BarrierKind::Rcu).destroy_begin().look(0).emptied();
    let verdict = ordered.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.ordering), (VerdictKind::Clean, Ordering::Ordered));
    assert_eq!((verdict.evidence.deferred.callbacks, verdict.decision.notes), (vec![], vec![]));
    // One before the last was queued does not order it.
    let early = Run::live().created(CACHE).barrier(EXIT, BarrierKind::Rcu).callbacks(EXIT, 0..1).ran(0..1);
    assert_eq!(early.destroy_begin().look(0).emptied().verdict().decision.kind, VerdictKind::Unordered);
    // Nor does the barrier for kfree_rcu().
    let other = queue().ran(0..1).barrier(EXIT, BarrierKind::Kvfree).destroy_begin().look(0).emptied();
    assert_eq!(other.verdict().decision.kind, VerdictKind::Unordered);
}

#[test]
fn only_functions_that_no_barrier_covers_are_named() {
    let other = FunctionAddress(0xffff_ffff_8000_0000);
    let run =
        names(Run::live().created(CACHE)).then(EXIT, named(0)).ran(0..1).barrier(EXIT, BarrierKind::Rcu);
    let run = run
        .then(EXIT, What::Function { function: other, symbol: "kernel_free+0x0/0x9".to_owned() })
        .then(
            EXIT,
            What::CallbackQueued {
                object: ObjectAddress(0),
                cache: CACHE,
                function: other,
                text: None,
                domain: Domain::default(),
                site: Site(0),
            },
        )
        .ran(0..1);
    let verdict = run.destroy_begin().look(0).emptied().verdict();
    let kernels =
        CallbackCount { objects: 0, function: "kernel_free".to_owned(), module: None, flavour: Flavour::Rcu };
    assert_eq!(
        (verdict.decision.kind, verdict.evidence.deferred.callbacks),
        (VerdictKind::Unordered, vec![kernels])
    );
    // The kernel's own text stays.
    assert_eq!(verdict.decision.notes, []);
}

#[test]
fn the_destroys_own_rcu_barrier_is_waited_for() {
    let run = names(Run::live().created(CACHE)).then(EXIT, named(0)).then(EXIT, named(64)).destroy_begin();
    let run = around(run, EXIT, BarrierKind::Rcu, |run| run.ran(0..1).ran(64..65));
    let verdict = run.look(4).emptied().verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.ordering), (VerdictKind::Waited, Ordering::Ordered));
    assert!(verdict.decision.waited.for_callbacks);
    assert_eq!((verdict.decision.waited.own_callbacks, verdict.decision.waited.own_frees), (2, 0));
    assert_eq!(verdict.evidence.deferred.callbacks, [count(2)]);
    // One that ran before was not waited for; but nothing else orders it.
    let run = names(Run::live().created(CACHE)).then(EXIT, named(0)).ran(0..1).destroy_begin();
    let verdict = run.barrier(EXIT, BarrierKind::Rcu).look(4).emptied().verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.waited.own_callbacks), (VerdictKind::Waited, 0));
    assert_eq!(verdict.evidence.deferred.callbacks, [count(0)]);
}

#[test]
fn more_callbacks_than_objects_left_is_no_disagreement() {
    // Two heads in one object: one is left, and two callbacks wait.
    let run =
        Run::live().created(CACHE).callbacks(EXIT, 8..9).callbacks(EXIT, 24..25).destroy_begin().look(0);
    let verdict = run.left(1).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Pending, Some(1)));
    // With more left than callbacks wait, each may be in an object of its own, or not.
    let run =
        Run::live().created(CACHE).callbacks(EXIT, 8..9).callbacks(EXIT, 24..25).destroy_begin().look(0);
    let verdict = run.left(3).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, None));
    // Heads as far apart as an object is long lie in two.
    let run =
        Run::live().created(CACHE).callbacks(EXIT, 8..9).callbacks(EXIT, 72..73).destroy_begin().look(0);
    assert_eq!(run.left(3).verdict().decision.left.undecided, 1);
}

#[test]
fn a_callback_whose_object_somebody_freed_will_run_on_memory_that_is_gone() {
    let run = Run::live().created(CACHE).callbacks(EXIT, 0..1).destroy_begin().look(0).emptied();
    assert!(run.state.is_unsettled(), "the callback is still to run");
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Pending, Some(1)));
    assert_eq!((verdict.decision.left.leaked, verdict.decision.ordering), (Some(0), Ordering::Unordered));
    let run = run.ran(0..1);
    assert!(!run.state.is_unsettled());
    assert_eq!((run.verdict().decision.kind, run.verdict().evidence.late.frees), (VerdictKind::LateFree, 1));
}

#[test]
fn a_late_callback_is_of_the_cache_that_it_was_queued_for() {
    // The address is another cache's when the callback of the first runs.
    let run = Run::live()
        .created(CACHE)
        .callbacks(EXIT, 0..1)
        .destroy_begin()
        .look(0)
        .emptied()
        .created(CACHE)
        .ran(0..1)
        .destroy_begin()
        .look(0)
        .emptied();
    assert_eq!(run.kinds(), [VerdictKind::LateFree, VerdictKind::Clean]);
}

#[test]
fn a_callback_that_nobody_saw_queued_is_call_srcus_or_older_than_the_probes() {
    // Of a cache that was watched from its creation: something that is not followed.
    let watched = Run::live().created(CACHE).ran(0..1).destroy_begin().look(0).emptied().verdict();
    assert_eq!(
        (watched.decision.kind, watched.decision.ordering),
        (VerdictKind::Clean, Ordering::NothingDeferred)
    );
    let watched = Run::live().created(CACHE).destroy_begin().look(0).left(1).ran(0..1).verdict();
    assert_eq!((watched.decision.kind, watched.evidence.late.frees), (VerdictKind::Leaked, 0));
    // Of an older one: it was queued before. A barrier that covers it would have returned after it has run.
    let old = Run::live().ran(0..1).destroy_begin().look(0).emptied().verdict();
    assert_eq!((old.decision.kind, old.decision.ordering), (VerdictKind::Unordered, Ordering::Unordered));
    assert_eq!(old.decision.reasons, []);
    // Somebody else's may have covered it, whichever callbacks it was for.
    let old = Run::live().ran(0..1).barrier(30, BarrierKind::Rcu).destroy_begin().look(0).emptied().verdict();
    assert_eq!((old.decision.kind, old.decision.ordering), (VerdictKind::Clean, Ordering::Unknown));
    assert_eq!(old.decision.reasons, [Reason::LateAttach]);
    // A barrier for kfree_rcu() inside the destroy orders no callback.
    let old = Run::live().ran(0..1).destroy_begin().look(4).emptied().verdict();
    assert_eq!((old.decision.kind, old.decision.ordering), (VerdictKind::Unordered, Ordering::Unordered));
    // An rcu_barrier() that was called since covers it.
    let old =
        Run::live().ran(0..1).barrier(EXIT, BarrierKind::Rcu).destroy_begin().look(4).emptied().verdict();
    assert_eq!((old.decision.kind, old.decision.ordering), (VerdictKind::Clean, Ordering::Ordered));
    // Inside the destroy's own it was waited for.
    let old = around(Run::live().destroy_begin(), EXIT, BarrierKind::Rcu, |run| run.ran(0..1));
    let old = old.look(4).emptied().verdict();
    assert_eq!((old.decision.kind, old.decision.waited.own_callbacks), (VerdictKind::Waited, 1));
    // After a destroy that failed, it proves that what was left was pending.
    let left = Run::live().destroy_begin().look(0).left(2);
    assert_eq!(left.verdict().decision.kind, VerdictKind::Inconclusive);
    assert_eq!(left.verdict().decision.reasons, [Reason::LateAttach]);
    assert!(left.state.is_unsettled());
    let landed = left.ran(0..1).ran(64..65);
    assert!(!landed.state.is_unsettled());
    let verdict = landed.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Pending, Some(2)));
    assert_eq!(
        (verdict.decision.left.leaked, verdict.decision.left.undecided, verdict.decision.reasons),
        (Some(0), 0, vec![])
    );
}

#[test]
fn without_sight_of_runs_a_barrier_alone_tells_that_callbacks_have_run() {
    let run = Run::with(vec![Blind::Inside]).created(CACHE).callbacks(EXIT, 0..1).destroy_begin().look(0);
    let verdict = run.left(1).verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Inconclusive, None));
    assert_eq!(verdict.decision.reasons, [Reason::BlindCallbackRuns]);
}

#[test]
fn callbacks_queued_while_it_looks_are_ordered_by_nothing() {
    let looks = || Run::live().created(CACHE).destroy_begin().look(0);
    let verdict = looks().callbacks(30, 0..1).left(1).verdict();
    // The slab may be counted as full: no leak, and none is excluded.
    assert_eq!((verdict.decision.kind, verdict.decision.left.callbacks), (VerdictKind::Pending, Some(1)));
    assert_eq!(verdict.decision.left.leaked, None);
    let verdict = looks().callbacks(30, 0..1).ran(0..1).emptied().verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.decision.ordering),
        (VerdictKind::Unordered, Ordering::Unordered)
    );
}

#[test]
fn an_rcu_barrier_that_returns_before_a_callback_of_its_task_is_early() {
    let queue = || Run::live().created(CACHE).callbacks(EXIT, 0..1);
    assert_eq!(queue().barrier(EXIT, BarrierKind::Rcu).kinds(), [VerdictKind::BarrierEarly]);
    assert_eq!(queue().ran(0..1).barrier(EXIT, BarrierKind::Rcu).kinds(), []);
    // Another task's call may not have returned when the barrier was entered.
    assert_eq!(queue().barrier(30, BarrierKind::Rcu).kinds(), []);
}

#[test]
fn a_callback_must_not_run_before_a_whole_grace_period() {
    let (begin, end) = (What::GraceBegin { expedited: false }, What::GraceEnd { expedited: false });
    let queue = || Run::seeing(vec![Blind::Inside]).created(CACHE).callbacks(EXIT, 0..1);
    assert_eq!(queue().ran(0..1).kinds(), [VerdictKind::FreedEarly]);
    assert_eq!(queue().then(9, begin).then(9, end).ran(0..1).kinds(), []);
}

#[test]
fn what_is_left_beside_callbacks_that_wait_may_be_theirs_too() {
    let left = |run: Run| {
        let Left { frees, callbacks, leaked, undecided, .. } = run.verdict().decision.left;
        (run.verdict().decision.kind, frees, callbacks, leaked, undecided, run.verdict().decision.reasons)
    };
    // Twenty are left of which ten have a callback that waits. It may free a sibling of its object as well.
    let waiting =
        || (0..10).fold(names(Run::live().created(CACHE)), |run, head| run.then(EXIT, named(head * 64)));
    let pending =
        |leaked, undecided, reasons| (VerdictKind::Pending, 0, Some(10), Some(leaked), undecided, reasons);
    let open = || pending(0, 10, vec![Reason::CallbacksOutstanding]);
    assert_eq!(left(waiting().destroy_begin().look(0).left(20)), open());
    // That they have run since does not tell what they freed.
    let ran = (0..10).fold(waiting().destroy_begin().look(0).left(20), |run, head| {
        run.then(SOFTIRQ, runs(head * 64)).then(SOFTIRQ, RETURNED)
    });
    assert_eq!(left(ran), open());
    let verdict = waiting().destroy_begin().look(0).left(20).verdict();
    let functions = vec!["my_free".to_owned()];
    let note = Note::from(OfLeft::MaybeSiblings { objects: 10, callbacks: 10, functions });
    assert!(verdict.decision.notes.contains(&note), "{:?}", verdict.decision.notes);
    // Nothing is left beside them.
    assert_eq!(left(waiting().destroy_begin().look(0).left(10)), pending(0, 0, vec![]));
    // kfree_rcu() frees the object that it was given and no other.
    let queued = Run::live().created(CACHE).queued(EXIT, 0..10).destroy_begin().look(0).left(20);
    assert_eq!(left(queued), (VerdictKind::Pending, 10, Some(0), Some(10), 0, vec![]));
}

#[test]
fn what_nobody_freed_when_the_callbacks_had_run_is_leaked_where_allocations_are_told() {
    let object = |number: u64| ObjectAddress(number * 64);
    // Of each pair the callback's object comes first; five more belong to nobody.
    let waiting = || {
        let allocated = (0..25).fold(names(Run::live().created(CACHE)), |run, number| {
            run.then(EXIT, What::Allocated { object: object(number), cache: CACHE, site: Site(0) })
        });
        let queued = (0..10).fold(allocated, |run, pair| run.then(EXIT, named(pair * 128)));
        queued.destroy_begin().look(0).left(25)
    };
    let ran = |run: Run, frees_own: bool| {
        (0..10).fold(run, |run, pair| {
            let freed = |number| What::FreedAtOnce { object: object(number), cache: CACHE };
            let run = run.then(SOFTIRQ, runs(pair * 128)).then(SOFTIRQ, freed(2 * pair + 1));
            let run = if frees_own { run.then(SOFTIRQ, freed(2 * pair)) } else { run };
            run.then(SOFTIRQ, RETURNED)
        })
    };
    let told = |run: Run| {
        let verdict = run.verdict();
        let Left { callbacks, leaked, undecided, .. } = verdict.decision.left;
        let sites = verdict.evidence.leak_sites.iter().map(|site| site.objects).sum::<u64>();
        (verdict.decision.kind, callbacks, leaked, undecided, sites)
    };
    assert_eq!(told(waiting()), (VerdictKind::Pending, Some(10), Some(0), 15, 0));
    // Ten were freed in the callbacks' runs, and nobody holds the other five.
    assert_eq!(told(ran(waiting(), true)), (VerdictKind::Pending, Some(10), Some(5), 10, 5));
    // The callbacks may have handed their own objects on, and whatever else with them.
    assert_eq!(told(ran(waiting(), false)), (VerdictKind::Pending, Some(10), Some(0), 15, 0));
}
