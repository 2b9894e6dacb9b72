//! Ledger: the data to check promises with, besides the outstanding objects.
//!
//! It has grace periods, readers, callbacks, allocations and the ends of caches, as far as events report
//! them. The events of a real kernel report grace periods; a machine and a script report everything. What
//! events do not report leads to no accusation.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{CacheAddress, ObjectAddress, Task},
    promise::{BeingFreed, Violation},
    state::{
        deferred::Waiting,
        id::{Freer, Mark},
        stack::StackId,
    },
};

/// An object that was allocated and has not been queued or freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Its cache.
    pub cache: CacheAddress,
    /// The stack of the allocation.
    pub stack: StackId,
}

/// The progress of the end of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The task whose destroy has looked at it last.
    pub looked_by: Option<Task>,
    /// Whether the objects that were left were reported.
    pub reported: bool,
    /// Whether it was released.
    pub released: bool,
}

/// The data to check promises with.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The position at which the current grace period began, if one runs.
    pub grace_begun: Option<u64>,
    /// What was queued before this point has had a full grace period.
    pub grace_reached: u64,
    /// Callbacks of `call_rcu()` that have not run, by the address of their head.
    pub callbacks: BTreeMap<ObjectAddress, Waiting>,
    /// Works that callbacks have queued, by the head or the work, and by where they were queued: while a work runs it may be
    /// queued again. Those of `queue_rcu_work()` are here when their callback has run.
    pub works: BTreeMap<(ObjectAddress, u64), Waiting>,
    /// RCU readers by task, with the object that each one holds and its cache, if it holds one.
    pub readers: BTreeMap<Task, Option<(ObjectAddress, CacheAddress)>>,
    /// Objects that were allocated and have not been queued or freed.
    pub allocated: BTreeMap<ObjectAddress, Allocation>,
    /// Of these, what was handed to a callback since, and is not known to be free.
    pub handed_over: BTreeMap<ObjectAddress, Allocation>,
    /// Whether any allocation was ever told of.
    pub sees_allocations: bool,
    /// Normal grace periods that have ended.
    pub graces_ended: u64,
    /// The position at which the call that queued an object returned.
    pub returned: BTreeMap<ObjectAddress, u64>,
    /// Modules that were unloaded.
    pub gone_modules: BTreeSet<String>,
    /// The progress of the end of each cache.
    pub ends: BTreeMap<CacheAddress, End>,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
    /// Barriers that returned while somebody was freeing an array of what they cover. Each is a broken promise once the
    /// freeing call is seen to return.
    pub suspicions: Vec<(Freer, Violation)>,
}

impl Ledger {
    /// Callbacks and works that have not run, by the address of their head.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&ObjectAddress, &Waiting)> {
        let holds = |(_, work): &(&ObjectAddress, &Waiting)| !work.is_plain_work();
        self.callbacks.iter().chain(self.works().filter(holds))
    }

    /// Works that have not returned.
    pub(crate) fn works(&self) -> impl Iterator<Item = (&ObjectAddress, &Waiting)> {
        self.works.iter().map(|((head, _), work)| (head, work))
    }

    /// Takes out the work that was queued first at this address.
    pub(crate) fn first_work(&mut self, head: ObjectAddress) -> Option<Waiting> {
        let first = *self.works.range((head, 0)..=(head, u64::MAX)).next()?.0;
        self.works.remove(&first)
    }

    /// A normal grace period covers what was queued before it began, once it has ended. About an expedited
    /// one, it is only known that it was in flight at some time between its two events. So each of the two
    /// events covers what was queued before that event.
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

    /// The same, counted by stack.
    pub(crate) fn leaked_by_stack(&self, cache: CacheAddress) -> BTreeMap<StackId, u64> {
        let mut stacks = BTreeMap::new();
        for allocation in self.allocated.values().filter(|allocation| allocation.cache == cache) {
            *stacks.entry(allocation.stack).or_default() += 1;
        }
        stacks
    }

    /// Forgets the allocation of the object in which a head lies: its free is deferred now.
    pub(crate) fn allocation_is_handed_over(&mut self, head: ObjectAddress, object_size: u32) {
        let before = self.allocated.range(..=head).next_back().map(|(object, _)| *object);
        let size = u64::from(object_size.max(1));
        if let Some(object) = before.filter(|object| head.0 - object.0 < size)
            && let Some(allocation) = self.allocated.remove(&object)
        {
            self.handed_over.insert(object, allocation);
        }
    }

    /// An object is freed, or deferred once more.
    pub(crate) fn is_no_longer_held(&mut self, object: ObjectAddress) {
        self.allocated.remove(&object);
        self.handed_over.remove(&object);
    }

    /// Objects of a cache that were handed to callbacks and not seen to be freed, where allocations are told.
    pub(crate) fn handed_over(&self, cache: CacheAddress) -> Option<u64> {
        let of_cache = |allocation: &&Allocation| allocation.cache == cache;
        self.sees_allocations.then(|| self.handed_over.values().filter(of_cache).count() as u64)
    }

    pub(crate) fn held_by_reader(&self, cache: CacheAddress) -> Option<ObjectAddress> {
        self.readers.values().flatten().find(|(_, owner)| *owner == cache).map(|(object, _)| *object)
    }

    pub(crate) fn reader_of(&self, object: ObjectAddress) -> bool {
        self.readers.values().flatten().any(|(held, _)| *held == object)
    }

    /// The promises that were broken.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Suspects a barrier of not having waited for the call that this one is in. A call is held against one barrier.
    pub(crate) fn suspect(&mut self, freer: Freer, found: Violation) {
        let is_same = |(by, known): &(Freer, Violation)| *by == freer && known.cache == found.cache;
        if !self.suspicions.iter().any(is_same) {
            self.suspicions.push((freer, found));
        }
    }

    /// The call that frees an array returns: no barrier that has returned before has waited for it.
    pub(crate) fn call_ends(&mut self, freer: Freer, at: Mark) {
        let of_call = self.suspicions.extract_if(.., |(by, _)| *by == freer);
        for (_, found) in of_call.collect::<Vec<_>>() {
            let (objects, ended_after_ns) = (found.objects, at.time.since(found.at));
            let being_freed = Some(BeingFreed { objects, task: freer.task(), ended_after_ns });
            self.broken(Violation { being_freed, ..found });
        }
    }

    /// Notes a broken promise, or adds to one that is noted already.
    pub(crate) fn broken(&mut self, found: Violation) {
        let same = |known: &&mut Violation| known.promise == found.promise && known.cache == found.cache;
        match self.violations.iter_mut().find(same) {
            Some(known) => {
                known.objects += found.objects;
                known.oldest = known.oldest.min(found.oldest);
                known.being_freed = match (known.being_freed, found.being_freed) {
                    (Some(known), Some(found)) => {
                        Some(BeingFreed { objects: known.objects + found.objects, ..known })
                    }
                    (known, found) => known.or(found),
                };
            }
            None => self.violations.push(found),
        }
    }
}
