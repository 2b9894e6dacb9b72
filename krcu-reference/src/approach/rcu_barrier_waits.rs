//! `rcu_barrier()` waits for `kfree_rcu()`: back to what it did before 2019.
//!
//! The document obtains it "by adding to rcu_barrier() an invocation of the kfree_rcu_barrier() function".
//! Nobody has to learn a new name, but every caller of `rcu_barrier()` pays for all of `kfree_rcu()`.
//! Expected: every promise holds.

use super::{
    Approach, kfree_rcu_barrier,
    steps::{chain, plain_destroy, rcu_barrier},
};
use crate::machine::{
    CacheIndex,
    op::{Call, Op},
};

struct RcuBarrierWaits;

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    vec![Box::new(RcuBarrierWaits)]
}

impl Approach for RcuBarrierWaits {
    fn id(&self) -> &'static str {
        "rcu-barrier-waits"
    }

    fn section(&self) -> &'static str {
        "rcu_barrier() Waits for kfree_rcu()"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        chain([self.bystander(), plain_destroy(cache)])
    }

    fn bystander(&self) -> Vec<Op> {
        chain([
            vec![Op::Enter(Call::RcuBarrier)],
            kfree_rcu_barrier::document(kfree_rcu_barrier::Choice::Plain),
            rcu_barrier(),
            vec![Op::Leave(Call::RcuBarrier)],
        ])
    }

    fn api_changes(&self) -> &'static str {
        "rcu_barrier() at exit"
    }
}
