//! `kmem_cache_destroy()` lingers: "Just make the slab allocator handle it!"
//!
//! The destroy returns at once. If objects are left, the memory is given back when the last of them has been
//! freed. The price is the report of a leak, unless objects that are still left are reported after "the same
//! 21 seconds that causes an RCU CPU stall warning", "perhaps augmented by well-timed checks" of the workers
//! of `kfree_rcu()`. Expected: without the timeout, `leak_is_reported` fails. If a grace period may last as
//! long as the timeout, the report can be false.

use super::{
    Approach,
    steps::{LINGER, lingering_destroy},
};
use crate::machine::{
    CacheIndex,
    op::{Linger, Op},
};
use krcu_model::promise::Promise;

struct DestroyLingers {
    option: &'static str,
    linger: Linger,
}

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    let row = |option, linger| Box::new(DestroyLingers { option, linger }) as Box<dyn Approach>;
    vec![
        row("", LINGER),
        row("timer checks only", Linger { early_checks: false, ..LINGER }),
        row("no timeout", Linger { reports_late: false, ..LINGER }),
        row("a reader stalls RCU for 21 s", Linger { may_stall: true, ..LINGER }),
    ]
}

impl Approach for DestroyLingers {
    fn id(&self) -> &'static str {
        "destroy-lingers"
    }

    fn option(&self) -> &'static str {
        self.option
    }

    fn section(&self) -> &'static str {
        "kmem_cache_destroy() Lingers for kfree_rcu()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        lingering_destroy(cache, self.linger)
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        if !self.linger.reports_late {
            &[(Promise::LeakIsReported, "no code ever looks for objects that are left")]
        } else if self.linger.may_stall {
            &[(Promise::NoFalseSplat, "the timeout cannot tell a stalled grace period from a leak")]
        } else {
            &[]
        }
    }

    fn api_changes(&self) -> &'static str {
        "none"
    }
}
