//! Every way in which an object of `kfree_rcu()` is freed, and every place from which one can be queued.

use super::{
    PENDING, WAITED, by_kfree_rcu, late, leaked, left, ordering, played, waited_for, waited_for_callbacks,
};
use crate::check::scenarios::{
    ALL, BATCHES_WAIT, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, unnoticed,
    verdict, word,
};

/// No page is kept for pointers, as under memory pressure: an object with an rcu_head goes to the list.
const NO_PAGES: &str = "rcutree.rcu_min_cached_objs=0 slab_common.rcu_min_cached_objs=0";
/// An allocation comes from KFENCE's pool twice a second, or each millisecond if a scenario asks for that. If
/// it were each millisecond from the boot on, objects that stay allocated would fill the pool, and no call
/// site would get a second object of it (`should_skip_covered()`).
const KFENCE: &str = "kfence.sample_interval=500";

/// The scenarios. `drain` makes the batches leave at once, so that a scenario need not wait five seconds.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "queued",
        "Less than a page of pointers waits five seconds for more (KFREE_DRAIN_JIFFIES). On 7.3 it waits in \
         the processor's sheaf, without a time limit. The destroy of 6.1 does not wait; that of 6.12 calls \
         kvfree_rcu_barrier(); that of the others does the same for this cache.",
        "play 'create a; alloc a 20; queue a 20; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(20),
                        leaked(0),
                        left(20),
                        late(20),
                        ("/sites/0/objects", Want::Number(20)),
                        ("/sites/0/stack/0", Want::Has("play_queue")),
                    ],
                )],
            ),
            quiet(
                WAITS,
                &[verdict(
                    "a",
                    &[word("waited"), waited_for(20), by_kfree_rcu(0), ("barrier_inside", Want::Flag(true))],
                )],
            ),
        ],
    ),
    played(
        "queued_at_exit",
        "The same, as the last act of a module: the frees come when the module is gone.",
        "play 'create a; alloc a 20'; unload 'queue a 20; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(20),
                        left(20),
                        late(20),
                        ("module", Want::Text("krcu_play")),
                        ("/destroyed_by/comm", Want::Text("rmmod")),
                    ],
                )],
            ),
            quiet(
                WAITS,
                &[verdict("a", &[word("waited"), waited_for(20), ("module", Want::Text("krcu_play"))])],
            ),
        ],
    ),
    played(
        "queued_from_interrupts",
        "kfree_rcu() may be called from a hard interrupt, from a softirq, and with interrupts off.",
        "play 'create a; alloc a 20; irq: queue a 8; bh: queue a 6; off: queue a 4; queue a 2; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "queued_on_two_cpus",
        "Each processor has its own batches and sheaves. The destroy waits for all of them or for none.",
        "play 'create a; alloc a 23; queue a 10; cpu1: queue a 13; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_kfree_rcu(23),
                        left(23),
                        late(23),
                        ("cpus", Want::Has("{\"cpu\":0,\"objects\":10}")),
                        ("cpus", Want::Has("{\"cpu\":1,\"objects\":13}")),
                    ],
                )],
            ),
            quiet(WAITS, &[verdict("a", &[word("waited"), waited_for(23)])]),
        ],
    ),
    played(
        "mightsleep",
        "If there is memory, the form without an rcu_head gets a page for its pointer, and is queued like \
         the other form.",
        "play 'create a; alloc a 20; sleepfree a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    Scenario {
        append: NO_PAGES,
        ..played(
            "mightsleep_without_memory",
            "The form without an rcu_head needs a page for its pointer. If there is none, kvfree_call_rcu() \
             itself waits for a grace period and frees the object (synchronize_rcu(), kvfree()): nothing is \
             deferred. The module makes the page allocator refuse this task. A cache with consistency checks \
             has no sheaves, which would take the pointer.",
            "play 'create a checked; alloc a 5; famine; sleepfree a 5; feast; destroy a'",
            &[quiet(
                ALL,
                &[verdict(
                    "a",
                    &[
                        word("clean"),
                        ordering("nothing-deferred"),
                        ("queued_ever", Want::Number(5)),
                        ("/freed_by/within_call", Want::Number(5)),
                        leaked(0),
                    ],
                )],
            )],
        )
    },
    played(
        "landed_by_bulk",
        "All objects were freed long before the destroy, but nothing waited for them. Pointers in a page are \
         freed by kmem_cache_free_bulk(). The barrier inside newer destroys orders them. On 7.3 a sheaf that \
         is not full leaves its processor only when it is flushed, and the destroy does that.",
        "play 'create a; alloc a 20; sleepfree a 20; drain; sleep 1500; destroy a'",
        &[
            quiet(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[
                        word("unordered"),
                        ordering("unordered"),
                        by_kfree_rcu(0),
                        ("queued_ever", Want::Number(20)),
                        ("/freed_by/bulk", Want::Number(20)),
                    ],
                )],
            ),
            quiet(
                BATCHES_WAIT,
                &[verdict("a", &[word("clean"), ordering("ordered"), ("/freed_by/bulk", Want::Number(20))])],
            ),
            quiet(
                SHEAVES,
                &[verdict(
                    "a",
                    &[
                        word("waited"),
                        waited_for(20),
                        ("in_sheaves", Want::Number(20)),
                        ("/freed_by/sheaf", Want::Number(20)),
                    ],
                )],
            ),
        ],
    ),
    Scenario {
        append: NO_PAGES,
        ..played(
            "landed_by_list",
            "Without a page for pointers, the objects are linked by their rcu_heads and freed one by one \
             (kvfree()). A cache with consistency checks has no sheaves.",
            "play 'create a checked; alloc a 20; queue a 20; drain; sleep 1500; destroy a'",
            &[
                quiet(
                    NO_WAIT,
                    &[verdict(
                        "a",
                        &[word("unordered"), by_kfree_rcu(0), ("/freed_by/list", Want::Number(20))],
                    )],
                ),
                quiet(
                    WAITS,
                    &[verdict(
                        "a",
                        &[word("clean"), ordering("ordered"), ("/freed_by/list", Want::Number(20))],
                    )],
                ),
            ],
        )
    },
    Scenario {
        append: NO_PAGES,
        ..played(
            "queued_to_the_list",
            "The same, but the objects are outstanding.",
            "play 'create a checked; alloc a 20; queue a 20; destroy a; drain'",
            &[
                reported(NO_WAIT, &[PENDING]),
                quiet(
                    WAITS,
                    &[verdict("a", &[word("waited"), waited_for(20), ("/freed_by/list", Want::Number(20))])],
                ),
            ],
        )
    },
    played(
        "sheaf_full",
        "Sixty objects of this size fill a sheaf of 7.3. call_rcu() then takes the sheaf to be freed, so \
         rcu_barrier() waits for it. It does not wait for the batches of the other kernels.",
        "play 'create a; alloc a 60; queue a 60; barrier; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict("a", &[word("pending"), by_kfree_rcu(60), leaked(0), left(60), late(60)])],
            ),
            quiet(BATCHES_WAIT, &[verdict("a", &[word("waited"), waited_for(60)])]),
            quiet(
                SHEAVES,
                &[verdict("a", &[word("clean"), ordering("ordered"), ("/freed_by/sheaf", Want::Number(60))])],
            ),
        ],
    ),
    played(
        "sheaf_full_and_parked",
        "One object more than fits into a sheaf: sixty leave by themselves, and one stays in the next sheaf.",
        "play 'create a; alloc a 61; queue a 61; barrier; destroy a; drain'",
        &[
            reported(
                NO_WAIT,
                &[verdict("a", &[word("pending"), by_kfree_rcu(61), leaked(0), left(61), late(61)])],
            ),
            quiet(BATCHES_WAIT, &[verdict("a", &[word("waited"), waited_for(61)])]),
            quiet(
                SHEAVES,
                &[verdict("a", &[word("waited"), waited_for(1), ("in_sheaves", Want::Number(1))])],
            ),
        ],
    ),
    played(
        "sheaf_flushed",
        "Shrinking a cache flushes its sheaves: the object that stayed there goes to call_rcu(), and \
         rcu_barrier() waits for that. Shrinking does not touch batches.",
        "play 'create a; alloc a 20; queue a 20'
         echo 1 >/sys/kernel/slab/a/shrink
         play 'barrier; destroy a; drain'",
        &[
            reported(NO_WAIT, &[PENDING]),
            quiet(BATCHES_WAIT, &[WAITED]),
            quiet(
                SHEAVES,
                &[verdict("a", &[word("clean"), ordering("ordered"), ("/freed_by/sheaf", Want::Number(20))])],
            ),
        ],
    ),
    played(
        "without_sheaves",
        "A cache with consistency checks has no sheaves, not even on 7.3. Its objects are in batches, and \
         the destroy waits for these as well.",
        "play 'create a checked; alloc a 20; queue a 20; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    played(
        "freed_at_once",
        "kfree() and kmem_cache_free_bulk() take objects of any cache. Nothing is deferred.",
        "play 'create a; alloc a 30; free a 10; free a 10 kfree; free a 10 bulk; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
    ),
    played(
        "other_memory",
        "Memory of kmalloc(), memory larger than any slab and memory of vmalloc() goes through the same \
         batches, and belongs to no cache that is destroyed.",
        "play 'create a; alloc a 5; small 20; large 5; big 5; free a 5; destroy a'",
        &[quiet(
            ALL,
            &[verdict(
                "a",
                &[
                    word("clean"),
                    ordering("nothing-deferred"),
                    by_kfree_rcu(0),
                    ("waited_for_other", Want::Number(0)),
                ],
            )],
        )],
    ),
    played(
        "among_other_memory",
        "The same, mixed with objects of a cache that is destroyed.",
        "play 'create a; alloc a 20; big 5; queue a 10; large 5; small 20; sleepfree a 10; big 5; destroy a; drain'",
        &[reported(NO_WAIT, &[PENDING]), quiet(WAITS, &[WAITED])],
    ),
    Scenario {
        append: KFENCE,
        ..played(
            "kfence",
            "KFENCE's objects lie in its own pool but belong to the cache: they are queued and waited for \
             like the others. 6.1 is built without KFENCE.",
            "often=/sys/module/kfence/parameters/sample_interval
             echo 1 >$often && play 'create a; alloc a 20 fenced' && echo 500 >$often &&
             play 'queue a 20; destroy a; drain'",
            &[Expectation {
                log_has: &["truth cache=a kfence=20"],
                ..quiet(WAITS, &[verdict("a", &[word("waited"), waited_for(20), by_kfree_rcu(0)])])
            }],
        )
    },
    Scenario {
        append: KFENCE,
        ..played(
            "kfence_late_free",
            "KFENCE's objects are on no slab. So a destroy that finds nothing else succeeds \
             (__kmem_cache_shutdown()) though their callbacks are outstanding, and these callbacks run when \
             the cache is gone. This is the one way in which a late free passes the destroy's own check. \
             KFENCE then reports each of them. The destroy of 7.3 waits for callbacks.",
            "often=/sys/module/kfence/parameters/sample_interval
             echo 1 >$often && play 'create a checked; alloc a 3 fenced' && echo 500 >$often &&
             play 'hold 1000 flushed; call a 3; destroy a; release; called'",
            &[
                Expectation {
                    log_has: &["KFENCE: invalid free in krcu_play_free_callback"],
                    ..unnoticed(
                        BATCHES_WAIT,
                        &[verdict(
                            "a",
                            &[
                                word("late-free"),
                                late(3),
                                ("kernel_result", Want::Text("empty")),
                                ("flagged", Want::Flag(true)),
                            ],
                        )],
                    )
                },
                quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(3)])]),
            ],
        )
    },
    played(
        "nolock",
        "kfree_rcu_nolock(), which 7.3 has, may queue the object once more from an interrupt (its fallback). \
         That is one deferred free, not two.",
        "play 'create a; alloc a 20; off: nolock a 8; irq: nolock a 4; nolock a 8; destroy a'",
        &[quiet(SHEAVES, &[WAITED])],
    ),
    played(
        "double_free",
        "One object is queued on two processors. Both batches hold its address, and both free it. The cache \
         has consistency checks and its only slab is full, so the kernel says `Object already free` and \
         nothing else breaks.",
        "play 'create a checked; alloc a 32; twice a; drain; sleep 1500; free a 31; destroy a'",
        &[
            Expectation {
                log_has: &["Object already free"],
                ..unnoticed(
                    NO_WAIT,
                    &[
                        verdict("a", &[word("unordered"), leaked(0)]),
                        verdict(
                            "a",
                            &[
                                word("double-free"),
                                ("queued_twice", Want::Number(1)),
                                ("flagged", Want::Flag(true)),
                            ],
                        ),
                    ],
                )
            },
            Expectation {
                log_has: &["Object already free"],
                ..unnoticed(
                    WAITS,
                    &[
                        verdict("a", &[word("clean"), ordering("ordered"), leaked(0)]),
                        verdict(
                            "a",
                            &[
                                word("double-free"),
                                ("queued_twice", Want::Number(1)),
                                ("flagged", Want::Flag(true)),
                            ],
                        ),
                    ],
                )
            },
        ],
    ),
];
