//! Objects that nobody will free, distinguished from objects that are merely late.

use super::{by_kfree_rcu, late, leaked, left, ordering, played, watched};
use crate::check::scenarios::{
    ALL, Act, Expectation, NO_WAIT, Scenario, WAITS, Want, quiet, reported, verdict, word,
};

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "leak",
        "Five objects are forgotten. They were never queued, so waiting does not help.",
        "play 'create a; alloc a 5; forget a; destroy a'",
        &[reported(
            ALL,
            &[verdict(
                "a",
                &[word("leaked"), leaked(5), left(5), by_kfree_rcu(0), ("module", Want::Text("krcu_play"))],
            )],
        )],
    ),
    played(
        "leak_among_queued",
        "Twenty objects are queued and five are forgotten. 6.1 finds all of them; the others wait for the \
         twenty and find the five.",
        "play 'create a; alloc a 25; queue a 20; forget a; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict("a", &[word("pending"), by_kfree_rcu(20), leaked(5), left(25), late(20)])],
            ),
            reported(WAITS, &[verdict("a", &[word("leaked"), by_kfree_rcu(0), leaked(5), left(5)])]),
        ],
    ),
    played(
        "leak_of_full_slabs",
        "The kernel's report lists partial slabs only, and 64 objects of 128 bytes fill two slabs. The \
         kernel's counts include all objects.",
        "play 'create a; alloc a 64; forget a; destroy a'",
        &[reported(ALL, &[verdict("a", &[word("leaked"), leaked(64), left(64)])])],
    ),
    played(
        "leak_of_one_cache",
        "A cache beside a leaking one is clean.",
        "play 'create a; create b; alloc a 5; alloc b 5; free b 5; forget a; destroy a; destroy b'",
        &[reported(
            ALL,
            &[
                verdict("a", &[word("leaked"), leaked(5), left(5)]),
                verdict("b", &[word("clean"), ordering("nothing-deferred")]),
            ],
        )],
    ),
    played(
        "queued_after_the_look",
        "When the destroy looked, nobody had queued the objects. Queueing them later frees the objects, but \
         not the cache.",
        "play 'create a; alloc a 5; destroy a; queue a 5; drain'",
        &[reported(ALL, &[verdict("a", &[word("leaked"), leaked(5), left(5), by_kfree_rcu(0)])])],
    ),
    watched(
        "leak_older_than_the_probes",
        "These objects are older than the probes. Nobody can say whether they were queued before the probes \
         were attached.",
        Act::Watched {
            before: "play 'create a; alloc a 5; forget a'",
            options: "--settle 1s",
            text: "play 'destroy a'",
        },
        &[Expectation {
            status: 11,
            ..reported(ALL, &[verdict("a", &[word("inconclusive"), ("undecided", Want::Number(5)), left(5)])])
        }],
    ),
    watched(
        "leak_with_stacks",
        "--alloc-stacks remembers where each object was allocated.",
        Act::Watched {
            before: "",
            options: "--alloc-stacks",
            text: "play 'create a; alloc a 25; queue a 20; forget a; destroy a; drain'",
        },
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(20),
                        leaked(5),
                        ("/leak_sites/0/objects", Want::Number(5)),
                        ("/leak_sites/0/stack/0", Want::Has("play_alloc")),
                    ],
                )],
            ),
            reported(
                WAITS,
                &[verdict(
                    "a",
                    &[
                        word("leaked"),
                        leaked(5),
                        ("/leak_sites/0/objects", Want::Number(5)),
                        ("/leak_sites/0/stack/0", Want::Has("play_alloc")),
                    ],
                )],
            ),
        ],
    ),
    played(
        "nothing_leaked",
        "Every object was freed in time, each in a different way.",
        "play 'create a; alloc a 30; free a 10 kfree; free a 20 bulk; alloc a 20; free a 20; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), leaked(0), ordering("nothing-deferred")])])],
    ),
];
