//! Ways to destroy a cache, and to fail at it.

use super::{PENDING, WAITED, by_kfree_rcu, late, leaked, left, ordering, played, waited_for};
use crate::check::scenarios::{
    ALL, BATCHES_WAIT, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, verdict, word,
};

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "never_used",
        "Nothing was allocated and nothing deferred.",
        "play 'create a; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
    ),
    played(
        "constructor",
        "A cache with a constructor keeps its free pointers outside of the objects and is never merged; nothing else differs.",
        "play 'create a ctor; alloc a 20; queue a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "typesafe",
        "SLAB_TYPESAFE_BY_RCU defers the slabs, not the objects. 6.1 gives the cache's memory back from a work item, the \
         others in the destroy after an rcu_barrier(); neither is a deferred free of an object.",
        "play 'create a typesafe; alloc a 20; free a 20; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
    ),
    played(
        "typesafe_queued",
        "Objects of such a cache may be handed to kfree_rcu() too, and are found by the destroy as any others are.",
        "play 'create a typesafe; alloc a 20; queue a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "merged",
        "Two caches of one size are one, with two references. The first destroy drops one and looks at nothing; from 6.12 on it \
         runs its barrier first all the same, which leaves the second nothing to wait for.",
        "play 'create a merge size=3000; create b merge size=3000; alloc b 10; queue b 10; destroy b; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "a",
                        &[word("alias"), ("aliases", Want::Has("\"b\"")), ("flagged", Want::Flag(false))],
                    ),
                    verdict("a", &[word("pending"), by_kfree_rcu(10), leaked(0), left(10), late(10)]),
                ],
            ),
            quiet(
                WAITS,
                &[
                    verdict(
                        "a",
                        &[word("alias"), ("aliases", Want::Has("\"b\"")), ("flagged", Want::Flag(false))],
                    ),
                    verdict("a", &[word("clean"), ordering("ordered")]),
                ],
            ),
        ],
    ),
    played(
        "merged_leak",
        "What is leaked through an alias is found when the last reference goes, and not before.",
        "play 'create a merge size=3000; create b merge size=3000; alloc b 5; forget b; destroy b; destroy a'",
        &[reported(
            ALL,
            &[
                verdict("a", &[word("alias"), ("flagged", Want::Flag(false))]),
                verdict("a", &[word("leaked"), leaked(5), left(5)]),
            ],
        )],
    ),
    played(
        "from_a_workqueue",
        "Who destroys does not matter. The worker belongs to a queue with WQ_MEM_RECLAIM, which may not wait for one without.",
        "play 'create a; alloc a 20; queue a 20; work: destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(20),
                        left(20),
                        ("/destroyed_by/comm", Want::Has("kworker")),
                    ],
                )],
            ),
            quiet(
                WAITS,
                &[verdict(
                    "a",
                    &[word("waited"), waited_for(20), ("/destroyed_by/comm", Want::Has("kworker"))],
                )],
            ),
        ],
    ),
    played(
        "address_reused",
        "A new cache gets the memory of the one that has just gone: three lives, and what is said of one is not of the next.",
        "play 'create a; alloc a 20; free a 20; destroy a; create b; alloc b 20; queue b 20; destroy b; create c; destroy c; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("a", &[word("clean"), ordering("nothing-deferred")]),
                    verdict("b", &[word("pending"), by_kfree_rcu(20), left(20), late(20)]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
            quiet(
                WAITS,
                &[
                    verdict("a", &[word("clean"), ordering("nothing-deferred")]),
                    verdict("b", &[word("waited"), waited_for(20)]),
                    verdict("c", &[word("clean"), ordering("nothing-deferred")]),
                ],
            ),
        ],
    ),
    played(
        "name_reused",
        "Two caches of one name, one after the other.",
        "play 'create a; alloc a 20; free a 20; destroy a; create a; alloc a 5; forget a; destroy a'",
        &[reported(
            ALL,
            &[
                verdict("a", &[word("clean"), ordering("nothing-deferred")]),
                verdict("a", &[word("leaked"), ordering("nothing-deferred"), leaked(5), left(5)]),
            ],
        )],
    ),
    played(
        "two_at_once",
        "Two threads destroy a cache each. A held reader keeps both destroys waiting at the same time where they wait, so that \
         neither empties the other's batches before it has begun.",
        "play 'create a; create b; alloc a 20; alloc b 30; hold 500; queue a 20; queue b 30; bg: destroy a; bg: destroy b; join; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("a", &[word("pending"), by_kfree_rcu(20), left(20), late(20)]),
                    verdict("b", &[word("pending"), by_kfree_rcu(30), left(30), late(30)]),
                ],
            ),
            quiet(WAITS, &[WAITED, verdict("b", &[word("waited"), waited_for(30)])]),
        ],
    ),
    played(
        "while_another_queues",
        "One cache is destroyed on one processor while the objects of another are queued on the second. Five more are queued \
         when that is over: these at least the second destroy waits for.",
        "play 'create a; create b; alloc a 60; alloc b 5; free b 5; bg: cpu1: queue a 55; destroy b; join; queue a 5; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("b", &[word("clean"), ordering("nothing-deferred")]),
                    verdict("a", &[word("pending"), by_kfree_rcu(60), leaked(0), left(60), late(60)]),
                ],
            ),
            quiet(
                WAITS,
                &[
                    verdict("b", &[word("clean"), ordering("nothing-deferred")]),
                    verdict(
                        "a",
                        &[
                            word("waited"),
                            ("waited_for_own", Want::AtLeast(5)),
                            ("queued_ever", Want::Number(60)),
                        ],
                    ),
                ],
            ),
        ],
    ),
    played(
        "tried_again",
        "A destroy that failed leaves a reference count of nought, and the next takes it below: it returns at once and looks at \
         nothing (kmem_cache_destroy()), though the frees have landed. It is no fault of its own.",
        "play 'create a; alloc a 20; queue a 20; destroy a; drain; sleep 1500; again a'",
        &[reported(
            NO_WAIT,
            &[
                verdict("a", &[word("pending"), by_kfree_rcu(20), left(20), late(20)]),
                verdict(
                    "a",
                    &[
                        word("repeated"),
                        ("kernel_result", Want::Text("reference-dropped")),
                        ("flagged", Want::Flag(false)),
                    ],
                ),
            ],
        )],
    ),
    played(
        "leak_tried_again",
        "The same after a leak, whose objects are freed in between.",
        "play 'create a; alloc a 5; destroy a; free a 5; again a'",
        &[reported(
            ALL,
            &[
                verdict("a", &[word("leaked"), leaked(5), left(5)]),
                verdict(
                    "a",
                    &[
                        word("repeated"),
                        ("kernel_result", Want::Text("reference-dropped")),
                        ("flagged", Want::Flag(false)),
                    ],
                ),
            ],
        )],
    ),
    played(
        "second_waits_for_nothing",
        "The batches know no caches: the first destroy of 6.12 and 6.18 empties those of the second cache too. 7.3 flushes the \
         sheaves of one cache only.",
        "play 'create a; create b; alloc a 20; alloc b 30; queue a 20; queue b 30; destroy a; destroy b; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("a", &[word("pending"), by_kfree_rcu(20), left(20), late(20)]),
                    verdict("b", &[word("pending"), by_kfree_rcu(30), left(30), late(30)]),
                ],
            ),
            quiet(
                BATCHES_WAIT,
                &[
                    verdict(
                        "a",
                        &[
                            word("waited"),
                            waited_for(20),
                            ("waited_for_other", Want::Number(30)),
                            ("waited_grace_periods", Want::AtLeast(1)),
                            ("wait_ns", Want::AtLeast(1)),
                        ],
                    ),
                    verdict("b", &[word("clean"), ordering("ordered")]),
                ],
            ),
            quiet(
                SHEAVES,
                &[
                    verdict("a", &[word("waited"), waited_for(20), ("waited_for_other", Want::Number(0))]),
                    verdict("b", &[word("waited"), waited_for(30)]),
                ],
            ),
        ],
    ),
];
