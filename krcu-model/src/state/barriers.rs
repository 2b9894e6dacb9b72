//! Barriers: those that tasks are inside of, and when tasks called the last one.

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
    /// Whether another function called it, and only because it met a batch that waited.
    pub by_chance: bool,
}

/// Tasks kept of those that have called `rcu_barrier()`.
const TASKS: usize = 64;

/// When each of the last tasks that did something did it: as many as tell who prepared a destroy.
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
