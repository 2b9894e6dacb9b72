//! Threads: the next step of a task, from what it is doing.

use krcu_common::{BarrierKind, FreePath, QueueForm, wire::FLUSHES_UNKNOWN};
use krcu_model::event::{Domain, FunctionAddress, Leftover, ObjectAddress, Site, What};

use super::{Cache, Doing, Kernel, Life, Object, TASKS, address, facts, object};

impl Kernel {
    pub(super) fn thread_goes_on(&mut self, thread: usize) {
        let (number, cpu) = (self.threads[thread].number, self.threads[thread].cpu);
        if !self.threads[thread].barriers.is_empty() {
            return self.inside_barrier(thread, number, cpu);
        }
        match self.threads[thread].doing.clone() {
            Doing::Nothing if number > TASKS => self.worker_begins(thread, number, cpu),
            Doing::Nothing if self.begins_nothing => {}
            Doing::Nothing => self.begins(thread, number, cpu),
            Doing::Queueing(index) => {
                self.say(number, cpu, What::QueueReturned { object: object(index) });
                self.threads[thread].doing = Doing::Nothing;
            }
            Doing::QueueingHeadless(index) => {
                if self.random.percent(50) {
                    self.free(index, FreePath::Single, number, cpu);
                    self.objects[index].life = Life::Free;
                    if self.random.percent(60) {
                        self.say(number, cpu, What::BatchFreed { path: FreePath::Single });
                    }
                } else {
                    let since = self.happened;
                    self.objects[index].life = Life::Queued { since };
                }
                self.say(number, cpu, What::QueueReturned { object: object(index) });
                self.threads[thread].doing = Doing::Nothing;
            }
            Doing::Frees(mut left, path) => {
                if let Some(index) = left.pop() {
                    self.free(index, path, number, cpu);
                    self.objects[index].life = Life::BeingFreed;
                    if path == FreePath::Single || self.random.percent(70) {
                        self.objects[index].life = Life::Free;
                    }
                    self.threads[thread].doing = Doing::Frees(left, path);
                } else {
                    if path != FreePath::Single || self.random.percent(70) {
                        self.say(number, cpu, What::BatchFreed { path });
                    }
                    for index in self.objects(|object| object.life == Life::BeingFreed) {
                        self.objects[index].life = Life::Free;
                    }
                    self.threads[thread].doing = Doing::Nothing;
                }
            }
            Doing::FreesOwn(path) => {
                self.say(number, cpu, What::BatchFreed { path });
                self.threads[thread].doing = Doing::Nothing;
            }
            Doing::Enters(slot) => self.inside_destroy(thread, number, cpu, slot),
            Doing::Looks(slot) => self.look_ends(thread, number, cpu, slot),
            Doing::Releases(slot) => {
                self.say(number, cpu, What::CacheReleased { cache: address(slot) });
                self.caches[slot] = None;
                self.memory_is_used_again(slot);
                self.threads[thread].doing = Doing::Nothing;
            }
        }
    }

    fn free(&mut self, index: usize, path: FreePath, task: u32, cpu: u16) {
        if self.is_counted(index) {
            return;
        }
        let cache = address(self.objects[index].slot);
        self.say(task, cpu, What::Freed { object: object(index), cache, path });
    }

    fn worker_begins(&mut self, thread: usize, number: u32, cpu: u16) {
        if !self.ghosts.is_empty() && self.random.percent(30) {
            let place = self.random.index(self.ghosts.len());
            let index = self.ghosts.swap_remove(place);
            self.free(index, FreePath::Bulk, number, cpu);
            return self.say(number, cpu, What::BatchFreed { path: FreePath::Bulk });
        }
        let careful = self.is_correct();
        let reached = self.grace_reached;
        let ready = self.objects(|object| {
            matches!(object.life, Life::Queued { since } if !careful || object.hidden || since < reached)
        });
        if ready.is_empty() {
            return;
        }
        let path = *self.random.choose(&[FreePath::Bulk, FreePath::Bulk, FreePath::Sheaf, FreePath::Single]);
        let first = *self.random.choose(&ready);
        let slot = self.objects[first].slot;
        let mut taken: Vec<usize> = ready
            .into_iter()
            .filter(|index| path == FreePath::Bulk || self.objects[*index].slot == slot)
            .take(3)
            .collect();
        if path == FreePath::Single {
            taken.truncate(2);
        }
        for index in &taken {
            self.objects[*index].life = Life::InCall;
        }
        self.threads[thread].doing = Doing::Frees(taken, path);
    }

    fn begins(&mut self, thread: usize, number: u32, cpu: u16) {
        let own = self.objects(|object| object.life == Life::Allocated);
        let alive = self.slots(|cache| !cache.emptied && cache.users > 0);
        match self.random.below(21) {
            0 | 1 => self.creates(number, cpu),
            2..8 if !alive.is_empty() => {
                let slot = *self.random.choose(&alive);
                let free = self.objects(|object| object.life == Life::Free);
                if free.is_empty() {
                    return;
                }
                let index = *self.random.choose(&free);
                self.objects[index] = Object { slot, life: Life::Allocated, hidden: false };
                self.say(
                    number,
                    cpu,
                    What::Allocated { object: object(index), cache: address(slot), site: Site(0) },
                );
                if self.is_live() && self.random.percent(40) {
                    self.calls_rcu(thread, number, cpu, index);
                } else if self.random.percent(85) {
                    self.queues(thread, number, cpu, index);
                }
            }
            8..10 if !own.is_empty() => {
                let index = *self.random.choose(&own);
                self.queues(thread, number, cpu, index);
            }
            10 if !own.is_empty() => {
                let index = *self.random.choose(&own);
                if self.is_live() && self.random.percent(50) && !self.is_counted(index) {
                    let cache = address(self.objects[index].slot);
                    self.objects[index].life = Life::Free;
                    return self.say(number, cpu, What::FreedAtOnce { object: object(index), cache });
                }
                let path = *self.random.choose(&[FreePath::Single, FreePath::Bulk]);
                self.free(index, path, number, cpu);
                self.objects[index].life = Life::Free;
                self.threads[thread].doing = Doing::FreesOwn(path);
            }
            11 | 12 if !own.is_empty() => {
                let index = *self.random.choose(&own);
                self.calls_rcu(thread, number, cpu, index);
            }
            20 if !self.is_correct() => self.hands_over_again(number, cpu),
            13..16 => self.barrier_begins(thread, number, cpu),
            16..20 => {
                let candidates = self.slots(|cache| !cache.emptied && !cache.being_destroyed);
                if candidates.is_empty() {
                    return;
                }
                let slot = *self.random.choose(&candidates);
                let is_given_up = self.slots(|cache| cache.users == 0).contains(&slot);
                if is_given_up && !self.random.percent(15) {
                    return;
                }
                self.destroy_begins(thread, number, cpu, slot);
            }
            _ => {}
        }
    }

    /// A queued object is handed over once more, by code that does not know that it is queued.
    fn hands_over_again(&mut self, task: u32, cpu: u16) {
        let is_queued = |object: &Object| {
            !object.hidden && matches!(object.life, Life::Queued { .. } | Life::Callback { .. })
        };
        let queued = self.objects(is_queued);
        if queued.is_empty() {
            return;
        }
        let index = *self.random.choose(&queued);
        let slot = self.objects[index].slot;
        if self.is_counted(index) || slot >= self.caches.len() {
            return;
        }
        let (object, cache, site) = (object(index), address(slot), Site(0));
        // The return of a call names only the object, so there must be only one call for it.
        let is_callback = matches!(self.objects[index].life, Life::Callback { .. });
        let kind = if self.tells_all { u64::from(is_callback) } else { self.random.below(3) };
        match kind {
            0 => self.say(task, cpu, What::Queued { object, cache, site, form: QueueForm::Head }),
            1 => {
                let head = self.head(index);
                self.queues_callback(task, cpu, head, slot);
            }
            _ => self.say(task, cpu, What::FreedAtOnce { object, cache }),
        }
    }

    fn calls_rcu(&mut self, thread: usize, number: u32, cpu: u16, index: usize) {
        let slot = self.objects[index].slot;
        if self.is_counted(index) {
            return;
        }
        let since = self.happened;
        self.objects[index].life = Life::Callback { since };
        let head = self.head(index);
        self.queues_callback(number, cpu, head, slot);
        if self.is_live() && self.random.percent(25) {
            // Another head in the object is used; or other code frees the object although a callback waits in
            // it.
            let other = ObjectAddress(head.0 + 8);
            if self.random.percent(50) {
                self.queues_callback(number, cpu, other, slot);
                self.ghost_runs.push((other, slot));
            } else {
                self.objects[index].life = Life::Free;
                self.ghost_runs.push((head, slot));
            }
        }
        self.threads[thread].doing = Doing::Queueing(index);
    }

    fn queues_callback(&mut self, task: u32, cpu: u16, head: ObjectAddress, slot: usize) {
        let (cache, function) = (address(slot), FunctionAddress(0));
        let what = What::CallbackQueued {
            object: head,
            cache,
            function,
            text: None,
            domain: Domain::default(),
            site: Site(0),
        };
        self.say(task, cpu, what);
    }

    fn creates(&mut self, task: u32, cpu: u16) {
        let slot = self.random.index(self.caches.len());
        let site = Site(0);
        let (refcount, asked_name) = match &mut self.caches[slot] {
            None => {
                let counted = self.random.percent(5);
                self.caches[slot] = Some(Cache { users: 1, counted, ..Cache::default() });
                (1, facts(slot, 1).name)
            }
            Some(cache) if cache.emptied || cache.being_destroyed => return,
            Some(cache) => {
                // It is merged with a cache, or found again after a destroy that failed.
                cache.users += 1;
                (cache.users, "another".to_owned())
            }
        };
        let what =
            What::CacheCreated { cache: address(slot), facts: facts(slot, refcount), asked_name, site };
        self.say(task, cpu, what);
    }

    fn queues(&mut self, thread: usize, number: u32, cpu: u16, index: usize) {
        let headless = self.random.percent(30);
        let slot = self.objects[index].slot;
        if self.is_counted(index) {
            self.objects[index].life = Life::Queued { since: self.happened };
            return;
        }
        let since = self.happened;
        self.objects[index].life = if headless { Life::InCall } else { Life::Queued { since } };
        let (object, cache) = (object(index), address(slot));
        let is_nolock = !headless && self.random.percent(15);
        let form = if is_nolock { QueueForm::Nolock } else { QueueForm::of(headless) };
        self.say(number, cpu, What::Queued { object, cache, site: Site(0), form });
        if is_nolock && self.random.percent(50) {
            // It found no room there, and is queued again.
            self.say(number, cpu, What::Queued { object, cache, site: Site(0), form: QueueForm::Head });
        }
        self.threads[thread].doing =
            if headless { Doing::QueueingHeadless(index) } else { Doing::Queueing(index) };
    }

    fn barrier_begins(&mut self, thread: usize, number: u32, cpu: u16) {
        let barrier =
            *self.random.choose(&[BarrierKind::Rcu, BarrierKind::Kvfree, BarrierKind::KvfreeOnCache]);
        let alive = self.slots(|cache| !cache.emptied);
        let slot = match (&self.threads[thread].doing, alive.as_slice()) {
            (Doing::Enters(slot), _) => *slot,
            (_, []) => return,
            (_, alive) => *self.random.choose(alive),
        };
        let rcu_works_flushed = self.threads[thread].flushed;
        let begun = self.happened;
        self.threads[thread].barriers.push((barrier, slot, begun));
        self.say(
            number,
            cpu,
            What::BarrierBegin { barrier, rcu_works_flushed, site: Site(0), comm: String::new() },
        );
    }

    fn inside_barrier(&mut self, thread: usize, number: u32, cpu: u16) {
        let barriers = &self.threads[thread].barriers;
        let (barrier, slot, begun) = barriers[barriers.len() - 1];
        if barriers.len() < 3 && self.random.percent(15) {
            return self.barrier_begins(thread, number, cpu);
        }
        let is_covered = |object: &Object| match (object.life, barrier) {
            (Life::Callback { since }, BarrierKind::Rcu) => since < begun,
            (Life::Queued { since }, BarrierKind::Kvfree) => since < begun,
            (Life::Queued { since }, BarrierKind::KvfreeOnCache) => since < begun && object.slot == slot,
            // Objects that a worker has taken off its lists were queued before.
            (Life::InCall | Life::BeingFreed, BarrierKind::Kvfree | BarrierKind::KvfreeOnCache) => true,
            _ => false,
        };
        let must_wait = !self.objects(is_covered).is_empty();
        if must_wait && self.is_correct() {
            return;
        }
        self.threads[thread].barriers.pop();
        let cache =
            (barrier == BarrierKind::KvfreeOnCache && !self.random.percent(10)).then_some(address(slot));
        self.say(number, cpu, What::BarrierEnd { barrier, cache, of: 0 });
    }

    fn destroy_begins(&mut self, thread: usize, number: u32, cpu: u16, slot: usize) {
        let Some(cache) = &mut self.caches[slot] else { return };
        let (refcount, counted) = (cache.users, cache.counted);
        let is_last = refcount == 1;
        cache.being_destroyed |= is_last;
        let what = What::DestroyBegin {
            cache: address(slot),
            facts: facts(slot, refcount),
            site: Site(0),
            comm: "rmmod".to_owned(),
            counted,
        };
        self.say(number, cpu, what);
        self.threads[thread].flushed = 0;
        self.threads[thread].doing = Doing::Enters(slot);
    }

    fn inside_destroy(&mut self, thread: usize, number: u32, cpu: u16, slot: usize) {
        match self.random.below(4) {
            0 => return self.barrier_begins(thread, number, cpu),
            1 => {
                self.threads[thread].flushed += 1 + u32::try_from(self.random.below(4)).unwrap();
                return;
            }
            _ => {}
        }
        let Some(cache) = &mut self.caches[slot] else {
            self.threads[thread].doing = Doing::Nothing;
            return;
        };
        // The last user destroys the cache, whatever the count was when the call began.
        cache.users -= 1;
        if cache.users != 0 {
            cache.users = cache.users.max(0);
            self.threads[thread].doing = Doing::Nothing;
            return;
        }
        cache.being_destroyed = true;
        let is_counted = !self.random.percent(6);
        let rcu_works_flushed = if is_counted { self.threads[thread].flushed } else { FLUSHES_UNKNOWN };
        self.say(number, cpu, What::ShutdownBegin { cache: address(slot), rcu_works_flushed });
        self.threads[thread].flushed = 0;
        self.threads[thread].doing = Doing::Looks(slot);
    }

    fn look_ends(&mut self, thread: usize, number: u32, cpu: u16, slot: usize) {
        if self.random.percent(10) {
            return self.barrier_begins_inside_look(thread, number, cpu);
        }
        let left = self.objects(|object| object.slot == slot && object.life != Life::Free).len() as u64;
        let errs = !self.is_correct() && self.random.percent(40);
        let is_empty = (left == 0) != errs;
        let miscounts = !self.is_correct() && self.random.percent(40);
        let objects = if miscounts || left == 0 { 1 + self.random.below(3) } else { left };
        let is_unread = self.random.percent(8);
        let what = What::ShutdownEnd {
            empty: (!(is_unread && is_empty)).then_some(is_empty),
            left: (!is_empty && !is_unread).then_some(Leftover { objects, listed: objects }),
        };
        // Sometimes there is no probe for it.
        if !self.random.percent(5) {
            self.say(number, cpu, what);
        }
        let Some(cache) = &mut self.caches[slot] else { return };
        if is_empty {
            cache.emptied = true;
            self.threads[thread].doing = Doing::Releases(slot);
            // When a slab is given back, its objects that were only allocated are gone too.
            for index in self.objects(|object| object.slot == slot && object.life == Life::Allocated) {
                self.objects[index].life = Life::Free;
            }
        } else {
            cache.being_destroyed = false;
            self.threads[thread].doing = Doing::Nothing;
        }
    }

    fn barrier_begins_inside_look(&mut self, thread: usize, number: u32, cpu: u16) {
        let Doing::Looks(slot) = self.threads[thread].doing else { return };
        let begun = self.happened;
        self.threads[thread].barriers.push((BarrierKind::Rcu, slot, begun));
        self.say(
            number,
            cpu,
            What::BarrierBegin {
                barrier: BarrierKind::Rcu,
                rcu_works_flushed: 0,
                site: Site(0),
                comm: String::new(),
            },
        );
    }

    /// The memory of an object that is still queued, in a cache that was given back, belongs to another cache
    /// now, or to none.
    fn memory_is_used_again(&mut self, slot: usize) {
        let others = self.slots(|cache| !cache.emptied && !cache.being_destroyed && !cache.counted);
        let is_used = self.random.percent(40) && !others.is_empty();
        let owner = if is_used { *self.random.choose(&others) } else { self.caches.len() };
        for index in self.objects(|object| object.slot == slot && object.life != Life::Free) {
            self.objects[index].slot = owner;
            if is_used && matches!(self.objects[index].life, Life::Queued { .. }) && self.random.percent(50) {
                self.ghosts.push(index);
                self.objects[index].life = Life::Free;
            }
        }
    }
}
