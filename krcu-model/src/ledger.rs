//! Ledger: what the promises are held against, beside what is outstanding.
//!
//! Grace periods, readers, callbacks, allocations and the ends of caches, as far as events tell of
//! them. Of a real kernel they tell of grace periods; a machine and a script tell all of it. What is
//! not told is not held against anybody.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{CacheAddress, Cpu, ObjectAddress, Task, Time},
    function::FunctionId,
    promise::{Promise, Violation},
    stack::StackId,
    state::{Blind, CacheId, DestroyId, Mark, State},
};

/// A callback of `call_rcu()` that has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The cache of the object that its head lies in.
    pub cache: CacheAddress,
    /// Which life of that address, which may have ended.
    pub life: CacheId,
    /// When it was queued.
    pub queued: Mark,
    /// The task that queued it.
    pub task: Task,
    /// The CPU on which.
    pub cpu: Cpu,
    /// Where from.
    pub stack: StackId,
    /// The callback.
    pub function: FunctionId,
    /// The destroy that gave its object's memory back before it ran.
    pub late_for: Option<DestroyId>,
}

/// An object that was allocated and that nobody has queued or freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Its cache.
    pub cache: CacheAddress,
    /// Where from.
    pub stack: StackId,
}

/// How far the end of a cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The task whose destroy has looked at it last.
    pub looked_by: Option<Task>,
    /// What was left was reported.
    pub reported: bool,
    /// Nothing is left of it.
    pub released: bool,
}

/// What the promises are held against.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The last grace period that began, and has not ended.
    pub grace_begun: Option<u64>,
    /// What was queued before this point has had a full grace period.
    pub grace_reached: u64,
    /// Callbacks of `call_rcu()` that have not run, by the address of their head.
    pub callbacks: BTreeMap<ObjectAddress, Waiting>,
    /// RCU readers by task, with the object that each holds and its cache, where it holds one.
    pub readers: BTreeMap<Task, Option<(ObjectAddress, CacheAddress)>>,
    /// Objects that were allocated and that nobody has queued or freed.
    pub allocated: BTreeMap<ObjectAddress, Allocation>,
    /// Whether any allocation was ever told of.
    pub sees_allocations: bool,
    /// Normal grace periods that have ended.
    pub graces_ended: u64,
    /// The position at which the call that queued an object returned.
    pub returned: BTreeMap<ObjectAddress, u64>,
    /// Modules that were unloaded.
    pub gone_modules: BTreeSet<String>,
    /// How far the end of each cache is.
    pub ends: BTreeMap<CacheAddress, End>,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
}

impl Ledger {
    /// A normal grace period covers what was queued before it began, once it has ended. Of an expedited
    /// one it is only known that it was in flight somewhere between its two events: either covers what
    /// was queued before.
    pub(crate) fn grace_begins(&mut self, position: u64, expedited: bool) {
        if expedited {
            self.grace_reached = self.grace_reached.max(position);
        } else {
            self.grace_begun = Some(position);
        }
    }

    pub(crate) fn grace_ends(&mut self, position: u64, expedited: bool) {
        self.graces_ended += u64::from(!expedited);
        let covered = if expedited { Some(position) } else { self.grace_begun.take() };
        self.grace_reached = self.grace_reached.max(covered.unwrap_or(0));
    }

    /// Whether no full grace period can have passed since then.
    #[must_use]
    pub fn is_too_early(&self, queued: Mark) -> bool {
        queued.position >= self.grace_reached
    }

    /// Objects of a cache that were allocated and never queued or freed.
    #[must_use]
    pub fn leaked(&self, cache: CacheAddress) -> u64 {
        self.allocated.values().filter(|allocation| allocation.cache == cache).count() as u64
    }

    /// The same by stack.
    pub(crate) fn leaked_by_stack(&self, cache: CacheAddress) -> BTreeMap<StackId, u64> {
        let mut stacks = BTreeMap::new();
        for allocation in self.allocated.values().filter(|allocation| allocation.cache == cache) {
            *stacks.entry(allocation.stack).or_default() += 1;
        }
        stacks
    }

    /// The object that a head lies in is nobody's any more.
    pub(crate) fn allocation_is_handed_over(&mut self, head: ObjectAddress, object_size: u32) {
        let before = self.allocated.range(..=head).next_back().map(|(object, _)| *object);
        let size = u64::from(object_size.max(1));
        if let Some(object) = before.filter(|object| head.0 - object.0 < size) {
            self.allocated.remove(&object);
        }
    }

    fn held_by_reader(&self, cache: CacheAddress) -> Option<ObjectAddress> {
        self.readers.values().flatten().find(|(_, owner)| *owner == cache).map(|(object, _)| *object)
    }

    fn reader_of(&self, object: ObjectAddress) -> bool {
        self.readers.values().flatten().any(|(held, _)| *held == object)
    }

    /// The promises that were broken.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Adds to what is known of a broken promise, or begins it.
    pub(crate) fn broken(&mut self, found: Violation) {
        let same = |known: &&mut Violation| known.promise == found.promise && known.cache == found.cache;
        match self.violations.iter_mut().find(same) {
            Some(known) => {
                known.objects += found.objects;
                known.oldest = known.oldest.min(found.oldest);
            }
            None => self.violations.push(found),
        }
    }
}

impl State {
    pub(crate) fn violation(&self, promise: Promise, cache: Option<CacheAddress>, at: Mark) -> Violation {
        Violation {
            promise,
            cache: cache.and_then(|cache| self.caches.get(&cache)).map(|cache| cache.id),
            address: cache,
            object: None,
            begin: at.time,
            at: at.time,
            objects: 0,
            oldest: at.time,
        }
    }

    /// Whether what would show that nothing was broken may be missing from what is known: a free or a grace
    /// period that was not seen, since something of this cache was queued.
    pub(crate) fn may_have_missed(&self, blind: Blind, cache: CacheAddress, since: Time) -> bool {
        let needs_grace = blind == Blind::Grace;
        self.watch.blind.contains(&blind)
            || self.gaps.iter().any(|gap| gap.may_explain(Some(cache), needs_grace, since))
    }

    /// `grace_period_kept`, for an object that is freed now.
    pub(crate) fn check_grace(
        &mut self,
        at: Mark,
        object: ObjectAddress,
        (cache, life): (CacheAddress, CacheId),
        queued: Mark,
    ) {
        if self.ledger.is_too_early(queued) && !self.may_have_missed(Blind::Grace, cache, queued.time) {
            let found = self.violation(Promise::GracePeriodKept, Some(cache), at);
            let (object, cache) = (Some(object), Some(life));
            let (begin, oldest) = (queued.time, queued.time);
            self.ledger.broken(Violation { object, cache, begin, objects: 1, oldest, ..found });
        }
    }

    /// `grace_period_kept`, where it is known who holds the object that is freed.
    pub(crate) fn check_readers(
        &mut self,
        at: Mark,
        object: ObjectAddress,
        (cache, life): (CacheAddress, CacheId),
    ) {
        if self.ledger.reader_of(object) {
            let found = self.violation(Promise::GracePeriodKept, Some(cache), at);
            let (object, cache) = (Some(object), Some(life));
            self.ledger.broken(Violation { object, cache, objects: 1, ..found });
        }
    }

    /// `memory_outlives_objects`, for a cache whose slabs are given back or given up.
    pub(crate) fn check_memory(&mut self, at: Mark, address: CacheAddress) {
        let of_lists = self.caches.get(&address).map_or((0, None), |cache| {
            let oldest = cache.outstanding.oldest();
            (
                cache.outstanding.len() + cache.being_freed,
                oldest.map(|(object, entry)| (object, entry.queued.time)),
            )
        });
        let callbacks = self.ledger.callbacks.iter().filter(|(_, waiting)| waiting.cache == address);
        let of_callbacks: Vec<(ObjectAddress, Time)> =
            callbacks.map(|(object, waiting)| (*object, waiting.queued.time)).collect();
        let held = self.ledger.held_by_reader(address).map(|object| (object, at.time));
        let first = of_lists.1.or_else(|| of_callbacks.first().copied()).or(held);
        let objects = of_lists.0 + of_callbacks.len() as u64 + u64::from(held.is_some());
        if objects > 0 {
            let found = self.violation(Promise::MemoryOutlivesObjects, Some(address), at);
            let (object, oldest) = (first.map(|first| first.0), first.map_or(at.time, |first| first.1));
            self.ledger.broken(Violation { object, objects, oldest, ..found });
        }
    }

    /// `no_false_splat`, for a report of what is left in a cache.
    pub(crate) fn check_report(&mut self, at: Mark, address: CacheAddress) {
        let end = self.ledger.ends.entry(address).or_default();
        end.reported = true;
        if self.ledger.leaked(address) == 0 {
            let found = self.violation(Promise::NoFalseSplat, Some(address), at);
            self.ledger.broken(found);
        }
    }

    /// `barrier_covers`, for a barrier that waits for the destruction of caches: what its caller had destroyed
    /// before is gone, or has been reported.
    pub(crate) fn check_destruction(&mut self, at: Mark, task: Task, cache: Option<CacheAddress>) {
        let ends = self.ledger.ends.iter();
        let open: Vec<CacheAddress> = ends
            .filter(|(address, end)| {
                let is_meant = cache.map_or(end.looked_by == Some(task), |cache| cache == **address);
                is_meant && !end.released && !end.reported
            })
            .map(|(address, _)| *address)
            .collect();
        for address in open {
            let found = self.violation(Promise::BarrierCovers, Some(address), at);
            self.ledger.broken(found);
        }
    }

    /// `callbacks_before_unload`, for a callback that runs now.
    pub(crate) fn check_unload(
        &mut self,
        at: Mark,
        object: ObjectAddress,
        cache: Option<CacheAddress>,
        text: Option<&String>,
    ) {
        if text.is_some_and(|text| self.ledger.gone_modules.contains(text)) {
            let found = self.violation(Promise::CallbacksBeforeUnload, cache, at);
            self.ledger.broken(Violation { object: Some(object), objects: 1, ..found });
        }
    }

    /// Nothing more will happen: what should have come some time has not.
    pub(crate) fn quiet(&mut self, at: Mark) {
        let stuck = self.outstanding + self.ledger.callbacks.len() as u64;
        if stuck > 0 {
            let found = self.violation(Promise::DeferredFreeComes, None, at);
            self.ledger.broken(Violation { objects: stuck, ..found });
        }
        let ends: Vec<(CacheAddress, End)> = self.ledger.ends.iter().map(|(a, e)| (*a, *e)).collect();
        for (address, end) in ends.into_iter().filter(|(_, end)| end.looked_by.is_some()) {
            let leaked = self.ledger.leaked(address);
            if leaked > 0 && !end.reported {
                let found = self.violation(Promise::LeakIsReported, Some(address), at);
                self.ledger.broken(Violation { objects: leaked, ..found });
            }
            let deferred = self.caches.get(&address).is_some_and(|cache| !cache.outstanding.is_empty())
                || self.ledger.callbacks.values().any(|waiting| waiting.cache == address);
            if leaked == 0 && !deferred && !end.released {
                let found = self.violation(Promise::DestroyCompletes, Some(address), at);
                self.ledger.broken(found);
            }
        }
    }
}
