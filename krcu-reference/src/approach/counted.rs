//! Counted, one of "Your ideas here": a count of what is queued, for each cache.
//!
//! `kfree_rcu()` knows the cache of an object where sheaves are used, and finds it by the object's slab
//! elsewhere. A count there, up at the queueing and down at the free, lets the destroy ask before it
//! waits: nothing queued, no wait at all; else a wait for this cache's objects, as
//! `kmem_cache_destroy_wait()`. Expected: every promise holds, and the module changes nothing.

use super::{
    Approach,
    steps::{destroy_after, free_barrier},
};
use crate::machine::{
    CacheIndex,
    op::{Found, Op},
};

struct Counted;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(Counted)]
}

impl Approach for Counted {
    fn id(&self) -> &'static str {
        "counted"
    }

    fn section(&self) -> &'static str {
        "Your Ideas Here!!!"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        let wait = free_barrier(cache);
        let mut before = vec![Op::SkipUnlessQueued(cache, u8::try_from(wait.len()).unwrap_or(u8::MAX))];
        before.extend(wait);
        destroy_after(before, cache, Found::Report)
    }

    fn api_changes(&self) -> &'static str {
        "none"
    }
}
