//! Free: an object is freed, and the call that freed it returns.

use std::sync::Arc;

use krcu_common::{FreePath, QueueForm};

use crate::{
    event::{Blind, CacheAddress, ObjectAddress, Run, Time},
    promise::doubles::Double,
    rules::Rule,
    state::{
        State,
        cache::Born,
        deferred::Outstanding,
        freeing,
        id::{CacheId, Freer, Mark},
        object_table::AHEAD,
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
        let looking = self.caches.get(&address).and_then(|cache| cache.looking);
        let destroy = looking.and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut));
        if let Some(destroy) = destroy.filter(|destroy| destroy.end.is_none()) {
            destroy.meanwhile.freed_while_looking = self.rules.has(Rule::FreedWhileLooking);
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

    /// Takes a run of objects that are freed.
    pub(super) fn freed(&mut self, run: Run<'_>, path: FreePath) {
        let freer = Freer::of(run.task, run.cpu);
        let mut rest = run;
        while !rest.is_empty() {
            let (plain, special) = self.freed_plainly(rest, freer, path);
            rest = rest.without(plain);
            let (Some(time_ns), Some(object)) = (rest.times_ns.first(), rest.objects.first()) else { return };
            self.have_come(&rest.times_ns[..1]);
            let mark = Mark { position: self.position, time: Time(*time_ns) };
            let object = ObjectAddress(*object);
            match special {
                Some(removed) => self.is_freed(mark, freer, (object, run.cache), path, removed),
                None => self.freed_one(mark, freer, (object, run.cache), path),
            }
            rest = rest.without(1);
        }
    }

    /// Takes the first objects of a run of which nothing is to be said but that their deferred free has begun. Returns how
    /// many, and what the cache's table had of the next one if it was taken out of it.
    fn freed_plainly(
        &mut self,
        run: Run<'_>,
        freer: Freer,
        path: FreePath,
    ) -> (usize, Option<Option<Outstanding>>) {
        let is_looked_for = !self.orphans.is_empty()
            || self.ledger.sees_allocations
            || !self.ledger.readers.is_empty()
            || !self.ledger.returned.is_empty()
            || !self.open_destroys.is_empty();
        let is_counted = self.rules.has(Rule::FreeReturns);
        let Some(cache) = self.caches.get_mut(&run.cache) else { return (0, None) };
        if is_looked_for || cache.looked.is_some() || !is_counted {
            return (0, None);
        }
        let (mut special, mut freed) = (None, None);
        let mut plain = 0;
        for object in run.objects.iter().take(run.len()) {
            if plain % AHEAD == 0 {
                cache.outstanding.touch(&run.objects[plain..]);
            }
            let removed = cache.outstanding.remove(ObjectAddress(*object));
            let Some(entry) = removed
                .filter(|entry| entry.form != QueueForm::Headless && !self.ledger.is_too_early(entry.queued))
            else {
                special = Some(removed);
                break;
            };
            plain += 1;
            let one = freeing::Run::of_one(run.cache, Some(&entry));
            match &mut freed {
                Some(freed) if one.is_like(freed) => freed.join(&one),
                _ => {
                    if let Some(before) = freed.replace(one) {
                        self.freeing.begin_run((freer, path), before);
                    }
                }
            }
        }
        let rows = plain as u64;
        if let Some(last) = plain.checked_sub(1) {
            cache.past.freed_by.count_many(path, rows);
            cache.past.last_freed = Some(Time(run.times_ns[last]));
            cache.being_freed += rows;
            self.outstanding -= rows;
            self.have_come(&run.times_ns[..plain]);
        }
        if let Some(freed) = freed {
            self.freeing.begin_run((freer, path), freed);
        }
        (plain, special)
    }

    fn freed_one(
        &mut self,
        mark: Mark,
        freer: Freer,
        (object, address): (ObjectAddress, CacheAddress),
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
        let removed = self.cache(address).outstanding.remove(object);
        self.is_freed(mark, freer, (object, address), path, removed);
    }

    /// The free of an object begins, and this is what the table of its cache had of it.
    fn is_freed(
        &mut self,
        mark: Mark,
        freer: Freer,
        (object, address): (ObjectAddress, CacheAddress),
        path: FreePath,
        queued: Option<Outstanding>,
    ) {
        let is_counted = u64::from(self.rules.has(Rule::FreeReturns));
        let cache = self.cache(address);
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
