//! Worlds: what fooled a judge, or may fool one.

use krcu_model::event::Blind;

use super::{
    setup::{
        Actor::{self, Exit, Helper, Other},
        How::{CallRcu, CallSrcu, Elsewhere, KfreeRcu},
        Inner,
        Op::{Barrier, Defer, Destroy, Free, Join, Return, Share},
        PLAIN, Setup,
        Then::{Frees, FreesTwo, HandsOn, Queues, QueuesOtherWork, QueuesWork, QueuesWorkForTwo},
        Wait::{Chance, Flush, Kvfree, Rcu, Srcu},
    },
    watch::{Loss, Plan},
};

/// One event lost, or one run of a probe skipped.
const LOSSES: &[(Plan, Loss)] = &[(Plan::Full, Loss::Event), (Plan::Full, Loss::Run)];
const TOLD: &[(Plan, Loss)] = &[(Plan::Allocations, Loss::Nothing)];
/// Plans with one thing blind.
const BLIND: &[(Plan, Loss)] = &[
    (Plan::Without(Blind::Frees), Loss::Nothing),
    (Plan::Without(Blind::Callbacks), Loss::Nothing),
    (Plan::Without(Blind::Flavours), Loss::Nothing),
    (Plan::Without(Blind::RcuBarrier), Loss::Nothing),
    (Plan::Without(Blind::KvfreeBarrier), Loss::Nothing),
    (Plan::Without(Blind::CallbackRuns), Loss::Nothing),
];

const BARRIER: &[(Actor, super::setup::Op)] = &[
    (Exit, Defer(CallRcu, Frees, 0)),
    (Exit, Barrier(Chance, true)),
    (Exit, Barrier(Rcu, true)),
    (Exit, Destroy),
    (Exit, Return),
    (Other, Barrier(Rcu, true)),
];
const KFREE: &[(Actor, super::setup::Op)] = &[
    (Exit, Defer(KfreeRcu, Frees, 0)),
    (Exit, Barrier(Rcu, true)),
    (Exit, Barrier(Kvfree, true)),
    (Exit, Destroy),
    (Other, Barrier(Kvfree, true)),
];
const BOTH: &[(Actor, super::setup::Op)] = &[
    (Exit, Defer(KfreeRcu, Frees, 0)),
    (Exit, Defer(CallRcu, Frees, 1)),
    (Exit, Defer(CallRcu, HandsOn, 1)),
    (Exit, Free(0)),
    (Exit, Barrier(Rcu, true)),
    (Exit, Destroy),
];

/// With which plans and losses a judge listens to a world.
#[must_use]
pub fn watches(setup: &Setup) -> Vec<(Plan, Loss)> {
    [(Plan::Full, Loss::Nothing)].into_iter().chain(setup.watches.iter().copied()).collect()
}

/// All worlds.
#[must_use]
pub fn all() -> Vec<Setup> {
    let mut worlds = vec![
        Setup { name: "a bystander's rcu_barrier()", ops: BARRIER, watches: BLIND, ..PLAIN },
        Setup { name: "a bystander's kvfree_rcu_barrier()", ops: KFREE, watches: LOSSES, ..PLAIN },
    ];
    for (name, inner) in [
        ("a destroy that does not wait", Inner::Nothing),
        ("a destroy that calls kvfree_rcu_barrier()", Inner::Barrier),
        ("a destroy with the barrier inlined", Inner::Inlined),
        ("a destroy that waits for callbacks too", Inner::AndCallbacks),
    ] {
        worlds.push(Setup { name, inner, objects: &[true, true], ops: BOTH, watches: BLIND, ..PLAIN });
    }
    worlds.extend(counts());
    worlds.extend(flavours());
    worlds.extend(siblings());
    worlds.extend(chains());
    worlds.extend(others());
    worlds.extend(larger());
    worlds
}

/// Worlds about how many objects are left.
fn counts() -> Vec<Setup> {
    vec![
        Setup {
            name: "a leak beside kfree_rcu()",
            objects: &[true, true],
            ops: &[(Exit, Defer(KfreeRcu, Frees, 0)), (Exit, Free(1)), (Exit, Destroy)],
            is_fine: true,
            ..PLAIN
        },
        Setup {
            name: "a leak beside call_rcu()",
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            is_fine: true,
            ..PLAIN
        },
        Setup {
            name: "a helper that defers during the count",
            objects: &[true, true],
            ops: &[(Exit, Free(0)), (Exit, Destroy), (Helper, Defer(KfreeRcu, Frees, 1))],
            is_fine: true,
            miscounts: true,
            hides: true,
            ..PLAIN
        },
        Setup {
            name: "callbacks while the module goes",
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
                (Exit, Return),
            ],
            is_fine: true,
            ..PLAIN
        },
        Setup {
            name: "a kernel that overlooks an object",
            objects: &[true, true],
            ops: &[(Exit, Defer(KfreeRcu, Frees, 0)), (Exit, Free(1)), (Exit, Destroy)],
            attaches: true,
            is_fine: true,
            overlooks: true,
            ..PLAIN
        },
        Setup {
            name: "a slab that is counted as full",
            objects: &[true, true],
            ops: &[(Exit, Defer(KfreeRcu, Frees, 0)), (Exit, Defer(KfreeRcu, Frees, 1)), (Exit, Destroy)],
            is_fine: true,
            miscounts: true,
            ..PLAIN
        },
    ]
}

/// Worlds with other kinds of RCU, works, and heads elsewhere.
fn flavours() -> Vec<Setup> {
    vec![
        Setup {
            name: "callbacks of call_srcu()",
            watches: BLIND,
            ops: &[
                (Exit, Defer(CallSrcu, Frees, 0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Srcu, true)),
                (Exit, Destroy),
                (Exit, Return),
                (Other, Barrier(Srcu, true)),
            ],
            ..PLAIN
        },
        Setup {
            name: "a callback that queues a work",
            watches: TOLD,
            ops: &[
                (Exit, Defer(CallRcu, QueuesWork, 0)),
                (Exit, Defer(CallRcu, QueuesOtherWork, 0)),
                (Exit, Barrier(Flush, true)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Flush, true)),
                (Exit, Destroy),
                (Exit, Return),
            ],
            ..PLAIN
        },
        Setup {
            name: "heads that lie elsewhere",
            watches: TOLD,
            objects: &[true, false, false],
            most: 2,
            ops: &[
                (Exit, Defer(Elsewhere, Frees, 0)),
                (Exit, Defer(Elsewhere, Frees, 1)),
                (Exit, Defer(Elsewhere, Frees, 2)),
                (Exit, Defer(Elsewhere, Frees, 0)),
                (Exit, Free(0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
                (Exit, Return),
            ],
            ..PLAIN
        },
    ]
}

/// Worlds in which a callback, or a work that it queues, frees a second object of the cache.
fn siblings() -> Vec<Setup> {
    vec![
        Setup {
            name: "a callback that frees a second object",
            is_fine: true,
            watches: TOLD,
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Defer(CallRcu, FreesTwo, 0)),
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            ..PLAIN
        },
        Setup {
            name: "a work that frees a second object",
            watches: TOLD,
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, QueuesWork, 0)),
                (Exit, Defer(CallRcu, QueuesWorkForTwo, 0)),
                (Exit, Defer(CallRcu, QueuesOtherWork, 0)),
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            ..PLAIN
        },
    ]
}

/// Worlds in which callbacks queue callbacks.
fn chains() -> Vec<Setup> {
    let chain: &[(Actor, super::setup::Op)] = &[
        (Exit, Defer(CallRcu, Frees, 0)),
        (Exit, Defer(CallRcu, Queues(&[CallRcu]), 0)),
        (Exit, Barrier(Rcu, true)),
        (Exit, Barrier(Rcu, true)),
        (Exit, Destroy),
        (Exit, Return),
    ];
    vec![
        Setup { name: "a callback that queues a callback", watches: BLIND, ops: chain, ..PLAIN },
        Setup {
            name: "a callback that queues a callback, and a destroy that waits",
            inner: Inner::AndCallbacks,
            ops: chain,
            ..PLAIN
        },
        Setup {
            name: "a callback that queues one of call_srcu()",
            ops: &[
                (Exit, Defer(CallRcu, Queues(&[CallSrcu]), 0)),
                (Exit, Barrier(Srcu, true)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Srcu, true)),
                (Exit, Destroy),
                (Exit, Return),
            ],
            ..PLAIN
        },
        Setup {
            name: "three generations of callbacks",
            ops: &[
                (Exit, Defer(CallRcu, Queues(&[CallRcu, CallRcu]), 0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            ..PLAIN
        },
    ]
}

/// Worlds with other tasks, with losses, and with a cache that is shared.
fn others() -> Vec<Setup> {
    let shared: &[(Actor, super::setup::Op)] = &[
        (Exit, Defer(CallRcu, Frees, 0)),
        (Exit, Barrier(Rcu, true)),
        (Exit, Destroy),
        (Other, Share),
        (Other, Destroy),
    ];
    vec![
        Setup {
            name: "a helper's barrier",
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Join),
                (Exit, Destroy),
                (Exit, Join),
                (Exit, Return),
                (Helper, Barrier(Rcu, true)),
            ],
            ..PLAIN
        },
        Setup {
            name: "a barrier of nobody knows whom",
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Join),
                (Exit, Destroy),
                (Exit, Join),
                (Exit, Return),
                (Helper, Barrier(Rcu, false)),
            ],
            ..PLAIN
        },
        Setup {
            name: "one loss",
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Free(1)),
                (Exit, Defer(KfreeRcu, Frees, 1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            watches: LOSSES,
            ..PLAIN
        },
        Setup { name: "a cache that is shared after the attach", ops: shared, ..PLAIN },
        Setup { name: "a cache that was shared before", users: 2, ops: shared, ..PLAIN },
    ]
}

/// Worlds with more objects: an attach in the middle, and grace periods that are told.
fn larger() -> Vec<Setup> {
    vec![
        Setup {
            name: "an attach in the middle",
            attaches: true,
            objects: &[true, false],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Defer(KfreeRcu, Frees, 0)),
                (Exit, Defer(CallSrcu, Frees, 0)),
                (Exit, Defer(CallRcu, Frees, 1)),
                (Exit, Defer(KfreeRcu, Frees, 1)),
                (Exit, Free(0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Kvfree, true)),
                (Exit, Destroy),
            ],
            ..PLAIN
        },
        Setup {
            name: "grace periods",
            has_graces: true,
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
                (Other, Defer(KfreeRcu, Frees, 1)),
            ],
            ..PLAIN
        },
    ]
}
