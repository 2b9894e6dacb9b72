//! `kmem_cache_destroy_rcu()` returns a cookie, and `kmem_cache_destroy_barrier()` takes it.
//!
//! As `destroy-rcu-barrier`, "isolating which kmem_cache instance is suffering the memory leak": one
//! waits for one cache, whatever becomes of the others, and many cookies may be waited for one after
//! the other. Expected: every promise holds, and a leak of one cache holds up nobody else.

use super::{
    Approach,
    steps::{LINGER, chain, lingering_destroy},
};
use crate::machine::{CacheIndex, op::Op};

struct DestroyRcuCookie;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(DestroyRcuCookie)]
}

impl Approach for DestroyRcuCookie {
    fn id(&self) -> &'static str {
        "destroy-rcu-cookie"
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy_rcu/_barrier(), with a cookie"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        chain([
            lingering_destroy(cache, LINGER),
            vec![Op::AwaitDestroyed(cache), Op::DestructionAwaited(Some(cache))],
        ])
    }

    fn api_changes(&self) -> &'static str {
        "cookie = kmem_cache_destroy_rcu(cache), then kmem_cache_destroy_barrier(cookie)"
    }
}
