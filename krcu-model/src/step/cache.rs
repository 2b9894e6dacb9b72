//! A cache's life, as the events tell it: created, destroyed, looked at, released.

use std::collections::BTreeMap;

use krcu_common::wire::FLUSHES_UNKNOWN;

use crate::{
    event::{CacheAddress, CacheFacts, ObjectAddress, Site, Task, Time},
    promise::{Promise, ledger::Ledger},
    state::{
        State,
        cache::{Born, Cache},
        destroy::{Destroy, Shutdown, Snapshot},
        freed_by::FreedBy,
        function::Recent,
        id::{CacheId, DestroyId, Mark},
        object_table::ObjectTable,
        stack::StackId,
    },
};

/// Calls of `flush_rcu_work()` that the barrier inside the destroy makes for each possible CPU: one for
/// each of its batches (`KFREE_N_BATCHES`).
const FLUSHES_PER_CPU: u32 = 2;

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
        if facts.refcount > 1 {
            // Merged: the caller got a cache that exists already.
            let cache = self.cache(address);
            cache.facts = facts;
            cache.is_asked_for_as(asked_name);
            return;
        }
        if let Some(cache) = self.caches.get_mut(&address)
            && cache.failed.is_some()
        {
            // A cache that a failed destroy left behind may be found again and handed out (6.1): with all
            // that is queued of it.
            cache.is_asked_for_as(asked_name);
            return;
        }
        // A cache at this address whose end was not seen is gone all the same.
        self.released(address);
        self.ledger.ends.remove(&address);
        let id = CacheId(self.next_cache);
        self.next_cache += 1;
        self.caches.insert(address, Cache::new(id, facts, Born::Watched { at: mark, stack }));
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
        let all = self.outstanding;
        let graces_ended = self.ledger.graces_ended;
        let (all_covered, callbacks_covered) = (self.covered, self.callbacks_covered);
        let rcu_barrier_before = self.last_rcu_barrier.get(task);
        let cache = self.cache(address);
        cache.counted = counted;
        cache.facts = facts.clone();
        let id = cache.id;
        let at_begin = self.snapshot(address);
        let destroy_id = self.next_destroy;
        let cache = self.cache(address);
        let destroy = Destroy {
            id: destroy_id,
            cache: id,
            address,
            facts,
            aliases: cache.aliases.clone(),
            born: cache.born.clone(),
            counted,
            task,
            comm,
            stack,
            module_going: None,
            begin,
            look: None,
            end: None,
            lingers: false,
            shutdown: None,
            barrier_inside: false,
            from_sheaves_at_begin: cache.freed_by.sheaf,
            freed_by: FreedBy::default(),
            graces_at_begin: graces_ended,
            graces_at_look: graces_ended,
            allocated: BTreeMap::new(),
            others_at_begin: all - at_begin.outstanding,
            waited_for_others: 0,
            from_batches_at_begin: cache.freed_by.bulk + cache.freed_by.list,
            sheaves_covered: 0,
            at_begin,
            unknown_while_waiting: 0,
            unknown_callbacks_while_waiting: 0,
            at_look: Snapshot::default(),
            outstanding_after: 0,
            being_freed_after: 0,
            callbacks_waiting_after: 0,
            callbacks_running_after: 0,
            queued_during: false,
            last_queued: None,
            last_callback: None,
            last_queued_stack: StackId::default(),
            last_callback_stack: StackId::default(),
            functions: Recent::default(),
            last_freed: None,
            freed_unknown: 0,
            unexplained: 0,
            callbacks_unknown: 0,
            covered: cache.covered.max(all_covered),
            maybe_covered: 0,
            after_older_barrier: false,
            callbacks_covered_before: callbacks_covered,
            callbacks_covered,
            rcu_barrier_before,
            queued: cache.queued,
            within_call: cache.freed_by.within_call,
            callbacks: cache.callbacks,
            late: 0,
            late_unknown: 0,
            late_unknown_callbacks: 0,
            last_late: None,
            released: false,
        };
        if self.ledger.ends.get(&address).is_some_and(|end| end.released) {
            // Somebody else has given back what this caller still has.
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), begin);
            self.ledger.broken(found);
        }
        self.destroys.insert(destroy_id, destroy);
        self.next_destroy = DestroyId(destroy_id.0 + 1);
        self.unattributed.entry(task).or_default().push(destroy_id);
        self.open_destroys.insert(task, destroy_id);
    }

    pub(super) fn shutdown_begin(
        &mut self,
        look: Mark,
        task: Task,
        address: CacheAddress,
        rcu_works_flushed: u32,
    ) {
        let Some(destroy) = self.open_destroy(task) else { return };
        let (begin, id, life) = (destroy.begin, destroy.id, destroy.cache);
        if self.cache(address).id != life {
            return;
        }
        // Newer kernels inline the barrier into the destroy; the works that it flushes prove it.
        let is_known = rcu_works_flushed != FLUSHES_UNKNOWN;
        let flushed_every_cpu = is_known
            && self.watch.possible_cpus > 0
            && rcu_works_flushed >= FLUSHES_PER_CPU.saturating_mul(self.watch.possible_cpus);
        self.ledger.ends.entry(address).or_default().looked_by = Some(task);
        let at_look = self.snapshot(address);
        let after_older_barrier = self.after_older_barrier;
        let (Some(cache), Some(destroy)) = (self.caches.get_mut(&address), self.destroys.get_mut(&id)) else {
            return;
        };
        destroy.look = Some(look);
        destroy.after_older_barrier = after_older_barrier || cache.after_older_barrier;
        cache.looking = Some(id);
        if flushed_every_cpu {
            cache.covered = cache.covered.max(begin.position);
            destroy.is_covered(begin.position);
        }
        if !is_known {
            cache.maybe_covered = begin.position;
        }
        destroy.maybe_covered = cache.maybe_covered;
        destroy.barrier_inside = destroy.covered >= begin.position;
        destroy.at_look = at_look;
        destroy.last_freed = cache.last_freed;
        destroy.freed_by = cache.freed_by;
        destroy.graces_at_look = self.ledger.graces_ended;
        destroy.takes_note_of(cache);
        destroy.last_queued = cache.last_queued.max(cache.outstanding.newest_headless());
    }

    pub(super) fn shutdown_end(&mut self, end: Mark, task: Task, shutdown: Option<Shutdown>) {
        let Some(destroy) = self.open_destroy(task).filter(|destroy| destroy.look.is_some()) else { return };
        let (id, life) = (destroy.id, destroy.cache);
        self.open_destroys.remove(&task);
        let address = self.caches.iter().find(|(_, cache)| cache.id == life).map(|(address, _)| *address);
        if let (Some(address), Some(Shutdown::Left(_))) = (address, shutdown) {
            self.check_memory(end, address);
            if self.tells_all() {
                self.check_report(end, address);
            }
        }
        let sees_runs = self.sees_callbacks_run();
        let Some(destroy) = self.destroys.get_mut(&id) else { return };
        destroy.end = Some(end);
        destroy.shutdown = shutdown;
        let Some(cache) = address.and_then(|address| self.caches.get_mut(&address)) else { return };
        if let Some(Shutdown::Left(_)) = shutdown {
            cache.failed = Some(id);
            if self.ledger.sees_allocations {
                destroy.allocated = self.ledger.leaked_by_stack(destroy.address);
            }
        }
        cache.looked = Some(id);
        destroy.look_is_over(cache, &self.ledger, sees_runs);
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
        if !self.ledger.allocated.is_empty() && !self.tells_all() {
            // Its memory is given back, with what it had allocated.
            self.ledger.allocated.retain(|_, allocation| allocation.cache != address);
        }
        let Some(cache) = self.caches.remove(&address) else { return };
        // A call that is still freeing has nothing to tell the next cache that has the address.
        self.freeing.forget(address);
        // Of several destroys that meet, the one that looks at the slabs destroys.
        let last = || self.destroys().rfind(|destroy| destroy.cache == cache.id).map(|destroy| destroy.id);
        let by = cache.looking.or_else(last);
        let sees_runs = self.sees_callbacks_run();
        let Some(destroy) = by.and_then(|id| self.destroys.get_mut(&id)) else {
            self.outstanding -= cache.outstanding.len();
            return;
        };
        let id = destroy.id;
        destroy.released = true;
        if destroy.look.is_some() && destroy.end.is_none() {
            if destroy.lingers {
                destroy.outstanding_after = cache.outstanding.len();
                destroy.callbacks_waiting_after = cache.callbacks_waiting;
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
                // One of a cache that had this memory before: one address is one object.
                self.outstanding -= 1;
            }
        }
        if cache.callbacks_waiting > 0 {
            let of_cache = self.ledger.callbacks.values_mut().filter(|waiting| waiting.life == cache.id);
            of_cache.for_each(|waiting| waiting.late_for = Some(id));
        }
    }

    /// The destroy that this task has entered.
    fn open_destroy(&self, task: Task) -> Option<&Destroy> {
        self.destroy(*self.open_destroys.get(&task)?)
    }

    /// What is outstanding of the cache that lives at this address.
    fn snapshot(&self, address: CacheAddress) -> Snapshot {
        self.caches.get(&address).map_or_else(Snapshot::default, |cache| cache.snapshot(&self.ledger))
    }
}

impl Cache {
    pub(crate) fn new(id: CacheId, facts: CacheFacts, born: Born) -> Cache {
        Cache {
            id,
            facts,
            aliases: Vec::new(),
            born,
            counted: false,
            outstanding: ObjectTable::default(),
            being_freed: 0,
            callbacks_waiting: 0,
            callbacks_running: 0,
            callbacks_unknown: 0,
            queued: 0,
            callbacks: 0,
            last_queued: None,
            last_callback: None,
            last_callback_stack: StackId::default(),
            functions: Recent::default(),
            last_queued_stack: StackId::default(),
            last_freed: None,
            freed_unknown: 0,
            unexplained: 0,
            freed_by: FreedBy::default(),
            covered: 0,
            maybe_covered: 0,
            after_older_barrier: false,
            failed: None,
            looking: None,
            looked: None,
        }
    }

    /// One more user got it, by this name: once each, however often it comes and goes.
    fn is_asked_for_as(&mut self, name: String) {
        if !self.aliases.contains(&name) {
            self.aliases.push(name);
        }
    }

    fn snapshot(&self, ledger: &Ledger) -> Snapshot {
        let mut snapshot = Snapshot {
            outstanding: self.outstanding.len(),
            being_freed: self.being_freed,
            callbacks_waiting: self.callbacks_waiting,
            callbacks_running: self.callbacks_running,
            ..Snapshot::default()
        };
        let mut oldest: Option<Mark> = None;
        for (_, entry) in self.outstanding.iter() {
            oldest = Some(oldest.map_or(entry.queued, |oldest| oldest.min(entry.queued)));
            *snapshot.stacks.entry(entry.stack).or_default() += 1;
            *snapshot.cpus.entry(entry.cpu).or_default() += 1;
        }
        if self.callbacks_waiting > 0 {
            let mut head_before: Option<ObjectAddress> = None;
            for (head, waiting) in ledger.callbacks.iter().filter(|(_, waiting)| waiting.life == self.id) {
                oldest = Some(oldest.map_or(waiting.queued, |oldest| oldest.min(waiting.queued)));
                *snapshot.stacks.entry(waiting.stack).or_default() += 1;
                *snapshot.cpus.entry(waiting.cpu).or_default() += 1;
                *snapshot.functions.entry(waiting.function).or_default() += 1;
                // Heads at one place of their objects lie further apart than an object is long.
                let size = u64::from(self.facts.object_size);
                snapshot.shares_objects |= head_before.is_some_and(|before| head.0 - before.0 < size);
                head_before = Some(*head);
            }
        }
        snapshot.oldest = oldest.map(|oldest| oldest.time);
        snapshot
    }
}

impl Destroy {
    /// How its cache's deferred frees are, as far as its verdict asks.
    pub(super) fn takes_note_of(&mut self, cache: &Cache) {
        self.last_queued = cache.last_queued;
        self.last_callback = cache.last_callback;
        self.last_queued_stack = cache.last_queued_stack;
        self.last_callback_stack = cache.last_callback_stack;
        self.functions = cache.functions.clone();
        self.freed_unknown = cache.freed_unknown;
        self.unexplained = cache.unexplained;
        self.callbacks_unknown = cache.callbacks_unknown;
        self.queued = cache.queued;
        self.within_call = cache.freed_by.within_call;
        self.callbacks = cache.callbacks;
    }

    /// A barrier that ran inside reached so far.
    pub(super) fn is_covered(&mut self, reach: u64) {
        self.covered = self.covered.max(reach);
    }

    /// What was deferred while it looked was ordered by nothing either.
    pub(super) fn look_is_over(&mut self, cache: &Cache, ledger: &Ledger, sees_runs: bool) {
        self.outstanding_after = cache.outstanding.len();
        self.being_freed_after = cache.being_freed;
        self.callbacks_waiting_after = cache.callbacks_waiting;
        self.callbacks_running_after = cache.callbacks_running;
        if cache.queued != self.queued || (sees_runs && cache.callbacks != self.callbacks) {
            self.queued_during = true;
            self.at_look = cache.snapshot(ledger);
        }
        if cache.freed_by.bulk + cache.freed_by.list != self.from_batches_at_begin {
            // Not all that the destroy's own wait had callbacks queue lay in sheaves.
            self.sheaves_covered = 0;
        }
        self.takes_note_of(cache);
    }

    pub(super) fn late_free(&mut self, time: Time) {
        self.late += 1;
        self.last_late = Some(time);
    }
}
