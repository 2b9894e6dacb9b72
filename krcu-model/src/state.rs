//! State: what the model believes of the kernel, after the events so far.
//!
//! A cache is a life, not an address: the address is used again, the [`CacheId`] is not. An object is
//! in its cache's [`ObjectTable`] from the call that queues it until the call that frees it begins,
//! and counts as *being freed* until that call has returned. Barriers leave behind only how far they
//! reach, so memory follows the objects that are outstanding, not the events.

use std::collections::BTreeMap;

use krcu_common::{BarrierKind, QueueForm};

use crate::{
    double::AllDoubles,
    event::{CacheAddress, CacheFacts, Cpu, Gap, Leftover, ObjectAddress, Site, Task, Time},
    freeing::Freeing,
    function::{FunctionId, Functions, Recent},
    ledger::{Ledger, Waiting},
    object_table::ObjectTable,
    promise::Violation,
    stack::{NO_STACK, Stack, StackId},
    verdict::FreedBy,
};

/// What the watcher knew when it began, and what it cannot see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// When the last probe was attached.
    pub attached: Time,
    /// CPUs that the kernel could ever have; 0 when not known.
    pub possible_cpus: u32,
    /// What this kernel does not let be seen.
    pub blind: Vec<Blind>,
}

/// Something that is out of sight for the whole watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blind {
    /// Some way by which deferred frees run.
    Frees,
    /// Callbacks given to `call_rcu()`.
    Callbacks,
    /// `rcu_barrier()`.
    RcuBarrier,
    /// The barriers that wait for `kfree_rcu()`, where the kernel has them.
    KvfreeBarrier,
    /// When callbacks given to `call_rcu()` run.
    CallbackRuns,
    /// When grace periods begin and end.
    Grace,
    /// What no probe sees and only a machine says of itself: readers, when a queueing call returned, who has
    /// which objects. Every live watch is blind to it.
    Inside,
}

/// One cache's life, counted from 0 in the order in which the watch met them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u32);

/// One call of `kmem_cache_destroy()`, counted from 0 in the order of their entry. It stays the same when older ones
/// are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestroyId(pub u64);

/// A point in the stream: the place of an event, and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// How many events came before.
    pub position: u64,
    /// When it was.
    pub time: Time,
}

/// How a cache came into the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Born {
    /// Created while the probes were attached.
    Watched {
        /// When.
        at: Mark,
        /// Where from.
        stack: StackId,
    },
    /// It is older than the probes: what was queued before them is unknown.
    BeforeAttach,
}

/// A deferred free that has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// When the call that queued it was entered.
    pub queued: Mark,
    /// The task that queued it.
    pub task: Task,
    /// The CPU on which.
    pub cpu: Cpu,
    /// Where from.
    pub stack: StackId,
    /// In which form.
    pub form: QueueForm,
}

/// A slab cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Which life.
    pub id: CacheId,
    /// What it is.
    pub facts: CacheFacts,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// How it came into the watch.
    pub born: Born,
    /// Whether its objects are counted, not streamed.
    pub counted: bool,
    /// Deferred frees that have not begun.
    pub outstanding: ObjectTable,
    /// Deferred frees that have begun, in calls that have not returned.
    pub being_freed: u64,
    /// Callbacks of `call_rcu()` that have not begun to run, where it is told when they do.
    pub callbacks_waiting: u64,
    /// Callbacks that have begun and not returned.
    pub callbacks_running: u64,
    /// Runs of callbacks that were queued before anything was seen of them.
    pub callbacks_unknown: u64,
    /// Objects ever handed to `kfree_rcu()`.
    pub queued: u64,
    /// Callbacks ever handed to `call_rcu()` with a head in an object.
    pub callbacks: u64,
    /// The last `kfree_rcu()` that no program order ends: one that freed within its call is not here.
    pub last_queued: Option<Mark>,
    /// The last `call_rcu()`.
    pub last_callback: Option<Mark>,
    /// Stack of the last `call_rcu()`.
    pub last_callback_stack: StackId,
    /// The functions of the last ones.
    pub functions: Recent,
    /// Stack of the last `kfree_rcu()`.
    pub last_queued_stack: StackId,
    /// The last free of a deferred object.
    pub last_freed: Option<Time>,
    /// Frees of objects that were queued before anything was seen of them.
    pub freed_unknown: u64,
    /// Frees and runs of callbacks of what nobody was seen to queue, and that may be the module's own.
    pub unexplained: u64,
    /// Deferred objects that were freed, by how.
    pub freed_by: FreedBy,
    /// Everything queued before this point had been freed when a barrier for this cache returned.
    pub covered: u64,
    /// The same, if a barrier ran inside a destroy of which it is not known whether one did.
    pub maybe_covered: u64,
    /// Whether a barrier for this cache has returned whose begin was not seen.
    pub after_older_barrier: bool,
    /// The destroy that failed to empty it.
    pub failed: Option<DestroyId>,
    /// The last destroy that began to look at it.
    pub looking: Option<DestroyId>,
    /// The last destroy whose look at it is over.
    pub looked: Option<DestroyId>,
}

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

/// Who runs a free: a task, or the idle task of one CPU, for those all have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freer {
    task: Task,
    idle_cpu: Option<Cpu>,
}

impl Freer {
    /// The one behind an event.
    #[must_use]
    pub fn of(task: Task, cpu: Cpu) -> Freer {
        Freer { task, idle_cpu: (task == Task(0)).then_some(cpu) }
    }
}

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

/// What the model believes.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) watch: Watch,
    pub(crate) position: u64,
    pub(crate) now: Time,
    pub(crate) next_cache: u32,
    pub(crate) caches: BTreeMap<CacheAddress, Cache>,
    /// Objects of caches that were released while they were outstanding, by their destroy.
    pub(crate) orphans: BTreeMap<ObjectAddress, DestroyId>,
    pub(crate) destroys: BTreeMap<DestroyId, Destroy>,
    pub(crate) next_destroy: DestroyId,
    /// The last destroy that each task entered, until it has finished looking. One that only drops a
    /// reference never looks, and what the count was at the entry does not prove which it is.
    pub(crate) open_destroys: BTreeMap<Task, DestroyId>,
    /// Destroys of a task whose module's end has not been seen.
    pub(crate) unattributed: BTreeMap<Task, Vec<DestroyId>>,
    pub(crate) open_barriers: BTreeMap<Task, Vec<OpenBarrier>>,
    /// Everything that any `kfree_rcu()` queued before this point has been freed.
    pub(crate) covered: u64,
    /// Whether a barrier for every `kfree_rcu()` has returned whose begin was not seen.
    pub(crate) after_older_barrier: bool,
    /// Every callback queued before this point has run.
    pub(crate) callbacks_covered: u64,
    /// When the last `rcu_barrier()` of a task returned, for the tasks that called it last.
    pub(crate) last_rcu_barrier: RecentTasks,
    pub(crate) freeing: Freeing,
    pub(crate) outstanding: u64,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) sites: BTreeMap<Site, StackId>,
    pub(crate) functions: Functions,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) ledger: Ledger,
    pub(crate) doubles: AllDoubles,
    pub(crate) events: u64,
}

impl State {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(watch: Watch) -> State {
        State { now: watch.attached, watch, stacks: vec![Stack::default()], ..State::default() }
    }

    /// Events taken so far, without gaps.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Deferred frees that have not begun, of all watched caches.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// The same for the cache that has this address.
    #[must_use]
    pub fn outstanding_of(&self, cache: CacheAddress) -> u64 {
        self.caches.get(&cache).map_or(0, |cache| cache.outstanding.len())
    }

    /// Callbacks of `call_rcu()` that have not run, of the cache with this address, where it is told
    /// when they run.
    #[must_use]
    pub fn callbacks_waiting_of(&self, cache: CacheAddress) -> u64 {
        self.ledger.callbacks.values().filter(|waiting| waiting.cache == cache).count() as u64
    }

    /// Every call of `kmem_cache_destroy()` that is not forgotten, in the order of their entry.
    pub fn destroys(&self) -> impl DoubleEndedIterator<Item = &Destroy> + ExactSizeIterator {
        self.destroys.values()
    }

    /// One of them; none when it is forgotten.
    #[must_use]
    pub fn destroy(&self, id: DestroyId) -> Option<&Destroy> {
        self.destroys.get(&id)
    }

    /// What went unseen.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The promises that the kernel broke.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.ledger.violations()
    }

    /// The watch that this state is of.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The frames of a stack.
    #[must_use]
    pub fn stack(&self, id: StackId) -> &Stack {
        self.stacks.get(id.0 as usize).unwrap_or(&NO_STACK)
    }

    /// Whether waiting longer may still change a verdict: a destroy is running, or has left objects
    /// behind whose deferred free is still to be seen.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        let is_running = |destroy: &Destroy| destroy.look.is_some() || destroy.facts.refcount == 1;
        let is_orphan = |waiting: &Waiting| waiting.late_for.is_some();
        if self.open_destroys.values().filter_map(|id| self.destroy(*id)).any(is_running)
            || !self.orphans.is_empty()
            || self.ledger.callbacks.values().any(is_orphan)
        {
            return true;
        }
        self.caches.values().any(|cache| {
            let Some(destroy) = cache.failed.and_then(|id| self.destroy(id)) else { return false };
            // Of a cache that is older than the probes, objects may land that nobody saw queued.
            let known = destroy.frees_after() + destroy.callbacks_after();
            let unexplained = destroy.born == Born::BeforeAttach
                && !destroy.counted
                && matches!(destroy.shutdown, Some(Shutdown::Left(Some(left))) if left.objects > known);
            unexplained || !cache.outstanding.is_empty() || cache.callbacks_waiting > 0
        })
    }
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
