//! `kmem_cache_destroy_wait()`: waits for all memory of the cache to be freed, then destroys it.
//!
//! "Given a kmem_cache_free_barrier(), this could be implemented as" that barrier and the destroy, in one
//! call. Expected: every promise holds.

use super::{
    Approach,
    steps::{destroy_after, free_barrier},
};
use crate::machine::{
    CacheIndex,
    op::{Found, Op},
};

struct DestroyWait;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(DestroyWait)]
}

impl Approach for DestroyWait {
    fn id(&self) -> &'static str {
        "destroy-wait"
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy_wait() Waits for kfree_rcu()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        destroy_after(free_barrier(cache), cache, Found::Report)
    }

    fn api_changes(&self) -> &'static str {
        "kmem_cache_destroy_wait(cache) instead of kmem_cache_destroy(cache)"
    }
}
