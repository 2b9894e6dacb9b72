//! `kmem_cache_free_barrier()`: like `kfree_rcu_barrier()`, "but is confined to the specified slab".
//!
//! The document does not say how. Here the call notes the objects of the cache that are queued, hurries the
//! lists that they may be on, and waits for the noted objects. Expected: every promise holds, and a caller
//! never waits for objects of another cache.

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
