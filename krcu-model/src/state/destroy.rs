//! Destroy: what is believed of one call of `kmem_cache_destroy()`.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, CacheFacts, Cpu, Leftover, Task, Time},
    state::{
        cache::Born,
        freed_by::FreedBy,
        function::{FunctionId, Recent},
        id::{CacheId, DestroyId, Mark},
        stack::StackId,
    },
};

/// What was outstanding at one moment, for a person to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Deferred frees by `kfree_rcu()` that had not begun.
    pub outstanding: u64,
    /// Deferred frees that had begun and not returned.
    pub being_freed: u64,
    /// Callbacks of `call_rcu()` that had not begun to run.
    pub callbacks_waiting: u64,
    /// Callbacks that had begun and not returned.
    pub callbacks_running: u64,
    /// How many of those that waited by their function.
    pub functions: BTreeMap<FunctionId, u64>,
    /// Whether two heads of those that waited lie so close that they may be in one object.
    pub shares_objects: bool,
    /// When the oldest was queued.
    pub oldest: Option<Time>,
    /// How many by stack.
    pub stacks: BTreeMap<StackId, u64>,
    /// How many by the CPU that queued them.
    pub cpus: BTreeMap<Cpu, u64>,
}

/// What `__kmem_cache_shutdown()` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Every slab was given back.
    Empty,
    /// Objects remain.
    Left(Option<Leftover>),
}

/// One call of `kmem_cache_destroy()`.
#[derive(Clone, Debug)]
pub struct Destroy {
    /// Which.
    pub id: DestroyId,
    /// The cache.
    pub cache: CacheId,
    /// Its address.
    pub address: CacheAddress,
    /// What it was, before the call.
    pub facts: CacheFacts,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// How it came into the watch.
    pub born: Born,
    /// Whether its objects were counted, not streamed.
    pub counted: bool,
    /// The task.
    pub task: Task,
    /// Its name.
    pub comm: String,
    /// Where from.
    pub stack: StackId,
    /// The module whose exit ran in that task, when its end was seen.
    pub module_going: Option<String>,
    /// When it was entered.
    pub begin: Mark,
    /// When it looked at its slabs.
    pub look: Option<Mark>,
    /// When that look was over.
    pub end: Option<Mark>,
    /// Whether it returned and left the cache to be given back later.
    pub lingers: bool,
    /// What the look found.
    pub shutdown: Option<Shutdown>,
    /// Whether a barrier for `kfree_rcu()` ran inside, in the same task, before the look.
    pub barrier_inside: bool,
    /// Outstanding at the entry.
    pub at_begin: Snapshot,
    /// Objects that had been freed with sheaves at the entry.
    pub from_sheaves_at_begin: u64,
    /// Deferred objects that were freed before the look, by how.
    pub freed_by: FreedBy,
    /// Normal grace periods that had ended at the entry.
    pub graces_at_begin: u64,
    /// The same at the look.
    pub graces_at_look: u64,
    /// Objects that were allocated and neither queued nor freed when the look was over, by stack.
    pub allocated: BTreeMap<StackId, u64>,
    /// Deferred frees of other watched caches at the entry.
    pub others_at_begin: u64,
    /// Of these, what began to be freed before the look, while its cache lived.
    pub waited_for_others: u64,
    /// Frees of this cache by batches, at the entry.
    pub from_batches_at_begin: u64,
    /// How far an `rcu_barrier()` reached that ran while it looked: it waits for the sheaves that the look flushes.
    pub sheaves_covered: u64,
    /// Frees of unknown objects of this cache while the destroy waited.
    pub unknown_while_waiting: u64,
    /// The same for callbacks of `call_rcu()`.
    pub unknown_callbacks_while_waiting: u64,
    /// Outstanding at the look; at its end, when objects were queued meanwhile.
    pub at_look: Snapshot,
    /// Outstanding when the look was over and its slabs were counted.
    pub outstanding_after: u64,
    /// Deferred frees that had begun and not returned at that time.
    pub being_freed_after: u64,
    /// Callbacks of `call_rcu()` that had not begun to run at that time.
    pub callbacks_waiting_after: u64,
    /// Callbacks that had begun and not returned.
    pub callbacks_running_after: u64,
    /// Whether objects were queued while it looked: some may have been allocated after their slab was
    /// flushed, and the kernel's counts take such a slab for a full one.
    pub queued_during: bool,
    /// The last deferred free until the look was over: when it was queued.
    pub last_queued: Option<Mark>,
    /// The last callback.
    pub last_callback: Option<Mark>,
    /// Stack of what is not covered.
    pub last_queued_stack: StackId,
    /// Stack of the callback that is not covered.
    pub last_callback_stack: StackId,
    /// The functions of the last callbacks.
    pub functions: Recent,
    /// The last free of a deferred object, before the look.
    pub last_freed: Option<Time>,
    /// Frees of unknown objects before the look was over.
    pub freed_unknown: u64,
    /// Frees and runs of callbacks until then of what nobody was seen to queue.
    pub unexplained: u64,
    /// The same for runs of unknown callbacks.
    pub callbacks_unknown: u64,
    /// How far barriers for `kfree_rcu()` reached that had returned at the entry, or that ran inside.
    pub covered: u64,
    /// The same, if a barrier ran inside where it is not known whether one did.
    pub maybe_covered: u64,
    /// Whether a barrier for it returned before the look that was running when the probes were attached.
    pub after_older_barrier: bool,
    /// How far `rcu_barrier()` reached at the entry.
    pub callbacks_covered_before: u64,
    /// The same, or how far one that ran inside reached.
    pub callbacks_covered: u64,
    /// The last `rcu_barrier()` of the same task before the entry: when it returned.
    pub rcu_barrier_before: Option<Time>,
    /// Objects ever handed to `kfree_rcu()`.
    pub queued: u64,
    /// Of these, objects that the call itself freed.
    pub within_call: u64,
    /// Callbacks ever handed to `call_rcu()`.
    pub callbacks: u64,
    /// Deferred frees, and callbacks, seen after the look was over.
    pub late: u64,
    /// Of these, frees of objects that were queued before anything was seen of them.
    pub late_unknown: u64,
    /// And callbacks of which nothing was seen before.
    pub late_unknown_callbacks: u64,
    /// The last of them.
    pub last_late: Option<Time>,
    /// Whether the memory of the cache was given back.
    pub released: bool,
}

impl Snapshot {
    /// Deferred frees by `kfree_rcu()` that had not returned.
    #[must_use]
    pub fn frees(&self) -> u64 {
        self.outstanding + self.being_freed
    }

    /// Callbacks of `call_rcu()` that had not returned.
    #[must_use]
    pub fn callbacks(&self) -> u64 {
        self.callbacks_waiting + self.callbacks_running
    }
}

impl Destroy {
    /// Deferred frees by `kfree_rcu()` that had not returned when the look was over.
    #[must_use]
    pub fn frees_after(&self) -> u64 {
        self.outstanding_after + self.being_freed_after + self.late_unknown
    }

    /// The same of callbacks of `call_rcu()`.
    #[must_use]
    pub fn callbacks_after(&self) -> u64 {
        self.callbacks_waiting_after + self.callbacks_running_after + self.late_unknown_callbacks
    }

    /// Whether a callback of this cache is ordered before the destroy by no `rcu_barrier()`.
    #[must_use]
    pub fn has_open_callbacks(&self) -> bool {
        self.last_callback.is_some_and(|last| last.position >= self.callbacks_covered)
    }

    /// Whether only the `rcu_barrier()` inside the destroy ordered a callback of this cache before it.
    #[must_use]
    pub fn waited_for_callbacks(&self) -> bool {
        !self.has_open_callbacks()
            && self.last_callback.is_some_and(|last| last.position >= self.callbacks_covered_before)
    }

    /// Whether an `rcu_barrier()` ran inside the destroy, in the same task, before the look.
    #[must_use]
    pub fn rcu_barrier_inside(&self) -> bool {
        self.callbacks_covered > self.begin.position
    }

    /// Whether a `kfree_rcu()` of this cache is ordered before the look by no barrier.
    #[must_use]
    pub fn has_uncovered_frees(&self) -> bool {
        self.last_queued.is_some_and(|last| last.position >= self.covered.max(self.sheaves_covered))
    }

    /// Whether a barrier inside a destroy may order what nothing else is known to order.
    #[must_use]
    pub fn may_be_covered(&self) -> bool {
        self.maybe_covered > self.covered
            && self.last_queued.is_none_or(|last| last.position < self.maybe_covered)
    }
}
