//! Flavours: callbacks of other kinds of RCU, works that callbacks queue, and callbacks whose heads lie elsewhere. Each case
//! is the fewest events that lead to it.

mod run;

use krcu_common::{BarrierKind, Flavour};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, Domain, FunctionAddress, ObjectAddress, Site, What},
    reason::Reason,
    verdict::{About, Ordering},
    verdicts,
};
use run::{CACHE, EXIT, RETURNED, Run, SOFTIRQ};

const ELSEWHERE: CacheAddress = CacheAddress(0);
/// A domain of `call_srcu()`, and a queue of works.
const DOMAIN: u64 = 0x5000;
const OTHER_DOMAIN: u64 = 0x6000;
/// Another task.
const OTHERS: u32 = 30;

fn begun() -> Run {
    let function = |address, symbol: &str| What::Function {
        function: FunctionAddress(address),
        symbol: symbol.to_owned(),
    };
    let facts = krcu_model::event::CacheFacts { name: "cache".to_owned(), object_size: 64, refcount: 1 };
    Run::live()
        .then(EXIT, What::ModuleLoaded { name: "mine".to_owned() })
        .then(EXIT, function(7, "mine_free+0x0/0x20 [mine]"))
        .then(EXIT, function(8, "mine_work+0x0/0x20 [mine]"))
        .then(EXIT, function(9, "other_work+0x0/0x20 [other]"))
        .site(1, &["kmem_cache_create+0x1/0x2", "mine_init+0x1/0x2 [mine]"])
        .then(EXIT, What::CacheCreated { cache: CACHE, facts, asked_name: "cache".to_owned(), site: Site(1) })
}

trait Deferrals {
    fn deferred(self, head: u64, flavour: Flavour, domain: u64) -> Run;
    fn elsewhere(self, head: u64) -> Run;
    fn works(self, work: u64, function: u64) -> Run;
    fn runs(self, head: u64) -> Run;
    fn returns(self) -> Run;
    fn work_ran(self, head: u64) -> Run;
    fn waits(self, task: u32, barrier: BarrierKind, of: u64) -> Run;
}

fn queued(head: u64, cache: CacheAddress, function: u64, flavour: Flavour, address: u64) -> What {
    let (object, function) = (ObjectAddress(head * 64), FunctionAddress(function));
    let domain = Domain { flavour, address };
    What::CallbackQueued { object, cache, function, text: None, domain, site: Site(0) }
}

impl Deferrals for Run {
    fn deferred(self, head: u64, flavour: Flavour, domain: u64) -> Run {
        self.then(EXIT, queued(head, CACHE, 7, flavour, domain))
    }

    fn elsewhere(self, head: u64) -> Run {
        self.then(EXIT, queued(head, ELSEWHERE, 7, Flavour::Rcu, 0))
    }

    fn works(self, work: u64, function: u64) -> Run {
        self.then(SOFTIRQ, queued(work, ELSEWHERE, function, Flavour::Work, DOMAIN))
    }

    fn runs(self, head: u64) -> Run {
        self.then(SOFTIRQ, What::CallbackRuns { object: ObjectAddress(head * 64), cache: CACHE })
    }

    fn returns(self) -> Run {
        self.then(SOFTIRQ, RETURNED)
    }

    fn work_ran(self, head: u64) -> Run {
        self.then(40, What::WorkRan { object: ObjectAddress(head * 64) })
    }

    fn waits(self, task: u32, barrier: BarrierKind, of: u64) -> Run {
        self.then(
            task,
            What::BarrierBegin { barrier, rcu_works_flushed: 0, site: Site(0), comm: String::new() },
        )
        .then(task, What::BarrierEnd { barrier, cache: None, of })
    }
}

/// What a destroy that finds the cache empty is told.
fn emptied(run: Run) -> (VerdictKind, Ordering) {
    let verdict = run.destroy_begin().look(0).emptied().verdict();
    (verdict.kind(), verdict.decision.ordering)
}

const LUCK: (VerdictKind, Ordering) = (VerdictKind::Unordered, Ordering::Unordered);
const ORDER: (VerdictKind, Ordering) = (VerdictKind::Clean, Ordering::Ordered);

#[test]
fn each_kind_of_rcu_is_covered_by_its_own_barrier_of_the_same_task() {
    use BarrierKind::{Rcu, Srcu, Tasks, TasksRude, TasksTrace};
    for (flavour, domain, barrier, of, expected) in [
        (Flavour::Srcu, DOMAIN, Srcu, DOMAIN, ORDER),
        (Flavour::Srcu, DOMAIN, Srcu, OTHER_DOMAIN, LUCK),
        (Flavour::Srcu, DOMAIN, Rcu, 0, LUCK),
        (Flavour::Tasks, 0, Tasks, 0, ORDER),
        (Flavour::Tasks, 0, TasksTrace, 0, LUCK),
        (Flavour::TasksRude, 0, TasksRude, 0, ORDER),
        (Flavour::TasksTrace, 0, TasksTrace, 0, ORDER),
        (Flavour::TasksTrace, 0, Srcu, DOMAIN, LUCK),
        (Flavour::Rcu, 0, Srcu, DOMAIN, LUCK),
    ] {
        let waited = begun().deferred(1, flavour, domain).runs(1).returns().waits(EXIT, barrier, of);
        assert_eq!(emptied(waited), expected, "{flavour:?} {barrier:?} {of:#x}");
        let early = begun().waits(EXIT, barrier, of).deferred(1, flavour, domain).runs(1).returns();
        assert_eq!(emptied(early), LUCK, "{flavour:?} before its barrier");
    }
    let seen = begun().deferred(1, Flavour::Srcu, DOMAIN).runs(1).returns();
    let unknown = seen.waits(OTHERS, Srcu, DOMAIN).destroy_begin().look(0).emptied().verdict();
    assert_eq!(unknown.decision.reasons, [Reason::BarrierCallerUnknown]);
}

#[test]
fn works_are_covered_once_their_callbacks_are() {
    use BarrierKind::{Rcu, RcuWork, Work, Workqueue};
    let rcu_work = || begun().deferred(1, Flavour::RcuWork, DOMAIN).runs(1).returns().work_ran(1);
    let by_hand = || begun().deferred(1, Flavour::Rcu, 0).runs(1).works(9, 8).returns().work_ran(9);
    let (head, work) = (64, 9 * 64);
    for (name, run, expected) in [
        ("nothing waits", rcu_work(), LUCK),
        ("flush_rcu_work()", rcu_work().waits(EXIT, RcuWork, head), ORDER),
        ("that of another", rcu_work().waits(EXIT, RcuWork, 2 * 64), LUCK),
        ("rcu_barrier() alone", rcu_work().waits(EXIT, Rcu, 0), LUCK),
        ("flush_workqueue() alone", rcu_work().waits(EXIT, Workqueue, DOMAIN), LUCK),
        ("both", rcu_work().waits(EXIT, Rcu, 0).waits(EXIT, Workqueue, DOMAIN), ORDER),
        ("the wrong queue", rcu_work().waits(EXIT, Rcu, 0).waits(EXIT, Workqueue, OTHER_DOMAIN), LUCK),
        ("the wrong order", rcu_work().waits(EXIT, Workqueue, DOMAIN).waits(EXIT, Rcu, 0), LUCK),
        ("handed on", by_hand().waits(EXIT, Rcu, 0), LUCK),
        ("handed on and flushed", by_hand().waits(EXIT, Rcu, 0).waits(EXIT, Workqueue, DOMAIN), ORDER),
        ("handed on, its work flushed", by_hand().waits(EXIT, Rcu, 0).waits(EXIT, Work, work), ORDER),
        ("another work flushed", by_hand().waits(EXIT, Rcu, 0).waits(EXIT, Work, 64), LUCK),
    ] {
        assert_eq!(emptied(run), expected, "{name}");
    }
    // A work of another module that an interrupt queued in the middle of the callback's run is not the callback's.
    let foreign = begun().deferred(1, Flavour::Rcu, 0).runs(1).works(9, 9).returns();
    assert_eq!(emptied(foreign.waits(EXIT, Rcu, 0)), ORDER);
}

#[test]
fn what_waits_for_another_kind_of_rcu_is_outstanding_and_not_leaked() {
    let left = |run: Run, objects| {
        let decision = run.destroy_begin().look(0).left(objects).verdict().decision;
        (decision.kind, decision.left.others, decision.left.callbacks, decision.left.leaked)
    };
    let srcu = || (1..4).fold(begun(), |run, head| run.deferred(head, Flavour::Srcu, DOMAIN));
    assert_eq!(left(srcu(), 3), (VerdictKind::Pending, 3, Some(0), Some(0)));
    // Two more may be freed by the same callbacks.
    assert_eq!(left(srcu(), 5), (VerdictKind::Pending, 3, Some(0), Some(0)));
    // The callback of queue_rcu_work() has returned, and its work has not.
    let begun_works = || begun().deferred(1, Flavour::RcuWork, DOMAIN).runs(1).returns();
    assert_eq!(left(begun_works(), 1), (VerdictKind::Pending, 1, Some(0), Some(0)));
    // Once the work has returned, what it did with the object is as unknown as after any callback.
    assert_eq!(left(begun_works().work_ran(1), 1).0, VerdictKind::Inconclusive);
}

#[test]
fn callbacks_with_heads_elsewhere_leave_an_empty_cache_open() {
    let seen = |run: Run| {
        let verdict = run.destroy_begin().look(0).emptied().verdict();
        (verdict.kind(), verdict.decision.reasons, verdict.evidence.deferred.callbacks.len())
    };
    let lucky = || begun().elsewhere(1).runs(1).returns();
    assert_eq!(seen(lucky()), (VerdictKind::Inconclusive, vec![Reason::HeadsElsewhere], 1));
    assert_eq!(emptied(lucky().waits(EXIT, BarrierKind::Rcu, 0)), ORDER);
    // The barrier is that of the module's init, and the exit ends by a jump to the destroy.
    let init = ["rcu_barrier+0x5/0x10", "mine_init+0x1/0x2 [mine]", "do_one_initcall+0x1/0x2"];
    let by_jump = lucky().site(7, &init).site(8, &["__do_sys_delete_module+0x1/0x2"]);
    let exited = by_jump.barrier_from(40, BarrierKind::Rcu, 7).destroy_begin_from(8).look(0).emptied();
    assert_eq!(exited.verdict().decision.reasons, [Reason::HeadsElsewhere]);
    let exited = exited.then(EXIT, What::ModuleGoing { name: "mine".to_owned() });
    assert_eq!((exited.verdict().kind(), exited.verdict().decision.reasons), (VerdictKind::Clean, vec![]));
    // Where each allocation and free is told, it is seen whether such a callback frees an object of the cache.
    let object = ObjectAddress(0x9000);
    let allocated = || begun().then(EXIT, What::Allocated { object, cache: CACHE, site: Site(0) });
    let freed = What::FreedAtOnce { object, cache: CACHE };
    let within = allocated().elsewhere(1).runs(1).then(SOFTIRQ, freed.clone()).returns();
    assert_eq!(seen(within), (VerdictKind::Unordered, Vec::new(), 1));
    let apart = allocated().elsewhere(1).runs(1).returns().then(EXIT, freed);
    assert_eq!(seen(apart), (VerdictKind::Clean, Vec::new(), 0));
    // A callback that was queued before the cache was created held none of its objects.
    let facts = krcu_model::event::CacheFacts { name: "second".to_owned(), object_size: 64, refcount: 1 };
    let created = What::CacheCreated { cache: CACHE, facts, asked_name: "second".to_owned(), site: Site(1) };
    assert_eq!(seen(lucky().then(EXIT, created)).0, VerdictKind::Clean);
}

#[test]
fn a_module_that_goes_is_judged_by_what_was_outstanding_when_its_exit_returned() {
    let gone = |run: Run| {
        let run = run.then(EXIT, What::ModuleFreed { name: "mine".to_owned() });
        let verdict = verdicts(&run.state).into_iter().find(|verdict| verdict.about == About::Module);
        verdict.map(|verdict| (verdict.kind(), verdict.decision.left.others, verdict.decision.left.callbacks))
    };
    let going = || What::ModuleGoing { name: "mine".to_owned() };
    let srcu = || begun().then(EXIT, queued(1, ELSEWHERE, 7, Flavour::Srcu, DOMAIN));
    assert_eq!(gone(srcu()), Some((VerdictKind::Pending, 1, Some(0))));
    assert_eq!(gone(srcu().runs(1).returns()), Some((VerdictKind::Unordered, 0, Some(0))));
    let waited = srcu().runs(1).returns().waits(EXIT, BarrierKind::Srcu, DOMAIN);
    assert_eq!(gone(waited), Some((VerdictKind::Clean, 0, Some(0))));
    // The kernel waits for a grace period between the exit's return and the end of the text. The exit has not waited.
    let after = begun().elsewhere(1).then(EXIT, going()).runs(1).returns();
    assert_eq!(gone(after), Some((VerdictKind::Pending, 0, Some(1))));
    assert_eq!(gone(begun().then(EXIT, going())), None);
}
