//! Caches of a module that are merged with one that it did not create.
//!
//! A cache of 72 bytes that may be merged is the one that was there first of that size: a link to `:0000072` in
//! `/sys/kernel/slab`, Acpi-Operand on 6.1, `vmap_area` since. Its destroy drops a reference, and what is outstanding harms
//! nobody but the module, whose code may go before its callbacks have run.

use super::{BY_THE_DESTROY, Field, NO_RCU_BARRIER, by_call_rcu, by_kfree_rcu, leaked, ordering, played};
use crate::check::scenarios::{
    ALL, Act, BATCHES_WAIT, Expectation, NO_WAIT, SHEAVES, Scenario, WAITS, Want, quiet, verdict, word,
};

/// Who created the cache of 72 bytes on 6.1.
const ON_6_1: &str = "Acpi-Operand";
/// And on the others.
const SINCE: &str = "vmap_area";
/// Of those, the ones whose destroy waits for no callbacks.
const SINCE_WITHOUT_BARRIER: &[&str] = BATCHES_WAIT;
/// The module's name for it.
const NAMED: Field = ("aliases", Want::Has("\"a\""));
/// No fault of the cache's.
const NOT_FLAGGED: Field = ("flagged", Want::Flag(false));

/// What it is if nothing was deferred.
const UNUSED: &[Field] =
    &[word("alias"), NAMED, NOT_FLAGGED, ("callbacks_ever", Want::Number(0)), by_call_rcu(0)];
/// What it is if twenty callbacks in the module's text have run.
const RAN: &[Field] = &[
    word("alias"),
    NAMED,
    NOT_FLAGGED,
    ("callbacks_ever", Want::Number(20)),
    by_call_rcu(0),
    ("/callbacks/0/module", Want::Text("krcu_play")),
];
/// What it is if twenty callbacks wait.
const PENDING: &[Field] = &[
    word("alias"),
    NAMED,
    by_call_rcu(20),
    ("/callbacks/0/objects", Want::Number(20)),
    ("/callbacks/0/function", Want::Has("krcu_play_free_callback")),
];

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "built_in_alias_unused",
        "Nothing was deferred, by this module or by whoever created the cache.",
        "play 'create a merge size=72; alloc a 20; free a 20; destroy a'",
        &[quiet(NO_WAIT, &[verdict(ON_6_1, UNUSED)]), quiet(WAITS, &[verdict(SINCE, UNUSED)])],
    ),
    played(
        "built_in_alias_callbacks",
        "Twenty callbacks in the module's text have run by luck. The cache lives on, and the counts are the module's own: built-in \
         code frees no object of this cache by RCU.",
        "play 'create a merge size=72; alloc a 20; flush; call a 20; called; destroy a'",
        &[quiet(NO_WAIT, &[verdict(ON_6_1, RAN)]), quiet(WAITS, &[verdict(SINCE, RAN)])],
    ),
    played(
        "built_in_alias_pending",
        "The callbacks are outstanding as the destroy is called that drops the reference. 7.3's calls rcu_barrier() before it \
         looks at the count of references.",
        "play 'create a merge size=72; alloc a 20; hold 1000 flushed; call a 20; destroy a; release; called'",
        &[
            quiet(NO_WAIT, &[verdict(ON_6_1, PENDING)]),
            quiet(SINCE_WITHOUT_BARRIER, &[verdict(SINCE, PENDING)]),
            quiet(SHEAVES, &[verdict(SINCE, &[word("alias"), NAMED, by_call_rcu(20)])]),
        ],
    ),
    played(
        "built_in_alias_queued",
        "The same by kfree_rcu(), which no code of the module's has to outlive. From 6.12 on the destroy runs its barrier before \
         it drops the reference.",
        "play 'create a merge size=72; alloc a 20; queue a 20; destroy a; drain'",
        &[
            quiet(NO_WAIT, &[verdict(ON_6_1, &[word("alias"), NAMED, NOT_FLAGGED, by_kfree_rcu(20)])]),
            quiet(WAITS, &[verdict(SINCE, &[word("alias"), NAMED, NOT_FLAGGED, by_kfree_rcu(20)])]),
        ],
    ),
    Scenario {
        append: "slab_nomerge",
        ..played(
            "built_in_alias_apart",
            "The same load as above where caches are not merged: the cache is the module's own, and the callbacks are of it.",
            "play 'create a merge size=72; alloc a 20; flush; call a 20; called; destroy a'",
            &[
                quiet(
                    NO_RCU_BARRIER,
                    &[verdict(
                        "a",
                        &[
                            word("unordered"),
                            ordering("unordered"),
                            ("callbacks_ever", Want::Number(20)),
                            ("/callbacks/0/module", Want::Text("krcu_play")),
                        ],
                    )],
                ),
                BY_THE_DESTROY,
            ],
        )
    },
    played(
        "alias_of_an_own_cache",
        "Two caches of the module are one. What was queued just before is outstanding as the destroy is called that drops the \
         reference.",
        "play 'create m merge size=3080; create n merge size=3080; alloc n 100; queue n 100; destroy n; drain'",
        &[quiet(
            ALL,
            &[verdict(
                "m",
                &[word("alias"), NOT_FLAGGED, by_kfree_rcu(100), ("queued_ever", Want::Number(100))],
            )],
        )],
    ),
    played(
        "alias_of_an_own_cache_callbacks",
        "The same by call_rcu().",
        "play 'create m merge size=3096; create n merge size=3096; alloc n 20; hold 1000 flushed; call n 20; destroy n; release; called'",
        &[quiet(ALL, &[verdict("m", &[word("alias"), NOT_FLAGGED, by_call_rcu(20)])])],
    ),
    Scenario {
        act: Act::Watched {
            before: "",
            options: "--strict",
            text: "play 'create m merge size=3112; create n merge size=3112; alloc n 20; flush; call n 20; called; destroy n; destroy m'",
        },
        ..played(
            "last_alias_by_luck",
            "The first destroy drops a reference and orders nothing, the second looks: what had run by luck before the first had \
             done so before the second as well. 7.3 calls rcu_barrier() in both, and the first has ordered it.",
            "",
            &[
                Expectation {
                    status: 10,
                    ..quiet(
                        NO_RCU_BARRIER,
                        &[
                            verdict("m", &[word("alias"), NOT_FLAGGED]),
                            verdict(
                                "m",
                                &[word("unordered"), ("callbacks_ever", Want::Number(20)), leaked(0)],
                            ),
                        ],
                    )
                },
                quiet(
                    SHEAVES,
                    &[
                        verdict("m", &[word("alias"), NOT_FLAGGED]),
                        verdict("m", &[word("clean"), ordering("ordered"), leaked(0)]),
                    ],
                ),
            ],
        )
    },
];
