//! Double frees: what is handed over while it is queued already, and what only looks like it.

mod run;

use krcu_common::{FreePath, QueueForm};
use krcu_model::{
    Verdict, VerdictKind,
    event::{Domain, FunctionAddress, Gap, LossReason, ObjectAddress, Scope, Site, Time, What},
    state::Blind,
    verdicts,
};
use run::*;

fn queue(object: u64, form: QueueForm, site: u32) -> What {
    What::Queued { object: ObjectAddress(object), cache: CACHE, site: Site(site), form }
}

fn freed_at_once(object: u64) -> What {
    What::FreedAtOnce { object: ObjectAddress(object), cache: CACHE }
}

fn doubles(run: &Run) -> u64 {
    let all = verdicts(&run.state);
    let found = all.iter().filter(|verdict| verdict.decision.kind == VerdictKind::DoubleFree);
    found.map(|verdict| verdict.evidence.deferred.queued_twice).sum()
}

fn one(run: Run, what: What) -> Run {
    run.then(EXIT, what)
}

#[test]
fn an_object_that_is_queued_twice_is_a_double_free_with_both_stacks() {
    let site = |run: Run, site, frame: &str| {
        one(run, What::Site { site: Site(site), frames: vec![frame.to_owned()] })
    };
    let run = site(Run::live(), 1, "first+0x1/0x9 [my_module]");
    let run = site(run, 2, "second+0x2/0x9 [my_module]").created(CACHE);
    let run = one(one(run, queue(64, QueueForm::Head, 1)), queue(64, QueueForm::Head, 2));
    // Even of a cache that is never destroyed.
    let verdict: Verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.evidence.deferred.queued_twice), (VerdictKind::DoubleFree, 1));
    assert_eq!((verdict.cache.name.as_str(), verdict.cache.module.as_deref()), ("cache", Some("my_module")));
    let stacks: Vec<_> =
        verdict.evidence.deferred.sites.iter().map(|site| (site.objects, site.stack.clone())).collect();
    let stack = |frame: &str| (1, vec![frame.to_owned()]);
    assert_eq!(stacks, [stack("second+0x2 [my_module]"), stack("first+0x1 [my_module]")]);
    assert!(verdict.decision.kind.is_flagged());
    // The destroy says it too, and counts the object once.
    let run = run.destroy_begin().look(0).left(1);
    assert_eq!(run.kinds(), [VerdictKind::Pending, VerdictKind::DoubleFree]);
    let destroy = verdicts(&run.state).remove(0);
    assert_eq!(
        (destroy.decision.left.frees, destroy.evidence.deferred.queued_twice, destroy.decision.left.leaked),
        (1, 1, Some(0))
    );
}

#[test]
fn an_address_that_is_used_again_is_no_double() {
    let freed = Run::live().created(CACHE).queued(EXIT, 64..65).freed(64..65, FreePath::Bulk);
    assert_eq!(freed.queued(EXIT, 64..65).kinds(), []);
    let ran = Run::live().created(CACHE).callbacks(EXIT, 64..65).ran(64..65).callbacks(EXIT, 64..65);
    assert_eq!(ran.kinds(), []);
    let other = Run::live().created(CACHE).queued(EXIT, 64..65).destroy_begin().look(0).emptied();
    assert_eq!(doubles(&other.created(CACHE).queued(EXIT, 64..65)), 0, "another cache's object");
    // Where some frees are not seen, it may be one of those that came between.
    let blind = Run::seeing(vec![Blind::Frees, Blind::Grace, Blind::Inside]).created(CACHE);
    assert_eq!(doubles(&blind.queued(EXIT, 64..65).queued(EXIT, 64..65)), 0);
    let blind = Run::with(vec![Blind::Inside]).created(CACHE);
    assert_eq!(doubles(&blind.callbacks(EXIT, 64..65).callbacks(EXIT, 64..65)), 0);
}

#[test]
fn what_found_no_room_is_queued_again_by_the_kernel_itself() {
    let run = one(Run::live().created(CACHE), queue(64, QueueForm::Nolock, 0));
    let run = one(run, queue(64, QueueForm::Head, 0));
    assert_eq!(doubles(&run), 0);
    // That happens once.
    let twice = one(run, queue(64, QueueForm::Head, 0));
    assert_eq!(doubles(&twice), 1);
    let nolock = one(Run::live().created(CACHE), queue(64, QueueForm::Nolock, 0));
    assert_eq!(doubles(&one(nolock, queue(64, QueueForm::Nolock, 0))), 1);
    // It is one object.
    let run = one(Run::live().created(CACHE), queue(64, QueueForm::Nolock, 0));
    let run = one(run, queue(64, QueueForm::Head, 0)).destroy_begin().look(0).left(1);
    assert_eq!(
        (run.verdict().evidence.deferred.queued_ever, run.verdict().decision.left.leaked),
        (1, Some(0))
    );
}

#[test]
fn one_head_waits_once_and_two_heads_may_lie_in_one_object() {
    let run = Run::live().created(CACHE).callbacks(EXIT, 72..73);
    assert_eq!(doubles(&run), 0);
    assert_eq!(doubles(&run.callbacks(EXIT, 72..73)), 1);
    assert_eq!(doubles(&Run::live().created(CACHE).callbacks(EXIT, 72..73).callbacks(EXIT, 96..97)), 0);
}

#[test]
fn kfree_rcu_of_an_object_in_which_a_callback_waits_is_a_double_either_way() {
    // The object of 64 bytes is at 64.
    for (head, expected) in [(64, 1), (120, 1), (128, 0), (56, 0)] {
        let run = Run::live().created(CACHE).callbacks(EXIT, head..head + 1).queued(EXIT, 64..65);
        assert_eq!(doubles(&run), expected, "callback at {head}, then kfree_rcu()");
        let run = Run::live().created(CACHE).queued(EXIT, 64..65).callbacks(EXIT, head..head + 1);
        assert_eq!(doubles(&run), expected, "kfree_rcu(), then callback at {head}");
    }
    let over = Run::live().created(CACHE).callbacks(EXIT, 72..73).ran(72..73).queued(EXIT, 64..65);
    assert_eq!(doubles(&over), 0);
}

#[test]
fn an_object_that_is_freed_while_it_is_queued_is_a_double() {
    let queued = || Run::live().created(CACHE).queued(EXIT, 64..65);
    assert_eq!(doubles(&one(queued(), freed_at_once(64))), 1);
    assert_eq!(doubles(&one(queued(), freed_at_once(128))), 0);
    let deferred = queued().then(WORKER, freed(64, FreePath::Bulk)).then(WORKER, freed_at_once(64));
    assert_eq!(doubles(&deferred), 0, "it is the deferred free itself");
    // A callback need not free the object that its head lies in.
    let callback = Run::live().created(CACHE).callbacks(EXIT, 72..73);
    assert_eq!(doubles(&one(callback, freed_at_once(64))), 0);
}

#[test]
fn a_loss_between_the_two_may_be_the_free_that_is_missing() {
    // Queued at 200 µs and at 300 µs.
    let twice = |from: u64, until: u64, scope| {
        let run = Run::live().created(CACHE).at(200).queued(EXIT, 64..65).at(300).queued(EXIT, 64..65);
        let (from, until) = (Time(from * 1000), Time(until * 1000));
        let gap = Gap { reason: LossReason::RingFull, events: 1, from, until, scope, programs: Vec::new() };
        doubles(&run.at(900).then(0, What::Gap(gap)))
    };
    assert_eq!(twice(250, 260, Scope::Everything), 0);
    assert_eq!(twice(250, 260, Scope::Cache(CACHE)), 0);
    assert_eq!(twice(250, 260, Scope::Cache(OTHER)), 1);
    assert_eq!(twice(250, 260, Scope::Grace), 1);
    assert_eq!(twice(100, 199, Scope::Everything), 1);
    assert_eq!(twice(301, 400, Scope::Everything), 1);
}

#[test]
fn each_double_stands_for_itself() {
    // One before a loss, one around it, and a hundred behind.
    let run = Run::live().created(CACHE).at(100).queued(EXIT, 0..1).queued(EXIT, 0..1).queued(EXIT, 64..65);
    let (from, until) = (Time(150_000), Time(160_000));
    let gap = Gap {
        reason: LossReason::RingFull,
        events: 1,
        from,
        until,
        scope: Scope::Everything,
        programs: Vec::new(),
    };
    let run = run.at(200).then(0, What::Gap(gap)).queued(EXIT, 64..65);
    assert_eq!(doubles(&run), 1);
    let many = (1000..1100).fold(run, |run, object| run.queued(EXIT, object..object + 1));
    let many = (1000..1100).fold(many, |run, object| run.queued(EXIT, object..object + 1));
    assert_eq!(doubles(&many), 101);
    let named = What::CallbackQueued {
        object: ObjectAddress(9000),
        cache: CACHE,
        function: FunctionAddress(0),
        text: None,
        domain: Domain::default(),
        site: Site(0),
    };
    assert_eq!(doubles(&one(many, named)), 101);
}
