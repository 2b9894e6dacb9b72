//! Counted, one of "Your ideas here": a count of what is queued, for each cache.
//!
//! Where sheaves are used, `kfree_rcu()` knows the cache of an object; elsewhere it finds the cache by the
//! object's slab. A count for each cache rises when an object is queued and falls when it is freed. The
//! destroy looks at the count first: if nothing is queued, it does not wait at all; otherwise it waits for
//! this cache's objects, like `kmem_cache_destroy_wait()`. Expected: every promise holds, and the module
//! changes nothing.

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
