//! Modules: loaded, and gone with what their text had left to do.

use crate::{
    event::{CacheAddress, Task, Time},
    state::{
        State,
        cache::{Born, Cache},
        deferred::Waiting,
        destroy::{Destroy, Foreign},
        function::FunctionId,
        id::{CacheId, Freer, Mark},
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
    pub(super) fn text_has_callback(&mut self, queued: Mark, function: FunctionId, stack: StackId) {
        let Some(module) = &self.functions.get(function).module else { return };
        if !self.modules.loaded.contains_key(module) {
            self.modules.loaded.insert(module.clone(), Text::default());
        }
        let Some(text) = self.modules.loaded.get_mut(module) else { return };
        text.callbacks.ever += 1;
        text.callbacks.last = Some(queued);
        text.callbacks.stack = stack;
        text.functions.queued(function, queued);
    }

    /// A thread begins to run a callback.
    pub(super) fn text_runs(&mut self, freer: Freer, function: FunctionId) {
        if let Some(module) = &self.functions.get(function).module {
            self.modules.running.insert(freer, module.clone());
        }
    }

    pub(super) fn module_freed(&mut self, at: Mark, task: Task, name: &str) {
        self.leaves_behind(at, task, name);
        let text = self.modules.loaded.remove(name).unwrap_or_default();
        if text.callbacks.ever == 0 {
            return;
        }
        let left = self.left_of(name);
        let barrier = self.rcu_barriers.of(task);
        let unload = Unload {
            number: self.modules.next,
            module: name.to_owned(),
            task,
            at,
            text,
            left,
            covered: barrier.map_or(0, |barrier| barrier.until),
            covered_since: barrier.map_or(Time::default(), |barrier| barrier.began),
            covered_by_others: self.rcu_barriers.others().clone(),
        };
        self.modules.has_gone(unload);
    }

    /// The callbacks in the text of a cache's module whose heads lie in no object of the cache.
    pub(super) fn foreign_to(&self, destroy: &Destroy) -> Foreign {
        let born = if let Born::Watched { stack, .. } = destroy.life.born { Some(stack) } else { None };
        let of_stack = |stack: StackId| self.stack(stack).module();
        let module = born.and_then(of_stack).or_else(|| of_stack(destroy.caller.stack));
        let Some((module, _)) = module.and_then(|module| self.modules.loaded.get_key_value(module)) else {
            return Foreign::default();
        };
        let is_foreign = |waiting: &&Waiting| {
            waiting.life != destroy.life.id
                && self.functions.get(waiting.function).module.as_ref() == Some(module)
        };
        let waiting = self.ledger.callbacks.values().filter(is_foreign).count() as u64;
        Foreign { waiting }
    }

    /// The caches that the module has created, and that nobody has ever asked to destroy.
    fn leaves_behind(&mut self, at: Mark, task: Task, module: &str) {
        let is_its = |cache: &Cache| match cache.life.born {
            Born::Watched { stack, .. } => self.stack(stack).module() == Some(module),
            Born::BeforeAttach => false,
        };
        let left: Vec<Abandoned> = self
            .caches
            .iter()
            .filter(|(_, cache)| !cache.asked_to_go && is_its(cache))
            .map(|(address, cache)| Abandoned {
                module: module.to_owned(),
                task,
                at,
                life: cache.life.clone(),
                address: *address,
                left: cache.moment(&self.ledger),
            })
            .collect();
        left.into_iter().for_each(|abandoned| self.modules.leaves_behind(abandoned));
    }

    /// The callbacks in a module's text that have not returned.
    fn left_of(&self, module: &str) -> Moment {
        let mut left = Moment::default();
        let is_its = |function: FunctionId| self.functions.get(function).module.as_deref() == Some(module);
        let mut oldest = None;
        for waiting in self.ledger.callbacks.values().filter(|waiting| is_its(waiting.function)) {
            left.counts.callbacks_waiting += 1;
            *left.functions.entry(waiting.function).or_default() += 1;
            *left.stacks.entry(waiting.stack).or_default() += 1;
            *left.cpus.entry(waiting.cpu).or_default() += 1;
            oldest = Some(oldest.map_or(waiting.queued, |oldest: Mark| oldest.min(waiting.queued)));
        }
        let running = self.modules.running.values().filter(|of| *of == module).count() as u64;
        left.counts.callbacks_running = running;
        left.oldest = oldest.map(|oldest| oldest.time);
        left
    }
}
