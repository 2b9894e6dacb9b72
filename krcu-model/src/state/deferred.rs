//! Deferred: one free that waits for its grace period, queued by `kfree_rcu()` or by `call_rcu()`.

use krcu_common::QueueForm;

use crate::{
    event::{CacheAddress, Cpu, Task},
    state::{
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

/// A callback of `call_rcu()` that has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
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
    /// The callback.
    pub function: FunctionId,
    /// The destroy that gave the memory of its object back before it ran.
    pub late_for: Option<DestroyId>,
}
