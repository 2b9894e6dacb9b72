//! `kmem_cache_free_barrier()`: as `kfree_rcu_barrier()`, "but is confined to the specified slab".
//!
//! The document leaves open how. Here the objects of the cache that are queued at the call are noted,
//! the lists they may be on are hurried on, and the noted ones are waited for. Expected: every promise
//! holds, and nobody waits for another's objects.

use super::{
    Approach,
    steps::{chain, free_barrier, plain_destroy},
};
use crate::machine::{CacheIndex, op::Op};

struct FreeBarrier;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(FreeBarrier)]
}

impl Approach for FreeBarrier {
    fn id(&self) -> &'static str {
        "free-barrier"
    }

    fn section(&self) -> &'static str {
        "kmem_cache_free_barrier() Waits for kfree_rcu()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        chain([free_barrier(cache), plain_destroy(cache)])
    }

    fn api_changes(&self) -> &'static str {
        "kmem_cache_free_barrier(cache) at exit"
    }
}
