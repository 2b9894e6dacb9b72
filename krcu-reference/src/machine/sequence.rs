//! Sequence: how RCU counts operations that several callers may share, and when one operation is enough for a
//! caller.
//!
//! The kernel's `rcu_seq` keeps a counter with two state bits. This file needs one rule of it: an operation
//! that was in flight when a caller asked is not enough for that caller, because it may have begun too early;
//! the next one is enough. Grace periods (`rcu_state.gp_seq`) and `rcu_barrier()`
//! (`rcu_state.barrier_sequence`) both count this way.

/// The number of operations that began and that ended; at most one is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence {
    begun: u32,
    ended: u32,
}

/// How many operations must have ended for a caller that asked (`rcu_seq_snap()`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookie(pub(crate) u32);

impl Sequence {
    /// One begins (`rcu_seq_start()`).
    pub(crate) fn begin(&mut self) {
        self.begun += 1;
    }

    /// The one in flight ends (`rcu_seq_end()`).
    pub(crate) fn end(&mut self) {
        self.ended = self.begun;
    }

    /// Whether one is in flight.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.begun != self.ended
    }

    /// The cookie of a caller that asks now: it waits for the next operation to begin.
    #[must_use]
    pub fn snap(&self) -> Cookie {
        Cookie(self.begun + 1)
    }

    /// The cookie of a caller that accepts the operation in flight: a fault, for mutants.
    pub(crate) fn half_a_snap(&self) -> Cookie {
        Cookie(self.ended + 1)
    }

    /// Whether what `cookie` waits for has happened.
    #[must_use]
    pub fn is_done(&self, cookie: Cookie) -> bool {
        self.ended >= cookie.0
    }

    /// How many operations still have to end. A cookie means nothing else for the future.
    #[must_use]
    pub fn remaining(&self, cookie: Cookie) -> u32 {
        cookie.0.saturating_sub(self.ended)
    }

    /// How many have ended.
    #[must_use]
    pub fn ended(&self) -> u32 {
        self.ended
    }
}
