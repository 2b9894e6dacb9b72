//! Modules: loaded, and gone with what their text had left to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{
    event::{CacheAddress, ObjectAddress, Task, Time},
    rules::Rule,
    state::{
        State,
        barriers::Teardown,
        cache::{Asker, Born, Cache},
        deferral::{Deferral, is_queued},
        deferred::Waiting,
        destroy::{Caller, Destroy, Foreign, OpenForeign},
        function::FunctionId,
        home::Home,
        id::{CacheId, DestroyId, Mark},
        module::{Abandoned, Text, Unload},
        moment::Moment,
        stack::StackId,
    },
};

/// The head of a callback lies in no object that is followed.
pub(super) const ELSEWHERE: CacheAddress = CacheAddress(krcu_common::wire::ELSEWHERE);
/// No cache's life.
pub(super) const NO_LIFE: CacheId = CacheId(u32::MAX);

impl State {
    pub(super) fn module_loaded(&mut self, at: Mark, name: String) {
        self.modules.loaded.insert(name, Text { loaded: Some(at), ..Text::default() });
    }

    /// A callback was queued: its function's module has one more.
    pub(super) fn text_has_callback(&mut self, waiting: &Waiting) {
        let Waiting { queued, function, stack, .. } = *waiting;
        let is_unseen_chain = self.is_unseen_chain(stack);
        let Some(module) = &self.functions.get(function).module else { return };
        if !self.modules.loaded.contains_key(module) {
            self.modules.loaded.insert(module.clone(), Text::default());
        }
        let Some(text) = self.modules.loaded.get_mut(module) else { return };
        is_queued((&mut text.callbacks, &mut text.others), waiting);
        text.has_unseen_chain |= is_unseen_chain;
        text.functions.queued(function, queued);
        text.homes.queued(waiting);
    }

    /// Its exit function has returned. What is outstanding now the exit has not waited for, whatever the kernel waits for
    /// before it frees the text.
    pub(super) fn module_going(&mut self, at: Mark, task: Task, name: &str) {
        if let Some(unload) = self.unload(at, task, name).filter(|_| self.rules.has(Rule::ExitIsJudged)) {
            self.modules.going.insert(name.to_owned(), unload);
        }
        let of_caches = self.caches.values_mut().map(|cache| &mut cache.barriers);
        for callers in [&mut self.rcu_barriers, &mut self.barriers].into_iter().chain(of_caches) {
            callers.has_exited(task, name);
        }
        self.domains.has_exited(task, name);
    }

    pub(super) fn module_freed(&mut self, at: Mark, task: Task, name: &str) {
        self.leaves_behind(at, task, name);
        let going = self.modules.going.remove(name).filter(|unload| unload.task == task);
        if let Some(unload) = going.or_else(|| self.unload(at, task, name)) {
            self.modules.has_gone(unload);
        }
        self.modules.loaded.remove(name);
        self.modules.freed.insert(name.to_owned(), at);
        let functions = &self.functions;
        self.ledger.works.retain(|_, work| functions.get(work.function).module.as_deref() != Some(name));
    }

    /// The exit of this module has run in this task.
    pub(super) fn has_exited(&mut self, task: Task, module: &str) {
        let ids = self.unattributed.get(&task).cloned().unwrap_or_default();
        for id in ids {
            if self.destroy(id).is_some_and(|destroy| self.stack(destroy.caller.stack).is_module_exit()) {
                self.destroys_in_exit_of(id, module);
            }
        }
    }

    /// A destroy of this task that runs in the exit of this module: what the module's init called a barrier for is ordered.
    pub(super) fn destroys_in_exit_of(&mut self, id: DestroyId, module: &str) {
        let Some(destroy) = self.destroys.get_mut(&id).map(Arc::make_mut) else { return };
        destroy.in_exit_of(module);
        let callbacks = destroy.coverage.callbacks;
        let domains = &self.domains;
        destroy.foreign.open.retain(|open| {
            open.last >= open.deferral.map_or(callbacks, |deferral| domains.of_init(deferral, module))
        });
    }

    /// What is known of the callbacks of a module that goes; none if it is not known to have queued any.
    fn unload(&self, at: Mark, task: Task, name: &str) -> Option<Unload> {
        let text =
            self.modules.loaded.get(name).filter(|text| text.ever() > 0 || text.may_have_older)?.clone();
        let (left, left_in) = self.left_of(name);
        let teardown = Teardown { task, module: Some(name), exit_of: None, by: None };
        let own = self.rcu_barriers.of(teardown).into_iter();
        let barrier = own.chain(self.rcu_barriers.others().init_of(name)).max_by_key(|barrier| barrier.until);
        let mut domains = self.domains.reach(&text.others, teardown);
        domains.iter_mut().for_each(|reach| reach.in_exit_of(name));
        Some(Unload {
            number: 0,
            module: name.to_owned(),
            task,
            at,
            domains,
            text,
            left,
            left_in,
            covered: barrier.map_or(0, |barrier| barrier.until),
            covered_since: barrier.map_or(Time::default(), |barrier| barrier.began),
            covered_by_others: self.rcu_barriers.others().clone(),
        })
    }

    /// A destroy of this cache by this task, from this stack.
    pub(super) fn teardown(&self, task: Task, cache: Option<&Cache>, stack: StackId) -> Teardown<'_> {
        let functions = cache.map_or_else(Vec::new, |cache| cache.past.functions.since(0));
        let mut modules =
            functions.into_iter().map(|function| self.functions.get(function).module.as_deref());
        let first = modules.next().flatten();
        Teardown {
            task,
            module: self.maker_of(cache.map(|cache| &cache.life), stack),
            exit_of: self.stack(stack).exit_of(),
            by: first.filter(|_| modules.all(|module| module == first)),
        }
    }

    /// The callbacks in the text of a cache's module whose heads lie in no object of the cache.
    pub(super) fn foreign_to(&self, destroy: &Destroy) -> Foreign {
        let module = self.maker_of(Some(&destroy.life), destroy.caller.stack);
        let Some((module, text)) = module.and_then(|module| self.modules.loaded.get_key_value(module)) else {
            return Foreign::default();
        };
        let is_foreign = |(_, waiting): &(&ObjectAddress, &Waiting)| {
            waiting.life != destroy.life.id
                && self.functions.get(waiting.function).module.as_ref() == Some(module)
        };
        let waiting =
            self.ledger.callbacks.iter().chain(self.ledger.works()).filter(is_foreign).count() as u64;
        let since = if let Born::Watched { at, .. } = destroy.life.born { at.position } else { 0 };
        let Caller { task, stack, .. } = destroy.caller;
        let exit_of = self.stack(stack).exit_of();
        let teardown = Teardown { task, module: Some(module), exit_of, by: None };
        let covered = |deferral: Option<Deferral>| match deferral {
            None => destroy.coverage.callbacks,
            Some(deferral) => self.domains.own(deferral, teardown),
        };
        // Where each free is told, it is known which callbacks free objects of this cache; else any may. Of works that is
        // known if their begin is told.
        let is_open_work = |home: &Home| {
            home.deferral.is_some_and(Deferral::is_work) && home.last.position >= covered(home.deferral)
        };
        let has_open_works = || text.homes.foreign(destroy.life.id, since).any(is_open_work);
        let is_seen = self.ledger.sees_allocations && (self.modules.sees_works_begin || !has_open_works());
        let seen = self.caches.get(&destroy.address).map(|cache| &cache.freed_by_foreign);
        let homes = if is_seen { seen } else { Some(&text.homes) };
        let ever = text.homes.foreign_ever(destroy.life.id);
        if !is_seen && self.sees_callbacks_run() && ever == waiting && self.rules.has(Rule::ForeignBegun) {
            // None of them has begun, so none has freed anything.
            return Foreign { waiting, ..Foreign::default() };
        }
        let mut foreign = Foreign { waiting, is_seen, ..Foreign::default() };
        for home in homes.into_iter().flat_map(|homes| homes.foreign(destroy.life.id, since)) {
            foreign.any = true;
            if home.last.position >= covered(home.deferral) {
                let Home { deferral, function, last, .. } = *home;
                foreign.open.push(OpenForeign { last: last.position, deferral, function });
            }
        }
        foreign
    }

    /// The caches that the module has created, and that nobody has ever asked to destroy. If other modules are in the stack of
    /// the creation, one of them may hold the cache: the last of them that goes leaves it behind. A module that is loaded again
    /// did not create what an earlier one of its name did.
    fn leaves_behind(&mut self, at: Mark, task: Task, module: &str) {
        let (mut left, mut others): (Vec<Abandoned>, Vec<_>) = (Vec::new(), Vec::new());
        for (address, cache) in &self.caches {
            let abandoned = |merged: Option<String>, left: Moment| Abandoned {
                module: module.to_owned(),
                task,
                at,
                life: cache.life.clone(),
                merged,
                address: *address,
                left,
            };
            if let Born::Watched { at: born, stack } = cache.life.born
                && !cache.asked_to_go
                && self.is_left_by(module, born, stack)
            {
                left.push(abandoned(None, cache.moment(&self.ledger)));
                continue;
            }
            let is_its = |asker: &Asker| self.is_left_by(module, asker.at, asker.stack);
            let (its, kept): (Vec<Asker>, Vec<Asker>) = cache.askers.iter().cloned().partition(is_its);
            if !its.is_empty() {
                // What is outstanding of a merged cache may be any user's.
                let given_back = cache.given_back.min(its.len());
                let its = its.into_iter().skip(given_back);
                left.extend(its.map(|asker| abandoned(Some(asker.name), Moment::default())));
                others.push((*address, kept, cache.given_back - given_back));
            }
        }
        left.into_iter().for_each(|abandoned| self.modules.leaves_behind(abandoned));
        for (address, askers, given_back) in others {
            let Some(cache) = self.caches.get_mut(&address) else { continue };
            (cache.askers, cache.given_back) = (askers, given_back);
        }
    }

    /// Whether a cache that was asked for then, from this stack, was this module's, and nobody's who is there still.
    fn is_left_by(&self, module: &str, born: Mark, stack: StackId) -> bool {
        let stack = self.stack(stack);
        let loaded = |name: &str| self.modules.loaded.get(name).and_then(|text| text.loaded);
        // What was created before the module of this name came was created by one that has gone.
        let made = |name: &str| loaded(name).is_none_or(|loaded| loaded.position <= born.position);
        let holds = |name: &str| name != module && made(name) && !self.modules.has_freed(name, born);
        stack.modules().any(|name| name == module && made(name)) && !stack.modules().any(holds)
    }

    /// The callbacks in a module's text that have not returned, and the caches that their heads are in.
    fn left_of(&self, module: &str) -> (Moment, BTreeSet<CacheAddress>) {
        let mut left = Moment::default();
        let mut caches = BTreeSet::new();
        let is_its = |function: FunctionId| self.functions.get(function).module.as_deref() == Some(module);
        let mut oldest = None;
        let waiting = self.ledger.callbacks.values().chain(self.ledger.works.values());
        for waiting in waiting.filter(|waiting| is_its(waiting.function)) {
            let counts = &mut left.counts;
            let of_kind = if waiting.is_of_call_rcu() {
                &mut counts.callbacks_waiting
            } else {
                &mut counts.others_waiting
            };
            *of_kind += 1;
            left.has(waiting);
            caches.insert(waiting.cache);
            oldest = Some(oldest.map_or(waiting.queued, |oldest: Mark| oldest.min(waiting.queued)));
        }
        for running in self.modules.running.values().filter(|running| is_its(running.function)) {
            caches.insert(running.cache);
            if running.is_of_call_rcu() {
                left.counts.callbacks_running += 1;
            } else if !running.is_rcu_work() {
                // That of `queue_rcu_work()` is among the works.
                left.counts.others_running += 1;
            }
        }
        left.oldest = oldest.map(|oldest| oldest.time);
        (left, caches)
    }
}
