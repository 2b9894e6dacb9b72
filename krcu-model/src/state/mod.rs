//! State: what the model believes about the kernel, after the events so far.
//!
//! A barrier leaves behind only how far it reaches. So memory grows with the outstanding objects, not with
//! the events.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    event::{CacheAddress, Gap, ObjectAddress, Site, Task, Time},
    promise::{Violation, doubles::AllDoubles, ledger::Ledger},
    rules::Rules,
    state::{
        barriers::Callers,
        domains::Domains,
        freeing::Freeing,
        function::Functions,
        module::Modules,
        stack::{NO_STACK, Stack, StackId},
    },
};

pub use self::{
    barriers::{Cover, OpenBarrier, Others, Returned},
    cache::{Born, Cache, Doubt, Life},
    deferral::{Deferral, Deferrals, Queued},
    deferred::{Chain, Outstanding, Waiting},
    destroy::{Caller, Coverage, Destroy, Foreign, Late, Meanwhile, OpenForeign, Shutdown},
    domains::Reach,
    freed_by::FreedBy,
    id::{CacheId, DestroyId, Freer, Mark},
    module::{Abandoned, Text, Unload},
    moment::{Counts, Moment, Past, Unknown},
};
pub use crate::event::{Blind, Watch};

pub(crate) mod barriers;
pub(crate) mod cache;
pub mod deferral;
pub(crate) mod deferred;
pub(crate) mod destroy;
pub(crate) mod domains;
mod forget;
pub(crate) mod freed_by;
pub(crate) mod freeing;
pub mod function;
pub(crate) mod home;
pub(crate) mod id;
pub(crate) mod module;
pub(crate) mod moment;
mod object_index;
pub mod object_table;
pub(crate) mod origins;
pub mod stack;
pub mod view;

/// What the model believes.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) rules: Rules,
    pub(crate) watch: Watch,
    pub(crate) position: u64,
    pub(crate) now: Time,
    pub(crate) next_cache: u32,
    /// In boxes: a node of this map has room for eleven, and most states have one or two.
    pub(crate) caches: BTreeMap<CacheAddress, Box<Cache>>,
    /// Objects that were outstanding when their cache was released, with its destroy.
    pub(crate) orphans: BTreeMap<ObjectAddress, DestroyId>,
    /// Shared with the copies of this state until one of them changes: a checker copies a state at each event.
    pub(crate) destroys: BTreeMap<DestroyId, Arc<Destroy>>,
    pub(crate) next_destroy: DestroyId,
    /// The last destroy that each task entered, until its look is over. A destroy that only drops a reference
    /// never looks. The reference count at the entry does not prove which kind of destroy it is.
    pub(crate) open_destroys: BTreeMap<Task, DestroyId>,
    /// The destroys of each task for which the end of a module's exit has not been seen yet.
    pub(crate) unattributed: BTreeMap<Task, Vec<DestroyId>>,
    pub(crate) open_barriers: BTreeMap<Task, Vec<OpenBarrier>>,
    /// How far barriers for every `kfree_rcu()` reach.
    pub(crate) barriers: Callers,
    /// Whether a barrier for every `kfree_rcu()` has returned whose begin was not seen.
    pub(crate) after_older_barrier: bool,
    /// How far `rcu_barrier()` reaches.
    pub(crate) rcu_barriers: Callers,
    /// How far the barriers of other kinds of RCU reach.
    pub(crate) domains: Domains,
    /// Where the last barrier for callbacks, of any kind of RCU, or of works, returned.
    pub(crate) last_barrier_for_callbacks: u64,
    pub(crate) freeing: Freeing,
    pub(crate) outstanding: u64,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) sites: BTreeMap<Site, StackId>,
    pub(crate) functions: Functions,
    pub(crate) modules: Modules,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) ledger: Ledger,
    pub(crate) doubles: AllDoubles,
    pub(crate) events: u64,
}

impl State {
    /// A state that has seen no event yet.
    #[must_use]
    pub fn new(watch: Watch) -> State {
        let modules = Modules::older(&watch.deferring);
        State { now: watch.attached, watch, modules, stacks: vec![Stack::default()], ..State::default() }
    }

    /// Events taken so far, without gaps.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The deferred frees of all watched caches that have not begun.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// The same for the cache that has this address.
    #[must_use]
    pub fn outstanding_of(&self, cache: CacheAddress) -> u64 {
        self.caches.get(&cache).map_or(0, |cache| cache.outstanding.len())
    }

    /// The callbacks of `call_rcu()` that have not run, of the cache with this address; 0 if their runs
    /// cannot be seen.
    #[must_use]
    pub fn callbacks_waiting_of(&self, cache: CacheAddress) -> u64 {
        let is_its = |waiting: &&Waiting| waiting.cache == cache && waiting.is_of_call_rcu();
        self.ledger.callbacks.values().filter(is_its).count() as u64
    }

    /// Every call of `kmem_cache_destroy()` that is not forgotten, in the order of their entry.
    pub fn destroys(&self) -> impl DoubleEndedIterator<Item = &Destroy> + ExactSizeIterator {
        self.destroys.values().map(Arc::as_ref)
    }

    /// The destroy with this number; none if it was forgotten.
    #[must_use]
    pub fn destroy(&self, id: DestroyId) -> Option<&Destroy> {
        self.destroys.get(&id).map(Arc::as_ref)
    }

    /// The unloads of modules that have queued callbacks in their own text, in their order.
    #[must_use]
    pub fn unloads(&self) -> &[Unload] {
        &self.modules.unloads
    }

    /// The caches that modules have left behind as they went, in their order.
    #[must_use]
    pub fn abandoned(&self) -> &[Abandoned] {
        &self.modules.abandoned
    }

    /// The module whose text created a cache; else the one whose text destroys it, from this stack.
    pub(crate) fn maker_of(&self, life: Option<&Life>, destroys: StackId) -> Option<&str> {
        let created = life.and_then(|life| life.born.stack());
        created.and_then(|stack| self.stack(stack).module()).or_else(|| self.stack(destroys).module())
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

    /// Whether later events may still change a verdict: a destroy is running, or has left objects behind
    /// whose deferred frees have not been seen yet.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        let is_running = |destroy: &Destroy| destroy.look.is_some() || destroy.life.facts.refcount == 1;
        let is_orphan = |waiting: &Waiting| waiting.late_for.is_some();
        let is_open = |(_, suspicion): &(Freer, Violation)| {
            !self.gaps.iter().any(|gap| gap.may_explain(suspicion.address, false, suspicion.oldest))
        };
        if self.open_destroys.values().filter_map(|id| self.destroy(*id)).any(is_running)
            || self.ledger.suspicions.iter().any(is_open)
            || !self.orphans.is_empty()
            || self.ledger.waiting().any(|(_, waiting)| is_orphan(waiting))
        {
            return true;
        }
        self.caches.values().any(|cache| {
            let Some(destroy) = cache.failed.and_then(|id| self.destroy(id)) else { return false };
            // If a cache is older than the probes, objects may be freed whose queueing was not seen.
            let known = destroy.frees_after() + destroy.callbacks_after() + destroy.others_after();
            let unexplained = destroy.life.born == Born::BeforeAttach
                && !destroy.life.counted
                && matches!(destroy.shutdown, Some(Shutdown::Left(Some(left))) if left.objects > known);
            unexplained || cache.counts().waiting() > 0
        })
    }
}
