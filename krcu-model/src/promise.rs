//! Promises: what the reference demands of the kernel, and the covering rule that they rest on.
//!
//! "Covered by a barrier" is the rule of `rcu_barrier()`, which "Waiting for kfree_rcu()" applies to
//! every barrier it discusses: a barrier waits for what was queued by calls that had *returned* when
//! the barrier was called. The probes see a queueing call entered, not returned. So an object whose
//! call began before the barrier is taken as covered when the question is whether the race exists,
//! and the kernel is accused of breaking a promise only where program order proves the return: the
//! task that queued the object is the one that called the barrier.

use crate::{
    event::Time,
    state::{CacheId, Mark, OpenBarrier, Outstanding},
};

/// Whether what was queued at `queued` counts as covered by a barrier that was entered at `begin`.
#[must_use]
pub fn covers(begin: Mark, queued: Mark) -> bool {
    queued.position < begin.position
}

/// Whether the call that queued this object had returned when its task entered the barrier.
#[must_use]
pub fn surely_covers(barrier: &OpenBarrier, caller: crate::event::Task, object: &Outstanding) -> bool {
    object.task == caller && covers(barrier.begin, object.queued)
}

/// A promise that the kernel broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// `barrier_covers`: a barrier returned while something that it covers was still queued.
    BarrierEarly {
        /// The cache of the oldest such object.
        cache: CacheId,
        /// When the barrier was entered.
        begin: Time,
        /// When it returned.
        end: Time,
        /// Objects that it covers and that were still queued.
        objects: u64,
        /// When the oldest of them was queued.
        oldest: Time,
    },
}
