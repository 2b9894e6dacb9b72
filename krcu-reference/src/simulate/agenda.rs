//! Agenda: what is due next.
//!
//! What is due at the same time comes in the order of the workload's actions, and after these in the
//! order in which it became due. An entry may be outlived by what it is about (a monitor that a barrier
//! has cancelled): who takes it looks.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::machine::{CacheIndex, Freer, TaskIndex};
use krcu_model::event::{Cpu, Time};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A task takes its next step.
    Task(TaskIndex),
    /// A grace period begins that somebody waits for.
    GraceBegin,
    /// One begins that is needed elsewhere, if so many have begun before.
    OthersGrace(u32),
    GraceEnd,
    Monitor(Cpu),
    Work(Cpu, u8),
    Free(Freer),
    Callback(Cpu),
    FillPages(Cpu),
    /// A lingering cache is looked at, because its last object was freed.
    LingerLook(CacheIndex),
    /// Its timer ends.
    LingerTimer(CacheIndex),
    /// The work item that releases type-safe caches takes up all that have come.
    ReleaseWork,
    Pressure(bool),
    /// The shrinker goes over the CPUs, from this one on.
    Shrink(Cpu),
}

/// What is due, earliest first.
#[derive(Debug)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, Due)>>,
    next: u64,
    /// Entries that come again and again by themselves.
    recurring: usize,
}

impl Due {
    /// Whether it comes again by itself, as long as anything else is to come.
    fn recurs(self) -> bool {
        matches!(self, Due::OthersGrace(_) | Due::LingerTimer(_))
    }
}

impl Agenda {
    /// With room for so many actions in front of what follows from them.
    pub(super) fn new(actions: u64) -> Agenda {
        Agenda { heap: BinaryHeap::new(), next: actions, recurring: 0 }
    }

    /// An action of the workload.
    pub(super) fn put_action(&mut self, at: Time, position: u64, due: Due) {
        self.heap.push(Reverse((at, position, due)));
    }

    /// Something that follows.
    pub(super) fn put(&mut self, at: Time, due: Due) {
        self.heap.push(Reverse((at, self.next, due)));
        self.next += 1;
        self.recurring += usize::from(due.recurs());
    }

    /// Something that comes behind whatever else is due at that time, and only once at a time.
    pub(super) fn put_last(&mut self, at: Time, due: Due) {
        self.heap.push(Reverse((at, u64::MAX, due)));
    }

    pub(super) fn take(&mut self) -> Option<(Time, Due)> {
        let Reverse((at, _, due)) = self.heap.pop()?;
        self.recurring -= usize::from(due.recurs());
        Some((at, due))
    }

    /// Whether such an entry is there.
    #[cfg(test)]
    pub(super) fn has(&self, wanted: impl Fn(&Due) -> bool) -> bool {
        self.heap.iter().any(|Reverse((_, _, due))| wanted(due))
    }

    /// Whether anything is to come that does not only come by itself again.
    pub(super) fn has_more(&self) -> bool {
        self.heap.len() > self.recurring
    }
}
