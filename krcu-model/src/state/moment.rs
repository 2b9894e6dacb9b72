//! Moment: the deferred frees of a cache at one moment, and those until then.

use std::collections::BTreeMap;

use crate::{
    event::{Cpu, Time},
    state::{
        deferral::{Deferrals, Queued},
        deferred::Waiting,
        freed_by::FreedBy,
        function::{FunctionId, Recent},
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
    /// Callbacks of `call_rcu()` that have not begun to run; only counted if their runs can be seen.
    pub callbacks_waiting: u64,
    /// Callbacks that have begun and not returned.
    pub callbacks_running: u64,
    /// Callbacks of other kinds of RCU, and works of `queue_rcu_work()`, that have not begun to run.
    pub others_waiting: u64,
    /// Of these, what has begun and not returned.
    pub others_running: u64,
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

    /// Callbacks of other kinds of RCU, and works of `queue_rcu_work()`.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others_waiting + self.others_running
    }

    /// Frees and callbacks that have not begun.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.outstanding + self.callbacks_waiting + self.others_waiting
    }

    /// Frees and callbacks that have begun.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.being_freed + self.callbacks_running + self.others_running
    }
}

/// Frees, and runs of callbacks, whose queueing was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Frees of objects whose queueing was not seen.
    pub frees: u64,
    /// The same for callbacks.
    pub callbacks: u64,
    /// Where the last of these began to run.
    pub last_callback: u64,
    /// Frees that the module may have made by itself.
    pub unexplained: u64,
    /// Callbacks that a callback queued whose run cannot be seen: what has to cover that one is not known.
    pub chained: u64,
}

impl Unknown {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.frees + self.callbacks + self.unexplained
    }
}

/// Everything that was deferred for a cache.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Objects handed to `kfree_rcu()`.
    pub frees: Queued,
    /// Callbacks handed to `call_rcu()` with a head in an object.
    pub callbacks: Queued,
    /// The last of each other kind of deferral.
    pub others: Deferrals,
    /// The functions of the last callbacks.
    pub functions: Recent,
    /// Deferred objects that were freed, by the way of freeing.
    pub freed_by: FreedBy,
    /// The last free of a deferred object.
    pub last_freed: Option<Time>,
    /// What was freed although its queueing was not seen.
    pub unknown: Unknown,
}

impl Past {
    /// Whether anything was ever deferred. An object that was freed within the call that took it does not
    /// count.
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        let queued = self.frees.ever.saturating_sub(self.freed_by.within_call);
        queued + self.callbacks.ever + self.others.ever() + self.unknown.frees + self.unknown.callbacks > 0
    }
}

/// The deferred frees of a cache at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// How many have not returned.
    pub counts: Counts,
    /// The callbacks that wait, counted by their function.
    pub functions: BTreeMap<FunctionId, u64>,
    /// Whether two heads that wait lie so close to each other that they may be in one object.
    pub shares_objects: bool,
    /// When the oldest of them was queued.
    pub oldest: Option<Time>,
    /// The frees and callbacks that wait, counted by the stack that queued them.
    pub stacks: BTreeMap<StackId, u64>,
    /// The same, counted by the CPU that queued them.
    pub cpus: BTreeMap<Cpu, u64>,
    /// Everything that was deferred until then.
    pub past: Past,
    /// Normal grace periods that had ended by then.
    pub graces_ended: u64,
}

impl Moment {
    /// Counts one more callback that waits, by its function, its stack and its CPU.
    pub(crate) fn has(&mut self, waiting: &Waiting) {
        *self.functions.entry(waiting.function).or_default() += 1;
        *self.stacks.entry(waiting.stack).or_default() += 1;
        *self.cpus.entry(waiting.cpu).or_default() += 1;
    }
}
