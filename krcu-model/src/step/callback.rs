//! Callback: callbacks are queued, begin to run and return; some of them queue works, which run and return as well.

use std::sync::Arc;

use krcu_common::{BarrierKind, Flavour, FreePath};

use crate::{
    event::{Blind, CacheAddress, Cpu, Domain, FunctionAddress, ObjectAddress, Site, Task},
    promise::doubles::Double,
    rules::Rule,
    state::{
        State,
        cache::{Born, Cache},
        deferral::{Deferral, is_of_call_rcu, is_queued},
        deferred::{Chain, Waiting},
        id::{DestroyId, Freer, Mark},
        moment::Past,
        stack::StackId,
    },
};

use super::module::{ELSEWHERE, NO_LIFE};

/// The fields of one event.
pub(super) struct CallbackQueued<'a> {
    pub(super) head: ObjectAddress,
    pub(super) cache: CacheAddress,
    pub(super) function: FunctionAddress,
    pub(super) text: Option<&'a String>,
    pub(super) domain: Domain,
    pub(super) site: Site,
}

impl State {
    pub(super) fn callback_queued(&mut self, queued: Mark, task: Task, cpu: Cpu, what: &CallbackQueued<'_>) {
        let stack = self.stack_of(what.site);
        let function = self.functions.of_flavour(what.function, what.text, what.domain.flavour);
        let deferral = Deferral::of(what.domain, what.head);
        let (head, cache, life, late_for, chain) = (what.head, what.cache, NO_LIFE, None, None);
        let elsewhere =
            Waiting { head, cache, life, queued, task, cpu, stack, deferral, chain, function, late_for };
        let elsewhere = self.queued_by_callback(Freer::of(task, cpu), what, elsewhere);
        let deferral = elsewhere.deferral;
        if what.domain.flavour == Flavour::Work {
            return self.callback_queues_work(Freer::of(task, cpu), what.head, elsewhere);
        }
        let sees_runs = self.sees_callbacks_run();
        if what.cache == ELSEWHERE {
            self.text_has_callback(&elsewhere);
            if sees_runs {
                self.callback_waits(what.head, elsewhere);
            }
            return;
        }
        let is_unseen_chain = self.is_unseen_chain(stack);
        let cache = self.cache(what.cache);
        cache.past.unknown.chained += u64::from(is_unseen_chain);
        cache.past.is_queued(&elsewhere);
        cache.past.functions.queued(function, queued);
        let object_size = cache.life.facts.object_size;
        let waiting = Waiting { life: cache.life.id, ..elsewhere };
        self.text_has_callback(&waiting);
        if !self.ledger.allocated.is_empty() {
            self.ledger.allocation_is_handed_over(what.head, object_size);
        }
        if !sees_runs {
            return;
        }
        *self.cache(what.cache).waiting(deferral) += 1;
        let life = waiting.life;
        self.ledger.returned.remove(&what.head);
        let second = (queued, Some(stack));
        if let Some(first) = self.queued_around(what.cache, what.head) {
            self.keep_double(what.cache, life, Double { first, second });
        }
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
        *cache.waiting(before.deferral) -= 1;
        Some(before)
    }

    /// The same callback, if the run of another has queued it: what waits for that one has to stand before its own barrier.
    fn queued_by_callback(&mut self, freer: Freer, what: &CallbackQueued<'_>, waiting: Waiting) -> Waiting {
        let Some(by) = self.modules.running.get(&freer).copied() else { return waiting };
        let module = |function| self.functions.get(function).module.as_ref();
        let Some(queuer) = module(by.function) else { return waiting };
        let is_seen = if waiting.stack == StackId::default() {
            module(waiting.function) == Some(queuer)
        } else {
            self.stack(waiting.stack).is_in_callback_of(queuer)
        };
        let is_followed = is_seen && self.rules.has(Rule::ChainsCount);
        let is_itself = by.function == waiting.function && by.head == what.head;
        let again = is_itself || by.chain.is_some() && !self.rules.has(Rule::EachGeneration);
        let Some(deferral) = Deferral::chained(what.domain, by.deferral, again).filter(|_| is_followed)
        else {
            return waiting;
        };
        self.domains.chains(deferral);
        let since = match by.chain {
            Some(chain) if !again => chain.by,
            _ => by.queued,
        };
        Waiting { deferral: Some(deferral), chain: Some(Chain { since, by: by.queued }), ..waiting }
    }

    /// Whether a callback queued the one with this stack, and its run cannot be seen: what has to cover it is not known.
    pub(super) fn is_unseen_chain(&self, stack: StackId) -> bool {
        !self.sees_callbacks_run() && self.stack(stack).is_in_callback() && self.rules.has(Rule::ChainsUnseen)
    }

    /// A callback that this thread runs has queued a work of its own module: it may have handed its object on to it.
    fn callback_queues_work(&mut self, freer: Freer, head: ObjectAddress, work: Waiting) {
        let by_work = self.modules.working.get(&freer.task()).filter(|work| work.deferral.is_some());
        let callback = self.modules.running.get(&freer);
        let is_by_callback = callback.is_some();
        let Some(callback) = callback.or(by_work).copied() else { return };
        let module = |function| self.functions.get(function).module.as_ref();
        let Some(queuer) = module(callback.function) else { return };
        let is_own = module(work.function) == Some(queuer);
        let is_followed = self.rules.has(Rule::WorksFollow);
        if !is_followed || !is_own && !self.stack(work.stack).is_in_callback_of(queuer) {
            return;
        }
        let place = (head, work.queued.position);
        if is_by_callback && callback.is_rcu_work() {
            // It is the work of that callback itself, told by its own address: the work had queued itself in its own run.
            let is_it = |(_, known): &(&(ObjectAddress, u64), &Waiting)| known.queued == callback.queued;
            if let Some(known) = self.ledger.works.iter().find(is_it).map(|(place, _)| *place)
                && let Some(work) = self.ledger.works.remove(&known)
            {
                self.ledger.works.insert(place, work);
            }
            return;
        }
        // Whatever covers the work has to cover the callback first, so it counts from when that was queued.
        let Waiting { cache, life, queued, .. } = callback;
        let name = |function| &self.functions.get(function).name;
        let again = name(work.function) == name(callback.function);
        let deferral = match (work.deferral, callback.deferral) {
            (Some(work), Some(by)) if !is_by_callback => work.queued_by_work(by, again),
            (work, by) => work.map(|work| work.queued_by(by)),
        };
        let Some(deferred) = deferral else { return };
        self.domains.queues(deferred);
        let work = Waiting { cache, life, queued, deferral, chain: None, ..work };
        if is_own {
            self.text_has_callback(&work);
        }
        if let Some(cache) = self.caches.get_mut(&cache).filter(|cache| cache.life.id == life) {
            cache.past.is_queued(&work);
            cache.past.functions.queued(work.function, queued);
        }
        self.ledger.works.insert(place, work);
    }

    /// The function of a work begins, or runs.
    pub(super) fn work_runs(
        &mut self,
        at: Mark,
        (task, cpu): (Task, Cpu),
        head: ObjectAddress,
        function: FunctionAddress,
    ) {
        self.modules.sees_works_begin = true;
        let function = self.functions.of_flavour(function, None, Flavour::Work);
        let (cache, life, stack) = (ELSEWHERE, NO_LIFE, StackId::default());
        let (deferral, chain, late_for) = (None, None, None);
        let unknown =
            Waiting { head, cache, life, queued: at, task, cpu, stack, deferral, chain, function, late_for };
        let known = self.ledger.works.range((head, 0)..=(head, u64::MAX)).next();
        let work = known.map_or(unknown, |(_, work)| *work);
        self.modules.working.insert(task, work);
    }

    /// The function of a work has returned.
    pub(super) fn work_ran(&mut self, at: Mark, task: Task, head: ObjectAddress) {
        self.modules.working.remove(&task);
        let Some(work) = self.ledger.first_work(head) else { return };
        if work.is_plain_work() {
            return;
        }
        let late_for = self.deferral_begins(at, &work);
        self.tell_late(late_for, at);
    }

    /// A flush of works has returned: what it waits for and was queued before it began has run, or was cancelled before it.
    pub(super) fn works_are_flushed(&mut self, kind: BarrierKind, of: u64, begin: Mark) {
        let is_over = |(head, place): &(ObjectAddress, u64), work: &Waiting| {
            let is_its = match kind {
                BarrierKind::Workqueue => work.deferral.is_some_and(|deferral| deferral.is_of_queue(of)),
                _ => head.0 == of,
            };
            let queued = if kind == BarrierKind::RcuWork { work.queued.position } else { *place };
            is_its && queued < begin.position
        };
        let caches = &mut self.caches;
        self.ledger.works.retain(|place, work| {
            if !is_over(place, work) {
                return true;
            }
            let cache = caches.get_mut(&work.cache).filter(|cache| cache.life.id == work.life);
            if let Some(cache) = cache.filter(|_| !work.is_plain_work()) {
                *cache.waiting(work.deferral) -= 1;
            }
            false
        });
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
        self.modules.running.insert(freer, waiting);
        if waiting.is_rcu_work() {
            // Its callback queues the work, which has yet to run.
            self.ledger.works.insert((head, at.position), waiting);
            return;
        }
        if let Some(cache) = self.caches.get_mut(&waiting.cache).filter(|cache| cache.life.id == waiting.life)
        {
            *cache.running(waiting.deferral) += u64::from(self.rules.has(Rule::CallbackReturns));
            self.freeing.begin((freer, FreePath::Callback), waiting.cache, None);
        }
    }

    /// Removes a callback from those that wait, because it runs now.
    pub(super) fn callback_begins(&mut self, at: Mark, head: ObjectAddress) -> Option<Waiting> {
        self.ledger.returned.remove(&head);
        let waiting = self.ledger.callbacks.remove(&head)?;
        if waiting.is_of_call_rcu() {
            let owner = (waiting.cache, waiting.life);
            self.check_grace(at, head, owner, waiting.queued);
            self.check_readers(at, head, owner);
        }
        if !waiting.is_rcu_work() {
            let late_for = self.deferral_begins(at, &waiting);
            self.tell_late(late_for, at);
        }
        Some(waiting)
    }

    /// Counts a callback or a work as one that no longer waits. Returns the destroy that it comes too late for.
    fn deferral_begins(&mut self, at: Mark, waiting: &Waiting) -> Option<DestroyId> {
        match self.caches.get_mut(&waiting.cache).filter(|cache| cache.life.id == waiting.life) {
            Some(cache) => {
                *cache.waiting(waiting.deferral) -= 1;
                cache.past.freed_by.count(FreePath::Callback);
                cache.past.last_freed = Some(at.time);
                cache.looked
            }
            None => waiting.late_for,
        }
    }

    fn tell_late(&mut self, late_for: Option<DestroyId>, at: Mark) {
        if let Some(destroy) = late_for.and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut)) {
            destroy.late.free(at.time);
        }
    }

    /// A callback whose queueing was not seen. In a cache that is older than the probes, it may have been queued before they
    /// were attached. A kernel may also hide calls of some kind of RCU.
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
        cache.past.unknown.last_callback = at.position;
        cache.callbacks_running += 1;
        cache.past.freed_by.count(FreePath::Callback);
        cache.past.last_freed = Some(at.time);
        let (looked, id) = (cache.looked, cache.life.id);
        self.freeing.begin((freer, FreePath::Callback), address, None);
        if let Some(destroy) = looked.and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut)) {
            destroy.late.free(at.time);
            destroy.late.unknown_callbacks += 1;
        }
        for open in self.open_destroys.values() {
            let Some(destroy) = self.destroys.get_mut(open).map(Arc::make_mut) else { continue };
            destroy.meanwhile.unknown_callbacks += u64::from(destroy.life.id == id && destroy.look.is_none());
        }
    }

    /// Whether the runs of callbacks can be seen.
    #[must_use]
    pub fn sees_callbacks_run(&self) -> bool {
        !self.watch.blind.contains(&Blind::CallbackRuns)
    }
}

impl Past {
    /// One more callback was queued.
    fn is_queued(&mut self, waiting: &Waiting) {
        is_queued((&mut self.callbacks, &mut self.others), waiting);
    }
}

impl Cache {
    /// The count of such callbacks that wait.
    fn waiting(&mut self, deferral: Option<Deferral>) -> &mut u64 {
        if is_of_call_rcu(deferral) { &mut self.callbacks_waiting } else { &mut self.others_waiting }
    }

    /// The count of such callbacks that run.
    pub(super) fn running(&mut self, deferral: Option<Deferral>) -> &mut u64 {
        if is_of_call_rcu(deferral) { &mut self.callbacks_running } else { &mut self.others_running }
    }
}
