//! Sentences of notes that no kept run has, and of those that depend on a number.

use krcu_common::Flavour;
use krcu_model::{
    event::{LossReason, Task},
    promise::BeingFreed,
    verdict::{DestroyedBy, LuckyBarrier, Note, OfLeft, Unseen, VerdictKind},
};
use krcu_report::{FlatVerdict, words, words::note};

#[test]
fn a_note_is_one_sentence_with_its_numbers() {
    let lost = |events, programs: &[&str]| Unseen::Lost {
        reason: LossReason::ProbeMissed,
        events,
        programs: programs.iter().map(|program| (*program).to_owned()).collect(),
    };
    let text = |word: &str| word.to_owned();
    let notes: [(Note, &str); 19] = [
        (Note::Merged(1), "the cache is merged with another and stays for it; this dropped a reference"),
        (Note::Merged(2), "the cache is merged with others and stays for 2 users; this dropped a reference"),
        (
            lost(0, &["freed", "queued"]).into(),
            "events that nobody counted were missed because the probe was already running on that CPU (freed, queued)",
        ),
        (lost(3, &[]).into(), "3 events were missed because the probe was already running on that CPU"),
        (lost(1, &[]).into(), "1 event was missed because the probe was already running on that CPU"),
        (
            Unseen::OlderBarrierMayOrder.into(),
            "a barrier that was running when the probes were attached may order what was queued before them",
        ),
        (
            Unseen::UnderWayAtAttach.into(),
            "the destroy was under way when the probes were attached, so what it may have waited for was not seen",
        ),
        (
            OfLeft::LeaksOlderThanProbes(2).into(),
            "2 of the leaked objects were allocated before the probes were attached",
        ),
        (OfLeft::LeaksFromUnseen(2).into(), "where 2 of the leaked objects were allocated was not seen"),
        (
            OfLeft::MoreAllocated { allocated: 4, excess: 1 }.into(),
            "4 objects were allocated and neither queued nor seen to be freed, 1 more than are left",
        ),
        (
            OfLeft::MoreThanKernelCounts { outstanding: 7, left: Some(5) }.into(),
            "7 deferred frees are outstanding by our count, and the kernel counts 5 objects",
        ),
        (
            OfLeft::MoreThanKernelCounts { outstanding: 7, left: None }.into(),
            "7 deferred frees are outstanding by our count, and the kernel found nothing left",
        ),
        (
            Note::CallbackInModule {
                function: text("my_free"),
                module: text("my_module"),
                flavour: Flavour::Rcu,
            },
            "my_free() is in the text of my_module: without rcu_barrier() it may run after the module is gone",
        ),
        (
            Note::CallbackInModule {
                function: text("my_free"),
                module: text("my_module"),
                flavour: Flavour::Srcu,
            },
            "my_free() is in the text of my_module: without srcu_barrier() of its domain it may run after the module is gone",
        ),
        (
            Note::LayInSheaves(3),
            "3 of what it waited for lay in sheaves of the CPUs, which are freed when they are full or flushed, and not before: normal where a kernel has sheaves, and no leak",
        ),
        (
            Note::BarrierEarly { objects: 1, took_ns: 9, being_freed: None },
            "a barrier returned after 9 ns without the free of 1 object that had been queued before it",
        ),
        (
            Note::BarrierEarly {
                objects: 5,
                took_ns: 9,
                being_freed: Some(BeingFreed { objects: 4, task: Task(40), ended_after_ns: 7 }),
            },
            "a barrier returned after 9 ns without the free of 5 objects that had been queued before it: task 40 was in a call that frees 4 of them, which returned 7 ns after the barrier",
        ),
        (
            Note::FreedEarly { objects: 2, after_ns: 9 },
            "2 objects were freed before a grace period had passed since they were queued, the first after 9 ns",
        ),
        (
            Note::HandedOverTwice { objects: 1, after_ns: 9 },
            "1 object was handed over to be freed while it was queued already, the first 9 ns after it was queued",
        ),
    ];
    for (told, sentence) in notes {
        assert_eq!(note(&told), sentence);
    }
}

/// A cache of task 10, which luck has ordered.
fn lucky(function: &str, task: u32, stack: &[&str]) -> FlatVerdict {
    let lucky_barrier = Some(LuckyBarrier {
        function: function.to_owned(),
        comm: "rmmod".to_owned(),
        task,
        stack: stack.iter().map(|frame| (*frame).to_owned()).collect(),
        before_ns: 1_000_000,
    });
    let destroyed_by = DestroyedBy { task: 10, ..DestroyedBy::default() };
    FlatVerdict { verdict: VerdictKind::Unordered, destroyed_by, lucky_barrier, ..FlatVerdict::default() }
}

#[test]
fn a_lucky_barrier_is_told_with_the_code_that_it_worked_for() {
    let ordering =
        |function, task, stack: &[&str]| words::ordering(&lucky(function, task, stack)).unwrap_or_default();
    let theirs = "it returned 1.00 ms before, and is no part of this teardown";
    assert_eq!(
        ordering("rcu_barrier", 30, &["theirs_exit+0x9 [theirs]"]),
        format!(
            "only by an rcu_barrier() that rmmod (task 30) called from theirs_exit+0x9 [theirs]: {theirs}"
        )
    );
    // The kernel's own function says nothing about whose barrier it was.
    let inside = ["flush_rcu_work+0x2e", "kvfree_rcu_barrier+0xed", "kmem_cache_destroy+0x1e"];
    assert_eq!(
        ordering("rcu_barrier", 30, &[&inside[..], &["theirs_exit+0x30 [theirs]"]].concat()),
        format!(
            "only by an rcu_barrier() that rmmod (task 30) called from flush_rcu_work+0x2e in a kmem_cache_destroy(), called from theirs_exit+0x30 [theirs]: {theirs}"
        )
    );
    assert_eq!(
        ordering("kvfree_rcu_barrier", 30, &[]),
        format!("only by a kvfree_rcu_barrier() that rmmod (task 30) called: {theirs}")
    );
    // The destroying task is part of its own teardown, also where no frame of it was kept.
    assert_eq!(
        ordering("srcu_barrier", 10, &[]),
        "only by an srcu_barrier() that the destroying task happened to call: it returned 1.00 ms before"
    );
}

#[test]
fn a_last_free_of_an_unknown_time_is_called_so() {
    let mut verdict = lucky("rcu_barrier", 10, &[]);
    assert_eq!(
        words::clause(&verdict),
        "nothing outstanding, by luck: it is not known when the last free ended"
    );
    verdict.margin_ns = Some(1_000_000);
    assert_eq!(words::clause(&verdict), "nothing outstanding, by luck: the last free was 1.00 ms before");
}
