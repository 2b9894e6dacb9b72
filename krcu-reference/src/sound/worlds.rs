//! Worlds: what fooled a judge, or may fool one.

use krcu_model::state::Blind;

use super::{
    setup::{
        Actor::{self, Exit, Helper, Other},
        How::{CallRcu, CallSrcu, Elsewhere, KfreeRcu},
        Inner,
        Op::{Barrier, Defer, Destroy, Free, Join, Return, Share},
        PLAIN, Setup,
        Then::{Frees, HandsOn, QueuesWork},
        Wait::{Flush, Kvfree, Rcu, Srcu},
    },
    watch::Plan,
};

const BARRIER: &[(Actor, super::setup::Op)] = &[
    (Exit, Defer(CallRcu, Frees, 0)),
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
    (Exit, Barrier(Rcu, true)),
    (Exit, Destroy),
];

/// The plans that a judge listens to a world with.
#[must_use]
pub fn plans() -> Vec<Plan> {
    let blind = [
        Blind::Frees,
        Blind::Callbacks,
        Blind::Flavours,
        Blind::RcuBarrier,
        Blind::KvfreeBarrier,
        Blind::CallbackRuns,
    ];
    [Plan::Full, Plan::Allocations].into_iter().chain(blind.map(Plan::Without)).collect()
}

/// All worlds.
#[must_use]
pub fn all() -> Vec<Setup> {
    let mut worlds = vec![
        Setup { name: "a bystander's rcu_barrier()", ops: BARRIER, ..PLAIN },
        Setup { name: "a bystander's kvfree_rcu_barrier()", ops: KFREE, ..PLAIN },
    ];
    for (name, inner) in [
        ("a destroy that does not wait", Inner::Nothing),
        ("a destroy that calls kvfree_rcu_barrier()", Inner::Barrier),
        ("a destroy with the barrier inlined", Inner::Inlined),
        ("a destroy that waits for callbacks too", Inner::AndCallbacks),
    ] {
        worlds.push(Setup { name, inner, objects: &[true, true], ops: BOTH, ..PLAIN });
    }
    worlds.extend(counts());
    worlds.extend(flavours());
    worlds.extend(others());
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
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            is_fine: true,
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
        Setup {
            name: "a callback that hands its object on",
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, HandsOn, 0)),
                (Exit, Free(1)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
            ],
            ..PLAIN
        },
    ]
}

/// Worlds with other kinds of RCU, works, and heads elsewhere.
fn flavours() -> Vec<Setup> {
    vec![
        Setup {
            name: "callbacks of call_srcu()",
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
            ops: &[
                (Exit, Defer(CallRcu, QueuesWork, 0)),
                (Exit, Barrier(Flush, true)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Barrier(Flush, true)),
                (Exit, Destroy),
                (Exit, Return),
                (Other, Barrier(Flush, true)),
            ],
            ..PLAIN
        },
        Setup {
            name: "heads that lie elsewhere",
            objects: &[true, false],
            ops: &[
                (Exit, Defer(Elsewhere, Frees, 0)),
                (Exit, Defer(Elsewhere, Frees, 1)),
                (Exit, Free(0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
                (Exit, Return),
            ],
            ..PLAIN
        },
    ]
}

/// Worlds with other tasks, with a cache that is shared, and with an attach in the middle.
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
                (Exit, Return),
                (Helper, Barrier(Rcu, false)),
            ],
            ..PLAIN
        },
        Setup { name: "a cache that is shared after the attach", ops: shared, ..PLAIN },
        Setup { name: "a cache that was shared before", users: 2, ops: shared, ..PLAIN },
        Setup { name: "an attach in the middle, call_rcu()", attaches: true, ops: BARRIER, ..PLAIN },
        Setup { name: "an attach in the middle, kfree_rcu()", attaches: true, ops: KFREE, ..PLAIN },
        Setup {
            name: "an attach in the middle, and a leak",
            attaches: true,
            objects: &[true, true],
            ops: &[(Exit, Defer(KfreeRcu, Frees, 0)), (Exit, Free(1)), (Exit, Destroy)],
            ..PLAIN
        },
        Setup {
            name: "grace periods",
            has_graces: true,
            objects: &[true, true],
            ops: &[
                (Exit, Defer(CallRcu, Frees, 0)),
                (Exit, Barrier(Rcu, true)),
                (Exit, Destroy),
                (Other, Defer(KfreeRcu, Frees, 1)),
            ],
            ..PLAIN
        },
    ]
}
