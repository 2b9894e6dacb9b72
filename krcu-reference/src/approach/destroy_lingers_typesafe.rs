//! `kmem_cache_destroy()` lingers for `kfree_rcu()` and for `rcu_barrier()`.
//!
//! Like the lingering destroy, but a `SLAB_TYPESAFE_BY_RCU` cache also lingers until its slabs are back,
//! which are freed by `call_rcu()`: it lingers for an `rcu_barrier()`. That wait is batched: one work item
//! serves all caches that have come meanwhile (657dc2f97220). One `rcu_barrier()` for each cache would hurt
//! memory cgroups, which destroy thousands. Expected: both keep every promise, and a simulation shows the
//! cost.

use super::{
    Approach,
    steps::{LINGER, lingering_destroy},
};
use crate::machine::{
    CacheIndex,
    op::{Batching, Linger, Op},
};

struct DestroyLingersTypesafe(Batching);

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [Batching::Batched, Batching::Each].map(|batching| Box::new(DestroyLingersTypesafe(batching)) as _).into()
}

impl Approach for DestroyLingersTypesafe {
    fn id(&self) -> &'static str {
        "destroy-lingers-typesafe"
    }

    fn option(&self) -> &'static str {
        match self.0 {
            Batching::Batched => "",
            Batching::Each => "one rcu_barrier() each",
        }
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy() Lingers for kfree_rcu() and rcu_barrier()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        lingering_destroy(cache, Linger { for_rcu_barrier: Some(self.0), ..LINGER })
    }

    fn has_type_safe_cache(&self) -> bool {
        true
    }

    fn api_changes(&self) -> &'static str {
        "none"
    }
}
