//! Cache: what the model believes about a cache that exists.
//!
//! A cache is a life, not an address: the kernel uses the address again, but a [`CacheId`] is never used
//! again. An object is in its cache's [`ObjectTable`] from the call that queues it until the call that frees
//! it begins, and counts as *being freed* until that call has returned.

use crate::{
    event::{CacheFacts, ObjectAddress},
    promise::ledger::Ledger,
    state::{
        barriers::Callers,
        home::ByHome,
        id::{CacheId, DestroyId, Mark},
        moment::{Counts, Moment, Past},
        object_table::ObjectTable,
        stack::StackId,
    },
};

/// How a cache came into the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Born {
    /// Created while the probes were attached.
    Watched {
        /// When.
        at: Mark,
        /// The stack of the call.
        stack: StackId,
    },
    /// It is older than the probes. What was queued before they were attached is not known.
    BeforeAttach,
}

impl Born {
    /// The stack of its creation, if that was seen.
    #[must_use]
    pub fn stack(&self) -> Option<StackId> {
        match self {
            Born::Watched { stack, .. } => Some(*stack),
            Born::BeforeAttach => None,
        }
    }
}

/// Which cache it is.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its number.
    pub id: CacheId,
    /// What the kernel says about it.
    pub facts: CacheFacts,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// How it came into the watch.
    pub born: Born,
    /// Whether its objects are counted, not streamed.
    pub counted: bool,
}

impl Life {
    /// Whether objects may have been queued before the probes were attached, or are only counted.
    #[must_use]
    pub fn has_unseen_past(&self) -> bool {
        self.born == Born::BeforeAttach || self.counted
    }
}

/// What may have ordered `kfree_rcu()` without being seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Everything queued before this point had been freed, if a barrier ran inside a destroy of which it is not known
    /// whether one did.
    pub maybe_covered: u64,
    /// Whether a barrier has returned that was already running when the probes were attached.
    pub after_older_barrier: bool,
}

/// A user that asked for a new cache and got this one.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// When.
    pub(crate) at: Mark,
    /// The stack of the call.
    pub(crate) stack: StackId,
    /// The name that it asked for.
    pub(crate) name: String,
}

/// A slab cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Which cache it is.
    pub life: Life,
    /// Objects of `kfree_rcu()` whose free has not begun.
    pub outstanding: ObjectTable,
    /// How many frees have begun, in calls that have not returned.
    pub being_freed: u64,
    /// Callbacks of `call_rcu()` that have not begun to run; only counted if their runs can be seen.
    pub callbacks_waiting: u64,
    /// Callbacks that have begun and not returned.
    pub callbacks_running: u64,
    /// Callbacks of other kinds of RCU, and works of `queue_rcu_work()`, that have not begun; only counted if their runs
    /// can be seen.
    pub others_waiting: u64,
    /// Of these, what has begun and not returned.
    pub others_running: u64,
    /// What was ever deferred.
    pub past: Past,
    /// How far the barriers for it alone reached, by their caller.
    pub(crate) barriers: Callers,
    /// Callbacks with their heads elsewhere that were seen to free objects of it, where allocations are told.
    pub(crate) freed_by_foreign: ByHome,
    /// What may have ordered its frees unseen.
    pub doubt: Doubt,
    /// Whether anybody has ever asked to destroy it, or to drop a reference.
    pub asked_to_go: bool,
    /// Users that have got it by a merge and have not let go of it.
    pub(crate) askers: Vec<Asker>,
    /// How often somebody has let go of it of whom no stack tells which user that was.
    pub(crate) given_back: usize,
    /// The destroy that failed to empty it.
    pub failed: Option<DestroyId>,
    /// The last destroy that began to look at it.
    pub looking: Option<DestroyId>,
    /// The last destroy whose look at it is over.
    pub looked: Option<DestroyId>,
}

impl Cache {
    pub(crate) fn new(id: CacheId, facts: CacheFacts, born: Born) -> Cache {
        Cache {
            life: Life { id, facts, aliases: Vec::new(), born, counted: false },
            outstanding: ObjectTable::default(),
            being_freed: 0,
            callbacks_waiting: 0,
            callbacks_running: 0,
            others_waiting: 0,
            others_running: 0,
            past: Past::default(),
            barriers: Callers::default(),
            freed_by_foreign: ByHome::default(),
            doubt: Doubt::default(),
            asked_to_go: false,
            askers: Vec::new(),
            given_back: 0,
            failed: None,
            looking: None,
            looked: None,
        }
    }

    /// How many deferred frees have not returned.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            outstanding: self.outstanding.len(),
            being_freed: self.being_freed,
            callbacks_waiting: self.callbacks_waiting,
            callbacks_running: self.callbacks_running,
            others_waiting: self.others_waiting,
            others_running: self.others_running,
        }
    }

    /// What is deferred now, without the details of each object.
    pub(crate) fn numbers(&self, ledger: &Ledger) -> Moment {
        Moment {
            counts: self.counts(),
            past: self.past.clone(),
            graces_ended: ledger.graces_ended,
            ..Moment::default()
        }
    }

    /// What is deferred now.
    pub(crate) fn moment(&self, ledger: &Ledger) -> Moment {
        let mut moment = self.numbers(ledger);
        let mut oldest: Option<Mark> = self.outstanding.oldest().map(|(_, entry)| entry.queued);
        for (stack, cpu, objects) in self.outstanding.by_origin() {
            *moment.stacks.entry(stack).or_default() += objects;
            *moment.cpus.entry(cpu).or_default() += objects;
        }
        if self.callbacks_waiting + self.others_waiting > 0 {
            let mut head_before: Option<ObjectAddress> = None;
            for (head, waiting) in ledger.waiting().filter(|(_, waiting)| waiting.life == self.life.id) {
                oldest = Some(oldest.map_or(waiting.queued, |oldest| oldest.min(waiting.queued)));
                moment.has(waiting);
                // Heads at one place of their objects lie further apart than an object is long.
                let size = u64::from(self.life.facts.object_size);
                let apart = head_before.and_then(|before| head.0.checked_sub(before.0));
                moment.shares_objects |= apart.is_some_and(|bytes| bytes < size);
                head_before = Some(*head);
            }
        }
        moment.oldest = oldest.map(|oldest| oldest.time);
        moment
    }
}
