//! Barriers: which of them order what, who waits for whom.

use super::{PENDING, WAITED, leaked, ordering, played, waited_for, waited_for_callbacks, watched};
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, verdict, word,
};

/// Its destroy does not wait for callbacks.
const NO_RCU_BARRIER: &[&str] = &["6.1", "6.12", "6.18"];

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "kvfree_barrier",
        "kvfree_rcu_barrier() after the last kfree_rcu(), which modules may call on 6.12 and 6.18: the destroy finds nothing to \
         wait for.",
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
        "The form for one cache, which modules may call on 6.18: it drains every batch all the same.",
        "play 'create a; alloc a 20; queue a 20; kvbarrier_on a; destroy a'",
        &[quiet(&["6.18"], &[verdict("a", &[word("clean"), ordering("ordered"), waited_for(0), leaked(0)])])],
    ),
    played(
        "kvfree_barrier_too_early",
        "It covers what was queued before it; the destroy waits for the rest.",
        "play 'create a; alloc a 21; queue a 10; kvbarrier; queue a 11; destroy a'",
        &[quiet(
            BATCHES_WAIT,
            &[verdict("a", &[word("waited"), waited_for(11), ("queued_ever", Want::Number(21))])],
        )],
    ),
    played(
        "rcu_barrier_is_not_enough",
        "rcu_barrier() waits for callbacks; objects of kfree_rcu() wait in a batch or a sheaf that is not full, and are none.",
        "play 'create a; alloc a 20; queue a 20; barrier; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "grace_period_is_no_barrier",
        "After synchronize_rcu() the objects may be freed, and nobody has done it yet.",
        "play 'create a; alloc a 20; queue a 20; sync; expedite; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "grace_period_is_no_barrier_for_callbacks",
        "After synchronize_rcu() the callbacks may run. That they have, is luck; but for the rcu_barrier() inside 7.3's destroy.",
        "play 'create a; alloc a 20; flush; call a 20; sync; called; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("unordered"), ("callbacks_ever", Want::Number(20))])],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), ordering("ordered"), waited_for_callbacks(0)])]),
        ],
    ),
    played(
        "barrier_after_a_dropped_reference",
        "A task drops a reference of a merged cache, where newer kernels flush every batch's work all the same, and calls \
         rcu_barrier() later: that is its own, and none that flush_rcu_work() happened to call.",
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
        "An rcu_barrier() that another thread called and that has returned is as good as one's own.",
        "play 'create a; alloc a 20; call a 20; bg: barrier; join; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))])],
        )],
    ),
    played(
        "concurrent_barriers",
        "Of callers at the same time one does the work and the others return when it has (rcu_barrier(), barrier_sequence).",
        "play 'create a; alloc a 20; hold 300; call a 20; bg: barrier; bg: cpu1: barrier; bg: barrier; barrier; join; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))])],
        )],
    ),
    watched(
        "barrier_older_than_the_probes",
        "A barrier is running when the probes are attached. When it began nobody saw, so its end orders nothing: not the \
         callbacks before it, and still less those after.",
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
