//! View: read access to a state, for code that keeps records beside it, compares states, or makes reports.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, ObjectAddress, Task, Time},
    promise::ledger::Ledger,
    state::{
        State,
        barriers::OpenBarrier,
        cache::Cache,
        deferred::{Outstanding, Waiting},
        function::{Function, FunctionId},
        id::DestroyId,
        stack::StackId,
    },
};

/// The insides of a state. Only [`State::step`] changes them.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Every cache that exists, by its address.
    pub caches: &'a BTreeMap<CacheAddress, Box<Cache>>,
    /// Objects that were outstanding when their cache was released, with its destroy.
    pub orphans: &'a BTreeMap<ObjectAddress, DestroyId>,
    /// The last destroy that each task entered, until its look is over.
    pub open_destroys: &'a BTreeMap<Task, DestroyId>,
    /// The barriers that each task is inside of, the outermost first.
    pub open_barriers: &'a BTreeMap<Task, Vec<OpenBarrier>>,
    /// The data to check promises with.
    pub ledger: &'a Ledger,
}

impl State {
    /// Read access to the insides.
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

    /// The position of the newest event among all events.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The cache that is at this address now.
    #[must_use]
    pub fn cache_at(&self, address: CacheAddress) -> Option<&Cache> {
        self.caches.get(&address).map(Box::as_ref)
    }

    /// Every cache that exists, by address.
    pub fn caches(&self) -> impl Iterator<Item = (CacheAddress, &Cache)> {
        self.caches.iter().map(|(address, cache)| (*address, &**cache))
    }

    /// Whether the object was outstanding when its cache was released, and its free has not been seen since.
    #[must_use]
    pub fn is_orphan(&self, object: ObjectAddress) -> bool {
        self.orphans.contains_key(&object)
    }

    /// Callbacks of `call_rcu()` that have not run, by the address of their head; none if their runs cannot
    /// be seen.
    pub fn callbacks_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.ledger.callbacks.values()
    }

    /// A callback by its number.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> &Function {
        self.functions.get(id)
    }

    /// The destroy that this task has entered, until its look is over.
    #[must_use]
    pub fn open_destroy_of(&self, task: Task) -> Option<DestroyId> {
        self.open_destroys.get(&task).copied()
    }

    /// The newest stack; if there is none yet, the one that stands for a stack that was not taken.
    #[must_use]
    pub fn newest_stack(&self) -> StackId {
        StackId(u32::try_from(self.stacks.len().saturating_sub(1)).unwrap_or(0))
    }
}

impl Cache {
    /// The objects whose deferred free has not begun, in an order without meaning.
    pub fn outstanding_objects(&self) -> impl Iterator<Item = (ObjectAddress, Outstanding)> {
        self.outstanding.iter()
    }
}
