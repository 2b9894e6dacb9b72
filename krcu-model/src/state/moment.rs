//! Moment: what is deferred of a cache at one moment, and what was until then.

use std::collections::BTreeMap;

use crate::{
    event::{Cpu, Time},
    state::{
        freed_by::FreedBy,
        function::{FunctionId, Recent},
        id::Mark,
        stack::StackId,
    },
};

/// Deferred frees that have not returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects of `kfree_rcu()` whose free has not begun.
    pub outstanding: u64,
    /// Objects of `kfree_rcu()` whose free has begun, in calls that have not returned.
    pub being_freed: u64,
    /// Callbacks of `call_rcu()` that have not begun to run, where it is told when they do.
    pub callbacks_waiting: u64,
    /// Callbacks that have begun and not returned.
    pub callbacks_running: u64,
}

impl Counts {
    /// Deferred frees by `kfree_rcu()`.
    #[must_use]
    pub fn frees(&self) -> u64 {
        self.outstanding + self.being_freed
    }

    /// Callbacks of `call_rcu()`.
    #[must_use]
    pub fn callbacks(&self) -> u64 {
        self.callbacks_waiting + self.callbacks_running
    }

    /// Of both, what has not begun.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.outstanding + self.callbacks_waiting
    }

    /// Of both, what has begun.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.being_freed + self.callbacks_running
    }
}

/// What was ever deferred by one function of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many.
    pub ever: u64,
    /// When the last one was. A `kfree_rcu()` that freed within its own call is none.
    pub last: Option<Mark>,
    /// Where the last one came from.
    pub stack: StackId,
}

/// Frees and runs of callbacks of what nobody was seen to queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Objects that were queued before anything was seen of them.
    pub frees: u64,
    /// The same for callbacks.
    pub callbacks: u64,
    /// What may be the module's own.
    pub unexplained: u64,
}

impl Unknown {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.frees + self.callbacks + self.unexplained
    }
}

/// What was ever deferred of a cache.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Objects handed to `kfree_rcu()`.
    pub frees: Queued,
    /// Callbacks handed to `call_rcu()` with a head in an object.
    pub callbacks: Queued,
    /// The functions of the last callbacks.
    pub functions: Recent,
    /// Deferred objects that were freed, by how.
    pub freed_by: FreedBy,
    /// The last free of a deferred object.
    pub last_freed: Option<Time>,
    /// What was freed that nobody was seen to queue.
    pub unknown: Unknown,
}

impl Past {
    /// Whether anything was ever deferred. What was freed within the call that took it was not.
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        let queued = self.frees.ever.saturating_sub(self.freed_by.within_call);
        queued + self.callbacks.ever + self.unknown.frees + self.unknown.callbacks > 0
    }
}

/// What is deferred of a cache at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// How many have not returned.
    pub counts: Counts,
    /// How many of the callbacks that wait by their function.
    pub functions: BTreeMap<FunctionId, u64>,
    /// Whether two heads of those that wait lie so close that they may be in one object.
    pub shares_objects: bool,
    /// When the oldest was queued.
    pub oldest: Option<Time>,
    /// How many wait by stack.
    pub stacks: BTreeMap<StackId, u64>,
    /// How many wait by the CPU that queued them.
    pub cpus: BTreeMap<Cpu, u64>,
    /// What was ever deferred until then.
    pub past: Past,
    /// Normal grace periods that had ended.
    pub graces_ended: u64,
}
