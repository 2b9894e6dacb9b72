//! Whose barrier orders a destroy: the teardown's own, and nobody else's.

use super::{
    BY_THE_DESTROY, Field, NO_RCU_BARRIER, by_call_rcu, late, left, ordering, played, waited_for_callbacks,
    watched,
};
use crate::check::scenarios::{
    ALL, Act, Expectation, NO_WAIT, SHEAVES, Scenario, Want, quiet, reported, undecided, verdict, word,
};

/// Twenty callbacks were ever queued.
const TWENTY: Field = ("callbacks_ever", Want::Number(20));
/// The last barrier that happened to come was an `rcu_barrier()`.
const LUCKY: Field = ("/lucky_barrier/function", Want::Text("rcu_barrier"));

/// What is left to a cache whose callbacks had run by luck, as somebody else's barrier did it: unordered where the destroy
/// calls no `rcu_barrier()` of its own.
const fn by_luck(who: Field, frame: Field) -> [Field; 8] {
    [
        word("unordered"),
        ordering("unordered"),
        ("flagged_strictly", Want::Flag(true)),
        TWENTY,
        LUCKY,
        ("/lucky_barrier/before_ns", Want::AtLeast(1)),
        who,
        frame,
    ]
}

const OF_A_MODULE: &[Field] = &by_luck(
    ("/lucky_barrier/comm", Want::Text("rmmod")),
    ("/lucky_barrier/stack", Want::Has("krcu_text_exit")),
);
const OF_AN_INIT: &[Field] = &by_luck(
    ("/lucky_barrier/comm", Want::Text("insmod")),
    ("/lucky_barrier/stack", Want::Has("krcu_kcall_init")),
);
const OF_A_LINK: &[Field] = &by_luck(
    ("/lucky_barrier/comm", Want::Text("ip")),
    ("/lucky_barrier/stack", Want::Has("netdev_run_todo")),
);
const OF_A_NAMESPACE: &[Field] =
    &by_luck(("/lucky_barrier/comm", Want::Has("kworker")), ("/lucky_barrier/task", Want::AtLeast(1)));

/// Another module goes between the last callback and the destroy.
const BESIDE: &str = "
    insmod /modules/krcu_text.ko
    play 'create a; alloc a 20; call a 20'
    play 'sleep 7000; destroy a' &
    rmmod krcu_text; wait";

/// Another barrier than the destroying task's own, which nobody saw it wait for.
const BY_A_HELPER: Expectation = undecided(
    NO_RCU_BARRIER,
    &[verdict("a", &[word("inconclusive"), ("reasons", Want::Has("helper-unawaited")), TWENTY])],
);

/// The same where the destroy's own `rcu_barrier()` orders it anyway: whether it was the only one is not known.
const ORDERED_ANYWAY: Expectation =
    quiet(SHEAVES, &[verdict("a", &[word("clean"), ordering("ordered"), TWENTY])]);

/// A barrier of its init orders the twenty callbacks.
const ORDERED: &[Field] = &[word("clean"), ordering("ordered"), TWENTY, ("lucky_barrier", Want::Nothing)];

/// A scenario with krcu_text beside krcu_play.
const fn beside_a_module(
    name: &'static str,
    why: &'static str,
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { modules: &["krcu_play", "krcu_kcall"], ..played(name, why, text, expectations) }
}

/// Its scenarios. The destroy comes seven seconds after all other commands where nothing but luck orders it: every batch of
/// the system's has left by then (KFREE_DRAIN_JIFFIES), so that the destroy of 6.12 and 6.18 flushes no work that is
/// pending, which would call rcu_barrier().
pub(super) const SCENARIOS: &[Scenario] = &[
    beside_a_module(
        "barrier_of_another_module",
        "The exit of a module that has nothing to do with it calls rcu_barrier() (krcu_text_exit()), which waits for the \
         callbacks of everybody; without it they might be outstanding. 7.3's destroy calls one of its own.",
        BESIDE,
        &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_MODULE)]), BY_THE_DESTROY],
    ),
    Scenario {
        in_tree: &["dummy"],
        ..played(
            "barrier_of_a_link",
            "`ip link del` calls rcu_barrier() before the device is freed (netdev_run_todo()). Test scripts take links down just \
             before they unload a module.",
            "modprobe dummy; ip link add d0 type dummy
             play 'create a; alloc a 20; call a 20'
             play 'sleep 7000; destroy a' &
             ip link del d0; wait",
            &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_LINK)]), BY_THE_DESTROY],
        )
    },
    played(
        "barrier_of_a_namespace",
        "A network namespace that ends is taken down by a worker, which calls rcu_barrier() (cleanup_net()).",
        "play 'create a; alloc a 20; call a 20'
         play 'sleep 7000; destroy a' &
         unshare -n true; wait",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_NAMESPACE)]), BY_THE_DESTROY],
    ),
    Scenario {
        act: Act::Watched { before: "", options: "--strict", text: BESIDE },
        ..beside_a_module(
            "barrier_of_another_module_strictly",
            "The same under --strict, which flags luck on every kernel: on 7.3 too, whose destroy waits as others do not.",
            BESIDE,
            &[
                Expectation { status: 10, ..quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_MODULE)]) },
                Expectation { status: 10, ..BY_THE_DESTROY },
            ],
        )
    },
    beside_a_module(
        "own_barrier_after_another",
        "The destroying task calls a barrier itself after the last call_rcu(): whoever called one before does not matter.",
        "insmod /modules/krcu_text.ko
         play 'create a; alloc a 20; call a 20'
         rmmod krcu_text
         play 'barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), TWENTY, ("lucky_barrier", Want::Nothing)])],
        )],
    ),
    beside_a_module(
        "own_barrier_before_another",
        "The module's own barrier comes between the two halves of its callbacks and covers the first. That the second half had \
         run is the other module's doing.",
        "insmod /modules/krcu_text.ko
         play 'create a; alloc a 20; call a 10; barrier; call a 10'
         play 'sleep 7000; destroy a' &
         rmmod krcu_text; wait",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_MODULE)]), BY_THE_DESTROY],
    ),
    played(
        "barrier_of_a_helper_thread",
        "A thread of the module's own calls the barrier, and this task waits for that thread by a completion, which no probe \
         sees: it is ordered, and nobody can tell it from luck. Neither a fault nor clean.",
        "play 'create a; alloc a 20; flush; call a 20; bg: barrier; join; destroy a'",
        &[BY_A_HELPER, ORDERED_ANYWAY],
    ),
    played(
        "barrier_of_a_helper_not_waited_for",
        "The same, and nobody waits for the thread: the callbacks have run, and with them most likely the barrier has returned. \
         To krcu it looks the same.",
        "play 'create a; alloc a 20; flush; call a 20; bg: barrier; called; sleep 500; destroy a'",
        &[BY_A_HELPER, ORDERED_ANYWAY],
    ),
    played(
        "barrier_of_an_earlier_command",
        "The module's own code calls it in one task, and another, which began when that one had ended, destroys the cache: the \
         shell waited, and no probe sees that.",
        "play 'create a; alloc a 20; call a 20; barrier'; play 'sleep 7000; destroy a'",
        &[BY_A_HELPER, ORDERED_ANYWAY],
    ),
    played(
        "barrier_of_its_init",
        "The init of the module calls it in the task of insmod, and the exit destroys the cache in that of rmmod. No exit begins \
         before the init has returned (delete_module() refuses a module that is not MODULE_STATE_LIVE): an order.",
        "insmod /modules/krcu_play.ko 'init=\"create a; alloc a 20; flush; call a 20; barrier\"'; unload 'destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "barrier_of_a_thread_of_its_init",
        "A thread that the init has started calls it, and the init waits for that thread by a completion, which no probe sees. \
         Another thread may be running still when the exit begins.",
        "insmod /modules/krcu_play.ko 'init=\"create a; alloc a 20; flush; call a 20; bg: barrier; join\"'; unload 'destroy a'",
        &[BY_A_HELPER, ORDERED_ANYWAY],
    ),
    played(
        "barrier_of_its_init_too_early",
        "What another task queues after the init has returned, its barrier does not cover.",
        "insmod /modules/krcu_play.ko 'init=\"create a; alloc a 20; barrier\"'
         play 'flush; call a 20; called'
         unload 'destroy a; barrier'",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", &[word("unordered"), TWENTY])]), BY_THE_DESTROY],
    ),
    played(
        "barrier_of_its_failing_init",
        "The init calls it, destroys the cache and fails: one task. busybox loads the module once more by the older system call.",
        "insmod /modules/krcu_play.ko 'init=\"create a; alloc a 20; flush; call a 20; barrier; destroy a; refuse\"' || true",
        &[quiet(ALL, &[verdict("a", ORDERED), verdict("a", ORDERED)])],
    ),
    beside_a_module(
        "barrier_of_the_init_of_another_module",
        "Another module's init calls it, and that module has nothing to do with this one's exit.",
        "play 'create a; alloc a 20; call a 20'
         unload 'sleep 7000; destroy a' &
         insmod /modules/krcu_kcall.ko objects=0 barrier=4; wait; rmmod krcu_kcall",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_AN_INIT)]), BY_THE_DESTROY],
    ),
    played(
        "barrier_while_others_call_one",
        "Of callers at the same time one does the work and the others return when it has (barrier_sequence): the destroying \
         task's own counts, whoever did the work. They come one after the other, since a program that is interrupted by itself \
         is skipped.",
        "play 'create a; alloc a 20; hold 600; call a 20; bg: barrier; sleep 100; bg: cpu1: barrier; sleep 100; barrier; destroy a; join'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("ordered"), TWENTY])])],
    ),
    played(
        "barrier_begun_before_the_last_callback",
        "Another task's barrier that began before the last ten callbacks covers those before them, and has not returned either. 6.12 and \
         6.18 are left out: what others queue to kfree_rcu() meanwhile may have their destroy call rcu_barrier().",
        "play 'create a; alloc a 20; hold 1000 flushed; call a 10; bg: barrier; sleep 100; call a 10; destroy a; release; join'",
        &[
            reported(NO_WAIT, &[verdict("a", &[word("pending"), by_call_rcu(20), left(20), late(20)])]),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(20)])]),
        ],
    ),
    played(
        "barrier_after_a_drop_and_a_flush",
        "The destroy of `n` drops a reference of a merged cache; on 6.1 it flushes no work at all. The flush_rcu_work() and the \
         rcu_barrier() that come later are the task's own, and no part of a destroy.",
        "play 'create m merge size=2808; create n merge size=2808; create a; alloc a 22; destroy n
               rwork a 1 kept; flushrwork; call a 20; barrier; free a 1; destroy a'",
        &[quiet(
            ALL,
            &[
                verdict("m", &[word("alias")]),
                verdict("a", &[word("clean"), ordering("ordered"), ("lucky_barrier", Want::Nothing)]),
            ],
        )],
    ),
    played(
        "barrier_after_a_drop_and_another_flush",
        "The same, and the work that is flushed has to do with no cache.",
        "play 'create m merge size=2824; create n merge size=2824; create a; alloc a 20; destroy n
               otherrwork; flushother; call a 20; barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict("m", &[word("alias")]), verdict("a", &[word("clean"), ordering("ordered"), TWENTY])],
        )],
    ),
    played(
        "only_a_flush_after_a_drop",
        "flush_rcu_work() of a work that is pending happens to call rcu_barrier(), and does not when the work is done by then: \
         luck, for callbacks that have to do with no work.",
        "play 'create m merge size=2840; create n merge size=2840; create a; alloc a 20; destroy n
               flush; call a 20; otherrwork; flushother; called; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict("m", &[word("alias")]), verdict("a", &[word("unordered"), TWENTY])],
            ),
            quiet(
                SHEAVES,
                &[verdict("m", &[word("alias")]), verdict("a", &[word("waited"), waited_for_callbacks(0)])],
            ),
        ],
    ),
    Scenario {
        modules: &["krcu_play", "krcu_kcall"],
        ..watched(
            "barrier_of_another_module_late",
            "The cache is older than the probes, its callbacks are not: the other module's barrier is luck all the same.",
            Act::Watched {
                before: "insmod /modules/krcu_text.ko; play 'create a; alloc a 20'",
                options: "",
                text: "play 'call a 20'
                       play 'sleep 7000; destroy a' &
                       rmmod krcu_text; wait",
            },
            &[quiet(NO_RCU_BARRIER, &[verdict("a", OF_A_MODULE)]), BY_THE_DESTROY],
        )
    },
];
