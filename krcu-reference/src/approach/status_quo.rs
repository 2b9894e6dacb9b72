//! Status quo: `call_rcu()` with a callback that frees, and `rcu_barrier()` before the destroy.
//!
//! The document's "world we live in": a module that calls `kmem_cache_destroy()` must not use `kfree_rcu()`
//! on that cache. It has to write a callback, and to wait for all callbacks of the system before the destroy.
//! Expected: if both rules are kept, every promise holds. Breaking either rule is the "subtle
//! memory-corruption bug" that the document is about.

use super::{
    Approach,
    steps::{chain, plain_destroy, rcu_barrier},
};
use crate::machine::{CacheIndex, ObjectIndex, op::Op};
use krcu_model::promise::Promise;

#[derive(Clone, Copy)]
enum Use {
    AsDocumented,
    KfreeRcu,
    NoBarrier,
}

struct StatusQuo(Use);

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [Use::AsDocumented, Use::KfreeRcu, Use::NoBarrier].map(|r#use| Box::new(StatusQuo(r#use)) as _).into()
}

impl Approach for StatusQuo {
    fn id(&self) -> &'static str {
        "status-quo"
    }

    fn option(&self) -> &'static str {
        match self.0 {
            Use::AsDocumented => "",
            Use::KfreeRcu => "misuse: kfree_rcu()",
            Use::NoBarrier => "misuse: no rcu_barrier()",
        }
    }

    fn section(&self) -> &'static str {
        "Status Quo"
    }

    fn free(&self, object: ObjectIndex) -> Op {
        match self.0 {
            Use::KfreeRcu => Op::Queue(object),
            Use::AsDocumented | Use::NoBarrier => Op::CallRcu(object),
        }
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        match self.0 {
            Use::NoBarrier => plain_destroy(cache),
            Use::AsDocumented | Use::KfreeRcu => chain([rcu_barrier(), plain_destroy(cache)]),
        }
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        match self.0 {
            Use::AsDocumented => &[],
            Use::KfreeRcu => &[
                (Promise::MemoryOutlivesObjects, "rcu_barrier() does not wait for the lists of kfree_rcu()"),
                (Promise::NoFalseSplat, "objects that are queued look like a leak"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ],
            Use::NoBarrier => &[
                (Promise::MemoryOutlivesObjects, "callbacks have still not run when the destroy looks"),
                (
                    Promise::CallbacksBeforeUnload,
                    "and callbacks have still not run when the module's text \
                    goes",
                ),
                (Promise::NoFalseSplat, "objects that a callback would free look like a leak"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ],
        }
    }

    fn api_changes(&self) -> &'static str {
        match self.0 {
            Use::AsDocumented => "a callback function for each type; call_rcu(); rcu_barrier() at exit",
            Use::KfreeRcu | Use::NoBarrier => "none: this is what is wrong",
        }
    }
}
