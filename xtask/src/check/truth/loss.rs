//! What krcu did not see, and which verdicts that touches.

use super::{PENDING, WAITED, by_kfree_rcu, late, leaked, left, ordering, unknown, waited_for, watched};
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, undecided,
    verdict, word,
};

/// The only reason why the verdict is open.
const PROBE_MISSED: Want = Want::Has("[\"probe-missed\"]");

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    watched(
        "ring_full",
        "Twenty thousand objects are queued while no processor is free to read a ring that has room for a \
         thousand events. The verdict of that cache is open. The caches that lived before it and after it \
         lost nothing.",
        Act::Watched {
            before: "",
            options: "--ring-bytes 64K --settle 2s",
            text: "play 'create a; alloc a 5; free a 5; destroy a'
                   play 'create b; alloc b 20000; sleep 300; hold 5000; queue b 20000; sleep 500; destroy b; release; drain; sleep 1500'
                   play 'create c; alloc c 5; free c 5; destroy c'",
        },
        &[
            Expectation {
                status: 11,
                ..reported(
                    NO_WAIT,
                    &[
                        verdict("a", &[word("clean"), ordering("nothing-deferred")]),
                        verdict("b", &[word("inconclusive"), ("reasons", Want::Has("ring-full"))]),
                        verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                    ],
                )
            },
            undecided(
                WAITS,
                &[
                    verdict("a", &[word("clean"), ordering("nothing-deferred")]),
                    verdict("b", &[word("inconclusive"), ("reasons", Want::Has("ring-full"))]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
        ],
    ),
    watched(
        "stack_table_full",
        "There is no room for another stack. The objects are counted as usual; only the place where they \
         were queued is unknown.",
        Act::Watched {
            before: "",
            options: "--stacks 1",
            text: "play 'create a; alloc a 20; queue a 10; sleepfree a 10; destroy a; drain'",
        },
        &[
            reported(NO_WAIT, &[PENDING]),
            quiet(WAITS, &[WAITED]),
        ],
    ),
    watched(
        "map_full",
        "8,300 works of queue_rcu_work() wait at once, because a reader holds their callbacks. The probes' map of works has \
         room for 8,192: of the others it is not seen when they run. The teardown of `a` calls rcu_barrier() and flushes the \
         queue, but what these works had done by then was not seen, so `a` is open. About `b` everything is known.",
        Act::Watched {
            before: "",
            options: "",
            text: "play 'create a; alloc a 8300; create b; alloc b 5; hold 15000 flushed; rwork a 8300; release
                         barrier; flushworks; destroy a; free b 5; destroy b'",
        },
        &[undecided(
            ALL,
            &[
                verdict("a", &[word("inconclusive"), ("reasons", Want::Has("[\"map-full\"]"))]),
                verdict("b", &[word("clean")]),
            ],
        )],
    ),
    watched(
        "queueing_unseen",
        "Five calls of kfree_rcu() come while the probe at that function runs on the same processor. The \
         kernel skips a program on a processor that runs it already (`bpf_prog->active`). These calls queued \
         objects of `a`: the objects are freed or left although no call was seen to queue them, so `a` is \
         open. Of `b`, in whose first call these five came, and of `c`, everything is known.",
        Act::Watched {
            before: "",
            options: "",
            text: "play 'create a; create b; create c; alloc a 5; alloc b 5; alloc c 5; free c 5
                         inside: queue a 5; queue b 5; sprung; destroy a; destroy b; destroy c; drain'",
        },
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "a",
                        &[word("inconclusive"), ("reasons", PROBE_MISSED), by_kfree_rcu(0), unknown(5), left(5)],
                    ),
                    verdict("b", &[word("pending"), by_kfree_rcu(5), leaked(0), left(5), late(5)]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
            undecided(
                BATCHES_WAIT,
                &[
                    verdict("a", &[word("inconclusive"), ("reasons", PROBE_MISSED)]),
                    verdict("b", &[word("clean"), ordering("ordered"), ("queued_ever", Want::Number(5))]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
            undecided(
                SHEAVES,
                &[
                    verdict("a", &[word("inconclusive"), ("reasons", PROBE_MISSED)]),
                    verdict("b", &[word("waited"), waited_for(5)]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
        ],
    ),
    watched(
        "free_unseen",
        "kvfree() is called three times, each call inside the probe's run for the one before. The second \
         copy of the probe sees the second call; nothing sees the third. The third may have freed one of the \
         objects that are outstanding when the destroy of 6.1 looks, so `a` is open there. Where the destroy \
         waits, krcu sees the free of each queued object. Nothing of `b` was deferred, so nothing of `b` \
         could have been freed.",
        Act::Watched {
            before: "",
            options: "",
            text: "play 'create a; create b; alloc a 13; alloc b 5; free b 5; hold 1000 flushed; queue a 10
                         inside: free a 1 kvfree; inside: free a 1 kvfree; free a 1 kvfree
                         destroy a; release; destroy b; sprung; drain'",
        },
        &[
            Expectation {
                status: 11,
                ..reported(
                    NO_WAIT,
                    &[
                        verdict("a", &[word("inconclusive"), ("reasons", PROBE_MISSED), left(10)]),
                        verdict("b", &[word("clean"), ordering("nothing-deferred")]),
                    ],
                )
            },
            quiet(
                WAITS,
                &[
                    verdict("a", &[word("waited"), waited_for(10)]),
                    verdict("b", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
        ],
    ),
    watched(
        "older_than_the_probes",
        "The cache and its objects are older than the probes. krcu sees that ten are queued. The destroy of \
         6.1 also finds the other ten, and nobody can say whether they had been queued. The barrier of the \
         other kernels waits for all of them, seen or not.",
        Act::Watched {
            before: "play 'create a; alloc a 20'",
            options: "",
            text: "play 'queue a 10; destroy a; drain'",
        },
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(10),
                        unknown(10),
                        left(20),
                        ("created_while_watched", Want::Flag(false)),
                    ],
                )],
            ),
            Expectation {
                status: 11,
                ..reported(
                    WAITS,
                    &[verdict("a", &[word("inconclusive"), by_kfree_rcu(0), unknown(10), left(10)])],
                )
            },
        ],
    ),
    // On the other kernels a batch leaves after five seconds, and on a busy machine attaching the probes
    // takes longer than that.
    watched(
        "queued_before_the_probes",
        "All objects of the cache were queued before krcu came, and stay in a sheaf. While the destroy \
         waits, krcu sees them freed in a way that only kfree_rcu() takes. So the destroy waited for them, \
         though krcu did not see them queued.",
        Act::Watched {
            before: "play 'create a; alloc a 20; queue a 20'",
            options: "",
            text: "play 'destroy a'",
        },
        &[quiet(
            SHEAVES,
            &[verdict(
                "a",
                &[
                    word("waited"),
                    waited_for(20),
                    ("queued_ever", Want::Number(0)),
                    ("created_while_watched", Want::Flag(false)),
                ],
            )],
        )],
    ),
    watched(
        "cpu_goes_offline",
        "A processor with queued objects goes offline. Batches are emptied for every possible processor. A \
         sheaf of 7.3 is flushed when its processor goes (slub_cpu_dead()), and rcu_barrier() waits for \
         that.",
        Act::Watched {
            before: "",
            options: "",
            text: "play 'create a; alloc a 20; cpu1: queue a 20'
                   echo 0 >/sys/devices/system/cpu/cpu1/online
                   play 'barrier; destroy a'
                   echo 1 >/sys/devices/system/cpu/cpu1/online
                   play drain",
        },
        &[
            reported(NO_WAIT, &[PENDING]),
            quiet(BATCHES_WAIT, &[WAITED]),
            quiet(SHEAVES, &[verdict("a", &[word("clean"), ordering("ordered"), ("queued_ever", Want::Number(20))])]),
        ],
    ),
];
