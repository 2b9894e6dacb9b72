//! `SLAB_DESTROY_ONCE_FULLY_FREED`: a flag at creation makes the destroy linger.
//!
//! The flag suppresses "any warnings that would otherwise be issued" and spawns "workqueues (or timers or
//! whatever)" for the rest. Its price is the warning that it suppresses. Expected: `leak_is_reported` fails
//! for a cache with the flag, and nothing else fails.

use super::{
    Approach,
    steps::{LINGER, lingering_destroy},
};
use crate::machine::{
    CacheIndex,
    op::{Linger, Op},
};
use krcu_model::promise::Promise;

struct DestroyOnceFullyFreed;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(DestroyOnceFullyFreed)]
}

impl Approach for DestroyOnceFullyFreed {
    fn id(&self) -> &'static str {
        "destroy-once-fully-freed"
    }

    fn section(&self) -> &'static str {
        "SLAB_DESTROY_ONCE_FULLY_FREED"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        lingering_destroy(cache, Linger { reports_late: false, ..LINGER })
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        &[(Promise::LeakIsReported, "the flag suppresses the report, also the report of a leak")]
    }

    fn api_changes(&self) -> &'static str {
        "SLAB_DESTROY_ONCE_FULLY_FREED at kmem_cache_create()"
    }
}
