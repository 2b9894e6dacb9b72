//! What may be said of a number when some of it was not seen, of a free that looks like another, and of a cache that the kernel's
//! own code creates for a module.

use super::{
    Field, NO_RCU_BARRIER, by_call_rcu, by_kfree_rcu, late, leaked, left, ordering, played, unknown,
    waited_for, watched,
};
use crate::check::judge::INEXACT;
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, reported, verdict,
    word,
};

/// A scenario in which a probe misses calls for certain: to be undecided for that is no bad luck.
const fn missing(
    name: &'static str,
    why: &'static str,
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { open_if: &[INEXACT], ..played(name, why, text, expectations) }
}

/// krcu saw the cache being created.
const SEEN: Field = ("created_while_watched", Want::Flag(true));

/// All twenty are one row of the sites.
const ROW: Field = ("/sites/0/objects", Want::Number(20));
/// There is no other row.
const ONLY: Field = ("/sites/1", Want::Nothing);

/// Its scenarios. `inside` has calls come from within a run of a probe, which the kernel skips there
/// (`modules/krcu_play/losses.c`).
pub(super) const SCENARIOS: &[Scenario] = &[
    missing(
        "one_missed_five_leaked",
        "One call of kfree_rcu() was not seen, so one object of those left may have been queued, and no more than one: five of \
         six are leaked. Where the destroy waits, the one is freed and five are left, of which no more than one could be it.",
        "play 'create a; create b; alloc a 6; alloc b 5; inside: queue a 1; queue b 5; sprung; forget a; destroy a; destroy b; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("a", &[word("leaked"), leaked(5), unknown(1), by_kfree_rcu(0), left(6)]),
                    verdict("b", &[word("pending"), by_kfree_rcu(5), leaked(0), left(5), late(5)]),
                ],
            ),
            reported(
                BATCHES_WAIT,
                &[
                    verdict("a", &[word("leaked"), ("leaked", Want::AtLeast(4)), left(5)]),
                    verdict("b", &[word("clean"), ordering("ordered"), ("queued_ever", Want::Number(5))]),
                ],
            ),
            reported(
                SHEAVES,
                &[
                    verdict("a", &[word("leaked"), ("leaked", Want::AtLeast(4)), left(5)]),
                    verdict("b", &[word("waited"), waited_for(5)]),
                ],
            ),
        ],
    ),
    missing(
        "three_missed_among_callbacks",
        "Twenty are outstanding by call_rcu(), and three calls of kfree_rcu() were not seen: all 23 that are left are told, three \
         of them as undecided.",
        "play 'create a; create b; alloc a 23; alloc b 1; inside: queue a 3; hold 1000; queue b 1; call a 20
               destroy a; release; sprung; called; destroy b; drain'",
        &[reported(
            NO_WAIT,
            &[
                verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(20),
                        by_kfree_rcu(0),
                        ("leaked", Want::NumberOrNothing(0)),
                        unknown(3),
                        left(23),
                    ],
                ),
                verdict("b", &[("queued_ever", Want::Number(1))]),
            ],
        )],
    ),
    missing(
        "one_missed_beside_another_leak",
        "The call that was not seen was of `a`. krcu cannot know that, so one of the five of `c` may be it, and four are leaked \
         for certain; of `a` the one that is left is undecided.",
        "play 'create a; create b; create c; alloc a 1; alloc b 5; alloc c 5; inside: queue a 1; queue b 5; sprung
               forget c; destroy c; destroy a; destroy b; drain'",
        &[reported(
            NO_WAIT,
            &[
                verdict("c", &[word("leaked"), ("leaked", Want::AtLeast(4)), left(5)]),
                verdict("a", &[word("inconclusive"), unknown(1), left(1)]),
                verdict("b", &[word("pending"), by_kfree_rcu(5), left(5)]),
            ],
        )],
    ),
    missing(
        "many_leaked_one_missed",
        "A hundred are forgotten and one call was not seen: it does not make the hundred undecided.",
        "play 'create a; create b; alloc a 100; alloc b 2; inside: queue b 1; queue b 1; sprung; forget a; destroy a; destroy b; drain'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("a", &[word("leaked"), ("leaked", Want::AtLeast(99)), left(100)]),
                    verdict("b", &[word("pending"), by_kfree_rcu(1), left(2), unknown(1)]),
                ],
            ),
            reported(
                &["6.12", "6.18", "7.x"],
                &[verdict("a", &[word("leaked"), ("leaked", Want::AtLeast(99)), left(100)])],
            ),
        ],
    ),
    watched(
        "late_bulk_of_no_cache",
        "The cache is older than the probes, and its objects are freed at once by kmem_cache_free_bulk(NULL, …), which kfree_rcu() \
         uses as well: nothing was ever queued. The caller is the script's own task, and no worker of kfree_rcu().",
        Act::Watched {
            before: "play 'create a; alloc a 20'",
            options: "",
            text: "play 'free a 20 kfree_bulk; destroy a'",
        },
        &[quiet(
            NO_WAIT,
            &[verdict(
                "a",
                &[word("clean"), ("queued_ever", Want::Number(0)), ("created_while_watched", Want::Flag(false))],
            )],
        )],
    ),
    played(
        "bulk_of_no_cache",
        "The same of a cache that krcu saw being created.",
        "play 'create a; alloc a 20; free a 20 kfree_bulk; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), SEEN])])],
    ),
    watched(
        "late_bulk_by_a_worker",
        "A worker frees at once by kmem_cache_free_bulk(NULL, …), a worker of this module's: no worker of kfree_rcu() either.",
        Act::Watched {
            before: "play 'create a; alloc a 20'",
            options: "",
            text: "play 'work: free a 20 kfree_bulk; destroy a'",
        },
        &[quiet(NO_WAIT, &[verdict("a", &[word("clean"), ("queued_ever", Want::Number(0))])])],
    ),
    played(
        "usercopy",
        "A cache with a part that may be copied to user space: on 6.1 kmem_cache_create_usercopy() makes it, which \
         kmem_cache_create() calls for every other; since then one function makes all. krcu was there before it.",
        "play 'create a usercopy; alloc a 20; free a 20; destroy a'",
        &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), SEEN])])],
    ),
    played(
        "usercopy_leaked",
        "Five of its objects are forgotten, and none is older than the probes.",
        "play 'create a usercopy; alloc a 5; forget a; destroy a'",
        &[reported(ALL, &[verdict("a", &[word("leaked"), leaked(5), left(5), SEEN])])],
    ),
    played(
        "cache_of_a_protocol",
        "proto_register() creates a cache for a module's protocol, and proto_unregister() destroys it: both are the kernel's own \
         code, called by the module.",
        "play 'proto; unproto'",
        &[quiet(
            ALL,
            &[verdict(
                "krcu_play_proto",
                &[
                    word("clean"),
                    ordering("nothing-deferred"),
                    SEEN,
                    ("/destroyed_by/stack", Want::Has("proto_unregister")),
                ],
            )],
        )],
    ),
    played(
        "cache_of_a_protocol_at_exit",
        "The same as an act of the module's exit: the frame of the built-in helper that destroys it is part of the stack.",
        "play proto; unload unproto",
        &[quiet(
            ALL,
            &[verdict(
                "krcu_play_proto",
                &[
                    word("clean"),
                    SEEN,
                    ("/destroyed_by/comm", Want::Text("rmmod")),
                    ("/destroyed_by/stack", Want::Has("proto_unregister")),
                    ("/destroyed_by/stack", Want::Has("krcu_play_exit")),
                ],
            )],
        )],
    ),
    played(
        "two_stages_and_a_barrier",
        "The barrier stands after the call_rcu(), and what it waited for queued again by kfree_rcu(), long before the destroy. No \
         barrier is missing for the first stage, and none that 6.1 has covers the second.",
        "play 'create a; alloc a 20; call a 20 requeue; barrier; drain; sleep 1500; destroy a'",
        &[
            quiet(
                NO_WAIT,
                &[verdict(
                    "a",
                    &[word("unordered"), ("callbacks_ever", Want::Number(20)), ("queued_ever", Want::Number(20))],
                )],
            ),
            quiet(
                BATCHES_WAIT,
                &[verdict(
                    "a",
                    &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(20))],
                )],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for(20)])]),
        ],
    ),
    played(
        "two_stages_of_callbacks",
        "The callbacks hand their objects to call_rcu() once more. The rcu_barrier() waits for the first stage, and the second runs \
         by luck: a barrier stands, and one more is missing. The rcu_barrier() inside the destroy of 7.3 is that one.",
        "play 'create a; alloc a 20; flush; call a 20 again; barrier; called; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("unordered"),
                        ("callbacks_ever", Want::Number(40)),
                        ("rcu_barrier_before_ns", Want::AtLeast(1)),
                        ("/sites/0/stack", Want::Has("rcu_do_batch")),
                        ("advice", Want::Has("once more for each time that callbacks queue")),
                    ],
                )],
            ),
            quiet(
                SHEAVES,
                &[verdict(
                    "a",
                    &[
                        word("waited"),
                        ("callbacks_ever", Want::Number(40)),
                        ("waited_for_callbacks", Want::Flag(true)),
                    ],
                )],
            ),
        ],
    ),
    played(
        "two_stages_before_the_barrier",
        "The second stage ran long before the rcu_barrier() that stands, by luck: had the first stage been slower, the barrier would \
         have waited for that one and for nothing that it queues. In 7.3 the destroy's own rcu_barrier() is the second one.",
        "play 'create a; alloc a 20; flush; call a 20 again; called; barrier; destroy a'",
        &[
            quiet(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("unordered"),
                        ("callbacks_ever", Want::Number(40)),
                        ("flagged_strictly", Want::Flag(true)),
                        ("/callbacks/0/function", Want::Has("krcu_play_free_callback")),
                        ("advice", Want::Has("once more for each time that callbacks queue")),
                    ],
                )],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), ("waited_for_callbacks", Want::Flag(true))])]),
        ],
    ),
    played(
        "two_stages_and_two_barriers_late",
        "The same with one rcu_barrier() for each stage: no luck is in it.",
        "play 'create a; alloc a 20; flush; call a 20 again; called; barrier; barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(40))])],
        )],
    ),
    played(
        "two_stages_and_two_barriers",
        "One rcu_barrier() for each stage is what it takes.",
        "play 'create a; alloc a 20; call a 20 again; barrier; barrier; destroy a'",
        &[quiet(
            ALL,
            &[verdict("a", &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::Number(40))])],
        )],
    ),
    played(
        "calls_of_one_place",
        "All objects are queued by one statement, so they are one row, wherever the probes lay between the call and the kernel's own \
         code.",
        "play 'create a; alloc a 20; queue a 20; destroy a; drain'",
        &[
            reported(NO_WAIT, &[verdict("a", &[word("pending"), by_kfree_rcu(20), ROW, ONLY])]),
            quiet(WAITS, &[verdict("a", &[word("waited"), waited_for(20), ROW, ONLY])]),
        ],
    ),
];
