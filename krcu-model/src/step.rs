//! Step: one event changes the state.
//!
//! The agent receives events, the analysis reads them: both call [`State::step`]. An event that the
//! state has no use for (the end of a barrier that began before the watch, the free of an object that
//! nobody queued) changes nothing but the counts: it is not an error, it is what is unknown.

use krcu_common::{BarrierKind, FreePath};

use crate::{
    event::{CacheAddress, CacheFacts, Cpu, Event, ObjectAddress, Site, Task, Time, What},
    ledger::Waiting,
    object_table::ObjectTable,
    promise::{self, Promise, Violation},
    stack::{Stack, StackId},
    state::{
        Blind, Born, Cache, CacheId, Destroy, Freer, Mark, OpenBarrier, Outstanding, Shutdown, Snapshot,
        State,
    },
};

/// Calls of `flush_rcu_work()` that the barrier inside the destroy makes for each possible CPU: one for
/// each of its batches (`KFREE_N_BATCHES`).
const FLUSHES_PER_CPU: u32 = 2;

impl State {
    /// Takes one event.
    pub fn step(&mut self, event: Event) {
        let Event { time, task, cpu, what } = event;
        if let What::Gap(gap) = what {
            self.gaps.push(gap);
            return;
        }
        self.position += 1;
        self.events += 1;
        self.now = self.now.max(time);
        let mark = Mark { position: self.position, time };
        if !self.freeing.is_empty() && !matches!(what, What::Freed { .. } | What::BatchFreed { .. }) {
            // Whatever this task frees one by one it has freed: it does something else now.
            self.batch_freed(Freer::of(task, cpu), FreePath::Single);
        }
        match what {
            What::Queued { object, cache, site, headless } => {
                self.queued(mark, task, cpu, object, cache, site, headless);
            }
            What::Freed { object, cache, path } => {
                self.freed(mark, Freer::of(task, cpu), object, cache, path);
            }
            What::BatchFreed { path } => self.batch_freed(Freer::of(task, cpu), path),
            What::CallbackQueued { object, cache: address, text: _, site } => {
                let stack = self.stack_of(site);
                let cache = self.cache(address);
                let life = cache.id;
                cache.callbacks += 1;
                cache.last_callback = Some(mark);
                cache.last_callback_stack = stack;
                if !self.watch.blind.contains(&Blind::CallbackRuns) {
                    self.ledger.allocated.remove(&object);
                    self.ledger.returned.remove(&object);
                    let waiting = Waiting { cache: address, life, queued: mark, task };
                    self.ledger.callbacks.insert(object, waiting);
                }
            }
            What::CallbackRan { object, text } => self.callback_ran(mark, object, text.as_ref()),
            What::CacheCreated { cache, facts, asked_name, site } => {
                self.created(mark, cache, facts, asked_name, site);
            }
            What::DestroyBegin { cache, facts, site, comm, counted } => {
                self.destroy_begin(mark, task, cache, facts, site, comm, counted);
            }
            What::ShutdownBegin { cache, rcu_works_flushed } => {
                self.shutdown_begin(mark, task, cache, rcu_works_flushed);
            }
            What::ShutdownEnd { empty, left } => {
                let shutdown = empty.map(|empty| if empty { Shutdown::Empty } else { Shutdown::Left(left) });
                self.shutdown_end(mark, task, shutdown);
            }
            What::CacheReleased { cache } => self.cache_released(mark, cache),
            What::BarrierBegin { barrier, rcu_works_flushed } => {
                let open = self.open_barriers.entry(task).or_default();
                // flush_rcu_work() calls rcu_barrier() when it meets a batch that waits.
                let by_chance = barrier == BarrierKind::Rcu && (rcu_works_flushed > 0 || !open.is_empty());
                open.push(OpenBarrier { barrier, begin: mark, by_chance });
            }
            What::BarrierEnd { barrier, cache } => self.barrier_end(mark, task, barrier, cache),
            What::ModuleLoaded { .. } => {}
            What::ModuleFreed { name } => {
                for place in self.unattributed.remove(&task).unwrap_or_default() {
                    self.destroys[place].module_going = Some(name.clone());
                }
                if !self.watch.blind.contains(&Blind::CallbackRuns) {
                    self.ledger.gone_modules.insert(name);
                }
            }
            What::Site { site, frames } => {
                let id = StackId(u32::try_from(self.stacks.len()).unwrap_or(0));
                if id.0 != 0 {
                    self.stacks.push(Stack::from_probe(&frames));
                    self.sites.insert(site, id);
                }
            }
            What::GraceBegin { expedited } => self.ledger.grace_begins(mark.position, expedited),
            What::GraceEnd { expedited } => self.ledger.grace_ends(mark.position, expedited),
            What::Allocated { object, cache } => {
                self.ledger.allocated.insert(object, cache);
            }
            What::QueueReturned { object } => {
                // A call may return when another has queued what was allocated there since.
                let is_his = |queuer: Task| queuer == task;
                if self.ledger.callbacks.get(&object).is_some_and(|waiting| is_his(waiting.task))
                    || self.caches.values().any(|c| c.outstanding.get(object).is_some_and(|e| is_his(e.task)))
                {
                    self.ledger.returned.insert(object, mark.position);
                }
            }
            What::ReadLock { object, cache } => {
                self.ledger.readers.insert(task, object.zip(cache));
            }
            What::ReadUnlock => {
                self.ledger.readers.remove(&task);
            }
            What::Lingers { cache } => {
                if let Some(place) = self.open_destroys.remove(&task) {
                    self.destroys[place].lingers = true;
                }
                self.ledger.ends.entry(cache).or_default().looked_by = Some(task);
            }
            What::Reported { cache } => self.check_report(mark, cache),
            What::DestructionAwaited { cache } => self.check_destruction(mark, task, cache),
            What::SlabsFreed { cache } => self.slabs_freed(mark, cache),
            What::Quiet => self.quiet(mark),
            What::Gap(_) => {}
        }
    }

    fn stack_of(&self, site: Site) -> StackId {
        self.sites.get(&site).copied().unwrap_or_default()
    }

    /// The cache that lives at this address; one that nobody introduced is older than the probes.
    fn cache(&mut self, address: CacheAddress) -> &mut Cache {
        self.caches.entry(address).or_insert_with(|| {
            let id = CacheId(self.next_cache);
            self.next_cache += 1;
            Cache::new(id, CacheFacts::default(), Born::BeforeAttach)
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    fn queued(
        &mut self,
        mark: Mark,
        task: Task,
        cpu: Cpu,
        object: ObjectAddress,
        address: CacheAddress,
        site: Site,
        headless: bool,
    ) {
        let stack = self.stack_of(site);
        let cache = self.cache(address);
        cache.queued += 1;
        cache.last_queued_stack = stack;
        if !headless {
            cache.last_queued = Some(mark);
        }
        let fresh = cache
            .outstanding
            .insert(object, Outstanding { queued: mark, task, cpu, stack, headless })
            .is_none();
        self.outstanding += u64::from(fresh);
        if !self.ledger.allocated.is_empty() {
            self.ledger.allocated.remove(&object);
        }
        if !self.ledger.returned.is_empty() {
            // What returned was the call for an object that had this address before.
            self.ledger.returned.remove(&object);
        }
    }

    fn freed(
        &mut self,
        mark: Mark,
        freer: Freer,
        object: ObjectAddress,
        address: CacheAddress,
        path: FreePath,
    ) {
        if !self.orphans.is_empty()
            && let Some(place) = self.orphans.remove(&object)
        {
            self.outstanding -= 1;
            self.destroys[place].late_free(mark.time, false);
            return;
        }
        if !self.ledger.allocated.is_empty() {
            self.ledger.allocated.remove(&object);
        }
        let cache = self.cache(address);
        let queued = cache.outstanding.remove(object);
        let mut deferred = None;
        match queued {
            Some(entry) => {
                // The form without a head may free within its call, and then nothing was deferred.
                let within_call =
                    entry.headless && path == FreePath::Single && freer == Freer::of(entry.task, entry.cpu);
                if entry.headless && !within_call {
                    cache.last_queued = cache.last_queued.max(Some(entry.queued));
                }
                if !within_call {
                    cache.last_freed = Some(mark.time);
                    // Within its call it may be freed after a `synchronize_rcu()` that had nobody to wait for.
                    deferred = Some(entry.queued);
                }
            }
            // A free of what nobody queued is the module's own, by kvfree() or kfree_bulk(). Only of a cache
            // that is older than the probes may an array hold objects that were queued before them.
            None if path == FreePath::Single || cache.born != Born::BeforeAttach => return,
            None => {
                cache.freed_unknown += 1;
                cache.last_freed = Some(mark.time);
            }
        }
        cache.being_freed += 1;
        let (looked, id) = (cache.looked, cache.id);
        self.outstanding -= u64::from(queued.is_some());
        if let Some(queued) = deferred {
            self.check_grace(mark, object, (address, id), queued);
        }
        if !self.ledger.readers.is_empty() {
            self.check_readers(mark, object, (address, id));
        }
        if !self.ledger.returned.is_empty() {
            self.ledger.returned.remove(&object);
        }
        self.freeing.begin((freer, path), address);
        if let Some(place) = looked {
            self.destroys[place].late_free(mark.time, queued.is_none());
        }
        if queued.is_none() {
            for place in self.open_destroys.values() {
                let destroy = &mut self.destroys[*place];
                destroy.unknown_while_waiting += u64::from(destroy.cache == id);
            }
        }
    }

    fn batch_freed(&mut self, freer: Freer, path: FreePath) {
        for (address, count) in self.freeing.end((freer, path)) {
            if let Some(cache) = self.caches.get_mut(&address) {
                cache.being_freed = cache.being_freed.saturating_sub(count);
            }
        }
    }

    fn created(
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
            cache.aliases.push(asked_name);
            return;
        }
        if let Some(cache) = self.caches.get_mut(&address)
            && cache.failed.is_some()
        {
            // A cache that a failed destroy left behind may be found again and handed out (6.1): with all
            // that is queued of it.
            cache.aliases.push(asked_name);
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
    fn destroy_begin(
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
        let (all_covered, callbacks_covered) = (self.covered, self.callbacks_covered);
        let rcu_barrier_before = self.last_rcu_barrier.get(&task).copied();
        let cache = self.cache(address);
        cache.counted = counted;
        cache.facts = facts.clone();
        let at_begin = cache.snapshot();
        let destroy = Destroy {
            cache: cache.id,
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
            others_at_begin: all - at_begin.outstanding,
            at_begin,
            unknown_while_waiting: 0,
            at_look: Snapshot::default(),
            outstanding_after: 0,
            being_freed_after: 0,
            queued_during: false,
            last_queued: None,
            last_callback: None,
            last_queued_stack: StackId::default(),
            last_callback_stack: StackId::default(),
            last_freed: None,
            freed_unknown: 0,
            covered: cache.covered.max(all_covered),
            callbacks_covered_before: callbacks_covered,
            callbacks_covered,
            rcu_barrier_before,
            queued: cache.queued,
            callbacks: cache.callbacks,
            late: 0,
            late_unknown: 0,
            last_late: None,
            released: false,
        };
        if self.ledger.ends.get(&address).is_some_and(|end| end.released) {
            // Somebody else has given back what this caller still has.
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), begin);
            self.ledger.broken(found);
        }
        let place = self.destroys.len();
        self.destroys.push(destroy);
        self.unattributed.entry(task).or_default().push(place);
        self.open_destroys.insert(task, place);
    }

    fn shutdown_begin(&mut self, look: Mark, task: Task, address: CacheAddress, rcu_works_flushed: u32) {
        let Some(place) = self.open_destroys.get(&task).copied() else { return };
        let (begin, id) = (self.destroys[place].begin, self.destroys[place].cache);
        if self.cache(address).id != id {
            return;
        }
        // Newer kernels inline the barrier into the destroy; the works that it flushes prove it.
        let flushed_every_cpu = self.watch.possible_cpus > 0
            && rcu_works_flushed >= FLUSHES_PER_CPU.saturating_mul(self.watch.possible_cpus);
        self.ledger.ends.entry(address).or_default().looked_by = Some(task);
        let Some(cache) = self.caches.get_mut(&address) else { return };
        let destroy = &mut self.destroys[place];
        destroy.look = Some(look);
        cache.looking = Some(place);
        if flushed_every_cpu {
            cache.covered = cache.covered.max(begin.position);
            destroy.is_covered(begin.position);
        }
        destroy.barrier_inside = destroy.covered >= begin.position;
        destroy.at_look = cache.snapshot();
        destroy.last_freed = cache.last_freed;
        destroy.takes_note_of(cache);
        destroy.last_queued = cache.last_queued.max(cache.outstanding.newest_headless());
    }

    fn shutdown_end(&mut self, end: Mark, task: Task, shutdown: Option<Shutdown>) {
        let Some(place) = self.open_destroys.get(&task).copied() else { return };
        if self.destroys[place].look.is_none() {
            return;
        }
        self.open_destroys.remove(&task);
        let id = self.destroys[place].cache;
        let address = self.caches.iter().find(|(_, cache)| cache.id == id).map(|(address, _)| *address);
        if let (Some(address), Some(Shutdown::Left(_))) = (address, shutdown) {
            self.check_memory(end, address);
            if !self.ledger.allocated.is_empty() || self.tells_all() {
                self.check_report(end, address);
            }
        }
        let destroy = &mut self.destroys[place];
        destroy.end = Some(end);
        destroy.shutdown = shutdown;
        let Some(cache) = address.and_then(|address| self.caches.get_mut(&address)) else { return };
        if let Some(Shutdown::Left(_)) = shutdown {
            cache.failed = Some(place);
        }
        cache.looked = Some(place);
        destroy.look_is_over(cache);
    }

    fn slabs_freed(&mut self, at: Mark, address: CacheAddress) {
        if self.ledger.ends.get(&address).is_some_and(|end| end.released) {
            // The callback that gives a slab back needs its cache.
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), at);
            self.ledger.broken(found);
        }
        self.check_memory(at, address);
    }

    fn cache_released(&mut self, at: Mark, address: CacheAddress) {
        if self.tells_all() {
            self.check_memory(at, address);
            self.ledger.ends.entry(address).or_default().released = true;
        }
        self.released(address);
    }

    fn released(&mut self, address: CacheAddress) {
        let Some(cache) = self.caches.remove(&address) else { return };
        // A call that is still freeing has nothing to tell the next cache that has the address.
        self.freeing.forget(address);
        // Of several destroys that meet, the one that looks at the slabs destroys.
        let last = || self.destroys.iter().rposition(|destroy| destroy.cache == cache.id);
        let Some(place) = cache.looking.or_else(last) else {
            self.outstanding -= cache.outstanding.len();
            return;
        };
        let destroy = &mut self.destroys[place];
        destroy.released = true;
        if destroy.look.is_some() && destroy.end.is_none() {
            if destroy.lingers {
                destroy.outstanding_after = cache.outstanding.len();
            } else {
                // The end of its look went unseen.
                destroy.look_is_over(&cache);
                self.open_destroys.retain(|_, open| *open != place);
            }
        }
        if destroy.look.is_some() && destroy.shutdown.is_none() {
            // Only a cache that was emptied is released.
            destroy.shutdown = Some(Shutdown::Empty);
        }
        for (object, _) in cache.outstanding.iter() {
            if self.orphans.insert(object, place).is_some() {
                // One of a cache that had this memory before: one address is one object.
                self.outstanding -= 1;
            }
        }
    }

    fn barrier_end(&mut self, end: Mark, task: Task, barrier: BarrierKind, address: Option<CacheAddress>) {
        let Some(open) = self.open_barriers.get_mut(&task) else { return };
        // A barrier whose begin was not seen covers nothing that is known.
        let Some(place) = open.iter().rposition(|entry| entry.barrier == barrier) else { return };
        let ended = open[place];
        open.truncate(place);
        if open.is_empty() {
            self.open_barriers.remove(&task);
        }
        let reach = ended.begin.position;
        // The destroy that it is inside of. What somebody else calls meanwhile orders nothing before the look.
        let inside = self.open_destroys.get(&task).copied().filter(|place| {
            let destroy = &self.destroys[*place];
            destroy.look.is_none() && reach > destroy.begin.position
        });
        match barrier {
            BarrierKind::Rcu => {
                if !ended.by_chance {
                    self.callbacks_covered = self.callbacks_covered.max(reach);
                    self.last_rcu_barrier.insert(task, end.time);
                    if let Some(place) = inside {
                        let covered = &mut self.destroys[place].callbacks_covered;
                        *covered = (*covered).max(reach);
                    }
                }
                self.check_rcu_barrier(end, task, &ended);
                return;
            }
            BarrierKind::Kvfree => {
                self.covered = self.covered.max(reach);
                if let Some(place) = inside {
                    self.destroys[place].is_covered(reach);
                }
            }
            BarrierKind::KvfreeOnCache => {
                // For which cache could not be read: it covers nothing that is known.
                let Some(address) = address else { return };
                let cache = self.cache(address);
                cache.covered = cache.covered.max(reach);
                let id = cache.id;
                if let Some(place) = inside.filter(|place| self.destroys[*place].cache == id) {
                    self.destroys[place].is_covered(reach);
                }
            }
        }
        self.check_barrier(end, task, &ended, address);
    }

    /// `barrier_covers`: what a barrier surely covers must not be queued when it returns.
    fn check_barrier(&mut self, end: Mark, task: Task, barrier: &OpenBarrier, address: Option<CacheAddress>) {
        // A free that was not seen would look like one that was not waited for.
        if self.outstanding == 0 || self.may_have_missed(Blind::Frees) {
            return;
        }
        let mut missed = Vec::new();
        for (cache_address, cache) in &self.caches {
            if cache.outstanding.is_empty() || address.is_some_and(|address| address != *cache_address) {
                continue;
            }
            for (object, entry) in cache.outstanding.iter() {
                let returned = self.ledger.returned.get(&object);
                if promise::surely_covers(barrier, task, &entry)
                    || returned.is_some_and(|returned| *returned < barrier.begin.position)
                {
                    missed.push((entry.queued, *cache_address, cache.id, object));
                }
            }
        }
        self.barrier_was_early(end, barrier, missed);
    }

    /// The same for `rcu_barrier()` and callbacks, where it is told when they run.
    fn check_rcu_barrier(&mut self, end: Mark, task: Task, barrier: &OpenBarrier) {
        if self.ledger.callbacks.is_empty() || self.may_have_missed(Blind::CallbackRuns) {
            return;
        }
        let is_covered = |waiting: &Waiting, returned: Option<&u64>| {
            (waiting.task == task && promise::covers(barrier.begin, waiting.queued))
                || returned.is_some_and(|returned| *returned < barrier.begin.position)
        };
        let callbacks = self.ledger.callbacks.iter();
        let missed: Vec<_> = callbacks
            .filter(|(object, waiting)| is_covered(waiting, self.ledger.returned.get(object)))
            .map(|(object, waiting)| (waiting.queued, waiting.cache, waiting.life, *object))
            .collect();
        self.barrier_was_early(end, barrier, missed);
    }

    fn barrier_was_early(
        &mut self,
        end: Mark,
        barrier: &OpenBarrier,
        mut missed: Vec<(Mark, CacheAddress, CacheId, ObjectAddress)>,
    ) {
        missed.sort_unstable();
        for (queued, address, life, object) in missed {
            let found = self.violation(Promise::BarrierCovers, Some(address), end);
            let (begin, oldest) = (barrier.begin.time, queued.time);
            let (object, cache) = (Some(object), Some(life));
            self.ledger.broken(Violation { object, cache, begin, objects: 1, oldest, ..found });
        }
    }

    /// Whether the one who tells the events tells everything: a machine, or a script.
    fn tells_all(&self) -> bool {
        !self.watch.blind.contains(&Blind::CallbackRuns)
    }
}

impl Cache {
    fn new(id: CacheId, facts: CacheFacts, born: Born) -> Cache {
        Cache {
            id,
            facts,
            aliases: Vec::new(),
            born,
            counted: false,
            outstanding: ObjectTable::default(),
            being_freed: 0,
            queued: 0,
            callbacks: 0,
            last_queued: None,
            last_callback: None,
            last_callback_stack: StackId::default(),
            last_queued_stack: StackId::default(),
            last_freed: None,
            freed_unknown: 0,
            covered: 0,
            failed: None,
            looking: None,
            looked: None,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            outstanding: self.outstanding.len(),
            being_freed: self.being_freed,
            ..Snapshot::default()
        };
        let mut oldest: Option<Mark> = None;
        for (_, entry) in self.outstanding.iter() {
            oldest = Some(oldest.map_or(entry.queued, |oldest| oldest.min(entry.queued)));
            *snapshot.stacks.entry(entry.stack).or_default() += 1;
            *snapshot.cpus.entry(entry.cpu).or_default() += 1;
        }
        snapshot.oldest = oldest.map(|oldest| oldest.time);
        snapshot
    }
}

impl Destroy {
    /// How its cache's deferred frees are, as far as its verdict asks.
    fn takes_note_of(&mut self, cache: &Cache) {
        self.last_queued = cache.last_queued;
        self.last_callback = cache.last_callback;
        self.last_queued_stack = cache.last_queued_stack;
        self.last_callback_stack = cache.last_callback_stack;
        self.freed_unknown = cache.freed_unknown;
        self.queued = cache.queued;
        self.callbacks = cache.callbacks;
    }

    /// A barrier that ran inside reached so far.
    fn is_covered(&mut self, reach: u64) {
        self.covered = self.covered.max(reach);
    }

    /// What was deferred while it looked was ordered by nothing either.
    fn look_is_over(&mut self, cache: &Cache) {
        self.outstanding_after = cache.outstanding.len();
        self.being_freed_after = cache.being_freed;
        if cache.queued != self.queued {
            self.queued_during = true;
            self.at_look = cache.snapshot();
        }
        self.takes_note_of(cache);
    }

    fn late_free(&mut self, time: Time, unknown: bool) {
        self.late += 1;
        self.late_unknown += u64::from(unknown);
        self.last_late = Some(time);
    }
}
