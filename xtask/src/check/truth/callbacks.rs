//! Objects freed by callbacks of `call_rcu()`: with a barrier, without one, and with a barrier that came too
//! early.

use super::{
    PENDING, WAITED, by_call_rcu, by_kfree_rcu, late, leaked, left, ordering, played, unknown, waited_for,
    waited_for_callbacks,
};
use crate::check::scenarios::{
    ALL, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, verdict, word,
};

/// The kernels whose `kmem_cache_destroy()` does not wait for callbacks.
const NO_RCU_BARRIER: &[&str] = &["6.1", "6.12", "6.18"];

/// The scenarios. `flushed` empties the batches of the whole system where it can, so that the destroy of 6.12
/// and 6.18 finds nothing to wait for. `hold` holds a reader, so that no callback can run.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "callback_pending",
        "While a reader is held, no grace period can end, so no callback has run when the destroy looks at \
         its slabs. kmem_cache_destroy() of 6.1 to 6.18 does not call rcu_barrier(); that of 7.3 always does \
         (kvfree_rcu_barrier_on_cache()).",
        "play 'create a; alloc a 20; hold 1000 flushed; call a 20; destroy a; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(20),
                        by_kfree_rcu(0),
                        leaked(0),
                        left(20),
                        late(20),
                        ("/callbacks/0/objects", Want::Number(20)),
                        ("/callbacks/0/function", Want::Has("krcu_play_free_callback")),
                        ("/callbacks/0/module", Want::Text("krcu_play")),
                    ],
                )],
            ),
            quiet(
                SHEAVES,
                &[verdict(
                    "a",
                    &[
                        word("waited"),
                        waited_for_callbacks(20),
                        waited_for(0),
                        ("waited_for_callbacks", Want::Flag(true)),
                    ],
                )],
            ),
        ],
    ),
    played(
        "callback_pending_kfree",
        "A callback may free an object of any cache with kfree(). The same objects are outstanding.",
        "play 'create a; alloc a 12; hold 1000 flushed; call a 12 kfree; destroy a; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(12),
                        leaked(0),
                        left(12),
                        ("/callbacks/0/function", Want::Has("krcu_play_kfree_callback")),
                    ],
                )],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(12)])]),
        ],
    ),
    played(
        "callback_barrier",
        "rcu_barrier() is called after the last call_rcu(). When it returns, every callback has run.",
        "play 'create a; alloc a 20; call a 20; barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict(
                "a",
                &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20)), leaked(0)],
            )],
        )],
    ),
    played(
        "callback_barrier_other_cpu",
        "rcu_barrier() waits for the callbacks of every processor, whichever task queued them.",
        "play 'create a; alloc a 20; cpu1: call a 10; irq: call a 5; bh: call a 5; barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))])],
        )],
    ),
    played(
        "callback_lucky",
        "All callbacks have run, but only by luck: nothing waited for them. In the next run the destroy may \
         come too early, and the module's code may be gone before the callback runs. On 7.3 the \
         rcu_barrier() inside the destroy orders them, and nothing else does. The verdict is `waited`, \
         though no callback was left to wait for.",
        "play 'create a; alloc a 20; flush; call a 20; called; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("unordered"),
                        ordering("unordered"),
                        ("flagged", Want::Flag(false)),
                        ("flagged_strictly", Want::Flag(true)),
                        ("callbacks_ever", Want::Number(20)),
                        ("/callbacks/0/objects", Want::Number(0)),
                        ("/callbacks/0/function", Want::Has("krcu_play_free_callback")),
                        ("/callbacks/0/module", Want::Text("krcu_play")),
                    ],
                )],
            ),
            quiet(
                SHEAVES,
                &[verdict(
                    "a",
                    &[
                        word("waited"),
                        ordering("ordered"),
                        waited_for_callbacks(0),
                        ("waited_for_callbacks", Want::Flag(true)),
                    ],
                )],
            ),
        ],
    ),
    played(
        "callback_barrier_too_early",
        "A barrier covers what was queued before the barrier began: it covers the first ten, and not the \
         eleven after them.",
        "play 'create a; alloc a 21; call a 10; barrier; hold 1000 flushed; call a 11; destroy a; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("pending"), by_call_rcu(11), leaked(0), left(11), late(11)])],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(11)])]),
        ],
    ),
    played(
        "callback_from_interrupts",
        "call_rcu() may be called from a hard interrupt, from a softirq, and with interrupts off.",
        "play 'create a; alloc a 20; hold 1000 flushed; irq: call a 9; bh: call a 6; off: call a 5; destroy a; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("pending"), by_call_rcu(20), leaked(0), left(20)])],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(20)])]),
        ],
    ),
    played(
        "callback_requeues",
        "The callbacks hand their objects to kfree_rcu(). rcu_barrier() waits for the callbacks, but not for \
         what the callbacks queue. 6.1 does not wait for that at all; the other kernels wait for it in the \
         destroy.",
        "play 'create a; alloc a 20; call a 20 requeue; barrier; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "callback_requeues_pending",
        "As before, but the callbacks have not run: the objects are outstanding by call_rcu(). On 7.3 the \
         rcu_barrier() inside the destroy waits until the callbacks have run, and the destroy's slab \
         shutdown then flushes the sheaves that they filled, and waits for them.",
        "play 'create a; alloc a 20; hold 1000 flushed; call a 20 requeue; destroy a; release; called; drain'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(20),
                        by_kfree_rcu(0),
                        leaked(0),
                        left(20),
                        ("/callbacks/0/function", Want::Has("krcu_play_requeue_callback")),
                    ],
                )],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(20)])]),
        ],
    ),
    played(
        "callback_two_caches",
        "Two destroys begin at the same time. Each waits for, or fails on, the callbacks of its own cache.",
        "play 'create a; create b; alloc a 20; alloc b 7; hold 1000 flushed; call a 20; call b 7; bg: destroy a; bg: destroy b; join; release'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[
                    verdict("a", &[word("pending"), by_call_rcu(20), leaked(0), left(20)]),
                    verdict("b", &[word("pending"), by_call_rcu(7), leaked(0), left(7)]),
                ],
            ),
            quiet(
                SHEAVES,
                &[
                    verdict("a", &[word("waited"), waited_for_callbacks(20)]),
                    verdict("b", &[word("waited"), waited_for_callbacks(7)]),
                ],
            ),
        ],
    ),
    played(
        "callback_queued_and_leaked",
        "Ten objects are queued by call_rcu(), twenty by kfree_rcu(), and five are forgotten. The destroy of \
         6.1 waits for nothing. The destroy of the other kernels waits for kfree_rcu(), and so for a grace \
         period. Its own callback is queued behind the ten on their processor, so only the forgotten objects \
         are left. That each of the ten callbacks freed its object nobody saw: what is left may be theirs. On 6.1 the ten wait, \
         and each may free one of the five as well: only --alloc-stacks tells that none does.",
        "play 'create a; alloc a 35; hold 500; call a 10; queue a 20; forget a; destroy a; release; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(10),
                        by_kfree_rcu(20),
                        leaked(0),
                        unknown(5),
                        left(35),
                        late(30),
                        // What waits is one thing to mend, and what may be leaked beside it another.
                        ("advice", Want::Has("free with call_rcu()")),
                        ("advice", Want::Has("5 more objects may be freed by callbacks too")),
                        ("/reasons/0", Want::Text("callbacks-outstanding")),
                    ],
                )],
            ),
            Expectation {
                status: 11,
                ..reported(
                    WAITS,
                    &[verdict(
                        "a",
                        &[
                            word("inconclusive"),
                            by_kfree_rcu(0),
                            unknown(5),
                            left(5),
                            ("reasons", Want::Has("handed-on")),
                        ],
                    )],
                )
            },
        ],
    ),
];
