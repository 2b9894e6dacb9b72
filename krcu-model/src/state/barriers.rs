//! Barriers: those that tasks are inside of, and the time of the last one of each task.

use std::collections::BTreeMap;

use krcu_common::BarrierKind;

use crate::{
    event::{Task, Time},
    state::id::Mark,
};

/// A barrier that has been entered.
#[derive(Clone, Copy, Debug)]
pub struct OpenBarrier {
    /// Which.
    pub barrier: BarrierKind,
    /// When.
    pub begin: Mark,
    /// Whether `flush_rcu_work()` called it, only because a batch happened to wait.
    pub by_chance: bool,
}

/// How many tasks that have called `rcu_barrier()` are kept.
const TASKS: usize = 64;

/// The time at which each of the latest tasks called `rcu_barrier()`. So many are enough to tell who prepared
/// a destroy.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentTasks(BTreeMap<Task, Time>);

impl RecentTasks {
    pub(crate) fn get(&self, task: Task) -> Option<Time> {
        self.0.get(&task).copied()
    }

    pub(crate) fn insert(&mut self, task: Task, time: Time) {
        self.0.insert(task, time);
        if self.0.len() > TASKS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, time)| **time).map(|(task, _)| *task)
        {
            self.0.remove(&oldest);
        }
    }
}
