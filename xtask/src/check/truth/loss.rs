//! What krcu did not see, and which verdicts that touches.

use super::{PENDING, WAITED, by_kfree_rcu, late, leaked, left, ordering, unknown, waited_for, watched};
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, undecided,
    verdict, word,
};

/// Why alone it is open.
const PROBE_MISSED: Want = Want::Has("[\"probe-missed\"]");

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    watched(
        "ring_full",
        "Twenty thousand objects are queued while no processor is free to take events out of a ring that holds a thousand. That \
         cache is undecided. The one that came and went before it lost nothing, nor did the one after.",
        Act::Watched {
            before: "",
            options: "--ring-bytes 64K --settle 2s",
            text: "play 'create a; alloc a 5; free a 5; destroy a'
                   play 'create b; alloc b 20000; sleep 300; hold 2000; queue b 20000; sleep 500; destroy b; release; drain; sleep 1500'
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
        "Without room for another stack the objects are counted as ever; only where they were queued is not known.",
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
    Scenario { own_watch: "it fills the probes' map of tasks that destroy", ..watched(
        "map_full",
        "On every kernel a destroy that only drops a reference leaves its task's entry in the map of those that destroy: 8,192 \
         such tasks fill it. `a`, destroyed by a task that finds no room, is undecided, for what its destroy waited for was \
         not counted. The script's own task has an entry, from its drop of `n`: of `b` all is known, and its look makes room \
         for one more, by which `c` is decided.",
        Act::Watched {
            before: "",
            options: "",
            text: "play 'create m merge size=2968; create n merge size=2968; destroy n; drops m 8300; sleep 2500
                         create a; alloc a 5; free a 5; create b; alloc b 5; free b 5; create c; alloc c 5; free c 5
                         bg: destroy a; join; destroy b; bg: destroy c; join'",
        },
        &[undecided(
            ALL,
            &[
                verdict("a", &[word("inconclusive"), ("reasons", Want::Has("[\"map-full\"]"))]),
                verdict("b", &[word("clean"), ordering("nothing-deferred")]),
                verdict("c", &[word("clean"), ordering("nothing-deferred")]),
            ],
        )],
    ) },
    watched(
        "queueing_unseen",
        "Five calls of kfree_rcu() come from inside a run of the probe at that function (the kernel skips a program on a processor \
         that runs it already, `bpf_prog->active`). What they queued is `a`'s: freed, or left, though nobody was seen to queue \
         it, and so undecided. Of `b`, in whose first call they came, and of `c`, all is known.",
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
        "Three calls of kvfree(), one inside the probe's run for the other: its second copy sees the second, and nobody the third. \
         It may have been one of what is outstanding when 6.1's destroy looks, which leaves `a` undecided. Where the destroy \
         waits, each object that was queued is seen to be freed. Of `b` nothing was deferred that could have been freed.",
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
        "The cache and its objects were there first. Ten are queued under krcu's eyes; of the other ten 6.1's destroy finds, \
         nobody can say whether they had been queued. The others' barrier has nothing to do with who saw what.",
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
    // Of the others a batch leaves after five seconds, and on a busy machine the probes take longer than that.
    watched(
        "queued_before_the_probes",
        "All of its objects were queued before krcu came, and are parked in a sheaf. That they are freed is seen, by a way that \
         only kfree_rcu() takes, while the destroy waits: it waited for them, whoever saw them queued.",
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
        "A processor with queued objects goes offline. Batches are emptied for every possible processor; a sheaf of 7.3 is \
         flushed as its processor goes (slub_cpu_dead()), and rcu_barrier() waits for that.",
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
