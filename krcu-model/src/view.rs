//! View: what a state believes, for who keeps records beside it and changes nothing.

use crate::{
    event::{CacheAddress, ObjectAddress, Task},
    ledger::Waiting,
    stack::StackId,
    state::{Cache, Outstanding, State},
};

impl State {
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

    /// The destroy that this task has entered, by its place in [`State::destroys`], until it has finished looking.
    #[must_use]
    pub fn open_destroy_of(&self, task: Task) -> Option<usize> {
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
