//! Tally: events by the six words of the design.

use serde::{Deserialize, Serialize};

use krcu_model::event::What;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventWord {
    /// A cache is created, destroyed, looked at, released.
    Cache,
    /// A free is deferred: `kfree_rcu()`, `call_rcu()`.
    Queue,
    /// A call that freed, or a callback, has returned.
    Batch,
    /// A grace period begins or ends.
    Grace,
    /// The free of an object begins, or its callback.
    Free,
    /// A barrier is entered or returns.
    Barrier,
    /// Names of functions, stacks, modules, allocations.
    Other,
}

/// Events by word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Of [`EventWord::Cache`].
    pub cache: u64,
    /// Of [`EventWord::Queue`].
    pub queue: u64,
    /// Of [`EventWord::Batch`].
    pub batch: u64,
    /// Of [`EventWord::Grace`].
    pub grace: u64,
    /// Of [`EventWord::Free`].
    pub free: u64,
    /// Of [`EventWord::Barrier`].
    pub barrier: u64,
    /// Of [`EventWord::Other`].
    pub other: u64,
}

impl EventWord {
    /// All of them, in the order of an object's life.
    pub const ALL: [EventWord; 7] = [
        EventWord::Cache,
        EventWord::Queue,
        EventWord::Batch,
        EventWord::Grace,
        EventWord::Free,
        EventWord::Barrier,
        EventWord::Other,
    ];

    /// What an event is about; none for a gap, which is not an event.
    #[must_use]
    pub fn of(what: &What) -> Option<EventWord> {
        Some(match what {
            What::Queued { .. } | What::CallbackQueued { .. } | What::QueueReturned { .. } => {
                EventWord::Queue
            }
            What::Freed { .. }
            | What::FreedAtOnce { .. }
            | What::CallbackRuns { .. }
            | What::WorkRan { .. }
            | What::WorkRuns { .. }
            | What::CallbackRan { .. } => EventWord::Free,
            What::BatchFreed { .. } => EventWord::Batch,
            What::GraceBegin { .. } | What::GraceEnd { .. } => EventWord::Grace,
            What::BarrierBegin { .. } | What::BarrierEnd { .. } | What::DestructionAwaited { .. } => {
                EventWord::Barrier
            }
            What::CacheCreated { .. }
            | What::DestroyBegin { .. }
            | What::ShutdownBegin { .. }
            | What::ShutdownEnd { .. }
            | What::CacheReleased { .. }
            | What::Lingers { .. }
            | What::Reported { .. }
            | What::SlabsFreed { .. } => EventWord::Cache,
            What::Function { .. }
            | What::ModuleLoaded { .. }
            | What::ModuleGoing { .. }
            | What::ModuleFreed { .. }
            | What::Site { .. }
            | What::Allocated { .. }
            | What::ReadLock { .. }
            | What::ReadUnlock
            | What::Quiet => EventWord::Other,
            What::Gap(_) => return None,
        })
    }

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EventWord::Cache => "cache",
            EventWord::Queue => "queue",
            EventWord::Batch => "batch",
            EventWord::Grace => "grace",
            EventWord::Free => "free",
            EventWord::Barrier => "barrier",
            EventWord::Other => "other",
        }
    }
}

impl Events {
    /// The events of one word.
    #[must_use]
    pub fn of(&self, word: EventWord) -> u64 {
        match word {
            EventWord::Cache => self.cache,
            EventWord::Queue => self.queue,
            EventWord::Batch => self.batch,
            EventWord::Grace => self.grace,
            EventWord::Free => self.free,
            EventWord::Barrier => self.barrier,
            EventWord::Other => self.other,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        EventWord::ALL.iter().map(|word| self.of(*word)).sum()
    }

    pub(super) fn count(&mut self, word: EventWord) {
        *match word {
            EventWord::Cache => &mut self.cache,
            EventWord::Queue => &mut self.queue,
            EventWord::Batch => &mut self.batch,
            EventWord::Grace => &mut self.grace,
            EventWord::Free => &mut self.free,
            EventWord::Barrier => &mut self.barrier,
            EventWord::Other => &mut self.other,
        } += 1;
    }
}
