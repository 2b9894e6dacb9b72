//! Unloads: what a module's text had left to do when it went, and whether its own teardown had waited for that.

mod run;

use krcu_common::{
    BarrierKind::{Kvfree, Rcu, Srcu},
    Flavour, FreePath,
};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, Domain, FunctionAddress, LossReason, ObjectAddress, Scope, Site, What},
    reason::Reason,
    verdict::{About, Note, Unseen, Verdict},
    verdicts,
};
use run::{CACHE, EXIT, Run};

/// The head lies in no object that is followed.
const ELSEWHERE: CacheAddress = CacheAddress(0);
const OTHER: u32 = 30;
const EXITS: u32 = 1;
const THEIRS: u32 = 2;
const INIT: u32 = 3;

fn begun() -> Run {
    Run::live()
        .site(EXITS, &["rcu_barrier+0x5/0x150", "mine_exit+0x10/0x20 [mine]"])
        .site(THEIRS, &["rcu_barrier+0x5/0x150", "theirs_exit+0x10/0x20 [theirs]"])
        .site(INIT, &["rcu_barrier+0x5/0x150", "mine_init+0x10/0x20 [mine]", "do_one_initcall+0x58/0x300"])
        .then(EXIT, What::ModuleLoaded { name: "mine".to_owned() })
        .then(
            EXIT,
            What::Function { function: FunctionAddress(7), symbol: "mine_free+0x0/0x20 [mine]".to_owned() },
        )
        .then(
            EXIT,
            What::Function { function: FunctionAddress(8), symbol: "kernel_free+0x0/0x20".to_owned() },
        )
}

fn queued(run: Run, heads: std::ops::Range<u64>, cache: CacheAddress, function: u64) -> Run {
    heads.fold(run, |run, head| {
        let (object, function) = (ObjectAddress(head * 64), FunctionAddress(function));
        run.then(
            EXIT,
            What::CallbackQueued {
                object,
                cache,
                function,
                text: None,
                domain: Domain::default(),
                site: Site(0),
            },
        )
    })
}

fn ran(run: Run, heads: std::ops::Range<u64>, cache: CacheAddress) -> Run {
    heads.fold(run, |run, head| {
        run.then(run::SOFTIRQ, What::CallbackRuns { object: ObjectAddress(head * 64), cache })
            .then(run::SOFTIRQ, run::RETURNED)
    })
}

fn gone(run: Run) -> Vec<Verdict> {
    let run = run.then(EXIT, What::ModuleFreed { name: "mine".to_owned() });
    let all = verdicts(&run.state);
    all.into_iter().filter(|verdict| verdict.about == About::Module).collect()
}

/// The word, the callbacks left, and the reasons of the only verdict about the module.
fn said(run: Run) -> (VerdictKind, Option<u64>, Vec<Reason>) {
    let all = gone(run);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].cache.module.as_deref(), Some("mine"));
    (all[0].decision.kind, all[0].decision.left.callbacks, all[0].decision.reasons.clone())
}

#[test]
fn a_module_must_wait_for_its_callbacks_wherever_their_heads_lie() {
    use VerdictKind::{Clean, Inconclusive, Pending, Unordered};
    for cache in [ELSEWHERE, CACHE] {
        let used = || queued(begun().created(CACHE), 0..3, cache, 7);
        let all_ran = || ran(used(), 0..3, cache);
        assert_eq!(said(ran(used(), 0..1, cache)), (Pending, Some(2), vec![]), "{cache:?}");
        assert_eq!(said(all_ran()), (Unordered, Some(0), vec![]));
        assert_eq!(said(all_ran().barrier_from(EXIT, Rcu, EXITS)), (Clean, Some(0), vec![]));
        assert_eq!(said(all_ran().barrier_from(OTHER, Rcu, THEIRS)), (Unordered, Some(0), vec![]));
        let helper = all_ran().barrier_from(OTHER, Rcu, EXITS);
        assert_eq!(said(helper), (Inconclusive, Some(0), vec![Reason::HelperUnawaited]));
        let of_init = all_ran().barrier_from(OTHER, Rcu, INIT);
        assert_eq!(said(of_init), (Clean, Some(0), vec![]));
        let unknown = all_ran().barrier_from(OTHER, Rcu, 0);
        assert_eq!(said(unknown), (Inconclusive, Some(0), vec![Reason::BarrierCallerUnknown]));
        // One that was queued after the barrier is not covered by it.
        let again = queued(all_ran().barrier_from(EXIT, Rcu, EXITS), 5..6, cache, 7);
        assert_eq!(said(ran(again, 5..6, cache)), (Unordered, Some(0), vec![]));
    }
}

#[test]
fn what_an_older_module_queued_before_is_ordered_by_a_barrier_since_then_or_not_known() {
    use krcu_model::verdict::Ordering::{Ordered, Unknown};
    let late = |deferring: &[&str]| {
        let deferring = deferring.iter().map(|name| (*name).to_owned()).collect();
        let exit = ["rcu_barrier+0x5/0x150", "mine_exit+0x10/0x20 [mine]"];
        let function =
            What::Function { function: FunctionAddress(7), symbol: "mine_free+0x0/0x20 [mine]".to_owned() };
        Run::late(deferring).site(EXITS, &exit).then(EXIT, function)
    };
    let found = |run: Run| {
        let all = gone(run).into_iter();
        all.map(|verdict| (verdict.decision.kind, verdict.decision.ordering, verdict.decision.reasons))
            .collect::<Vec<_>>()
    };
    let unknown = || vec![(VerdictKind::Clean, Unknown, vec![Reason::LateAttach])];
    let ordered = || vec![(VerdictKind::Clean, Ordered, vec![])];
    assert_eq!(found(late(&["mine"])), unknown());
    // It calls no call_rcu(), as far as anybody could look.
    assert_eq!(found(late(&["theirs"])), []);
    assert_eq!(found(late(&["mine"]).barrier_from(EXIT, Rcu, EXITS)), ordered());
    // Somebody else's is none of its teardown.
    assert_eq!(found(late(&["mine"]).barrier_from(OTHER, Rcu, 0)), unknown());
    // What it has queued since then is judged as of any module.
    let queues = |run: Run| queued(run, 0..1, ELSEWHERE, 7);
    assert_eq!(said(queues(late(&["mine"]))).0, VerdictKind::Pending);
    let ran = |run: Run| ran(queues(run), 0..1, ELSEWHERE);
    assert_eq!(said(ran(late(&["mine"]))).0, VerdictKind::Unordered);
    assert_eq!(found(ran(late(&["mine"])).barrier_from(EXIT, Rcu, EXITS)), ordered());
    // It is loaded again under the eyes of the probes.
    let again = late(&["mine"]).then(EXIT, What::ModuleFreed { name: "mine".to_owned() });
    assert_eq!(found(again.then(EXIT, What::ModuleLoaded { name: "mine".to_owned() })), unknown());
    let loaded = late(&["mine"]).then(EXIT, What::ModuleLoaded { name: "mine".to_owned() });
    assert_eq!(found(loaded), []);
}

#[test]
fn a_callback_that_runs_is_left_until_it_returns() {
    let runs =
        |run: Run| run.then(run::SOFTIRQ, What::CallbackRuns { object: ObjectAddress(0), cache: ELSEWHERE });
    let running = runs(queued(begun(), 0..1, ELSEWHERE, 7));
    assert_eq!(said(running).0, VerdictKind::Pending);
    let returned = runs(queued(begun(), 0..1, ELSEWHERE, 7)).then(run::SOFTIRQ, run::RETURNED);
    assert_eq!(said(returned).0, VerdictKind::Unordered);
}

#[test]
fn what_is_no_callback_of_its_text_is_not_told() {
    // A callback in the kernel's text stays, and a module that has queued none has nothing to be told of.
    assert_eq!(gone(queued(begun().created(CACHE), 0..1, CACHE, 8)), []);
    assert_eq!(gone(begun()), []);
    // It is loaded again: what the first had queued is not the second's.
    let again = ran(queued(begun(), 0..1, ELSEWHERE, 7), 0..1, ELSEWHERE).barrier_from(EXIT, Rcu, EXITS);
    let again = again.then(EXIT, What::ModuleFreed { name: "mine".to_owned() });
    assert_eq!(gone(again.then(EXIT, What::ModuleLoaded { name: "mine".to_owned() })).len(), 1);
}

#[test]
fn a_call_that_went_unseen_leaves_its_order_open() {
    let lost = |run: Run| {
        let gap = krcu_model::event::Gap {
            reason: LossReason::ProbeMissed,
            events: 1,
            from: krcu_model::event::Time(0),
            until: krcu_model::event::Time(1_000_000),
            scope: Scope::Queueing,
            programs: vec![],
        };
        run.then(EXIT, What::Gap(gap))
    };
    let used = queued(begun(), 0..1, ELSEWHERE, 7);
    let (kind, _, reasons) = said(lost(ran(used, 0..1, ELSEWHERE).barrier_from(EXIT, Rcu, EXITS)));
    assert_eq!((kind, reasons), (VerdictKind::Clean, vec![Reason::ProbeMissed]));
    // What is proved stays so.
    let open = lost(ran(queued(begun(), 0..1, ELSEWHERE, 7), 0..1, ELSEWHERE));
    assert_eq!(said(open).0, VerdictKind::Unordered);
}

/// Two losses of one reason, before the module went.
fn lost_twice(run: Run, reason: LossReason, scope: Scope) -> Run {
    let programs = ["queued", "ran"].map(|program| vec![program.to_owned()]);
    programs.into_iter().fold(run, |run, programs| {
        let (from, until) = (krcu_model::event::Time(0), krcu_model::event::Time(1_000_000));
        let gap = krcu_model::event::Gap { reason, events: 2, from, until, scope, programs };
        run.then(EXIT, What::Gap(gap))
    })
}

#[test]
fn a_loss_that_is_told_for_a_cache_may_hide_the_run_of_a_callback_with_its_head_there() {
    let used = || queued(begun().created(CACHE), 0..3, CACHE, 7).barrier_from(EXIT, Rcu, EXITS);
    let lost = |run: Run, cache| lost_twice(run, LossReason::RingFull, Scope::Cache(cache));
    let open = said(lost(ran(used(), 0..1, CACHE), CACHE));
    assert_eq!(open, (VerdictKind::Inconclusive, Some(2), vec![Reason::RingFull]));
    // Of another cache, no run of these was lost.
    let other = said(lost(ran(used(), 0..1, CACHE), CacheAddress(0x9000)));
    assert_eq!(other, (VerdictKind::Pending, Some(2), vec![]));
    // All ran. A call may have been lost, of whatever cache.
    let all_ran = said(lost(ran(used(), 0..3, CACHE), CacheAddress(0x9000)));
    assert_eq!(all_ran, (VerdictKind::Clean, Some(0), vec![Reason::RingFull]));
}

#[test]
fn losses_of_one_reason_are_one_reason_and_one_sentence() {
    let (reason, programs) = (LossReason::ProbeMissed, ["queued", "ran"].map(str::to_owned).to_vec());
    let joined = Note::Unseen(Unseen::Lost { reason, events: 4, programs: programs.clone() });
    let used = || queued(begun(), 0..1, ELSEWHERE, 7);
    let covered = || ran(used(), 0..1, ELSEWHERE).barrier_from(EXIT, Rcu, EXITS);
    let unloads = [
        lost_twice(ran(used(), 0..1, ELSEWHERE), reason, Scope::Everything),
        lost_twice(used(), reason, Scope::Freeing),
        lost_twice(ran(used(), 0..1, ELSEWHERE), reason, Scope::Barriers),
        lost_twice(covered(), reason, Scope::Queueing),
    ];
    let mut all: Vec<Verdict> = unloads.into_iter().flat_map(gone).collect();
    // A cache that was left behind.
    let created = begun().then(EXIT, What::ModuleLoaded { name: "theirs".to_owned() }).then(
        EXIT,
        What::CacheCreated {
            cache: CACHE,
            facts: run::facts(1),
            asked_name: "cache".to_owned(),
            site: Site(THEIRS),
        },
    );
    let behind = lost_twice(created, reason, Scope::Everything)
        .then(EXIT, What::ModuleFreed { name: "theirs".to_owned() });
    all.extend(verdicts(&behind.state));
    assert_eq!(all.len(), 5, "{all:#?}");
    for Verdict { decision, .. } in all {
        assert_eq!(decision.reasons, [Reason::ProbeMissed]);
        let unseen: Vec<&Note> =
            decision.notes.iter().filter(|note| matches!(note, Note::Unseen(_))).collect();
        assert_eq!(unseen, [&joined]);
        assert_eq!(decision.missed_programs, programs);
    }
}

/// The task that loads and unloads, the cache's creation from these frames, and the module that goes.
#[test]
fn a_cache_is_left_behind_once_by_the_last_who_made_it() {
    const CREATES: u32 = 9;
    let made = |frames: &[&str]| {
        let created = What::CacheCreated {
            cache: CACHE,
            facts: run::facts(1),
            asked_name: "cache".to_owned(),
            site: Site(CREATES),
        };
        begun().site(CREATES, frames).then(EXIT, created)
    };
    let frees = |run: Run, name: &str| run.then(EXIT, What::ModuleFreed { name: name.to_owned() });
    let loads = |run: Run, name: &str| run.then(EXIT, What::ModuleLoaded { name: name.to_owned() });
    let left = |run: &Run| -> Vec<Option<String>> {
        let all = verdicts(&run.state).into_iter();
        all.filter(|verdict| verdict.decision.kind == VerdictKind::Abandoned)
            .map(|verdict| verdict.cache.module)
            .collect()
    };
    let mine = Some("mine".to_owned());
    let own = ["mine_init+0x10/0x20 [mine]", "do_one_initcall+0x58/0x300"];
    let once = frees(made(&own), "mine");
    assert_eq!(left(&once), std::slice::from_ref(&mine));
    // A second life of the module did not make it.
    assert_eq!(left(&frees(loads(once, "mine"), "mine")), std::slice::from_ref(&mine));
    // Somebody else held it.
    let held = frees(made(&own), "mine");
    assert_eq!(left(&held.destroy_begin().emptied()), []);
    // `mine` asked `theirs` to make it: whoever goes last leaves it behind.
    let asked = ["theirs_make+0x10/0x20 [theirs]", "mine_init+0x10/0x20 [mine]"];
    let helper = frees(loads(made(&asked), "other"), "theirs");
    assert_eq!(left(&helper), []);
    assert_eq!(left(&frees(helper, "mine")), [mine]);
    let user = frees(made(&asked), "mine");
    assert_eq!(left(&user), []);
    assert_eq!(left(&frees(user, "theirs")), [Some("theirs".to_owned())]);
}

#[test]
fn a_cache_that_was_merged_is_left_behind_by_who_asked_for_it() {
    const ASKS: u32 = 9;
    const GIVES: u32 = 10;
    const THEIRS_GIVES: u32 = 11;
    const JUMPS: u32 = 12;
    let asks = |run: Run, name: &str| {
        let facts = run::facts(2);
        run.then(
            EXIT,
            What::CacheCreated { cache: CACHE, facts, asked_name: name.to_owned(), site: Site(ASKS) },
        )
    };
    let merged = || {
        let run = begun()
            .site(ASKS, &["mine_init+0x10/0x20 [mine]", "do_one_initcall+0x58/0x300"])
            .site(GIVES, &["mine_exit+0x10/0x20 [mine]", "__do_sys_delete_module+0x1/0x2"])
            .site(THEIRS_GIVES, &["theirs_exit+0x10/0x20 [theirs]", "__do_sys_delete_module+0x1/0x2"])
            .site(JUMPS, &["__do_sys_delete_module+0x1/0x2"]);
        asks(run, "mine_cache")
    };
    let gives = |run: Run, site| {
        let facts = run::facts(2);
        let (site, comm, counted) = (Site(site), "rmmod".to_owned(), false);
        run.then(EXIT, What::DestroyBegin { cache: CACHE, facts, site, comm, counted })
    };
    let frees = |run: Run| run.then(EXIT, What::ModuleFreed { name: "mine".to_owned() });
    let left = |run: &Run| -> Vec<(String, Option<String>)> {
        let all = verdicts(&run.state).into_iter();
        all.filter(|verdict| verdict.decision.kind == VerdictKind::Abandoned)
            .map(|verdict| (verdict.cache.name, verdict.cache.module))
            .collect()
    };
    let mine = |name: &str| (name.to_owned(), Some("mine".to_owned()));
    assert_eq!(left(&frees(merged())), [mine("mine_cache")]);
    assert_eq!(left(&frees(gives(merged(), GIVES))), []);
    // It jumped to the destroy: there is no frame of it.
    assert_eq!(left(&frees(gives(merged(), JUMPS))), []);
    let facts = run::facts(2);
    let (asked_name, site) = ("their_cache".to_owned(), Site(THEIRS_GIVES));
    let theirs = merged().then(EXIT, What::CacheCreated { cache: CACHE, facts, asked_name, site });
    assert_eq!(left(&frees(gives(theirs, JUMPS))), []);
    // Another user lets go of what it has, and this one does not.
    assert_eq!(left(&frees(gives(merged(), THEIRS_GIVES))), [mine("mine_cache")]);
    // Two were asked for, and one is given back.
    let twice = asks(merged(), "mine_other");
    assert_eq!(left(&frees(gives(twice, GIVES))), [mine("mine_cache")]);
    // Another module held it for this one.
    assert_eq!(left(&gives(frees(merged()), THEIRS_GIVES)), []);
}

/// `rmmod theirs mine` is one task: what it called in the exit of `theirs` is no part of the teardown of `mine`.
#[test]
fn a_barrier_in_the_exit_of_another_module_orders_only_that_one_s_callbacks() {
    use VerdictKind::{Clean, Unordered};
    const IN_EXIT: u32 = 9;
    const OWN_EXIT: u32 = 10;
    const JUMP: u32 = 11;
    let begun = || {
        begun()
            .site(
                IN_EXIT,
                &[
                    "rcu_barrier+0x5/0x150",
                    "theirs_exit+0x10/0x20 [theirs]",
                    "__do_sys_delete_module+0x1/0x2",
                ],
            )
            .site(
                OWN_EXIT,
                &["rcu_barrier+0x5/0x150", "mine_exit+0x10/0x20 [mine]", "__do_sys_delete_module+0x1/0x2"],
            )
            .site(INIT, &["mine_init+0x10/0x20 [mine]", "do_one_initcall+0x58/0x300"])
            .then(
                EXIT,
                What::Function {
                    function: FunctionAddress(9),
                    symbol: "theirs_free+0x0/0x20 [theirs]".to_owned(),
                },
            )
    };
    let ran_with = |function| ran(queued(begun().created(CACHE), 0..3, CACHE, function), 0..3, CACHE);
    assert_eq!(said(ran_with(7).barrier_from(EXIT, Rcu, IN_EXIT)).0, Unordered);
    assert_eq!(said(ran_with(7).barrier_from(EXIT, Rcu, OWN_EXIT)).0, Clean);
    let of_cache = |run: Run| {
        let decision = run.destroy_begin_from(INIT).look(0).emptied().verdict().decision;
        assert!(decision.reasons.is_empty(), "{decision:#?}");
        decision.kind
    };
    assert_eq!(of_cache(ran_with(7).barrier_from(EXIT, Rcu, IN_EXIT)), Unordered);
    assert_eq!(of_cache(ran_with(7).barrier_from(EXIT, Rcu, OWN_EXIT)), Clean);
    // The callbacks are those of the module whose exit waited for them; the cache is another's.
    assert_eq!(of_cache(ran_with(9).barrier_from(EXIT, Rcu, IN_EXIT)), Clean);
    // The other exit ended by a jump to its barrier: whose exit it was is known when it has returned.
    let jump = |run: Run| {
        run.site(JUMP, &["rcu_barrier+0x5/0x150", "__do_sys_delete_module+0x1/0x2"])
            .barrier_from(EXIT, Rcu, JUMP)
    };
    let going = |run: Run, name: &str| run.then(EXIT, What::ModuleGoing { name: name.to_owned() });
    assert_eq!(of_cache(going(jump(ran_with(7)), "theirs")), Unordered);
    assert_eq!(of_cache(jump(ran_with(7))), Clean);
    assert_eq!(said(going(jump(ran_with(7)), "mine")).0, Clean);
    assert_eq!(said(going(jump(ran_with(7)), "theirs")).0, Unordered);
    // The same of what waits for kfree_rcu() and for call_srcu().
    let freed = || begun().created(CACHE).queued(EXIT, 0..3).freed(0..3, FreePath::Bulk);
    assert_eq!(of_cache(freed().barrier_from(EXIT, Kvfree, IN_EXIT)), Unordered);
    assert_eq!(of_cache(freed().barrier_from(EXIT, Kvfree, OWN_EXIT)), Clean);
    let srcu = |function| {
        let what = What::CallbackQueued {
            object: ObjectAddress(64),
            cache: CACHE,
            function: FunctionAddress(function),
            text: None,
            domain: Domain { flavour: Flavour::Srcu, address: 0 },
            site: Site(0),
        };
        ran(begun().created(CACHE).then(EXIT, what), 1..2, CACHE)
    };
    assert_eq!(said(srcu(7).barrier_from(EXIT, Srcu, IN_EXIT)).0, Unordered);
    assert_eq!(said(srcu(7).barrier_from(EXIT, Srcu, OWN_EXIT)).0, Clean);
    assert_eq!(of_cache(srcu(7).barrier_from(EXIT, Srcu, IN_EXIT)), Unordered);
    assert_eq!(of_cache(srcu(7).barrier_from(EXIT, Srcu, OWN_EXIT)), Clean);
    assert_eq!(of_cache(srcu(9).barrier_from(EXIT, Srcu, IN_EXIT)), Clean);
    // A flush in the exit of one builds on no barrier in the exit of the other, nor does the second barrier of a chain.
    let chain = |first, second| {
        let again = What::CallbackQueued {
            object: ObjectAddress(64),
            cache: CACHE,
            function: FunctionAddress(7),
            text: None,
            domain: Domain::default(),
            site: Site(0),
        };
        let run = queued(begun().created(CACHE), 1..2, CACHE, 7);
        let run = run.then(run::SOFTIRQ, What::CallbackRuns { object: ObjectAddress(64), cache: CACHE });
        let run = ran(run.then(run::SOFTIRQ, again).then(run::SOFTIRQ, run::RETURNED), 1..2, CACHE);
        of_cache(run.barrier_from(EXIT, Rcu, first).barrier_from(EXIT, Rcu, second))
    };
    assert_eq!(chain(IN_EXIT, OWN_EXIT), Unordered);
    assert_eq!(chain(OWN_EXIT, OWN_EXIT), Clean);
}
