//! Ways to destroy a cache, and ways in which a destroy fails.

use super::{PENDING, WAITED, by_kfree_rcu, late, leaked, left, ordering, played, waited_for};
use crate::check::scenarios::{
    ALL, BATCHES_WAIT, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, verdict, word,
};

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "never_used",
        "Nothing was allocated, and nothing was deferred.",
        "play 'create a; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
    ),
    played(
        "constructor",
        "A cache with a constructor keeps its free pointers outside of the objects and is never merged. \
         Otherwise it is like any other.",
        "play 'create a ctor; alloc a 20; queue a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "typesafe",
        "SLAB_TYPESAFE_BY_RCU defers the free of slabs, not of objects. 6.1 gives the cache's memory back \
         from a work item; the others do it in the destroy, after an rcu_barrier(). Neither is a deferred \
         free of an object.",
        "play 'create a typesafe; alloc a 20; free a 20; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
    ),
    played(
        "typesafe_queued",
        "Objects of such a cache may also be handed to kfree_rcu(). The destroy finds them like any others.",
        "play 'create a typesafe; alloc a 20; queue a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "merged",
        "Two caches of one size are one cache with two references. The first destroy drops a reference and \
         does not look at the slabs. From 6.12 on it still runs its barrier first, so the second destroy \
         finds nothing to wait for.",
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
        "Objects that are leaked through an alias are found when the last reference goes, and not before.",
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
        "It does not matter which task destroys the cache. The worker belongs to a queue with \
         WQ_MEM_RECLAIM, which may not wait for a queue without it.",
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
        "A new cache gets the memory of the cache that has just gone. These are three lives, and a verdict \
         about one says nothing about the next.",
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
        "Two caches have the same name, one after the other.",
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
        "Two threads destroy one cache each. On kernels whose destroy waits, a held reader keeps both \
         destroys waiting at the same time, so that neither empties the other's batches before the other has \
         begun.",
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
        "One cache is destroyed on one processor while objects of another cache are queued on the second \
         processor. Five more are queued when that destroy is over: the second destroy waits for these five \
         at least.",
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
        "A failed destroy leaves a reference count of 0, and the next destroy makes it negative: that \
         destroy returns at once and does not look at the slabs (kmem_cache_destroy()), though the frees \
         have been done. The second call is no fault by itself.",
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
        "The same after a leak whose objects are freed between the two destroys.",
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
        "The batches do not know caches: the first destroy of 6.12 and 6.18 also empties those of the second \
         cache. 7.3 flushes the sheaves of one cache only.",
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
