//! Free: an object is freed, and the call that freed it returns.

use std::sync::Arc;

use krcu_common::{FreePath, QueueForm};

use crate::{
    event::{Blind, CacheAddress, ObjectAddress},
    promise::doubles::Double,
    rules::Rule,
    state::{
        State,
        cache::Born,
        deferred::Outstanding,
        id::{CacheId, Freer, Mark},
    },
};

impl State {
    /// An object is freed at once, by its owner.
    pub(super) fn freed_at_once(
        &mut self,
        mark: Mark,
        freer: Freer,
        object: ObjectAddress,
        address: CacheAddress,
    ) {
        self.ledger.is_no_longer_held(object);
        // A callback runs on top of what the task does; a work that nobody is known to have deferred is the module's own doing.
        let works = self.modules.working.get(&freer.task());
        let by = self.modules.running.get(&freer).or(works.filter(|work| work.deferral.is_some()));
        if let (Some(callback), Some(cache)) = (by, self.caches.get_mut(&address))
            && callback.life != cache.life.id
        {
            // A callback whose head is elsewhere, or a work that it led to, has freed an object of this cache.
            cache.freed_by_foreign.queued(callback);
        }
        if self.watch.blind.contains(&Blind::Frees) {
            return;
        }
        let Some(cache) = self.caches.get(&address) else { return };
        if let Some(entry) = cache.outstanding.get(object) {
            let (first, second) = ((entry.queued, entry.stack), (mark, None));
            self.handed_over_twice(address, Double { first, second });
        }
    }

    pub(super) fn freed(
        &mut self,
        mark: Mark,
        freer: Freer,
        object: ObjectAddress,
        address: CacheAddress,
        path: FreePath,
    ) {
        if !self.orphans.is_empty()
            && let Some(late_for) = self.orphans.remove(&object)
        {
            self.outstanding -= 1;
            if let Some(destroy) = self.destroys.get_mut(&late_for).map(Arc::make_mut) {
                destroy.late.free(mark.time);
            }
            return;
        }
        if self.ledger.sees_allocations {
            self.ledger.is_no_longer_held(object);
        }
        let is_counted = u64::from(self.rules.has(Rule::FreeReturns));
        let cache = self.cache(address);
        let queued = cache.outstanding.remove(object);
        let mut deferred = None;
        match queued {
            Some(entry) => {
                // The form without a head may free the object within its own call. Then nothing was deferred.
                let within_call = entry.form == QueueForm::Headless
                    && path == FreePath::Single
                    && freer == Freer::of(entry.task, entry.cpu);
                if entry.form == QueueForm::Headless && !within_call {
                    cache.past.frees.last = cache.past.frees.last.max(Some(entry.queued));
                }
                if within_call {
                    cache.past.freed_by.within_call += 1;
                } else {
                    cache.past.freed_by.count(path);
                    cache.past.last_freed = Some(mark.time);
                    // Within the call, the free may follow a `synchronize_rcu()` that had no reader to wait
                    // for.
                    deferred = Some(entry.queued);
                }
            }
            // A free of an object that nobody queued is the module's own, by kvfree() or kfree_bulk(). An
            // array can hold objects that were queued before the probes were attached only if their cache is
            // older than the probes.
            None if path == FreePath::Single || cache.life.born != Born::BeforeAttach => {
                cache.past.unknown.unexplained += 1;
                return;
            }
            None => {
                cache.past.unknown.frees += 1;
                cache.past.freed_by.count(path);
                cache.past.last_freed = Some(mark.time);
            }
        }
        cache.being_freed += is_counted;
        let (looked, id) = (cache.looked, cache.life.id);
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
        self.freeing.begin((freer, path), address, queued.as_ref());
        if let Some(destroy) = looked.and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut)) {
            destroy.late.free(mark.time);
            destroy.late.unknown_frees += u64::from(queued.is_none());
        }
        self.tell_open_destroys(id, queued.as_ref());
    }

    /// A free of this cache has begun while others, or this one, are being destroyed.
    fn tell_open_destroys(&mut self, life: CacheId, queued: Option<&Outstanding>) {
        for open in self.open_destroys.values() {
            let Some(destroy) = self.destroys.get_mut(open).map(Arc::make_mut) else { continue };
            match queued {
                None => destroy.meanwhile.unknown_frees += u64::from(destroy.life.id == life),
                Some(entry) => {
                    let is_waited_for = destroy.look.is_none() && entry.queued < destroy.begin;
                    destroy.meanwhile.others_freed += u64::from(is_waited_for && destroy.life.id != life);
                }
            }
        }
    }

    pub(super) fn batch_freed(&mut self, at: Mark, freer: Freer, path: FreePath) {
        let callback = (path == FreePath::Callback).then(|| self.modules.running.remove(&freer)).flatten();
        for run in self.freeing.end((freer, path)) {
            if let Some(cache) = self.caches.get_mut(&run.cache) {
                let running = match path {
                    FreePath::Callback => cache.running(callback.and_then(|callback| callback.deferral)),
                    FreePath::Bulk | FreePath::Single | FreePath::Sheaf => &mut cache.being_freed,
                };
                *running = running.saturating_sub(run.objects);
            }
        }
        if path == FreePath::Bulk && !self.ledger.suspicions.is_empty() {
            self.ledger.call_ends(freer, at);
        }
    }
}
