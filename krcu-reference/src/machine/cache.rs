//! Cache: slabs, and how they are given back.
//!
//! `__kmem_cache_shutdown()` gives back every slab that holds no object. If a slab with objects is left, it
//! fails. The kernel then reports that and gives the cache up: the slabs in use stay for ever, and the cache
//! can never be destroyed. A lingering destroy would wait for the last object instead. Slabs of a type-safe
//! cache are freed through `call_rcu()`, because readers may still look at freed objects.

use super::{
    CacheIndex, Life, Machine, Move, Seen, TaskIndex,
    fault::Fault,
    op::{Batching, Found, Linger},
    parts::Duty,
};
use krcu_model::event::{CacheFacts, Cpu, Leftover, Task, What};

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Users that have not destroyed it (`refcount`).
    pub users: u16,
    /// Objects of it that are allocated.
    pub allocated: u32,
    /// Objects of it whose free is deferred.
    pub queued: u32,
    /// The state of its end.
    pub end: End,
}

/// The states at the end of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// In use.
    Alive,
    /// It was shut down with objects left: the kernel has reported it and given it up.
    GivenUp,
    /// It is destroyed as far as its user knows, but its memory is still there.
    Lingering {
        /// How it ends.
        linger: Linger,
        /// Whether the objects that are left have been reported.
        reported: bool,
    },
    /// Its slabs are given back, or will be; the `struct kmem_cache` is still there.
    Emptied,
    /// A work item will release it.
    AwaitsWork,
    /// This many callbacks of that work item's `rcu_barrier()` have not run.
    AwaitsCallbacks(u16),
    /// Nothing is left.
    Released,
}

impl Cache {
    pub(crate) fn new(users: u16) -> Cache {
        Cache { users, allocated: 0, queued: 0, end: End::Alive }
    }

    /// An object goes from one stage of its life to another.
    pub(crate) fn count(&mut self, before: Life, after: Life) {
        match before {
            Life::Allocated => self.allocated -= 1,
            Life::Queued => self.queued -= 1,
            Life::Free => {}
        }
        match after {
            Life::Allocated => self.allocated += 1,
            Life::Queued => self.queued += 1,
            Life::Free => {}
        }
    }

    /// Whether every object of it is free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocated == 0 && self.queued == 0
    }
}

impl Machine {
    pub(crate) fn cache_moves(&self, moves: &mut Vec<Move>) {
        for (index, cache) in (0..).map(CacheIndex).zip(&self.caches) {
            match cache.end {
                End::Lingering { linger, reported } => {
                    let ends_early = self.has_fault(Fault::LingerEndsEarly) && cache.allocated == 0;
                    // Everything that is queued is freed in less than 21 s, unless a reader delays its grace
                    // period.
                    let is_stalled = linger.may_stall && !self.blocking_readers.is_empty();
                    if cache.is_empty() || ends_early {
                        moves.push(Move::LingerCheck(index));
                    } else if linger.reports_late && !reported && (cache.queued == 0 || is_stalled) {
                        moves.push(Move::LingerTimeout(index));
                    }
                }
                End::AwaitsWork => moves.push(Move::ReleaseWork(index)),
                _ => {}
            }
        }
    }

    pub(crate) fn cache(&self, cache: CacheIndex) -> &Cache {
        &self.caches[usize::from(cache.0)]
    }

    pub(crate) fn cache_mut(&mut self, cache: CacheIndex) -> &mut Cache {
        &mut self.caches[usize::from(cache.0)]
    }

    pub(crate) fn module_name(&self, cache: CacheIndex) -> String {
        self.setup.caches[usize::from(cache.0)].name.clone()
    }

    pub(crate) fn cache_facts(&self, cache: CacheIndex) -> CacheFacts {
        let refcount = i32::from(self.cache(cache).users);
        CacheFacts { name: self.module_name(cache), object_size: 0, refcount }
    }

    pub(crate) fn destroy_enters(&self, task: TaskIndex, cache: CacheIndex, seen: &mut Seen) {
        let what = What::DestroyBegin {
            cache: self.cache_address(cache),
            facts: self.cache_facts(cache),
            site: krcu_model::event::Site(0),
            comm: self.setup.tasks[usize::from(task.0)].name.to_owned(),
            counted: false,
        };
        self.say(seen, Machine::task_number(task), self.task(task).cpu, what);
    }

    /// `__kmem_cache_shutdown()` looks at the slabs. Returns whether none was left.
    pub(crate) fn look(&mut self, task: TaskIndex, cache: CacheIndex, found: Found, seen: &mut Seen) -> bool {
        let (number, cpu) = (Machine::task_number(task), self.task(task).cpu);
        let address = self.cache_address(cache);
        let flushed = self.task(task).flushed;
        self.say(seen, number, cpu, What::ShutdownBegin { cache: address, rcu_works_flushed: flushed });
        let left = self.leftover(cache);
        let type_safe = self.setup.caches[usize::from(cache.0)].type_safe;
        match found {
            Found::Linger(linger) if left.objects > 0 || (type_safe && linger.for_rcu_barrier.is_some()) => {
                self.cache_mut(cache).end = End::Lingering { linger, reported: false };
                self.say(seen, number, cpu, What::Lingers { cache: address });
                false
            }
            _ if left.objects > 0 => {
                self.cache_mut(cache).end = End::GivenUp;
                self.say(seen, number, cpu, What::ShutdownEnd { empty: Some(false), left: Some(left) });
                false
            }
            _ => {
                self.cache_mut(cache).end = End::Emptied;
                self.say(seen, number, cpu, What::ShutdownEnd { empty: Some(true), left: None });
                self.give_slabs_back(cache, number, cpu, seen);
                true
            }
        }
    }

    /// What the kernel would count. Its report lists the objects on partial slabs.
    fn leftover(&self, cache: CacheIndex) -> Leftover {
        if self.cache(cache).is_empty() {
            return Leftover { objects: 0, listed: 0 };
        }
        let mut slabs = std::collections::BTreeMap::<u32, u64>::new();
        for (object, life) in self.objects_of(cache) {
            if life != Life::Free {
                *slabs.entry(self.object_setup(object).slab).or_default() += 1;
            }
        }
        let full = u64::from(self.setup.caches[usize::from(cache.0)].slab_objects);
        Leftover {
            objects: slabs.values().sum(),
            listed: slabs.values().filter(|objects| **objects < full).sum(),
        }
    }

    fn give_slabs_back(&mut self, cache: CacheIndex, task: Task, cpu: Cpu, seen: &mut Seen) {
        let type_safe = self.setup.caches[usize::from(cache.0)].type_safe;
        if type_safe && !self.has_fault(Fault::TypeSafeSlabsAtOnce) {
            self.call_rcu(cpu, Duty::Slabs(cache));
        } else {
            self.say(seen, task, cpu, What::SlabsFreed { cache: self.cache_address(cache) });
        }
    }

    pub(crate) fn release(&mut self, cache: CacheIndex, task: Task, cpu: Cpu, seen: &mut Seen) {
        self.cache_mut(cache).end = End::Released;
        self.say(seen, task, cpu, What::CacheReleased { cache: self.cache_address(cache) });
    }

    /// The work item that releases type-safe caches begins its `rcu_barrier()`.
    pub(crate) fn release_work(&mut self, cache: CacheIndex, seen: &mut Seen) {
        let mut waits = 0;
        let waits_for_slabs = !self.has_fault(Fault::ReleaseWithoutBarrier);
        for cpu in self.cpu_numbers().filter(|_| waits_for_slabs) {
            waits += u16::from(self.follow_callbacks(cpu, Duty::Release(cache)));
        }
        self.cache_mut(cache).end = End::AwaitsCallbacks(waits);
        if waits == 0 {
            self.release(cache, Task(0), Cpu(0), seen);
        }
    }

    pub(crate) fn release_callback(&mut self, cache: CacheIndex, task: Task, cpu: Cpu, seen: &mut Seen) {
        match &mut self.cache_mut(cache).end {
            End::AwaitsCallbacks(1) => self.release(cache, task, cpu, seen),
            End::AwaitsCallbacks(waits) => *waits -= 1,
            _ => {}
        }
    }

    /// Every object of a lingering cache is free: its memory is given back.
    pub(crate) fn linger_check(&mut self, cache: CacheIndex, seen: &mut Seen) {
        let End::Lingering { linger, .. } = self.cache(cache).end else { return };
        let type_safe = self.setup.caches[usize::from(cache.0)].type_safe;
        let on = self.callback_cpu(Cpu(0));
        self.give_slabs_back(cache, Task(0), on, seen);
        match linger.for_rcu_barrier {
            _ if !type_safe => self.release(cache, Task(0), Cpu(0), seen),
            Some(Batching::Each) => self.release_work(cache, seen),
            // If the approach does not say, the kernel's way: one work item for all that have come.
            Some(Batching::Batched) | None => self.cache_mut(cache).end = End::AwaitsWork,
        }
    }

    /// The 21 s of a lingering cache are over.
    pub(crate) fn linger_timeout(&mut self, cache: CacheIndex, seen: &mut Seen) {
        if let End::Lingering { reported, .. } = &mut self.cache_mut(cache).end {
            *reported = true;
        }
        self.say(seen, Task(0), Cpu(0), What::Reported { cache: self.cache_address(cache) });
    }

    /// Whether a destroyed cache is gone, or will certainly stay.
    pub(crate) fn is_settled(&self, cache: CacheIndex) -> bool {
        matches!(self.cache(cache).end, End::Released | End::GivenUp | End::Lingering { reported: true, .. })
    }

    /// Caches whose destroy has returned and that are still there.
    pub(crate) fn lingering(&self) -> Vec<CacheIndex> {
        let lingers =
            |end: &End| matches!(end, End::Lingering { .. } | End::AwaitsWork | End::AwaitsCallbacks(_));
        (0..).map(CacheIndex).zip(&self.caches).filter(|(_, c)| lingers(&c.end)).map(|(i, _)| i).collect()
    }
}
