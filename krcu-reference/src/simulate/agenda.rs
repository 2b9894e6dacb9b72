//! Agenda: what is due next.
//!
//! At the same time, the workload's actions come first, in their order; then everything else, in the order in
//! which it became due. An entry may be out of date (for example, for a monitor that a barrier has
//! cancelled). The code that takes an entry checks that.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::machine::{CacheIndex, Reclaimer, TaskIndex};
use krcu_model::event::{Cpu, Time};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A task takes its next step.
    Task(TaskIndex),
    /// Something is queued on a CPU.
    Lane(Cpu),
    /// A grace period begins that a task waits for.
    GraceBegin,
    /// A grace period begins that is needed elsewhere, if this many have begun before.
    OthersGrace(u32),
    GraceEnd,
    Monitor(Cpu),
    /// The monitors run that would run later.
    Drain,
    Work(Cpu, u8),
    Free(Reclaimer),
    Callback(Cpu),
    /// A callback is there that frees nothing of the workload, and needs a grace period that ends then.
    Unseen(Cpu, Time),
    /// The grace period has ended that such callbacks of a CPU need.
    UnseenReady(Cpu),
    FillPages(Cpu),
    /// A lingering cache is checked, because its last object was freed.
    LingerLook(CacheIndex),
    /// The timer of a lingering cache ends.
    LingerTimer(CacheIndex),
    /// The work item that releases type-safe caches takes all that have come.
    ReleaseWork,
    Pressure(bool),
    /// The shrinker visits the CPUs, beginning with this one.
    Shrink(Cpu),
}

/// Everything that is due, the earliest first.
#[derive(Debug)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, Due)>>,
    next: u64,
    /// How many entries recur by themselves.
    recurring: usize,
}

impl Due {
    /// Whether the entry recurs by itself, as long as any other entry remains.
    fn recurs(self) -> bool {
        matches!(self, Due::OthersGrace(_) | Due::LingerTimer(_))
    }
}

impl Agenda {
    /// An agenda with room for this many actions, which come before what follows from them.
    pub(super) fn new(actions: u64) -> Agenda {
        Agenda { heap: BinaryHeap::new(), next: actions, recurring: 0 }
    }

    /// An action of the workload.
    pub(super) fn put_action(&mut self, at: Time, position: u64, due: Due) {
        self.heap.push(Reverse((at, position, due)));
    }

    /// Whether an action with this time and position would come before everything that is there.
    pub(super) fn is_next(&self, action: (Time, u64)) -> bool {
        self.heap.peek().is_none_or(|Reverse((at, position, _))| action < (*at, *position))
    }

    /// Adds something that follows from an action.
    pub(super) fn put(&mut self, at: Time, due: Due) {
        self.heap.push(Reverse((at, self.next, due)));
        self.next += 1;
        self.recurring += usize::from(due.recurs());
    }

    /// Adds an entry after everything else at that time, and only once for each time.
    pub(super) fn put_last(&mut self, at: Time, due: Due) {
        self.heap.push(Reverse((at, u64::MAX, due)));
    }

    pub(super) fn take(&mut self) -> Option<(Time, Due)> {
        let Reverse((at, _, due)) = self.heap.pop()?;
        self.recurring -= usize::from(due.recurs());
        Some((at, due))
    }

    /// Whether there is such an entry.
    #[cfg(test)]
    pub(super) fn has(&self, wanted: impl Fn(&Due) -> bool) -> bool {
        self.heap.iter().any(|Reverse((_, _, due))| wanted(due))
    }

    /// Whether anything is to come that does not only come by itself again.
    pub(super) fn has_more(&self) -> bool {
        self.heap.len() > self.recurring
    }
}
