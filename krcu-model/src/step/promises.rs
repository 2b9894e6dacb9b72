//! Promises: checks each event against the promises, and accuses the kernel if it broke one.

use crate::{
    event::{Blind, CacheAddress, ObjectAddress, Task, Time},
    promise::{Promise, Violation, ledger::End},
    state::{
        State,
        id::{CacheId, Mark},
    },
};

impl State {
    pub(super) fn violation(&self, promise: Promise, cache: Option<CacheAddress>, at: Mark) -> Violation {
        Violation {
            promise,
            cache: cache.and_then(|cache| self.caches.get(&cache)).map(|cache| cache.life.id),
            address: cache,
            object: None,
            begin: at.time,
            at: at.time,
            objects: 0,
            oldest: at.time,
            being_freed: None,
        }
    }

    /// Whether a free or a grace period that would show that nothing was broken may not have been seen, in
    /// the time since something of this cache was queued.
    pub(super) fn may_have_missed(&self, blind: Blind, cache: CacheAddress, since: Time) -> bool {
        let needs_grace = blind == Blind::Grace;
        self.watch.blind.contains(&blind)
            || self.gaps.iter().any(|gap| gap.may_explain(Some(cache), needs_grace, since))
    }

    /// Checks `grace_period_kept` for an object that is freed now.
    pub(super) fn check_grace(
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

    /// Checks `grace_period_kept` if it is known which readers hold the object that is freed.
    pub(super) fn check_readers(
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

    /// Checks `memory_outlives_objects` for a cache whose slabs are given back or given up.
    pub(super) fn check_memory(&mut self, at: Mark, address: CacheAddress) {
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

    /// Checks `no_false_splat` for a report about the objects that are left in a cache.
    pub(super) fn check_report(&mut self, at: Mark, address: CacheAddress) {
        let end = self.ledger.ends.entry(address).or_default();
        end.reported = true;
        if self.ledger.leaked(address) == 0 {
            let found = self.violation(Promise::NoFalseSplat, Some(address), at);
            self.ledger.broken(found);
        }
    }

    /// Checks `barrier_covers` for a barrier that waits for the destruction of caches: the caches that its
    /// caller had destroyed before are gone, or have been reported.
    pub(super) fn check_destruction(&mut self, at: Mark, task: Task, cache: Option<CacheAddress>) {
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

    /// Checks `callbacks_before_unload` for a callback that runs now.
    pub(super) fn check_unload(
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

    /// Nothing more will happen, so what has not come yet never comes.
    pub(super) fn quiet(&mut self, at: Mark) {
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
