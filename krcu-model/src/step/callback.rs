//! Callback: callbacks of `call_rcu()` whose head lies in an object are queued, begin to run and return.

use krcu_common::FreePath;

use crate::{
    event::{Blind, CacheAddress, Cpu, FunctionAddress, ObjectAddress, Site, Task},
    promise::doubles::Double,
    state::{
        State,
        cache::Born,
        deferred::Waiting,
        id::{Freer, Mark},
        moment::Queued,
    },
};

use super::module::{ELSEWHERE, NO_LIFE};

/// The fields of one event.
pub(super) struct CallbackQueued<'a> {
    pub(super) head: ObjectAddress,
    pub(super) cache: CacheAddress,
    pub(super) function: FunctionAddress,
    pub(super) text: Option<&'a String>,
    pub(super) site: Site,
}

impl State {
    pub(super) fn callback_queued(&mut self, queued: Mark, task: Task, cpu: Cpu, what: &CallbackQueued<'_>) {
        let stack = self.stack_of(what.site);
        let function = self.functions.at(what.function, what.text);
        let sees_runs = self.sees_callbacks_run();
        self.text_has_callback(queued, function, stack);
        if what.cache == ELSEWHERE {
            if sees_runs {
                let (cache, life) = (what.cache, NO_LIFE);
                let waiting = Waiting { cache, life, queued, task, cpu, stack, function, late_for: None };
                self.callback_waits(what.head, waiting);
            }
            return;
        }
        let cache = self.cache(what.cache);
        cache.past.callbacks = Queued { ever: cache.past.callbacks.ever + 1, last: Some(queued), stack };
        cache.past.functions.queued(function, queued);
        let object_size = cache.life.facts.object_size;
        if !self.ledger.allocated.is_empty() {
            self.ledger.allocation_is_handed_over(what.head, object_size);
        }
        if !sees_runs {
            return;
        }
        let cache = self.cache(what.cache);
        cache.callbacks_waiting += 1;
        let life = cache.life.id;
        self.ledger.returned.remove(&what.head);
        let second = (queued, Some(stack));
        if let Some(first) = self.queued_around(what.cache, what.head) {
            self.keep_double(what.cache, life, Double { first, second });
        }
        let waiting = Waiting { cache: what.cache, life, queued, task, cpu, stack, function, late_for: None };
        if let Some(before) = self.callback_waits(what.head, waiting).filter(|before| before.life == life) {
            let first = (before.queued, before.stack);
            self.keep_double(what.cache, life, Double { first, second });
        }
    }

    /// One more callback waits; gives what the same head waited for.
    fn callback_waits(&mut self, head: ObjectAddress, waiting: Waiting) -> Option<Waiting> {
        let before = self.ledger.callbacks.insert(head, waiting)?;
        // Its run went unseen, or there is none: one head waits once.
        let cache = self.caches.get_mut(&before.cache).filter(|cache| cache.life.id == before.life)?;
        cache.callbacks_waiting -= 1;
        Some(before)
    }

    /// A callback begins to run; its return is told by another event.
    pub(super) fn callback_runs(
        &mut self,
        at: Mark,
        freer: Freer,
        head: ObjectAddress,
        address: CacheAddress,
    ) {
        let Some(waiting) = self.callback_begins(at, head) else {
            if address != ELSEWHERE {
                self.unknown_callback_runs(at, freer, head, address);
            }
            return;
        };
        self.text_runs(freer, waiting.function);
        if let Some(cache) = self.caches.get_mut(&waiting.cache).filter(|cache| cache.life.id == waiting.life)
        {
            cache.callbacks_running += 1;
            self.freeing.begin((freer, FreePath::Callback), waiting.cache);
        }
    }

    /// Removes a callback from those that wait, because it runs now.
    pub(super) fn callback_begins(&mut self, at: Mark, head: ObjectAddress) -> Option<Waiting> {
        self.ledger.returned.remove(&head);
        let waiting = self.ledger.callbacks.remove(&head)?;
        let owner = (waiting.cache, waiting.life);
        self.check_grace(at, head, owner, waiting.queued);
        self.check_readers(at, head, owner);
        let late_for = match self.caches.get_mut(&waiting.cache).filter(|cache| cache.life.id == waiting.life)
        {
            Some(cache) => {
                cache.callbacks_waiting -= 1;
                cache.past.freed_by.count(FreePath::Callback);
                cache.past.last_freed = Some(at.time);
                cache.looked
            }
            None => waiting.late_for,
        };
        if let Some(destroy) = late_for.and_then(|id| self.destroys.get_mut(&id)) {
            destroy.late.free(at.time);
        }
        Some(waiting)
    }

    /// A callback whose queueing was not seen. `call_srcu()` queues such callbacks. In a cache that is older
    /// than the probes, it may also have been queued before they were attached.
    fn unknown_callback_runs(&mut self, at: Mark, freer: Freer, head: ObjectAddress, address: CacheAddress) {
        let sees_runs = self.sees_callbacks_run();
        if !self.ledger.allocated.is_empty() {
            let size = self.caches.get(&address).map_or(0, |cache| cache.life.facts.object_size);
            self.ledger.allocation_is_handed_over(head, size);
        }
        let cache = self.cache(address);
        if cache.life.born != Born::BeforeAttach || !sees_runs {
            cache.past.unknown.unexplained += 1;
            return;
        }
        cache.past.unknown.callbacks += 1;
        cache.callbacks_running += 1;
        cache.past.freed_by.count(FreePath::Callback);
        cache.past.last_freed = Some(at.time);
        let (looked, id) = (cache.looked, cache.life.id);
        self.freeing.begin((freer, FreePath::Callback), address);
        if let Some(destroy) = looked.and_then(|id| self.destroys.get_mut(&id)) {
            destroy.late.free(at.time);
            destroy.late.unknown_callbacks += 1;
        }
        for open in self.open_destroys.values() {
            let Some(destroy) = self.destroys.get_mut(open) else { continue };
            destroy.meanwhile.unknown_callbacks += u64::from(destroy.life.id == id && destroy.look.is_none());
        }
    }

    /// Whether the runs of callbacks can be seen.
    #[must_use]
    pub fn sees_callbacks_run(&self) -> bool {
        !self.watch.blind.contains(&Blind::CallbackRuns)
    }
}
