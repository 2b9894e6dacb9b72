//! Deferred: one free that waits for its grace period, queued by `kfree_rcu()` or by `call_rcu()`.

use krcu_common::{Flavour, QueueForm};

use crate::{
    event::{CacheAddress, Cpu, ObjectAddress, Task},
    state::{
        deferral::{Deferral, is_of_call_rcu},
        function::FunctionId,
        id::{CacheId, DestroyId, Mark},
        stack::StackId,
    },
};

/// A deferred free that has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// When the call that queued it was entered.
    pub queued: Mark,
    /// The task that queued it.
    pub task: Task,
    /// The CPU that queued it.
    pub cpu: Cpu,
    /// The stack of the call.
    pub stack: StackId,
    /// The form of `kfree_rcu()`.
    pub form: QueueForm,
}

/// A callback that has not run, or a work that a callback has queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its head; of a work that a callback has queued, the work.
    pub head: ObjectAddress,
    /// The cache of the object that its head lies in.
    pub cache: CacheAddress,
    /// The life of that cache, which may have ended.
    pub life: CacheId,
    /// When it was queued.
    pub queued: Mark,
    /// The task that queued it.
    pub task: Task,
    /// The CPU that queued it.
    pub cpu: Cpu,
    /// The stack of the call.
    pub stack: StackId,
    /// How it was deferred, where that was not by `call_rcu()`; also where a callback called that.
    pub deferral: Option<Deferral>,
    /// Of a callback that a callback queues: when the others were queued.
    pub chain: Option<Chain>,
    /// The callback.
    pub function: FunctionId,
    /// The destroy that gave the memory of its object back before it ran.
    pub late_for: Option<DestroyId>,
}

/// When the callbacks were queued that led to one of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The first of those whose barriers have to stand before its own.
    pub since: Mark,
    /// The one that queued it.
    pub by: Mark,
}

impl Waiting {
    /// Whether `call_rcu()` queued it.
    #[must_use]
    pub fn is_of_call_rcu(&self) -> bool {
        is_of_call_rcu(self.deferral)
    }

    /// Whether it is a work that a callback has queued by itself. What objects such a work frees is not known.
    #[must_use]
    pub fn is_plain_work(&self) -> bool {
        self.deferral.is_some_and(|deferral| deferral.flavour == Flavour::Work)
    }

    /// Whether `queue_rcu_work()` queued it.
    #[must_use]
    pub fn is_rcu_work(&self) -> bool {
        self.deferral.is_some_and(|deferral| deferral.flavour == Flavour::RcuWork)
    }
}
