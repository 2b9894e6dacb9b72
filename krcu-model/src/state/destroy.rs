//! Destroy: what the model believes about one call of `kmem_cache_destroy()`.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, Leftover, Task, Time},
    state::{
        barriers::{Cover, Others},
        cache::{Doubt, Life},
        deferral::Deferral,
        domains::Reach,
        function::FunctionId,
        id::{DestroyId, Mark},
        moment::{Moment, Past},
        stack::StackId,
    },
};

/// The result of `__kmem_cache_shutdown()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Every slab was given back.
    Empty,
    /// Objects remain.
    Left(Option<Leftover>),
}

/// The caller of a destroy.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The task.
    pub task: Task,
    /// Its name.
    pub comm: String,
    /// The stack of the call.
    pub stack: StackId,
    /// The module whose exit function ran in that task; known if its end was seen.
    pub module_going: Option<String>,
    /// When the last `rcu_barrier()` of the same task before the entry returned.
    pub rcu_barrier_before: Option<Time>,
}

/// How far the barriers reached that stand before the look.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Those for `kfree_rcu()` that the same task had called before the entry, or inside.
    pub frees: u64,
    /// Those for `kfree_rcu()` that the same task had called before the entry.
    pub frees_before: u64,
    /// Whether what others had waited for at the entry is told apart from that at the look.
    pub(crate) knows_entry: bool,
    /// Those of others that had returned at the entry.
    pub frees_before_by_others: Others,
    /// Those of others, at the look.
    pub frees_by_others: Others,
    /// What may have ordered `kfree_rcu()` unseen.
    pub doubt: Doubt,
    /// Whether a callback that is older than the probes ran after every barrier for callbacks had returned, of any kind of
    /// RCU: none of them covers it.
    pub has_unordered_past: bool,
    /// Whether one for `kfree_rcu()` ran inside, in the same task, before the look.
    pub inside: bool,
    /// The `rcu_barrier()` that ran during the look. It waits for the sheaves that the look flushes.
    pub sheaves: u64,
    /// The `rcu_barrier()`s that the same task had called before the entry.
    pub callbacks_before: u64,
    /// Those of others that had returned at the entry.
    pub callbacks_before_by_others: Others,
    /// Those of the same task, and those that ran inside.
    pub callbacks: u64,
    /// Those of others, at the look.
    pub callbacks_by_others: Others,
    /// For other kinds of deferral, how far the barriers of the same task and of others reached at the entry.
    pub domains_before: Vec<Reach>,
    /// The same at the look.
    pub domains: Vec<Reach>,
}

/// What happened between the entry and the end of the look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meanwhile {
    /// Deferred frees of other watched caches at the entry.
    pub others_at_begin: u64,
    /// Of these, the frees that began before the look, while their cache existed.
    pub others_freed: u64,
    /// Frees of unknown objects of this cache.
    pub unknown_frees: u64,
    /// Runs of unknown callbacks of this cache, before the look.
    pub unknown_callbacks: u64,
    /// Whether objects were queued during the look. Some of them may have been allocated after their slab was
    /// flushed, and the kernel counts such a slab as a full one.
    pub queued_while_looking: bool,
    /// Whether an object was seen to be freed at once during the look, where allocations are told.
    pub freed_while_looking: bool,
}

/// Callbacks in the text of the cache's module whose heads lie elsewhere: they may free objects of the cache all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// How many had not returned when the look was over.
    pub waiting: u64,
    /// Whether any was queued in the life of the cache.
    pub any: bool,
    /// Whether it is seen which of them free objects of the cache. Then the others do not count below.
    pub is_seen: bool,
    /// Those that no barrier of the teardown covers, the last of each home.
    pub(crate) open: Vec<OpenForeign>,
}

/// A callback whose head lies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenForeign {
    /// Where it was queued.
    pub last: u64,
    /// By what; none for `call_rcu()`.
    pub(crate) deferral: Option<Deferral>,
    /// Its function.
    pub function: FunctionId,
}

impl Foreign {
    /// The last that no barrier of the teardown covers.
    #[must_use]
    pub fn open(&self) -> Option<&OpenForeign> {
        self.open.iter().max_by_key(|open| open.last)
    }
}

/// Deferred frees, and callbacks, that were seen after the look was over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Late {
    /// All of them.
    pub frees: u64,
    /// Of these, frees of objects whose queueing was not seen.
    pub unknown_frees: u64,
    /// Of these, callbacks whose queueing was not seen.
    pub unknown_callbacks: u64,
    /// The last of them.
    pub last: Option<Time>,
}

/// One call of `kmem_cache_destroy()`.
#[derive(Clone, Debug)]
pub struct Destroy {
    /// Its number.
    pub id: DestroyId,
    /// The cache, as it was before the call.
    pub life: Life,
    /// Its address.
    pub address: CacheAddress,
    /// The caller of a destroy.
    pub caller: Caller,
    /// When it was entered.
    pub begin: Mark,
    /// When it began to look at its slabs.
    pub look: Option<Mark>,
    /// When that look was over.
    pub end: Option<Mark>,
    /// What the look found.
    pub shutdown: Option<Shutdown>,
    /// Whether it returned before the cache was given back.
    pub lingers: bool,
    /// Whether the memory of the cache was given back.
    pub released: bool,
    /// What was deferred at the entry.
    pub at_begin: Moment,
    /// What was deferred at the look.
    pub at_look: Moment,
    /// What was deferred when the look was over and the slabs were counted. Until that is known, its past is
    /// that of the look. It has the details of each object only if objects were queued during the look.
    pub after: Moment,
    /// How far the barriers reached that order frees before the look.
    pub coverage: Coverage,
    /// What happened until the look was over.
    pub meanwhile: Meanwhile,
    /// Objects that were allocated and neither queued nor freed when the look was over, by stack.
    pub allocated: BTreeMap<StackId, u64>,
    /// Objects that were handed to callbacks and not seen to be freed when the look was over, where allocations are told.
    pub handed_over: Option<u64>,
    /// Callbacks in the module's text whose heads lie in no object of this cache.
    pub foreign: Foreign,
    /// Works that callbacks of the cache have queued by themselves and that had not returned when the look was over.
    pub works: u64,
    /// What was seen after the look was over.
    pub late: Late,
}

impl Destroy {
    /// The moment that its verdict is about: the look, or its end where objects were queued meanwhile; the entry of a destroy
    /// that does not look, since it only drops a reference.
    #[must_use]
    pub fn judged_at(&self) -> &Moment {
        match self.look {
            None => &self.at_begin,
            Some(_) if self.meanwhile.queued_while_looking => &self.after,
            Some(_) => &self.at_look,
        }
    }

    /// What was ever deferred until the look was over, as far as that is known; nothing if it has not looked.
    #[must_use]
    pub fn past(&self) -> &Past {
        &self.after.past
    }

    /// What was ever deferred until the last moment that is known, which is the entry if it has not looked.
    #[must_use]
    pub fn latest(&self) -> &Past {
        if self.look.is_some() { &self.after.past } else { &self.at_begin.past }
    }

    /// Deferred frees by `kfree_rcu()` that had not returned when the look was over.
    #[must_use]
    pub fn frees_after(&self) -> u64 {
        self.after.counts.frees() + self.late.unknown_frees
    }

    /// The same for callbacks of `call_rcu()`.
    #[must_use]
    pub fn callbacks_after(&self) -> u64 {
        self.after.counts.callbacks() + self.late.unknown_callbacks
    }

    /// The same for other kinds of RCU, and for works.
    #[must_use]
    pub fn others_after(&self) -> u64 {
        self.after.counts.others()
    }

    /// The other kinds of deferral that no barrier of the same task orders before the destroy.
    pub fn open_domains(&self) -> impl Iterator<Item = &Reach> {
        self.coverage.domains.iter().filter(|reach| reach.is_open())
    }

    /// It runs in the exit of this module: barriers that the module's init called count as the task's own.
    pub(crate) fn in_exit_of(&mut self, module: &str) {
        let coverage = &mut self.coverage;
        for (reach, others) in [
            (&mut coverage.frees, &coverage.frees_by_others),
            (&mut coverage.callbacks, &coverage.callbacks_by_others),
            (&mut coverage.callbacks_before, &coverage.callbacks_before_by_others),
        ] {
            *reach = others.init_of(module).map_or(*reach, |barrier| barrier.until.max(*reach));
        }
        coverage.domains.iter_mut().for_each(|reach| reach.in_exit_of(module));
    }

    /// Whether no `rcu_barrier()` orders some callback of this cache before the destroy.
    #[must_use]
    pub fn has_open_callbacks(&self) -> bool {
        self.past().callbacks.last.is_some_and(|last| last.position >= self.coverage.callbacks)
    }

    /// Whether only the `rcu_barrier()` inside the destroy ordered a callback of this cache before it.
    #[must_use]
    pub fn waited_for_callbacks(&self) -> bool {
        let last = self.past().callbacks.last;
        let is_last = last.is_some_and(|last| last.position >= self.coverage.callbacks_before);
        !self.has_open_callbacks() && (is_last || self.chain_that_ends_inside().is_some())
    }

    /// Callbacks that callbacks of this cache queued, for which only the `rcu_barrier()` inside the destroy waited.
    pub(crate) fn chain_that_ends_inside(&self) -> Option<&Reach> {
        let is_open = |reach: &&Reach| reach.is_chain() && reach.is_open();
        let before = self.coverage.domains_before.iter().find(is_open);
        before.filter(|_| !self.coverage.domains.iter().any(|at_look| is_open(&at_look)))
    }

    /// Whether an `rcu_barrier()` ran inside the destroy, in the same task, before the look.
    #[must_use]
    pub fn rcu_barrier_inside(&self) -> bool {
        self.coverage.callbacks > self.begin.position
    }

    /// Whether no barrier orders some `kfree_rcu()` of this cache before the look.
    #[must_use]
    pub fn has_uncovered_frees(&self) -> bool {
        let reach = self.coverage.frees.max(self.coverage.sheaves);
        self.past().frees.last.is_some_and(|last| last.position >= reach)
    }

    /// By whom `kfree_rcu()` of this cache is covered where the destroying task's own barriers do not cover it.
    pub(crate) fn frees_cover(&self, module: Option<&str>) -> Cover<'_> {
        let last = self.past().frees.last.map_or(0, |last| last.position);
        let before = self.coverage.frees_before_by_others.cover(last, module);
        self.at_the_look(before, self.coverage.frees_by_others.cover(last, module))
    }

    /// By whom such a deferral is covered where the destroying task's own barriers do not cover it.
    pub(crate) fn domain_cover<'a>(&'a self, reach: &'a Reach, module: Option<&str>) -> Cover<'a> {
        let mut before = self.coverage.domains_before.iter();
        let before = before.find(|before| before.deferral == reach.deferral);
        let before = before.map_or(Cover::Nobody, |before| before.cover_of(reach, module));
        self.at_the_look(before, reach.cover(module))
    }

    /// By whom what was covered like this at the entry is covered at the look.
    pub(crate) fn at_the_look<'a>(&self, before: Cover<'a>, look: Cover<'a>) -> Cover<'a> {
        if self.coverage.knows_entry { before.or_at_the_look(look) } else { look }
    }

    /// By whom callbacks were covered at the entry, where the destroying task's own barriers did not cover them.
    pub(crate) fn callbacks_cover_before(&self, module: Option<&str>) -> Cover<'_> {
        let last = self.past().callbacks.last.map_or(0, |last| last.position);
        self.coverage.callbacks_before_by_others.cover(last, module)
    }

    /// By whom callbacks were covered at the look.
    pub(crate) fn callbacks_cover(&self, module: Option<&str>) -> Cover<'_> {
        let last = self.past().callbacks.last.map_or(0, |last| last.position);
        let look = self.coverage.callbacks_by_others.cover(last, module);
        self.at_the_look(self.callbacks_cover_before(module), look)
    }

    /// Whether a barrier inside a destroy may order the frees that no other known barrier orders.
    #[must_use]
    pub fn may_be_covered(&self) -> bool {
        let maybe_covered = self.coverage.doubt.maybe_covered;
        maybe_covered > self.coverage.frees
            && self.past().frees.last.is_none_or(|last| last.position < maybe_covered)
    }
}
