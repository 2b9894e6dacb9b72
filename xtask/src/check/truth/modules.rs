//! Modules that go: with callbacks in their text, with caches left behind, and in the right way.
//!
//! `krcu_kcall` has no slab cache at all; how its callbacks can be outstanding as it goes without a crash is told in
//! `modules/krcu_kcall/krcu_kcall.c`.

use super::{
    BY_THE_DESTROY, Field, NO_RCU_BARRIER, by_call_rcu, by_kfree_rcu, leaked, left, ordering, played, watched,
};
use crate::check::scenarios::{
    ALL, Act, Expectation, Line, SHEAVES, Scenario, Want, quiet, reported, summary, undecided, unnoticed,
    verdict, word,
};

/// A verdict about the module `krcu_kcall`: of no cache, and the only verdict of its scenario.
const fn of_module(fields: &'static [Field]) -> Line {
    Line { kind: "verdict", cache: None, fields }
}

/// A scenario with `krcu_kcall`, which nobody but its own text loads, under `--strict`.
const fn going(
    name: &'static str,
    why: &'static str,
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario {
        modules: &["krcu_kcall"],
        act: Act::Watched { before: "", options: "--strict", text },
        ..played(name, why, "", expectations)
    }
}

/// The same, of which something happens before krcu comes.
const fn going_late(
    name: &'static str,
    why: &'static str,
    act: Act,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { modules: &["krcu_kcall"], ..watched(name, why, act, expectations) }
}

/// As [`quiet`], where `--strict` counts what went well by luck.
const fn strictly_flagged(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { status: 10, ..quiet(series, lines) }
}

const MODULE: Field = ("module", Want::Text("krcu_kcall"));
const FLAGGED: Field = ("flagged", Want::Flag(true));
/// What is outstanding is by this function.
const BY: Field = ("/callbacks/0/function", Want::Has("krcu_kcall_free"));
/// A hundred of it.
const HUNDRED: Field = ("/callbacks/0/objects", Want::Number(100));

/// Its callbacks are outstanding as it goes.
const PENDING: &[Field] = &[word("pending"), MODULE, FLAGGED, BY, HUNDRED];
/// They have run, and its teardown did not wait for them.
const LUCKY: &[Field] =
    &[word("unordered"), MODULE, ("flagged", Want::Flag(false)), ("flagged_strictly", Want::Flag(true)), BY];
/// It is older than krcu, and calls call_rcu().
const OLDER: &[Field] = &[
    word("clean"),
    MODULE,
    ordering("unknown"),
    ("reasons", Want::Has("late-attach")),
    ("callbacks_ever", Want::Number(0)),
];
/// Nothing is said against any module, nor left open.
const NOTHING: &[Line] = &[summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0))])];

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    going(
        "module_pending",
        "A hundred callbacks in the module's text are outstanding when its exit returns: no grace period has ended. The kernel waits \
         for none of them before it frees the text (free_module()).",
        "insmod /modules/krcu_kcall.ko held=5000; rmmod krcu_kcall",
        &[unnoticed(ALL, &[of_module(PENDING)])],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "",
            text: "insmod /modules/krcu_kcall.ko held=5000; rmmod krcu_kcall",
        },
        ..going(
            "module_pending_not_strictly",
            "What is outstanding is a fault without --strict too.",
            "",
            &[unnoticed(ALL, &[of_module(PENDING)])],
        )
    },
    going(
        "module_pending_traced",
        "The same of a module with functions that can be traced, as any is: between the exit's return and the event module_free the \
         kernel waits for a grace period (ftrace_release_mod()). It waits for no callback, and at the return all were outstanding.",
        "insmod /modules/krcu_traced.ko held=2000; rmmod krcu_traced",
        &[unnoticed(
            ALL,
            &[of_module(&[word("pending"), ("module", Want::Text("krcu_traced")), FLAGGED, BY, HUNDRED])],
        )],
    ),
    going(
        "module_pending_after_a_barrier",
        "Its exit calls rcu_barrier() first and queues afterwards: the barrier covers nothing of it.",
        "insmod /modules/krcu_kcall.ko held=5000 barrier=2; rmmod krcu_kcall",
        &[unnoticed(ALL, &[of_module(PENDING)])],
    ),
    going(
        "module_pending_by_tasks",
        "call_rcu_tasks() leaves callbacks in the module's text as call_rcu() does; a grace period of it begins with one of RCU's, \
         which the reader holds up.",
        "insmod /modules/krcu_kcall.ko way=tasks held=5000; rmmod krcu_kcall",
        &[unnoticed(ALL, &[of_module(PENDING)])],
    ),
    going(
        "module_lucky",
        "All callbacks have run long before the module goes, and its exit calls no rcu_barrier(): the next time one may be \
         outstanding.",
        "insmod /modules/krcu_kcall.ko early=1
         until [ $(cat /sys/module/krcu_kcall/parameters/ran) = 100 ]; do usleep 10000; done
         rmmod krcu_kcall",
        &[strictly_flagged(ALL, &[of_module(LUCKY)])],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "",
            text: "insmod /modules/krcu_kcall.ko early=1
                   until [ $(cat /sys/module/krcu_kcall/parameters/ran) = 100 ]; do usleep 10000; done
                   rmmod krcu_kcall",
        },
        ..going(
            "module_lucky_not_strictly",
            "Luck is told, and is no fault without --strict.",
            "",
            &[quiet(ALL, &[of_module(LUCKY)])],
        )
    },
    going(
        "module_waits_by_a_count",
        "Its exit waits until a count says that all have run. The last callback counts before it has returned, so its code may go \
         under it: no order.",
        "insmod /modules/krcu_kcall.ko wait=1; rmmod krcu_kcall",
        &[strictly_flagged(ALL, &[of_module(LUCKY)])],
    ),
    going(
        "module_barrier",
        "rcu_barrier() is the last thing that its exit does.",
        "insmod /modules/krcu_kcall.ko barrier=1; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_barrier_by_a_jump",
        "The same where the compiler makes a jump of the last call: no frame of the module's is in the stack of rcu_barrier(), and \
         the task is the one that unloads it.",
        "insmod /modules/krcu_kcall.ko barrier=3; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_barrier_of_its_init",
        "Its init queues and then calls rcu_barrier(). No exit begins before the init has returned (MODULE_STATE_LIVE), so what \
         another task than the unloading one called is an order.",
        "insmod /modules/krcu_kcall.ko early=1 barrier=4; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_barrier_by_tasks",
        "rcu_barrier_tasks() is that for call_rcu_tasks().",
        "insmod /modules/krcu_kcall.ko way=tasks barrier=1; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_text_elsewhere",
        "What it queued is outstanding as it goes, and the callback is another module's function, which stays. That one's exit \
         calls rcu_barrier().",
        "insmod /modules/krcu_text.ko; insmod /modules/krcu_kcall.ko way=text held=5000
         rmmod krcu_kcall; rmmod krcu_text",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_kfree_rcu",
        "kfree_rcu() has the kernel's own code free: what is outstanding needs nothing of the module's.",
        "insmod /modules/krcu_kcall.ko way=kfree held=5000; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_never_deferred",
        "It queues nothing at all.",
        "insmod /modules/krcu_kcall.ko objects=0; rmmod krcu_kcall",
        &[quiet(ALL, NOTHING)],
    ),
    going(
        "module_barrier_of_another",
        "The exit of another module calls rcu_barrier() before this one goes without a barrier of its own.",
        "insmod /modules/krcu_text.ko; insmod /modules/krcu_kcall.ko early=1
         rmmod krcu_text
         until [ $(cat /sys/module/krcu_kcall/parameters/ran) = 100 ]; do usleep 10000; done
         rmmod krcu_kcall",
        &[strictly_flagged(
            ALL,
            &[of_module(&[
                word("unordered"),
                MODULE,
                BY,
                ("/lucky_barrier/function", Want::Text("rcu_barrier")),
                ("/lucky_barrier/comm", Want::Text("rmmod")),
                ("/lucky_barrier/stack", Want::Has("krcu_text_exit")),
            ])],
        )],
    ),
    going_late(
        "module_late_barrier",
        "What it queued before krcu came nobody saw. Its exit calls rcu_barrier() after that, which covers it, whatever it was.",
        Act::Watched {
            before: "insmod /modules/krcu_kcall.ko early=1 barrier=1",
            options: "--strict",
            text: "rmmod krcu_kcall",
        },
        &[quiet(ALL, NOTHING)],
    ),
    going_late(
        "module_late_pending",
        "It is older than the probes and queues as it goes, under their eyes.",
        Act::Watched {
            before: "insmod /modules/krcu_kcall.ko held=5000",
            options: "",
            text: "rmmod krcu_kcall",
        },
        &[unnoticed(ALL, &[of_module(PENDING)])],
    ),
    going_late(
        "module_late_unknown",
        "It queued before krcu came, nothing since, and its exit calls no barrier. Whether anything is outstanding nobody has \
         seen; that it calls call_rcu() its text shows. Without --strict that is a note.",
        Act::Watched {
            before: "insmod /modules/krcu_kcall.ko early=1
                     until [ $(cat /sys/module/krcu_kcall/parameters/ran) = 100 ]; do usleep 10000; done",
            options: "",
            text: "rmmod krcu_kcall",
        },
        &[quiet(
            ALL,
            &[of_module(OLDER), summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0))])],
        )],
    ),
    Scenario {
        modules: &[],
        in_tree: &["dummy"],
        ..going_late(
            "module_late_without_callbacks",
            "It calls no function that hands a callback to RCU, so being older than krcu is no doubt: nothing is said, under \
             --strict neither.",
            Act::Watched { before: "modprobe dummy numdummies=0", options: "--strict", text: "rmmod dummy" },
            &[quiet(ALL, NOTHING)],
        )
    },
    going_late(
        "module_late_unknown_strictly",
        "Under --strict it is undecided: as of a cache that is older, the word is that nothing was seen to be wrong, and the status \
         is that of a doubt.",
        Act::Watched {
            before: "insmod /modules/krcu_kcall.ko early=1
                     until [ $(cat /sys/module/krcu_kcall/parameters/ran) = 100 ]; do usleep 10000; done",
            options: "--strict",
            text: "rmmod krcu_kcall",
        },
        &[undecided(ALL, &[of_module(OLDER)])],
    ),
    played(
        "abandoned",
        "The module goes and leaves its cache, with twenty objects in it that are queued: the batch or the sheaf that they are in \
         has not left. The cache stays until the machine is switched off.",
        "play 'create left_queued; abandon left_queued'; unload 'alloc left_queued 20; queue left_queued 20'",
        &[unnoticed(
            ALL,
            &[verdict(
                "left_queued",
                &[
                    word("abandoned"),
                    FLAGGED,
                    by_kfree_rcu(20),
                    by_call_rcu(0),
                    ("module", Want::Text("krcu_play")),
                ],
            )],
        )],
    ),
    played(
        "abandoned_empty",
        "Nothing was ever allocated from it, and it stays all the same.",
        "play 'create left_empty; abandon left_empty'; rmmod krcu_play",
        &[unnoticed(
            ALL,
            &[verdict(
                "left_empty",
                &[word("abandoned"), FLAGGED, by_kfree_rcu(0), ("module", Want::Text("krcu_play"))],
            )],
        )],
    ),
    played(
        "abandoned_after_callbacks",
        "Its twenty callbacks have run when the module goes, whose exit calls rcu_barrier(): nothing is outstanding, and the cache \
         is left behind.",
        "play 'create left_called; alloc left_called 20; call left_called 20; barrier; abandon left_called'; rmmod krcu_play",
        &[unnoticed(
            ALL,
            &[verdict(
                "left_called",
                &[word("abandoned"), FLAGGED, by_call_rcu(0), ("callbacks_ever", Want::Number(20))],
            )],
        )],
    ),
    played(
        "abandoned_with_objects",
        "Five objects in it nobody will ever free.",
        "play 'create left_full; alloc left_full 5; forget left_full; abandon left_full'; rmmod krcu_play",
        &[unnoticed(ALL, &[verdict("left_full", &[word("abandoned"), FLAGGED, by_kfree_rcu(0)])])],
    ),
    played(
        "failed_is_not_abandoned",
        "A destroy that failed has a verdict already: the module did what it could. One verdict, not two.",
        "play 'create a; alloc a 5; forget a; destroy a'; rmmod krcu_play",
        &[reported(ALL, &[verdict("a", &[word("leaked"), leaked(5), left(5)])])],
    ),
    played(
        "destroyed_beside_abandoned",
        "Of two caches the module destroys one.",
        "play 'create a; create left_beside; abandon left_beside; alloc a 20; free a 20; destroy a'; rmmod krcu_play",
        &[unnoticed(
            ALL,
            &[verdict("a", &[word("clean")]), verdict("left_beside", &[word("abandoned"), FLAGGED])],
        )],
    ),
    played(
        "outstanding_at_the_destroy_only",
        "The callbacks are outstanding when the exit destroys the cache, which is a fault of the cache's. Afterwards the exit \
         calls rcu_barrier(), so the module's text does not go before they have run: no more is said.",
        "play 'create a; alloc a 20'; unload 'hold 1000 flushed; call a 20; destroy a; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[
                    verdict("a", &[word("pending"), by_call_rcu(20), left(20), ("notes", Want::Has("[]"))]),
                    summary(&[("flagged", Want::Number(1)), ("inconclusive", Want::Number(0))]),
                ],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited")]), summary(&[("flagged", Want::Number(0))])]),
        ],
    ),
    played(
        "lucky_at_the_destroy_only",
        "The callbacks have run when the exit destroys the cache, by luck. The exit calls rcu_barrier() afterwards: no callback can \
         run after the module is gone, and nothing is said of that.",
        "play 'create a; alloc a 20'; unload 'flush; call a 20; called; destroy a; barrier'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[
                    verdict("a", &[word("unordered"), ("notes", Want::Has("[]"))]),
                    summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0))]),
                ],
            ),
            BY_THE_DESTROY,
        ],
    ),
    played(
        "lucky_at_the_destroy_and_loaded",
        "The same, and the module stays: whether its exit will wait is not known, and the text that may go is named.",
        "play 'create a; alloc a 20; flush; call a 20; called; destroy a; barrier'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[word("unordered"), ("notes", Want::Has("may run after the module is gone"))],
                )],
            ),
            BY_THE_DESTROY,
        ],
    ),
];
