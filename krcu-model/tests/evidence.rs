//! Evidence that comes with a verdict: what a destroy waited for, how objects were freed, and where leaked ones
//! were allocated.

mod run;

use krcu_common::{BarrierKind, FreePath};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, Gap, LossReason, ObjectAddress, Scope, Site, Time, What},
    promise::Promise,
    state::Blind,
    verdict::{FreedBy, Note, OfLeft, SiteCount},
};
use run::*;

const BEGINS: What = What::GraceBegin { expedited: false };
const ENDS: What = What::GraceEnd { expedited: false };

fn allocated(object: u64, cache: CacheAddress, site: u32) -> What {
    What::Allocated { object: ObjectAddress(object), cache, site: Site(site) }
}

fn sites(run: Run) -> Run {
    (1..3).fold(run, |run, site| {
        run.then(
            EXIT,
            What::Site { site: Site(site), frames: vec![format!("from_{site}+0x1/0x2 [my_module]")] },
        )
    })
}

fn site(number: u32, objects: u64) -> SiteCount {
    SiteCount { objects, stack: vec![format!("from_{number}+0x1 [my_module]")] }
}

#[test]
fn grace_periods_that_end_while_a_destroy_waits_are_counted() {
    let waits = |blind| {
        let run = Run::seeing(blind).created(CACHE).then(9, BEGINS).queued(EXIT, 0..1).then(9, ENDS);
        let run = run.then(9, BEGINS).destroy_begin().then(9, ENDS);
        let run = run.then(9, What::GraceEnd { expedited: true }).then(9, BEGINS).then(9, ENDS);
        run.freed(0..1, FreePath::Bulk)
    };
    let looks = |run: Run| run.look(4).emptied().then(9, BEGINS).then(9, ENDS);
    let verdict = looks(waits(vec![Blind::Inside])).verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.evidence.destroyed.grace_periods),
        (VerdictKind::Waited, Some(2))
    );
    // Not where they are not seen, or may not all have been.
    let blind = looks(waits(vec![Blind::Inside, Blind::Grace])).verdict();
    assert_eq!((blind.decision.kind, blind.evidence.destroyed.grace_periods), (VerdictKind::Waited, None));
    let lost = |from, until| {
        let (from, until) = (Time(from), Time(until));
        let gap = Gap {
            reason: LossReason::MapFull,
            events: 1,
            from,
            until,
            scope: Scope::Grace,
            programs: Vec::new(),
        };
        let verdict = looks(waits(vec![Blind::Inside]).then(0, What::Gap(gap))).verdict();
        (verdict.decision.kind, verdict.evidence.destroyed.grace_periods)
    };
    // The destroy is entered at 5 µs.
    assert_eq!(lost(6_000, 6_500), (VerdictKind::Waited, None));
    assert_eq!(lost(1_000, 4_999), (VerdictKind::Waited, Some(2)));
}

#[test]
fn deferred_frees_are_counted_by_their_path_until_the_look() {
    let run = Run::live()
        .created(CACHE)
        .queued(EXIT, 0..10)
        .callbacks(EXIT, 640..641)
        .then(EXIT, queued(11, true))
        .then(EXIT, freed_by_its_call(11))
        .then(EXIT, queued(12, true))
        .freed(12..13, FreePath::Single)
        .freed(0..3, FreePath::Bulk)
        .freed(3..4, FreePath::Single)
        .freed(4..9, FreePath::Sheaf)
        .ran(640..641)
        // The module's own.
        .freed(100..103, FreePath::Bulk)
        .destroy_begin()
        .look(0)
        .left(1)
        .freed(9..10, FreePath::Bulk);
    let freed_by = FreedBy { bulk: 3, list: 2, sheaf: 5, callback: 1, within_call: 1 };
    assert_eq!(run.verdict().evidence.deferred.freed_by, freed_by);
}

#[test]
fn what_lay_in_sheaves_is_said_of_a_destroy_that_waited_for_it() {
    let run = || Run::live().created(CACHE).queued(EXIT, 0..6).freed(0..1, FreePath::Sheaf).destroy_begin();
    let verdict = run().freed(1..4, FreePath::Sheaf).freed(4..6, FreePath::Bulk).look(4).emptied().verdict();
    assert_eq!(
        (verdict.decision.kind, verdict.decision.waited.own_frees, verdict.decision.waited.in_sheaves),
        (VerdictKind::Waited, 5, 3)
    );
    assert!(verdict.decision.notes.contains(&Note::LayInSheaves(3)), "{:?}", verdict.decision.notes);
    let none = run().freed(1..6, FreePath::Bulk).look(4).emptied().verdict();
    assert_eq!((none.decision.waited.in_sheaves, none.decision.notes), (0, vec![]));
}

#[test]
fn leaked_objects_are_told_by_where_they_were_allocated() {
    let run = sites(Run::live()).created(CACHE);
    let run = [(0, 1), (64, 1), (128, 2), (192, 1), (256, 1), (320, 1), (384, 1)]
        .into_iter()
        .fold(run, |run, (object, site)| run.then(EXIT, allocated(object, CACHE, site)));
    let run = run
        .then(EXIT, allocated(4096, OTHER, 1))
        .queued(EXIT, 192..193)
        // The head is inside the object.
        .callbacks(EXIT, 256 + 16..256 + 17)
        .then(EXIT, What::FreedAtOnce { object: ObjectAddress(320), cache: CACHE })
        .freed(384..385, FreePath::Single)
        .destroy_begin()
        .look(0)
        .left(5);
    // The callback that waits may free any of the three beside its own.
    let verdict = run.verdict();
    assert_eq!((verdict.decision.left.leaked, verdict.decision.left.undecided), (Some(0), 3));
    assert_eq!(verdict.evidence.leak_sites, []);
    let freed = What::FreedAtOnce { object: ObjectAddress(256), cache: CACHE };
    let run = run.then(SOFTIRQ, runs(256 + 16)).then(SOFTIRQ, freed).then(SOFTIRQ, RETURNED);
    let verdict = run.verdict();
    assert_eq!((verdict.decision.kind, verdict.decision.left.leaked), (VerdictKind::Pending, Some(3)));
    assert_eq!(verdict.evidence.leak_sites, [site(1, 2), site(2, 1)]);
    assert_eq!((verdict.decision.left.frees, verdict.decision.left.callbacks), (1, Some(1)));
    // Of a live watch nobody is accused of what only a machine could tell.
    let broken = run.state.violations().iter().filter(|broken| broken.promise == Promise::NoFalseSplat);
    assert_eq!(broken.count(), 0);
}

#[test]
fn leaked_objects_whose_allocation_was_not_seen_are_said_to_be_so() {
    let left = |run: Run| run.destroy_begin().look(0).left(3).verdict();
    let watched = left(sites(Run::live()).created(CACHE).then(EXIT, allocated(0, CACHE, 1)));
    assert_eq!((watched.decision.left.leaked, watched.evidence.leak_sites), (Some(3), vec![site(1, 1)]));
    assert_eq!(watched.decision.notes, [OfLeft::LeaksFromUnseen(2).into()]);
    // Where nobody asked for allocations there is nothing to say.
    let unasked = left(Run::live().created(CACHE));
    assert_eq!(
        (unasked.decision.left.leaked, unasked.evidence.leak_sites, unasked.decision.notes),
        (Some(3), vec![], vec![])
    );
    // More than are left, so that some were freed unseen.
    let run = (0..4).fold(sites(Run::live()).created(CACHE), |run, object| {
        run.then(EXIT, allocated(object * 64, CACHE, 2))
    });
    let more = left(run);
    assert_eq!((more.decision.left.leaked, more.evidence.leak_sites), (Some(3), vec![site(2, 4)]));
    assert_eq!(more.decision.notes, [OfLeft::MoreAllocated { allocated: 4, excess: 1 }.into()]);
}

#[test]
fn what_was_allocated_goes_with_the_memory_of_its_cache() {
    let run = sites(Run::live())
        .created(CACHE)
        .then(EXIT, allocated(0, CACHE, 1))
        .destroy_begin()
        .look(0)
        .emptied();
    let run = run.created(CACHE).then(EXIT, allocated(64, CACHE, 2)).destroy_begin().look(0).left(1);
    let verdicts = krcu_model::verdicts(&run.state);
    assert_eq!(verdicts[1].evidence.leak_sites, [site(2, 1)]);
    // And one that was freed and allocated again is where it was allocated last.
    let run = sites(Run::live()).created(CACHE).then(EXIT, allocated(0, CACHE, 1));
    let run = run.queued(EXIT, 0..1).freed(0..1, FreePath::Bulk).barrier(EXIT, BarrierKind::Kvfree);
    let run = run.then(EXIT, allocated(0, CACHE, 2)).destroy_begin().look(0).left(1);
    assert_eq!(run.verdict().evidence.leak_sites, [site(2, 1)]);
}
