//! Barriers: which barrier orders what, and which task waits for which.

use super::{
    PENDING, WAITED, by_kfree_rcu, leaked, left, ordering, played, waited_for, waited_for_callbacks, watched,
};
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, Expectation, Line, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported,
    undecided, verdict, word,
};

/// The kernels whose `kmem_cache_destroy()` does not wait for callbacks.
const NO_RCU_BARRIER: &[&str] = &["6.1", "6.12", "6.18"];

/// What a kernel is run with whose threads can be preempted anywhere.
const PREEMPTED: &str = "preempt=full";
/// Loads and unloads the module whose objects the shrinker frees.
const SHRINK: &str = "insmod /modules/krcu_shrink.ko && rmmod krcu_shrink";

/// A scenario of `krcu_shrink`, on a kernel whose threads can be preempted anywhere.
const fn shrunk(
    name: &'static str,
    why: &'static str,
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { modules: &["krcu_shrink"], append: PREEMPTED, ..played(name, why, text, expectations) }
}

/// The destroy's barrier returns while the shrinker frees a batch of 400 objects: both are told, the kernel is to blame.
const MISSED: &[Line] = &[
    verdict(
        "krcu_shrink",
        &[
            word("pending"),
            by_kfree_rcu(400),
            ("being_freed", Want::Number(400)),
            ("missed_by_barrier", Want::Number(400)),
            ("barrier_inside", Want::Flag(true)),
            left(400),
            ("advice", Want::Has("the kernel's barrier failed here, not this exit path")),
        ],
    ),
    verdict(
        "krcu_shrink",
        &[
            word("barrier-early"),
            by_kfree_rcu(400),
            ("being_freed", Want::Number(400)),
            ("notes", Want::Has("was in a call that frees 400 of them")),
        ],
    ),
];

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "kvfree_barrier",
        "The module calls kvfree_rcu_barrier() after the last kfree_rcu(), as modules may on 6.12 and 6.18. \
         The destroy finds nothing to wait for.",
        "play 'create a; alloc a 20; queue a 20; kvbarrier; destroy a'",
        &[quiet(
            BATCHES_WAIT,
            &[verdict(
                "a",
                &[
                    word("clean"),
                    ordering("ordered"),
                    waited_for(0),
                    ("queued_ever", Want::Number(20)),
                    leaked(0),
                ],
            )],
        )],
    ),
    played(
        "kvfree_barrier_on_cache",
        "The barrier for one cache, which modules may call on 6.18, still drains every batch.",
        "play 'create a; alloc a 20; queue a 20; kvbarrier_on a; destroy a'",
        &[quiet(&["6.18"], &[verdict("a", &[word("clean"), ordering("ordered"), waited_for(0), leaked(0)])])],
    ),
    played(
        "kvfree_barrier_too_early",
        "The barrier covers what was queued before it. The destroy waits for the rest.",
        "play 'create a; alloc a 21; queue a 10; kvbarrier; queue a 11; destroy a'",
        &[quiet(
            BATCHES_WAIT,
            &[verdict("a", &[word("waited"), waited_for(11), ("queued_ever", Want::Number(21))])],
        )],
    ),
    played(
        "rcu_barrier_is_not_enough",
        "rcu_barrier() waits for callbacks. Objects of kfree_rcu() wait in a batch, or in a sheaf that is \
         not full, and these are no callbacks.",
        "play 'create a; alloc a 20; queue a 20; barrier; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "grace_period_is_no_barrier",
        "After synchronize_rcu() the objects may be freed, but nothing has freed them yet.",
        "play 'create a; alloc a 20; queue a 20; sync; expedite; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "grace_period_is_no_barrier_for_callbacks",
        "After synchronize_rcu() the callbacks may run. It is luck that they have run already; only on 7.3 \
         does the rcu_barrier() inside the destroy order them.",
        "play 'create a; alloc a 20; flush; call a 20; sync; called; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("unordered"), ("callbacks_ever", Want::Number(20))])],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), ordering("ordered"), waited_for_callbacks(0)])]),
        ],
    ),
    shrunk(
        "shrinker_frees_beside_the_barrier",
        "kfree_rcu_shrink_scan() calls kfree_rcu_monitor() itself. What that call has taken off the lists belongs to no work, so \
         kvfree_rcu_barrier() does not wait for it. Here the thread that reclaims is preempted as it frees. On 6.1 the monitor \
         frees nothing, so there is no such window; nothing waits, and a worker has freed all by luck. On 7.3 the objects lie \
         in sheaves, which the shrinker does not know, and the destroy waits. On 6.18 the window is there, but this module \
         does not always hit it, so nothing is expected there.",
        SHRINK,
        &[
            quiet(NO_WAIT, &[verdict("krcu_shrink", &[word("unordered")])]),
            reported(&["6.12"], MISSED),
            quiet(SHEAVES, &[verdict("krcu_shrink", &[word("waited")])]),
        ],
    ),
    shrunk(
        "shrinker_frees_beside_the_barrier_without_sheaves",
        "A cache that checks its objects has no sheaves: on 7.3 its objects lie in batches, and the window is open there too. The \
         barrier is inlined into the destroy.",
        "insmod /modules/krcu_shrink.ko debug=1 && rmmod krcu_shrink",
        &[reported(SHEAVES, MISSED)],
    ),
    played(
        "barrier_after_a_dropped_reference",
        "A task drops a reference of a merged cache; in that call newer kernels flush the work of every \
         batch. Later the task calls rcu_barrier(). krcu must see this call as the task's own, and not as \
         one that flush_rcu_work() happened to make.",
        "play 'create m merge size=2904; create n merge size=2904; create a; alloc a 20; destroy n; call a 20; barrier; destroy a'",
        &[quiet(
            ALL,
            &[
                verdict("m", &[word("alias")]),
                verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))]),
            ],
        )],
    ),
    played(
        "barrier_of_another_thread",
        "A thread of the module's own calls rcu_barrier(), and the destroying task waits for the thread by a completion. No probe \
         sees that wait, so this is neither a fault nor clean. On 7.3 the destroy's own rcu_barrier() orders the callbacks anyway.",
        "play 'create a; alloc a 20; call a 20; bg: barrier; join; destroy a'",
        &[
            undecided(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("inconclusive"),
                        ("reasons", Want::Has("helper-unawaited")),
                        ("callbacks_ever", Want::Number(20)),
                    ],
                )],
            ),
            quiet(
                SHEAVES,
                &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))])],
            ),
        ],
    ),
    played(
        "concurrent_barriers",
        "Of several callers at the same time, one does the work, and the others return when it is done \
         (rcu_barrier(), barrier_sequence).",
        "play 'create a; alloc a 20; hold 300; call a 20; bg: barrier; bg: cpu1: barrier; bg: barrier; barrier; join; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))])],
        )],
    ),
    watched(
        "barrier_older_than_the_probes",
        "A barrier is already running when the probes are attached. krcu does not know when it began, so its \
         end orders nothing: not the callbacks before the probes, and certainly not those after.",
        Act::Watched {
            before: "play 'create a; alloc a 30; hold 4000; call a 20; bg: barrier'",
            options: "",
            text: "play 'call a 10; join; called; destroy a'",
        },
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("unordered"),
                        ("callbacks_ever", Want::Number(10)),
                        ("created_while_watched", Want::Flag(false)),
                    ],
                )],
            ),
            quiet(
                SHEAVES,
                &[verdict(
                    "a",
                    &[word("waited"), waited_for_callbacks(0), ("created_while_watched", Want::Flag(false))],
                )],
            ),
        ],
    ),
];
