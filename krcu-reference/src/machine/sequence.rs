//! Sequence: how RCU counts operations that others may ride on, and when one of them is enough.
//!
//! The kernel's `rcu_seq` keeps a counter with two state bits. What it is used for here is one rule: an
//! operation that was in flight when somebody asked is not enough for him, since it may have begun
//! before; the next one is. Grace periods (`rcu_state.gp_seq`) and `rcu_barrier()`
//! (`rcu_state.barrier_sequence`) both count this way.

/// Operations that began and ended, at most one in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence {
    begun: u32,
    ended: u32,
}

/// How many operations must have ended for the one who asked (`rcu_seq_snap()`).
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

    /// What to wait for, from now on: the next one to begin.
    #[must_use]
    pub fn snap(&self) -> Cookie {
        Cookie(self.begun + 1)
    }

    /// The cookie of one who would be content with the operation in flight: a fault, for mutants.
    pub(crate) fn half_a_snap(&self) -> Cookie {
        Cookie(self.ended + 1)
    }

    /// Whether what `cookie` waits for has happened.
    #[must_use]
    pub fn is_done(&self, cookie: Cookie) -> bool {
        self.ended >= cookie.0
    }

    /// How many operations are still to end: all that a cookie means for what may follow.
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
