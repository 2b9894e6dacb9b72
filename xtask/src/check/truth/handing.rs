//! Callbacks whose rcu_head is not in what they free, and callbacks that free nothing themselves but hand on to a work item.
//!
//! A callback that has returned proves nothing about the object that its head was in, or about others: an object is gone when it
//! is seen freed or when its cache is seen empty.

use super::{
    BY_THE_DESTROY, Field, NO_RCU_BARRIER, by_call_rcu, leaked, left, ordering, played, unknown,
    waited_for_callbacks,
};
use crate::check::scenarios::{
    ALL, Act, Expectation, Line, SHEAVES, Scenario, Want, quiet, reported, undecided, verdict, word,
};

/// The kernel reports objects, and who holds them krcu cannot tell.
const fn reported_and_open(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { status: 11, ..reported(series, lines) }
}

/// Twenty objects are left that something deferred may hold, and are not called leaked.
const TWENTY_OPEN: &[Field] = &[word("inconclusive"), unknown(20), left(20), by_call_rcu(0)];
/// Everything was freed, by luck.
const LUCKY: &[Field] =
    &[word("unordered"), ordering("unordered"), leaked(0), ("flagged_strictly", Want::Flag(true))];
/// Everything was freed, and callbacks whose heads are elsewhere may have freed it.
const ELSEWHERE: &[Field] = &[word("inconclusive"), leaked(0), ("/reasons/0", Want::Text("heads-elsewhere"))];
/// Everything was freed, and the teardown waited for it.
const ORDERED: &[Field] = &[word("clean"), ordering("ordered"), leaked(0)];

/// Its scenarios. `rwork` and `call … work` are in `modules/krcu_play/handing.c`, `wrap`, `parent` and `kcall` in `elsewhere.c`.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "wrapped_pending",
        "The head of each callback is in a kmalloc()ed wrapper, and it frees an object of the cache. Outstanding, it cannot be \
         matched with any object: what is left may be held by twenty callbacks of the module's, and is not leaked. 7.3's \
         destroy waits for all callbacks.",
        "play 'create a; alloc a 20; hold 1000 flushed; wrap a 20; destroy a; release; ran'",
        &[reported_and_open(NO_RCU_BARRIER, &[verdict("a", TWENTY_OPEN)])],
    ),
    played(
        "wrapped_lucky",
        "All of them have run, and no barrier stands between them and the destroy but 7.3's own. Whether they freed objects of this \
         cache or memory of another is not seen, so it is neither clean nor unordered. 7.3's destroy waits for all callbacks.",
        "play 'create a; alloc a 20; flush; wrap a 20; ran; destroy a'",
        &[undecided(NO_RCU_BARRIER, &[verdict("a", ELSEWHERE)]), quiet(SHEAVES, &[verdict("a", ORDERED)])],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "--alloc-stacks",
            text: "play 'create a; alloc a 20; flush; wrap a 20; ran; destroy a'",
        },
        ..played(
            "wrapped_lucky_seen",
            "With --alloc-stacks each free is seen, and so is the callback in whose run it happens: these callbacks emptied the \
             cache, by luck.",
            "",
            &[
                quiet(
                    NO_RCU_BARRIER,
                    &[verdict(
                        "a",
                        &[
                            word("unordered"),
                            leaked(0),
                            ("flagged_strictly", Want::Flag(true)),
                            ("/callbacks/0/function", Want::Has("krcu_play_wrapper_callback")),
                        ],
                    )],
                ),
                quiet(SHEAVES, &[verdict("a", ORDERED)]),
            ],
        )
    },
    played(
        "foreign_lucky",
        "Callbacks of the module's have run by luck. They freed memory by kmalloc() and none of the cache's, which the module freed \
         itself. From outside it looks as `wrapped_lucky` does.",
        "play 'create a; alloc a 5; flush; kcall 20; ran; free a 5; destroy a'",
        &[undecided(NO_RCU_BARRIER, &[verdict("a", ELSEWHERE)]), quiet(SHEAVES, &[verdict("a", ORDERED)])],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "--alloc-stacks",
            text: "play 'create a; alloc a 5; flush; kcall 20; ran; free a 5; destroy a'",
        },
        ..played(
            "foreign_lucky_seen",
            "With --alloc-stacks it is seen that they freed nothing of the cache's.",
            "",
            &[quiet(ALL, &[verdict("a", &[word("clean"), ordering("nothing-deferred"), leaked(0)])])],
        )
    },
    played(
        "wrapped_barrier",
        "rcu_barrier() waits for callbacks wherever their heads are.",
        "play 'create a; alloc a 20; wrap a 20; barrier; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "wrapped_and_leaked",
        "Five more are forgotten. While twenty callbacks of unknown objects are outstanding, nobody can say which of the 25 they \
         hold. On 7.3 they have run when the destroy looks, and nothing is left that could hold the five.",
        "play 'create a; alloc a 25; hold 1000 flushed; wrap a 20; forget a; destroy a; release; ran'",
        &[
            reported_and_open(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("inconclusive"), unknown(25), left(25), by_call_rcu(0)])],
            ),
            reported(SHEAVES, &[verdict("a", &[word("leaked"), leaked(5), left(5)])]),
        ],
    ),
    played(
        "parents_pending",
        "A parent's callback frees one child of another cache. The parents' heads are in their objects, and they are outstanding \
         by call_rcu(); the children are held by callbacks whose heads are elsewhere. On 7.3 the first destroy waits for all of \
         it.",
        "play 'create a; create b; alloc a 20; alloc b 20; hold 1000 flushed; parent a b 20; destroy b; destroy a; release; ran'",
        &[reported(
            NO_RCU_BARRIER,
            &[
                verdict("b", TWENTY_OPEN),
                verdict("a", &[word("pending"), by_call_rcu(20), leaked(0), left(20)]),
            ],
        )],
    ),
    played(
        "parents_lucky",
        "The callbacks have run, and so both caches are empty by luck. That the parents' callbacks emptied the children's is not seen, \
         so the verdict of that one is open.",
        "play 'create a; create b; alloc a 20; alloc b 20; flush; parent a b 20; ran; destroy b; destroy a'",
        &[
            undecided(NO_RCU_BARRIER, &[verdict("b", ELSEWHERE), verdict("a", LUCKY)]),
            quiet(SHEAVES, &[verdict("b", ORDERED), verdict("a", ORDERED)]),
        ],
    ),
    played(
        "parents_barrier",
        "rcu_barrier() after the parents were queued orders both.",
        "play 'create a; create b; alloc a 20; alloc b 20; parent a b 20; barrier; destroy b; destroy a'",
        &[quiet(ALL, &[verdict("b", ORDERED), verdict("a", ORDERED)])],
    ),
    played(
        "siblings_pending",
        "Each callback frees the object that its head is in, and one more of the same cache. Twenty callbacks are outstanding, and \
         forty objects are left: nobody can see that the other twenty are theirs too, and nothing is leaked. 7.3 waits.",
        "play 'create a; alloc a 40; hold 1000 flushed; parent a a 20; destroy a; release; ran'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict(
                    "a",
                    &[
                        word("pending"),
                        by_call_rcu(20),
                        leaked(0),
                        unknown(20),
                        left(40),
                        ("/reasons/0", Want::Text("callbacks-outstanding")),
                    ],
                )],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(20), leaked(0)])]),
        ],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "--alloc-stacks",
            text: "play 'create a; alloc a 45; hold 3000 flushed; parent a a 20; forget a; destroy a; release; ran'",
        },
        ..played(
            "siblings_pending_and_leaked_seen",
            "Five more are forgotten. With --alloc-stacks it is seen that nobody has freed these when the callbacks have run: they \
             are leaked, and the twenty that the callbacks freed are not.",
            "",
            &[
                reported(
                    NO_RCU_BARRIER,
                    &[verdict(
                        "a",
                        &[
                            word("pending"),
                            by_call_rcu(20),
                            leaked(5),
                            unknown(20),
                            left(45),
                            ("/leak_sites/0/objects", Want::Number(5)),
                            ("/leak_sites/0/stack/0", Want::Has("play_alloc")),
                        ],
                    )],
                ),
                reported(SHEAVES, &[verdict("a", &[word("leaked"), leaked(5), left(5)])]),
            ],
        )
    },
    played(
        "leak_beside_foreign_callbacks",
        "Twenty callbacks of the module's free memory by kmalloc() and have nothing to do with the cache, of which five objects are \
         forgotten. From outside they look as those do that hold objects. 7.3 waits for them, and the five are still there.",
        "play 'create a; alloc a 5; hold 1000 flushed; kcall 20; forget a; destroy a; release; ran'",
        &[
            reported_and_open(NO_RCU_BARRIER, &[verdict("a", &[word("inconclusive"), unknown(5), left(5)])]),
            reported(SHEAVES, &[verdict("a", &[word("leaked"), leaked(5), left(5)])]),
        ],
    ),
    played(
        "leak_after_foreign_callbacks",
        "The same, and a barrier has shown that none of them is outstanding: nothing that is followed holds the five.",
        "play 'create a; alloc a 5; kcall 20; barrier; forget a; destroy a'",
        &[reported(ALL, &[verdict("a", &[word("leaked"), leaked(5), left(5)])])],
    ),
    played(
        "rcu_work_pending",
        "queue_rcu_work() queues a work by a callback of RCU; while a reader is held none has been queued. 7.3's destroy waits for \
         these callbacks and not for the works, which are made to wait here.",
        "play 'create a; alloc a 20; hold_works; hold 1000 flushed; rwork a 20; destroy a; let_works; release; rworked'",
        &[reported(
            NO_RCU_BARRIER,
            &[verdict("a", &[word("pending"), leaked(0), left(20), ("undecided", Want::NumberOrNothing(0))])],
        )],
    ),
    played(
        "rcu_work_begun",
        "Every callback (rcu_work_rcufn()) has returned, and nothing is freed: the works have begun and wait.",
        "play 'create a; alloc a 20; hold_works; rwork a 20; handed; destroy a; let_works; rworked'",
        &[reported(
            ALL,
            &[verdict("a", &[word("pending"), leaked(0), left(20), ("undecided", Want::NumberOrNothing(0))])],
        )],
    ),
    played(
        "rcu_work_begun_after_a_barrier",
        "rcu_barrier() waits for the callbacks, which queue the works: who obeys the advice to call it has the next fault.",
        "play 'create a; alloc a 20; hold_works; rwork a 20; barrier; destroy a; let_works; rworked'",
        &[reported(
            ALL,
            &[verdict("a", &[word("pending"), leaked(0), left(20), ("undecided", Want::NumberOrNothing(0))])],
        )],
    ),
    played(
        "rcu_work_flushed",
        "flush_rcu_work() waits for the grace period and for the work. The work frees twenty objects, its rcu_work is in one more.",
        "play 'create a; alloc a 21; rwork a 20 kept; flushrwork; free a 1; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "rcu_work_flushed_when_done",
        "The work is done already, so that flush_rcu_work() finds nothing pending and calls no rcu_barrier(). It would have waited \
         had it been otherwise, which is what makes an order.",
        "play 'create a; alloc a 21; rwork a 20 kept; rworked; flushrwork; free a 1; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "rcu_work_queue_flushed",
        "Each work frees the object that its rcu_work is in. rcu_barrier() has all callbacks queue their works, and \
         flush_workqueue() waits for these.",
        "play 'create a; alloc a 20; rwork a 20; barrier; flushworks; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "rcu_work_queue_flushed_only",
        "flush_workqueue() alone waits for no grace period: works that are not queued yet it knows nothing of. They have run by \
         luck.",
        "play 'create a; alloc a 20; rwork a 20; rworked; flushworks; destroy a'",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", LUCKY)])],
    ),
    played(
        "rcu_work_lucky",
        "All works are done, and nothing made it so; the rcu_barrier() in 7.3's destroy waits for no work.",
        "play 'create a; alloc a 20; flush; rwork a 20; rworked; destroy a'",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", LUCKY)])],
    ),
    played(
        "rcu_work_barrier_only",
        "The same with an rcu_barrier() of the task's own, which covers the callbacks and not the works.",
        "play 'create a; alloc a 20; rwork a 20; barrier; rworked; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "rcu_work_other_flushed",
        "flush_rcu_work() of a work that has nothing to do with the cache waits for that work.",
        "play 'create a; alloc a 20; rwork a 20; rworked; otherrwork; flushother; destroy a'",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", LUCKY)])],
    ),
    played(
        "handed_on",
        "A callback of call_rcu() hands its object on to a work item and returns. All twenty have returned, no object is freed, \
         and the kernel lists them: what became of an object after its callback nobody has seen.",
        "play 'create a; alloc a 20; hold_works; call a 20 work; handed; destroy a; let_works; worked'",
        &[reported_and_open(
            ALL,
            &[verdict(
                "a",
                &[
                    word("inconclusive"),
                    unknown(20),
                    left(20),
                    by_call_rcu(0),
                    ("/freed_by/callback", Want::NumberOrNothing(0)),
                    ("/callbacks/0/function", Want::Has("krcu_play_handing_callback")),
                ],
            )],
        )],
    ),
    played(
        "handed_on_after_a_barrier",
        "The same with the barrier that an exit calls: it waits for the callbacks only.",
        "play 'create a; alloc a 20; hold_works; call a 20 work; barrier; destroy a; let_works; worked'",
        &[reported_and_open(ALL, &[verdict("a", TWENTY_OPEN)])],
    ),
    played(
        "handed_on_pending",
        "The callbacks have not run yet: they are outstanding by call_rcu(). On 7.3 they run within the destroy and hand on.",
        "play 'create a; alloc a 20; hold_works; hold 1000 flushed; call a 20 work; destroy a; let_works; release; worked'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("pending"), by_call_rcu(20), leaked(0), left(20)])],
            ),
            reported_and_open(SHEAVES, &[verdict("a", TWENTY_OPEN)]),
        ],
    ),
    played(
        "handed_on_lucky",
        "The works are done by luck: the barrier before covers the callbacks only.",
        "play 'create a; alloc a 20; call a 20 work; barrier; worked; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "handed_on_where_a_work_was_cancelled",
        "queue_rcu_work() has queued a work in each object, and each was cancelled before it began. A callback hands the same \
         objects on to works at the same addresses: these are other works, and no flush stands between them and the destroy.",
        "play 'create a; alloc a 20; cancelrwork a 20; call a 20 work; barrier; worked; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "handed_on_where_a_work_was_cancelled_flushed",
        "The same with the flush: it waits for the works that the callbacks queued.",
        "play 'create a; alloc a 20; cancelrwork a 20; call a 20 work; barrier; flushworks; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "handed_on_flushed",
        "rcu_barrier(), then flush_workqueue(): the works that the callbacks queued are done.",
        "play 'create a; alloc a 20; call a 20 work; barrier; flushworks; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "handed_on_wrong_order",
        "flush_workqueue(), then rcu_barrier(): the callbacks may queue their works after the flush. That these are done is luck.",
        "play 'create a; alloc a 20; call a 20 work; flushworks; barrier; worked; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "handed_on_beside_plain_ones",
        "Ten callbacks free their objects, ten hand theirs on to works that wait: ten are left.",
        "play 'create a; alloc a 20; hold_works; call a 10; call a 10 work; handed; destroy a; let_works; worked'",
        &[reported_and_open(ALL, &[verdict("a", &[word("inconclusive"), unknown(10), left(10)])])],
    ),
    played(
        "callback_frees_itself",
        "For comparison: callbacks that free their own objects and have run by luck, on every kernel as it always was.",
        "play 'create a; alloc a 20; flush; call a 20; called; destroy a'",
        &[quiet(NO_RCU_BARRIER, &[verdict("a", LUCKY)]), BY_THE_DESTROY],
    ),
    played(
        "wrapped_waits_on_newer",
        "Objects held by callbacks whose heads are elsewhere, beside twenty whose heads are in theirs: the latter are counted.",
        "play 'create a; alloc a 25; hold 1000 flushed; wrap a 5; call a 20; destroy a; release; ran; called'",
        &[
            reported(
                NO_RCU_BARRIER,
                &[verdict("a", &[word("pending"), by_call_rcu(20), unknown(5), left(25)])],
            ),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), waited_for_callbacks(20), leaked(0)])]),
        ],
    ),
];
