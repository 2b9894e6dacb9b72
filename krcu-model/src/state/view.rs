//! View: what a state believes, to be read by whoever keeps records beside it, compares states, or makes reports.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, ObjectAddress, Task, Time},
    promise::ledger::Ledger,
    state::{
        State,
        barriers::OpenBarrier,
        cache::Cache,
        deferred::{Outstanding, Waiting},
        id::DestroyId,
        stack::StackId,
    },
};

/// The insides of a state, which nobody but [`State::step`] changes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Every cache that lives, by its address.
    pub caches: &'a BTreeMap<CacheAddress, Cache>,
    /// Objects of caches that were released while they were outstanding, by their destroy.
    pub orphans: &'a BTreeMap<ObjectAddress, DestroyId>,
    /// The last destroy that each task entered, until it has finished looking.
    pub open_destroys: &'a BTreeMap<Task, DestroyId>,
    /// The barriers that each task is inside of, the outermost first.
    pub open_barriers: &'a BTreeMap<Task, Vec<OpenBarrier>>,
    /// What the promises are held against.
    pub ledger: &'a Ledger,
}

impl State {
    /// What is believed, to be read.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            caches: &self.caches,
            orphans: &self.orphans,
            open_destroys: &self.open_destroys,
            open_barriers: &self.open_barriers,
            ledger: &self.ledger,
        }
    }

    /// The time of the newest event.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The place of the newest event among all.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The cache that lives at this address now.
    #[must_use]
    pub fn cache_at(&self, address: CacheAddress) -> Option<&Cache> {
        self.caches.get(&address)
    }

    /// Every cache that lives, by address.
    pub fn caches(&self) -> impl Iterator<Item = (CacheAddress, &Cache)> {
        self.caches.iter().map(|(address, cache)| (*address, cache))
    }

    /// Whether the object was outstanding when its cache was released, and was not seen freed since.
    #[must_use]
    pub fn is_orphan(&self, object: ObjectAddress) -> bool {
        self.orphans.contains_key(&object)
    }

    /// Callbacks of `call_rcu()` that have not run, by the address of their head, where it is told when they run.
    pub fn callbacks_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.ledger.callbacks.values()
    }

    /// The destroy that this task has entered, until it has finished looking.
    #[must_use]
    pub fn open_destroy_of(&self, task: Task) -> Option<DestroyId> {
        self.open_destroys.get(&task).copied()
    }

    /// The newest stack; the one that nobody took before there is any.
    #[must_use]
    pub fn newest_stack(&self) -> StackId {
        StackId(u32::try_from(self.stacks.len().saturating_sub(1)).unwrap_or(0))
    }
}

impl Cache {
    /// The objects whose deferred free has not begun, in no order that means anything.
    pub fn outstanding_objects(&self) -> impl Iterator<Item = (ObjectAddress, Outstanding)> {
        self.outstanding.iter()
    }
}
