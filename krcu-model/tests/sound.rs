//! Sound: what an exhaustive check of small kernels found, each as the fewest events that show it.

mod run;

use krcu_common::{BarrierKind::Rcu, Flavour, FreePath};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, CacheFacts, Domain, FunctionAddress, Leftover, ObjectAddress, Site, What},
    reason::Reason,
    state::Blind,
    verdict::Ordering,
};
use run::{CACHE, EXIT, RETURNED, Run, SOFTIRQ, WORKER, freed, runs};

/// Another task.
const OTHER: u32 = 30;
const MINE: u32 = 1;

fn begun() -> Run {
    Run::live()
        .site(MINE, &["mine_exit+0x10/0x20 [mine]"])
        .then(
            EXIT,
            What::Function { function: FunctionAddress(7), symbol: "mine_free+0x0/0x10 [mine]".to_owned() },
        )
        .created(CACHE)
}

/// One user of several lets go of the cache.
fn lets_go(run: Run, task: u32, users: i32) -> Run {
    let facts = CacheFacts { name: "cache".to_owned(), object_size: 64, refcount: users };
    let (site, comm) = (Site(MINE), "rmmod".to_owned());
    run.then(task, What::DestroyBegin { cache: CACHE, facts, site, comm, counted: false })
}

/// The last user of the cache destroys it.
fn last_lets_go(run: Run) -> Vec<VerdictKind> {
    let run = lets_go(run, OTHER, 1)
        .then(OTHER, What::ShutdownBegin { cache: CACHE, rcu_works_flushed: 0 })
        .then(OTHER, What::ShutdownEnd { empty: Some(true), left: None })
        .then(OTHER, What::CacheReleased { cache: CACHE });
    run.kinds()
}

#[test]
fn what_a_user_of_a_shared_cache_has_waited_for_is_ordered_before_the_last_one_destroys_it() {
    let shared = || begun().callbacks(EXIT, 0..1).ran(0..1);
    let waited = lets_go(shared().barrier_from(EXIT, Rcu, MINE), EXIT, 2);
    assert_eq!(last_lets_go(waited), [VerdictKind::Alias, VerdictKind::Clean]);
    // It has not waited; or it waits after it has let go.
    assert_eq!(last_lets_go(lets_go(shared(), EXIT, 2)), [VerdictKind::Alias, VerdictKind::Unordered]);
    let late = lets_go(shared(), EXIT, 2).barrier_from(EXIT, Rcu, MINE);
    assert_ne!(last_lets_go(late)[1], VerdictKind::Clean);
}

#[test]
fn a_helper_whose_barrier_returns_inside_of_the_destroy_was_not_awaited() {
    let helper = |run: Run| run.barrier_from(OTHER, Rcu, MINE);
    let ran = || begun().callbacks(EXIT, 0..1).ran(0..1);
    let before = helper(ran()).destroy_begin_from(MINE).look(0).emptied();
    assert_eq!(before.verdict().kind(), VerdictKind::Inconclusive);
    let inside = helper(ran().destroy_begin_from(MINE)).look(0).emptied().verdict();
    assert_eq!(inside.kind(), VerdictKind::Unordered);
    assert_eq!(inside.decision.lucky.map(|lucky| lucky.task), Some(OTHER));
}

#[test]
fn what_is_freed_while_the_slabs_are_counted_is_no_contradiction() {
    // The event of the count has its place before the count.
    let counted = |objects| {
        let run = begun().queued(EXIT, 0..2).destroy_begin().look(0);
        let left = Some(Leftover { objects, listed: objects });
        run.then(EXIT, What::ShutdownEnd { empty: Some(false), left })
    };
    assert_eq!(counted(1).verdict().kind(), VerdictKind::ModelDisagrees);
    let run = counted(1).then(WORKER, freed(0, FreePath::Bulk));
    assert_eq!((run.verdict().kind(), run.verdict().decision.left.frees), (VerdictKind::Pending, 2));
}

#[test]
fn a_count_of_nothing_after_a_look_that_found_something_is_no_leak() {
    let left = |run: Run| run.destroy_begin().look(0).left(0).verdict();
    // What the callback has handed on was freed before the count.
    let handed_on = left(begun().callbacks(EXIT, 0..1).ran(0..1));
    assert_eq!(handed_on.kind(), VerdictKind::Inconclusive);
    // The callback has not run, and nothing else can have been left.
    let waits = left(begun().callbacks(EXIT, 0..1));
    assert_eq!((waits.kind(), waits.decision.left.callbacks), (VerdictKind::Pending, Some(1)));
}

#[test]
fn what_is_queued_and_freed_during_the_look_may_be_all_that_it_found() {
    let looks = || begun().destroy_begin().look(0);
    let left = |run: Run| run.left(0).verdict();
    assert_eq!(left(looks()).kind(), VerdictKind::Leaked);
    let queued = left(looks().queued(OTHER, 0..1).freed(0..1, FreePath::Bulk));
    assert_eq!(queued.kind(), VerdictKind::Inconclusive);
    assert_eq!(queued.decision.reasons, [Reason::InexactCount]);
}

#[test]
fn what_an_unseen_kind_of_rcu_may_hold_is_not_leaked() {
    let run = Run::seeing(vec![Blind::Flavours, Blind::Grace, Blind::Inside]).created(CACHE);
    let decision = run.destroy_begin().look(0).left(1).verdict().decision;
    assert_eq!((decision.kind, decision.left.undecided), (VerdictKind::Inconclusive, 1));
    assert_eq!((decision.reasons, decision.left.callbacks), (vec![Reason::BlindFlavours], Some(0)));
}

#[test]
fn a_callback_from_before_the_attach_that_no_barrier_can_have_covered_is_unordered() {
    let older = || Run::attached(1).at(2).then(SOFTIRQ, runs(1)).then(SOFTIRQ, RETURNED);
    let emptied = |run: Run| run.destroy_begin().look(0).emptied().verdict();
    assert_eq!(emptied(older()).kind(), VerdictKind::Unordered);
    // A barrier that returned since may have covered it, whosever it was and whatever RCU it was for.
    let covered = emptied(older().barrier(OTHER, Rcu));
    assert_eq!((covered.kind(), covered.decision.ordering), (VerdictKind::Clean, Ordering::Unknown));
}

#[test]
fn a_callback_with_its_head_elsewhere_that_has_not_begun_has_freed_nothing() {
    let head = |head: u64| What::CallbackQueued {
        object: ObjectAddress(head),
        cache: CacheAddress(0),
        function: FunctionAddress(7),
        text: None,
        domain: Domain { flavour: Flavour::Rcu, address: 0 },
        site: Site(MINE),
    };
    let emptied = |run: Run| run.destroy_begin_from(MINE).look(0).emptied().verdict().kind();
    assert_eq!(emptied(begun().then(EXIT, head(1))), VerdictKind::Clean);
    let runs = What::CallbackRuns { object: ObjectAddress(1), cache: CacheAddress(0) };
    assert_eq!(emptied(begun().then(EXIT, head(1)).then(SOFTIRQ, runs)), VerdictKind::Inconclusive);
}

/// What calls a callback.
const IN_CALLBACK: u32 = 2;

/// A callback of the module has queued a second one in its run, and both have run; the watch does not see this.
fn chained(blind: Blind) -> Run {
    let function = |address, name: &str| What::Function {
        function: FunctionAddress(address),
        symbol: format!("{name}+0x0/0x10 [mine]"),
    };
    let queued = |function, site| What::CallbackQueued {
        object: ObjectAddress(0),
        cache: CACHE,
        function: FunctionAddress(function),
        text: None,
        domain: Domain { flavour: Flavour::Rcu, address: 0 },
        site: Site(site),
    };
    let shows_runs = blind != Blind::CallbackRuns;
    let then = |run: Run, what: &What| if shows_runs { run.then(SOFTIRQ, what.clone()) } else { run };
    let run = Run::seeing(vec![blind, Blind::Grace, Blind::Inside])
        .site(MINE, &["mine_exit+0x10/0x20 [mine]"])
        .site(IN_CALLBACK, &["call_rcu+0x1/0x2", "mine_first+0x1/0x2 [mine]", "rcu_do_batch+0x1/0x2"])
        .then(EXIT, function(7, "mine_first"))
        .then(EXIT, function(8, "mine_second"))
        .created(CACHE)
        .then(EXIT, queued(7, MINE));
    let run = then(run, &runs(0)).then(SOFTIRQ, queued(8, IN_CALLBACK));
    [RETURNED, runs(0), RETURNED].iter().fold(run, then)
}

#[test]
fn a_chain_is_not_unordered_where_rcu_barrier_cannot_be_seen() {
    // The teardown may have called two barriers, or none: both look like this.
    let decision = chained(Blind::RcuBarrier).destroy_begin_from(MINE).look(0).emptied().verdict().decision;
    assert_eq!((decision.kind, decision.reasons), (VerdictKind::Inconclusive, vec![Reason::BlindRcuBarrier]));
}

#[test]
fn one_barrier_does_not_order_a_chain_where_the_runs_of_callbacks_cannot_be_seen() {
    // The barrier may have waited for the first callback only, and the second may have run by luck.
    let barriers =
        |count| (0..count).fold(chained(Blind::CallbackRuns), |run, _| run.barrier_from(EXIT, Rcu, MINE));
    for count in [1, 2] {
        let decision = barriers(count).destroy_begin_from(MINE).look(0).emptied().verdict().decision;
        assert_eq!(
            (decision.kind, decision.reasons),
            (VerdictKind::Inconclusive, vec![Reason::BlindCallbackRuns])
        );
    }
    let none = barriers(0).destroy_begin_from(MINE).look(0).emptied().verdict();
    assert_eq!(none.kind(), VerdictKind::Unordered);
}

#[test]
fn what_is_freed_at_once_during_the_look_may_be_all_that_it_found() {
    let object = ObjectAddress(0);
    let looks = || {
        let allocated = What::Allocated { object, cache: CACHE, site: Site(MINE) };
        begun().then(EXIT, allocated).destroy_begin().look(0)
    };
    let left = looks().then(OTHER, What::FreedAtOnce { object, cache: CACHE }).left(0).verdict().decision;
    assert_eq!((left.kind, left.reasons), (VerdictKind::Inconclusive, vec![Reason::InexactCount]));
    assert_eq!(looks().left(1).verdict().kind(), VerdictKind::Leaked);
}
