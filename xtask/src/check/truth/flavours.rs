//! The other kinds of RCU, each with its own grace period and its own barrier: `call_srcu()`, `call_rcu_tasks()`,
//! `call_rcu_tasks_trace()`. No destroy waits for any of them.

use super::{Field, by_call_rcu, late, leaked, left, ordering, played, unknown};
use crate::check::scenarios::{
    ALL, BATCHES_WAIT, Expectation, SHEAVES, Scenario, Want, quiet, reported, verdict, word,
};

/// Everything was freed, by luck.
const LUCKY: &[Field] =
    &[word("unordered"), ordering("unordered"), leaked(0), ("flagged_strictly", Want::Flag(true))];
/// Everything was freed, and the teardown waited for it.
const ORDERED: &[Field] = &[word("clean"), ordering("ordered"), leaked(0)];
/// Twenty are outstanding, and not leaked.
const TWENTY: &[Field] = &[word("pending"), leaked(0), left(20), by_call_rcu(0)];

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    played(
        "srcu_pending",
        "A reader of the domain is there, so no callback of call_srcu() has run. rcu_barrier(), which 7.3's destroy calls, has to do \
         with another kind of RCU.",
        "play 'create a; alloc a 20; hold_srcu; srcu a 20; destroy a; release_srcu; srcued'",
        &[reported(
            ALL,
            &[verdict(
                "a",
                &[
                    word("pending"),
                    leaked(0),
                    left(20),
                    by_call_rcu(0),
                    late(20),
                    ("/callbacks/0/function", Want::Has("krcu_play_srcu_callback")),
                    ("/callbacks/0/module", Want::Text("krcu_play")),
                ],
            )],
        )],
    ),
    played(
        "srcu_lucky",
        "All have run, and no srcu_barrier() stands before the destroy.",
        "play 'create a; alloc a 20; srcu a 20; srcued; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "srcu_barrier",
        "srcu_barrier() of their domain waits for them.",
        "play 'create a; alloc a 20; srcu a 20; srcubarrier; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "srcu_barrier_of_another_domain",
        "srcu_barrier() of another domain does not.",
        "play 'create a; alloc a 20; srcu a 20; srcued; srcubarrier other; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "srcu_rcu_barrier",
        "rcu_barrier() does not either.",
        "play 'create a; alloc a 20; srcu a 20; srcued; barrier; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "srcu_barrier_too_early",
        "It covers what was queued before it began.",
        "play 'create a; alloc a 20; srcu a 10; srcubarrier; hold_srcu; srcu a 10; destroy a; release_srcu; srcued'",
        &[reported(ALL, &[verdict("a", &[word("pending"), leaked(0), left(10), late(10)])])],
    ),
    played(
        "srcu_and_leaked",
        "Twenty outstanding by call_srcu(), five forgotten. Each callback may free one of the five as well.",
        "play 'create a; alloc a 25; hold_srcu; srcu a 20; forget a; destroy a; release_srcu; srcued'",
        &[reported(ALL, &[verdict("a", &[word("pending"), leaked(0), unknown(5), left(25), late(20)])])],
    ),
    played(
        "srcu_beside_rcu",
        "rcu_barrier() orders those by call_rcu(); the ten by call_srcu() are outstanding.",
        "play 'create a; alloc a 20; hold_srcu; srcu a 10; call a 10; barrier; destroy a; release_srcu; srcued'",
        &[reported(
            ALL,
            &[verdict(
                "a",
                &[word("pending"), leaked(0), left(10), late(10), ("callbacks_ever", Want::AtLeast(10))],
            )],
        )],
    ),
    played(
        "rcu_beside_srcu",
        "The other way round: srcu_barrier() orders the ten by call_srcu(), and those by call_rcu() have run by luck. 7.3's destroy \
         waits for the latter.",
        "play 'create a; alloc a 20; flush; srcu a 10; call a 10; srcubarrier; called; destroy a'",
        &[
            quiet(super::NO_RCU_BARRIER, &[verdict("a", LUCKY)]),
            quiet(SHEAVES, &[verdict("a", &[word("waited"), ordering("ordered"), leaked(0)])]),
        ],
    ),
    played(
        "tasks_pending",
        "A thread runs without ever giving up its processor of its own accord, so no grace period of call_rcu_tasks() ends.",
        "play 'create a; alloc a 20; hold_tasks; tasks a 20; destroy a; release_tasks; tasked'",
        &[reported(ALL, &[verdict("a", TWENTY)])],
    ),
    played(
        "tasks_lucky",
        "All have run; an rcu_barrier() of the task's own is no rcu_barrier_tasks().",
        "play 'create a; alloc a 20; tasks a 20; tasked; barrier; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "tasks_barrier",
        "rcu_barrier_tasks() waits for them.",
        "play 'create a; alloc a 20; tasks a 20; tasksbarrier; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "tasks_barrier_after_they_ran",
        "The barrier finds nothing to wait for, and orders all the same.",
        "play 'create a; alloc a 20; tasks a 20; tasked; tasksbarrier; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "tasks_trace_lucky",
        "call_rcu_tasks_trace() is yet another kind; 7.3 makes call_srcu() of it, of a domain of the kernel's own.",
        "play 'create a; alloc a 20; trace a 20; traced; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "tasks_trace_barrier",
        "rcu_barrier_tasks_trace() waits for them, on 7.3 as srcu_barrier() of that domain.",
        "play 'create a; alloc a 20; trace a 20; tracebarrier; destroy a'",
        &[quiet(ALL, &[verdict("a", ORDERED)])],
    ),
    played(
        "tasks_trace_other_barrier",
        "rcu_barrier_tasks() waits for another kind.",
        "play 'create a; alloc a 20; trace a 20; traced; tasksbarrier; destroy a'",
        &[quiet(ALL, &[verdict("a", LUCKY)])],
    ),
    played(
        "hurried_and_leaked",
        "call_rcu_hurry() queues as call_rcu() does, without being lazy: twenty are outstanding. The five that were forgotten may be \
         freed by these callbacks too, as far as anybody can see. 6.1 does not have it.",
        "play 'create a; alloc a 25; hold 1000 flushed; hurry a 20; forget a; destroy a; release; called'",
        &[
            reported(
                BATCHES_WAIT,
                &[verdict(
                    "a",
                    &[word("pending"), by_call_rcu(20), leaked(0), unknown(5), left(25), late(20)],
                )],
            ),
            Expectation {
                status: 11,
                ..reported(
                    SHEAVES,
                    &[verdict("a", &[word("inconclusive"), by_call_rcu(0), unknown(5), left(5)])],
                )
            },
        ],
    ),
];
