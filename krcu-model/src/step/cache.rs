//! Cache: the events of a cache's life, which is created, destroyed, looked at and released.

use std::collections::BTreeMap;
use std::sync::Arc;

use krcu_common::{BarrierKind, wire::FLUSHES_UNKNOWN};

use crate::{
    event::{Blind, CacheAddress, CacheFacts, Site, Task, Time},
    promise::{Promise, ledger::Ledger},
    rules::Rule,
    state::{
        State,
        barriers::{Callers, Returned, Teardown},
        cache::{Asker, Born, Cache},
        deferred::Waiting,
        destroy::{Caller, Coverage, Destroy, Foreign, Late, Meanwhile, Shutdown},
        freed_by::FreedBy,
        id::{CacheId, DestroyId, Mark},
        moment::Moment,
        stack::{NO_STACK, StackId},
    },
};

/// Calls of `flush_rcu_work()` that the barrier inside the destroy makes for each possible CPU: one for
/// each of its batches (`KFREE_N_BATCHES`).
const FLUSHES_PER_CPU: u32 = 2;

/// Users kept of a cache that is merged; of more, nobody is said to have left it behind.
const ASKERS: usize = 64;

impl State {
    pub(super) fn created(
        &mut self,
        mark: Mark,
        address: CacheAddress,
        facts: CacheFacts,
        asked_name: String,
        site: Site,
    ) {
        let stack = self.stack_of(site);
        if facts.refcount > 1 && self.rules.has(Rule::SharedIsOne) {
            // Merged: the caller got a cache that exists already.
            let is_of_module = self.stack(stack).module().is_some();
            let cache = self.cache(address);
            cache.life.facts = facts;
            if cache.askers.len() < ASKERS && is_of_module {
                cache.askers.push(Asker { at: mark, stack, name: asked_name.clone() });
            }
            cache.is_asked_for_as(asked_name);
            return;
        }
        if let Some(cache) = self.caches.get_mut(&address)
            && cache.failed.is_some()
        {
            // The kernel may hand out again a cache that a failed destroy left behind (6.1), with everything
            // that is queued of it.
            cache.is_asked_for_as(asked_name);
            return;
        }
        // If the end of a cache at this address was not seen, that cache is gone nevertheless.
        self.released(address);
        self.ledger.ends.remove(&address);
        let id = CacheId(self.next_cache);
        self.next_cache += 1;
        self.caches.insert(address, Box::new(Cache::new(id, facts, Born::Watched { at: mark, stack })));
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(super) fn destroy_begin(
        &mut self,
        begin: Mark,
        task: Task,
        address: CacheAddress,
        facts: CacheFacts,
        site: Site,
        comm: String,
        counted: bool,
    ) {
        let stack = self.stack_of(site);
        let outstanding = self.outstanding;
        let past = self.caches.get(&address).map(Box::as_ref);
        let teardown = self.teardown(task, past, stack);
        let rcu_barrier = self.rcu_barriers.of(teardown);
        let callbacks_covered = rcu_barrier.map_or(0, |barrier| barrier.until);
        let rcu_barrier_before = rcu_barrier.map(|barrier| barrier.returned);
        let callbacks_before_by_others = self.rcu_barriers.others().clone();
        let domains_before = past.map(|cache| self.domains.reach(&cache.past.others, teardown));
        let queuer = past.and_then(|cache| self.stack(cache.past.frees.stack).module());
        let of_frees = Teardown { by: queuer, ..teardown };
        let reach = |callers: &Callers| callers.of(of_frees).map_or(0, |barrier| barrier.until);
        let frees = past.map_or(0, |cache| reach(&cache.barriers)).max(reach(&self.barriers));
        let cache = self.cache(address);
        cache.asked_to_go = true;
        cache.life.counted = counted;
        cache.life.facts = facts;
        let life = cache.life.clone();
        let mut frees_before_by_others = cache.barriers.others().clone();
        frees_before_by_others.join(self.barriers.others());
        self.lets_go(address, life.id, stack);
        let at_begin = self.moment(address);
        let id = self.next_destroy;
        let destroy = Destroy {
            id,
            life,
            address,
            caller: Caller { task, comm, stack, module_going: None, rcu_barrier_before },
            begin,
            look: None,
            end: None,
            shutdown: None,
            lingers: false,
            released: false,
            meanwhile: Meanwhile {
                others_at_begin: outstanding - at_begin.counts.outstanding,
                ..Meanwhile::default()
            },
            at_begin,
            at_look: Moment::default(),
            after: Moment::default(),
            coverage: Coverage {
                frees,
                frees_before: frees,
                knows_entry: self.rules.has(Rule::EntryNotLook),
                frees_before_by_others,
                domains_before: domains_before.unwrap_or_default(),
                callbacks_before: callbacks_covered,
                callbacks_before_by_others,
                callbacks: callbacks_covered,
                ..Coverage::default()
            },
            allocated: BTreeMap::new(),
            handed_over: None,
            foreign: Foreign::default(),
            works: 0,
            late: Late::default(),
        };
        if self.ledger.ends.get(&address).is_some_and(|end| end.released) {
            // Another caller has given back the cache that this caller still uses.
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), begin);
            self.ledger.broken(found);
        }
        self.destroys.insert(id, Arc::new(destroy));
        self.next_destroy = DestroyId(id.0 + 1);
        self.unattributed.entry(task).or_default().push(id);
        self.open_destroys.insert(task, id);
    }

    /// One who holds the cache gives it back: the user whose module is in this stack. An exit that ended by a jump has no frame.
    fn lets_go(&mut self, address: CacheAddress, life: CacheId, stack: StackId) {
        let gives = self.stacks.get(stack.0 as usize).unwrap_or(&NO_STACK);
        let stacks = &self.stacks;
        let is_its = |asker: &Asker| {
            let asks = stacks.get(asker.stack.0 as usize).unwrap_or(&NO_STACK);
            asks.modules().any(|module| gives.modules().any(|gives| gives == module))
        };
        let Some(cache) = self.caches.get_mut(&address) else { return };
        let place = cache.askers.iter().rposition(is_its);
        if let Some(place) = place {
            cache.askers.remove(place);
        } else if gives.module().is_none() {
            cache.given_back += 1;
        }
        self.modules.is_given_back(life, place.is_none());
    }

    pub(super) fn shutdown_begin(
        &mut self,
        look: Mark,
        task: Task,
        address: CacheAddress,
        rcu_works_flushed: u32,
    ) {
        let Some(destroy) = self.open_destroy(task) else { return };
        let (begin, id, life) = (destroy.begin, destroy.id, destroy.life.id);
        if self.cache(address).life.id != life {
            return;
        }
        // Newer kernels inline the barrier into the destroy; the works that it flushes prove it.
        let is_known = rcu_works_flushed != FLUSHES_UNKNOWN;
        let flushed_every_cpu = is_known
            && self.rules.has(Rule::InlinedBarrier)
            && self.watch.possible_cpus > 0
            && rcu_works_flushed >= FLUSHES_PER_CPU.saturating_mul(self.watch.possible_cpus);
        self.ledger.ends.entry(address).or_default().looked_by = Some(task);
        let at_look = self.moment(address);
        let foreign = self.destroys.get(&id).map(|destroy| self.foreign_to(destroy)).unwrap_or_default();
        let after_older_barrier = self.after_older_barrier;
        let stack = self.destroys.get(&id).map_or(StackId::default(), |destroy| destroy.caller.stack);
        let exit_of = self.stack(stack).exit_of().map(str::to_owned);
        let domains = self
            .caches
            .get(&address)
            .map(|cache| self.domains.reach(&cache.past.others, self.teardown(task, Some(cache), stack)));
        // The last user looks: the others have let go before, after they had waited for what they had deferred.
        let users: Vec<Coverage> = self
            .destroys()
            .filter(|other| other.life.id == life && other.id < id && other.look.is_none())
            .filter(|_| self.rules.has(Rule::UsersLetGo))
            .map(|other| other.coverage.clone())
            .collect();
        let has_rule = self.rules.has(Rule::OlderCallback);
        let sees_barriers =
            has_rule && [Blind::RcuBarrier, Blind::Flavours].iter().all(|b| !self.watch.blind.contains(b));
        let last_barrier = self.last_barrier_for_callbacks;
        let (Some(cache), Some(destroy)) =
            (self.caches.get_mut(&address), self.destroys.get_mut(&id).map(Arc::make_mut))
        else {
            return;
        };
        let unknown = cache.past.unknown;
        let has_unordered_past =
            sees_barriers && unknown.callbacks > 0 && unknown.last_callback > last_barrier;
        cache.looking = Some(id);
        destroy.foreign = foreign;
        if flushed_every_cpu {
            // The barrier is that of the whole kernel, called by the destroy itself.
            let returned = Returned {
                until: begin.position,
                kind: BarrierKind::KvfreeOnCache,
                task,
                comm: destroy.caller.comm.clone(),
                stack: destroy.caller.stack,
                work_of: None,
                work: None,
                exit_of,
                began: begin.time,
                returned: look.time,
            };
            let stack = self.stacks.get(returned.stack.0 as usize).unwrap_or(&NO_STACK);
            cache.barriers.returned(returned, stack, false);
            destroy.coverage.frees = destroy.coverage.frees.max(begin.position);
        }
        if !is_known {
            cache.doubt.maybe_covered = begin.position;
        }
        destroy.coverage.doubt.after_older_barrier = after_older_barrier || cache.doubt.after_older_barrier;
        destroy.coverage.frees_by_others = self.barriers.others().clone();
        destroy.coverage.frees_by_others.join(cache.barriers.others());
        destroy.coverage.callbacks_by_others = self.rcu_barriers.others().clone();
        destroy.coverage.domains = domains.unwrap_or_default();
        destroy.coverage.has_unordered_past = has_unordered_past;
        users.iter().for_each(|user| destroy.coverage.joins(user));
        destroy.looks(look, cache, at_look);
        let stack = destroy.caller.stack;
        // Where the exit ended by a jump to the destroy, its module is known when it has returned.
        if let Some(module) = self.stack(stack).exit_of().map(str::to_owned) {
            self.destroys_in_exit_of(id, &module);
        }
        if flushed_every_cpu {
            self.suspect_barrier(look, task, begin, None);
        }
    }

    pub(super) fn shutdown_end(&mut self, end: Mark, task: Task, shutdown: Option<Shutdown>) {
        let Some(destroy) = self.open_destroy(task).filter(|destroy| destroy.look.is_some()) else { return };
        let (id, life) = (destroy.id, destroy.life.id);
        self.open_destroys.remove(&task);
        let address =
            self.caches.iter().find(|(_, cache)| cache.life.id == life).map(|(address, _)| *address);
        if let (Some(address), Some(Shutdown::Left(_))) = (address, shutdown) {
            self.check_memory(end, address);
            if self.tells_all() {
                self.check_report(end, address);
            }
        }
        let (sees_runs, rules) = (self.sees_callbacks_run(), self.rules);
        let foreign = self.destroys.get(&id).map(|destroy| self.foreign_to(destroy)).unwrap_or_default();
        let is_its = |work: &&Waiting| work.life == life && work.is_plain_work();
        let works = self.ledger.works.values().filter(is_its).count() as u64;
        let Some(destroy) = self.destroys.get_mut(&id).map(Arc::make_mut) else { return };
        destroy.works = works;
        destroy.foreign = Foreign { waiting: foreign.waiting.max(destroy.foreign.waiting), ..foreign };
        destroy.end = Some(end);
        destroy.shutdown = shutdown;
        let Some(cache) = address.and_then(|address| self.caches.get_mut(&address)) else { return };
        if let Some(Shutdown::Left(_)) = shutdown {
            cache.failed = Some(id);
            if self.ledger.sees_allocations {
                destroy.allocated = self.ledger.leaked_by_stack(destroy.address);
                destroy.handed_over = self.ledger.handed_over(destroy.address);
            }
        }
        cache.looked = Some(id);
        destroy.look_is_over(cache, &self.ledger, sees_runs);
        destroy.meanwhile.queued_while_looking &= rules.has(Rule::QueuedWhileLooking);
    }

    pub(super) fn slabs_freed(&mut self, at: Mark, address: CacheAddress) {
        if self.ledger.ends.get(&address).is_some_and(|end| end.released) {
            // The callback that gives a slab back needs its cache.
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), at);
            self.ledger.broken(found);
        }
        self.check_memory(at, address);
    }

    pub(super) fn cache_released(&mut self, at: Mark, address: CacheAddress) {
        if self.tells_all() {
            self.check_memory(at, address);
            self.ledger.ends.entry(address).or_default().released = true;
        }
        self.released(address);
    }

    pub(super) fn released(&mut self, address: CacheAddress) {
        if self.ledger.sees_allocations && !self.tells_all() {
            // Its memory is given back, with what it had allocated.
            self.ledger.allocated.retain(|_, allocation| allocation.cache != address);
            self.ledger.handed_over.retain(|_, allocation| allocation.cache != address);
        }
        let Some(cache) = self.caches.remove(&address) else { return };
        // A call that is still freeing must not count for the next cache at this address. Since the look found every slab
        // empty, the objects of the call may have been free when a barrier returned before it.
        self.freeing.forget(address);
        self.ledger.suspicions.retain(|(_, found)| found.cache != Some(cache.life.id));
        // If several destroys overlap, the one that looks at the slabs is the one that destroys.
        let last =
            || self.destroys().rfind(|destroy| destroy.life.id == cache.life.id).map(|destroy| destroy.id);
        let by = cache.looking.or_else(last);
        let sees_runs = self.sees_callbacks_run();
        let Some(destroy) = by.and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut)) else {
            self.outstanding -= cache.outstanding.len();
            return;
        };
        let id = destroy.id;
        destroy.released = true;
        if destroy.look.is_some() && destroy.end.is_none() {
            if destroy.lingers {
                destroy.after.counts.outstanding = cache.outstanding.len();
                destroy.after.counts.callbacks_waiting = cache.callbacks_waiting;
                destroy.after.counts.others_waiting = cache.others_waiting;
            } else {
                // The end of its look went unseen.
                destroy.look_is_over(&cache, &self.ledger, sees_runs);
                self.open_destroys.retain(|_, open| *open != id);
            }
        }
        if destroy.look.is_some() && destroy.shutdown.is_none() {
            // Only a cache that was emptied is released.
            destroy.shutdown = Some(Shutdown::Empty);
        }
        for (object, _) in cache.outstanding.iter() {
            if self.orphans.insert(object, id).is_some() {
                // This object belonged to a cache that had the memory before. One address is one object.
                self.outstanding -= 1;
            }
        }
        if cache.callbacks_waiting + cache.others_waiting > 0 {
            let waiting = self.ledger.callbacks.values_mut().chain(self.ledger.works.values_mut());
            let of_cache = waiting.filter(|waiting| waiting.life == cache.life.id);
            of_cache.for_each(|waiting| waiting.late_for = Some(id));
        }
    }

    /// The destroy that this task has entered.
    fn open_destroy(&self, task: Task) -> Option<&Destroy> {
        self.destroy(*self.open_destroys.get(&task)?)
    }

    /// The deferred frees of the cache at this address.
    fn moment(&self, address: CacheAddress) -> Moment {
        self.caches.get(&address).map_or_else(Moment::default, |cache| cache.moment(&self.ledger))
    }
}

impl Cache {
    /// Notes that one more user got it, under this name. A name is noted once, however often its user comes
    /// and goes.
    fn is_asked_for_as(&mut self, name: String) {
        if !self.life.aliases.contains(&name) {
            self.life.aliases.push(name);
        }
    }
}

impl Coverage {
    /// Takes over what another user of the cache had waited for when it let go.
    fn joins(&mut self, user: &Coverage) {
        self.frees = self.frees.max(user.frees_before);
        self.callbacks_before = self.callbacks_before.max(user.callbacks_before);
        self.callbacks = self.callbacks.max(self.callbacks_before);
        for reach in &mut self.domains {
            user.domains_before.iter().for_each(|other| reach.joins(other));
        }
    }
}

impl Destroy {
    /// Begins its look at the slabs.
    fn looks(&mut self, look: Mark, cache: &Cache, at_look: Moment) {
        self.look = Some(look);
        self.coverage.doubt.maybe_covered = cache.doubt.maybe_covered;
        self.coverage.inside = self.coverage.frees >= self.begin.position;
        self.at_look = at_look;
        let newest = cache.outstanding.newest_headless();
        self.after.past = self.at_look.past.clone();
        self.after.past.frees.last = self.after.past.frees.last.max(newest);
    }

    /// Ends its look. What was deferred during the look is not ordered by anything either.
    fn look_is_over(&mut self, cache: &Cache, ledger: &Ledger, sees_runs: bool) {
        let (before, now) = (&self.at_look.past, &cache.past);
        let is_queued = before.frees.ever != now.frees.ever;
        self.meanwhile.queued_while_looking = is_queued
            || (sees_runs && before.callbacks.ever != now.callbacks.ever)
            || before.others.ever() != now.others.ever();
        self.after =
            if self.meanwhile.queued_while_looking { cache.moment(ledger) } else { cache.numbers(ledger) };
        let from_batches = |freed_by: &FreedBy| freed_by.bulk + freed_by.list;
        if from_batches(&cache.past.freed_by) != from_batches(&self.at_begin.past.freed_by) {
            // Callbacks that ran during the destroy's own wait may have queued objects, and not all of these
            // lay in sheaves.
            self.coverage.sheaves = 0;
        }
    }
}

impl Late {
    /// Counts one more free.
    pub(super) fn free(&mut self, time: Time) {
        self.frees += 1;
        self.last = Some(time);
    }
}
