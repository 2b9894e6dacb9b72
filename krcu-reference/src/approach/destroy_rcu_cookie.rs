//! `kmem_cache_destroy_rcu()` returns a cookie, and `kmem_cache_destroy_barrier()` takes it.
//!
//! Like `destroy-rcu-barrier`, but "isolating which kmem_cache instance is suffering the memory leak": a
//! caller waits for one cache, whatever happens to the others, and can wait for many cookies one after the
//! other. Expected: every promise holds, and a leak in one cache blocks no other.

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
