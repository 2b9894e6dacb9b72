//! `kmem_cache_destroy_rcu()`, and `kmem_cache_destroy_barrier()` for all caches that were passed to it
//! before.
//!
//! The destroy lingers, and the barrier "waits for the destruction of all prior kmem_cache instances". A
//! cache with a leak would block the barrier for ever, so the barrier has to report it instead. Expected:
//! with the timeout's report, every promise holds. A barrier that does not learn of the leak hangs in
//! silence.

use super::{
    Approach,
    steps::{LINGER, chain, lingering_destroy},
};
use crate::machine::{
    CacheIndex,
    op::{Linger, Op},
};
use krcu_model::promise::Promise;

struct DestroyRcuBarrier {
    silent: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [false, true].map(|silent| Box::new(DestroyRcuBarrier { silent }) as _).into()
}

impl Approach for DestroyRcuBarrier {
    fn id(&self) -> &'static str {
        "destroy-rcu-barrier"
    }

    fn option(&self) -> &'static str {
        if self.silent { "the barrier hangs in silence" } else { "" }
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy_rcu/_barrier()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        let linger = Linger { reports_late: !self.silent, ..LINGER };
        chain([lingering_destroy(cache, linger), vec![Op::AwaitLingering, Op::DestructionAwaited(None)]])
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        if self.silent {
            &[(Promise::LeakIsReported, "the barrier waits for ever and says nothing")]
        } else {
            &[]
        }
    }

    fn api_changes(&self) -> &'static str {
        "kmem_cache_destroy_rcu(cache), then kmem_cache_destroy_barrier()"
    }
}
