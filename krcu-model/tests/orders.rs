//! Whose barrier counts: that of the teardown itself; anybody else's was luck, or nobody knows.

mod run;

use krcu_common::BarrierKind::{Kvfree, Rcu};
use krcu_common::FreePath;
use krcu_model::{
    VerdictKind,
    event::{Cpu, Site, What},
    reason::Reason,
};
use run::{CACHE, EXIT, Run};

/// Calls of the cache's module, of another module, and of the kernel's own.
const TEARDOWN: u32 = 1;
const OWN_HELPER: u32 = 2;
const OTHERS: u32 = 3;
const KERNELS: u32 = 4;
const UNKNOWN: u32 = 0;
/// Somebody else.
const OTHER: u32 = 30;

fn begun() -> Run {
    Run::live()
        .site(TEARDOWN, &["kmem_cache_destroy+0x5/0x150", "mine_exit+0x10/0x20 [mine]"])
        .site(
            OWN_HELPER,
            &["rcu_barrier+0x5/0x150", "mine_work+0x10/0x20 [mine]", "process_one_work+0x1/0x2"],
        )
        .site(OTHERS, &["rcu_barrier+0x5/0x150", "theirs_exit+0x10/0x20 [theirs]"])
        .site(KERNELS, &["rcu_barrier+0x5/0x150", "netdev_run_todo+0x10/0x20"])
        .created(CACHE)
}

/// What a destroy finds for which nothing is outstanding.
fn destroyed(run: Run) -> (VerdictKind, Vec<Reason>, Option<(u32, String)>) {
    let verdict = run.destroy_begin_from(TEARDOWN).look(0).emptied().verdict();
    let lucky = verdict.decision.lucky.map(|lucky| (lucky.task, lucky.stack.join(" ")));
    (verdict.decision.kind, verdict.decision.reasons, lucky)
}

#[test]
fn a_barrier_counts_for_the_teardown_that_called_it() {
    use VerdictKind::{Clean, Inconclusive, Unordered};
    let luck = |frame: &str| Some((OTHER, frame.to_owned()));
    let callbacks = || begun().callbacks(EXIT, 0..2).ran(0..2);
    let frees = || begun().queued(EXIT, 0..2).freed(0..2, FreePath::Bulk);
    for (barrier, deferred) in [(Rcu, &callbacks as &dyn Fn() -> Run), (Kvfree, &frees)] {
        let from = |task, site| destroyed(deferred().barrier_from(task, barrier, site));
        // The task that destroys has called it, whoever's code that was.
        for site in [TEARDOWN, OTHERS, KERNELS, UNKNOWN] {
            assert_eq!(from(EXIT, site), (Clean, vec![], None), "{barrier:?} {site}");
        }
        assert_eq!(from(OTHER, OTHERS), (Unordered, vec![], luck("theirs_exit+0x10 [theirs]")));
        assert_eq!(from(OTHER, KERNELS), (Unordered, vec![], luck("netdev_run_todo+0x10")));
        assert_eq!(from(OTHER, OWN_HELPER), (Inconclusive, vec![Reason::HelperUnawaited], None));
        assert_eq!(from(OTHER, UNKNOWN), (Inconclusive, vec![Reason::BarrierCallerUnknown], None));
        // Its own among others, before and after.
        let among = deferred().barrier_from(OTHER, barrier, KERNELS).barrier_from(EXIT, barrier, TEARDOWN);
        assert_eq!(destroyed(among.barrier_from(OTHER, barrier, UNKNOWN)), (Clean, vec![], None));
        // Nobody's.
        assert_eq!(destroyed(deferred()), (Unordered, vec![], None));
    }
}

#[test]
fn a_barrier_orders_what_was_deferred_before_it() {
    // The teardown's own came too early, and somebody else's came later.
    let early = begun()
        .callbacks(EXIT, 0..2)
        .ran(0..2)
        .barrier_from(EXIT, Rcu, TEARDOWN)
        .callbacks(EXIT, 2..3)
        .ran(2..3);
    let (verdict, _, lucky) = destroyed(early.barrier_from(OTHER, Rcu, KERNELS));
    assert_eq!((verdict, lucky.map(|(task, _)| task)), (VerdictKind::Unordered, Some(OTHER)));
    // Somebody else's came too early as well: it is not what was lucky.
    let early = begun().barrier_from(OTHER, Rcu, KERNELS).callbacks(EXIT, 0..1).ran(0..1);
    assert_eq!(destroyed(early), (VerdictKind::Unordered, vec![], None));
    // A barrier for callbacks is none for kfree_rcu().
    let other = begun().queued(EXIT, 0..1).freed(0..1, FreePath::Bulk).barrier_from(EXIT, Rcu, TEARDOWN);
    assert_eq!(destroyed(other), (VerdictKind::Unordered, vec![], None));
}

#[test]
fn an_rcu_barrier_that_flush_rcu_work_calls_is_luck_and_any_other_is_meant() {
    let flush = 5;
    let begun = || {
        begun()
            .site(flush, &["rcu_barrier+0x5/0x150", "flush_rcu_work+0x20/0x40", "mine_exit+0x10/0x20 [mine]"])
    };
    let ran = || begun().callbacks(EXIT, 0..1).ran(0..1);
    let (verdict, _, lucky) = destroyed(ran().barrier_from(EXIT, Rcu, flush));
    assert_eq!((verdict, lucky.map(|(task, _)| task)), (VerdictKind::Unordered, Some(EXIT)));
    // The works that an earlier destroy of this task has flushed say nothing of a barrier whose caller is known.
    let what = |site| What::BarrierBegin {
        barrier: Rcu,
        rcu_works_flushed: 1,
        site: Site(site),
        comm: String::new(),
    };
    let end = || What::BarrierEnd { barrier: Rcu, cache: None, of: 0 };
    let own = ran().then(EXIT, what(TEARDOWN)).then(EXIT, end());
    assert_eq!(destroyed(own), (VerdictKind::Clean, vec![], None));
    let unknown = ran().then(EXIT, what(UNKNOWN)).then(EXIT, end());
    assert_eq!(destroyed(unknown).0, VerdictKind::Unordered);
}

#[test]
fn the_barrier_inside_a_destroy_is_seen_on_a_machine_of_any_size() {
    use VerdictKind::{Unordered, Waited};
    // Where the barrier is inlined, it is known by its two flushed works for each possible CPU.
    for cpus in [1_u16, 64, 65, 128, 129, 256, 1024] {
        let last = Cpu(cpus - 1);
        let kind = |works: u32| {
            let run = Run::on(cpus).created(CACHE).queued_on(last, 0..3).destroy_begin();
            let verdict = run.freed(0..3, FreePath::Sheaf).look(works).emptied().verdict();
            (verdict.decision.kind, verdict.evidence.deferred.queued_ever)
        };
        assert_eq!(kind(2 * u32::from(cpus)), (Waited, 3), "{cpus}");
        assert_eq!(kind(2 * u32::from(cpus) - 1), (Unordered, 3), "{cpus}");
        // What is left names the CPU that queued it.
        let left =
            Run::on(cpus).created(CACHE).queued_on(last, 0..3).destroy_begin().look(0).left(3).verdict();
        let counts = left.evidence.deferred.cpus;
        assert_eq!(counts.iter().map(|count| (count.cpu, count.objects)).collect::<Vec<_>>(), [(last, 3)]);
    }
}

/// The init of the module, and its exit; `insmod` ran the first.
const INSMOD: u32 = 40;
const INIT: u32 = 11;
const INIT_BY_A_JUMP: u32 = 12;
const THREAD: u32 = 13;
const INITS_HELPER: u32 = 14;
const IN_THE_EXIT: u32 = 15;
const EXIT_BY_A_JUMP: u32 = 16;
const IN_THEIR_EXIT: u32 = 17;

/// As the four kernels show them.
fn with_an_init() -> Run {
    const ONE: &str = "do_one_initcall+0x58/0x300";
    const INSERT: &str = "do_init_module+0x60/0x240";
    const DELETE: &str = "__do_sys_delete_module.constprop.0+0x16d/0x280";
    const BARRIER: &str = "rcu_barrier+0x5/0x150";
    const DESTROY: &str = "kmem_cache_destroy+0x5/0x150";
    const HELP: &str = "help+0x10/0x20 [helps]";
    const KERNELS: &str = "unregister_pernet+0x1/0x2";
    begun()
        .site(INIT, &[BARRIER, "mine_make+0x10/0x20 [mine]", "mine_init+0x8/0xff0 [mine]", ONE, INSERT])
        .site(INIT_BY_A_JUMP, &[BARRIER, KERNELS, ONE, INSERT])
        .site(THREAD, &[BARRIER, "mine_thread+0x10/0x20 [mine]", "kthread+0xd2/0x100"])
        .site(INITS_HELPER, &[BARRIER, HELP, "mine_init+0x8/0xff0 [mine]", ONE, INSERT])
        .site(IN_THE_EXIT, &[DESTROY, "mine_exit+0x10/0x20 [mine]", DELETE])
        .site(EXIT_BY_A_JUMP, &[DESTROY, DELETE])
        .site(IN_THEIR_EXIT, &[DESTROY, "theirs_exit+0x10/0x20 [theirs]", DELETE])
}

/// What the destroy of an exit finds, which ends with this module's end.
fn destroyed_in_exit(run: Run, site: u32, module: &str) -> (VerdictKind, Vec<Reason>, Option<u32>) {
    let going = What::ModuleGoing { name: module.to_owned() };
    let verdict = run.destroy_begin_from(site).look(0).emptied().then(EXIT, going).verdict();
    (verdict.decision.kind, verdict.decision.reasons, verdict.decision.lucky.map(|lucky| lucky.task))
}

#[test]
fn a_barrier_that_the_init_of_a_module_called_orders_what_its_exit_does() {
    use VerdictKind::{Clean, Inconclusive, Unordered};
    let helper = || (Inconclusive, vec![Reason::HelperUnawaited], None);
    let callbacks = || with_an_init().callbacks(INSMOD, 0..2).ran(0..2);
    let frees = || with_an_init().queued(INSMOD, 0..2).freed(0..2, FreePath::Bulk);
    for (barrier, deferred) in [(Rcu, &callbacks as &dyn Fn() -> Run), (Kvfree, &frees)] {
        let from = |site| deferred().barrier_from(INSMOD, barrier, site);
        for exit in [IN_THE_EXIT, EXIT_BY_A_JUMP] {
            for init in [INIT, INITS_HELPER] {
                let found = destroyed_in_exit(from(init), exit, "mine");
                assert_eq!(found, (Clean, vec![], None), "{barrier:?} {init} {exit}");
            }
        }
        // Of a thread that the init has started nobody knows when it is done.
        assert_eq!(destroyed_in_exit(from(THREAD), IN_THE_EXIT, "mine"), helper());
        // An exit of another module may begin before the init has returned.
        assert_eq!(destroyed_in_exit(from(INIT), IN_THEIR_EXIT, "theirs"), (Unordered, vec![], Some(INSMOD)));
        // And so may what the module does at another time than in its exit.
        let verdict = from(INIT).destroy_begin_from(TEARDOWN).look(0).emptied().verdict();
        assert_eq!((verdict.decision.kind, verdict.decision.reasons), (Inconclusive, helper().1));
        // The init ended by a jump: it is not known which module's it was.
        let unknown = (Inconclusive, vec![Reason::BarrierCallerUnknown], None);
        assert_eq!(destroyed_in_exit(from(INIT_BY_A_JUMP), IN_THE_EXIT, "mine"), unknown);
    }
}

#[test]
fn a_barrier_of_an_init_orders_nothing_that_was_deferred_after_it_began() {
    // Another task queues one more while the init waits, and one after it.
    let barrier = || What::BarrierBegin {
        barrier: Rcu,
        rcu_works_flushed: 0,
        site: Site(INIT),
        comm: "insmod".to_owned(),
    };
    let end = || What::BarrierEnd { barrier: Rcu, cache: None, of: 0 };
    let begins = || with_an_init().callbacks(INSMOD, 0..2).then(INSMOD, barrier());
    let after = |run: Run| destroyed_in_exit(run, IN_THE_EXIT, "mine").0;
    assert_eq!(after(begins().ran(0..2).then(INSMOD, end())), VerdictKind::Clean);
    let meanwhile = begins().callbacks(OTHER, 2..3).ran(0..3).then(INSMOD, end());
    assert_eq!(after(meanwhile), VerdictKind::Unordered);
    let later = begins().ran(0..2).then(INSMOD, end()).callbacks(OTHER, 2..3).ran(2..3);
    assert_eq!(after(later), VerdictKind::Unordered);
    // It has not returned: then the exit does not begin, and what looks like one is not its own.
    assert_eq!(after(begins().ran(0..2)), VerdictKind::Unordered);
}
