//! `kmem_cache_destroy_rcu()` lingers; `kmem_cache_destroy()` keeps its immediate check.
//!
//! The caller says which of its caches have deferred frees. Expected: with the right choice, every promise
//! holds. With the plain function for a cache that has deferred frees, this is the misuse of the status quo
//! again.

use super::{
    Approach,
    steps::{LINGER, lingering_destroy, plain_destroy},
};
use crate::machine::{CacheIndex, op::Op};
use krcu_model::promise::Promise;

struct DestroyRcu {
    wrong_choice: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [false, true].map(|wrong_choice| Box::new(DestroyRcu { wrong_choice }) as _).into()
}

impl Approach for DestroyRcu {
    fn id(&self) -> &'static str {
        "destroy-rcu"
    }

    fn option(&self) -> &'static str {
        if self.wrong_choice { "the plain destroy is called" } else { "" }
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy_rcu() Lingers for kfree_rcu()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        if self.wrong_choice { plain_destroy(cache) } else { lingering_destroy(cache, LINGER) }
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        if self.wrong_choice {
            &[
                (Promise::MemoryOutlivesObjects, "the plain destroy does not wait"),
                (Promise::NoFalseSplat, "objects that are queued look like a leak"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ]
        } else {
            &[]
        }
    }

    fn api_changes(&self) -> &'static str {
        "kmem_cache_destroy_rcu() for caches with deferred frees"
    }
}
