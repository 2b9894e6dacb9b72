//! Queue: `kfree_rcu()` defers a free.

use krcu_common::QueueForm;

use crate::{
    event::{Blind, CacheAddress, Cpu, ObjectAddress, Site, Task},
    promise::doubles::Double,
    state::{State, deferred::Outstanding, id::Mark},
};

impl State {
    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(super) fn queued(
        &mut self,
        mark: Mark,
        task: Task,
        cpu: Cpu,
        object: ObjectAddress,
        address: CacheAddress,
        site: Site,
        form: QueueForm,
    ) {
        let stack = self.stack_of(site);
        let cache = self.cache(address);
        cache.past.frees.ever += 1;
        cache.past.frees.stack = stack;
        if form != QueueForm::Headless {
            cache.past.frees.last = Some(mark);
        }
        let before = cache.outstanding.insert(object, Outstanding { queued: mark, task, cpu, stack, form });
        if let Some(before) = before {
            self.queued_again(mark, object, address, &before);
        } else {
            self.outstanding += 1;
        }
        if !self.ledger.callbacks.is_empty()
            && let Some(first) = self.callback_in(address, object)
        {
            self.handed_over_twice(address, Double { first, second: (mark, Some(stack)) });
        }
        if self.ledger.sees_allocations {
            self.ledger.is_no_longer_held(object);
        }
        if !self.ledger.returned.is_empty() {
            // The call that returned was for an object that had this address before.
            self.ledger.returned.remove(&object);
        }
    }

    /// Takes an object that is queued although it was queued already.
    #[cold]
    fn queued_again(
        &mut self,
        mark: Mark,
        object: ObjectAddress,
        address: CacheAddress,
        before: &Outstanding,
    ) {
        let Some(cache) = self.caches.get_mut(&address) else { return };
        let Some(now) = cache.outstanding.get(object) else { return };
        if before.form == QueueForm::Nolock && now.form == QueueForm::Head {
            // The first call found no room, so an interrupt has queued the object again.
            cache.past.frees.ever -= 1;
        } else if !self.watch.blind.contains(&Blind::Frees) {
            let (first, second) = ((before.queued, before.stack), (mark, Some(now.stack)));
            self.handed_over_twice(address, Double { first, second });
        }
    }

    pub(super) fn handed_over_twice(&mut self, address: CacheAddress, double: Double) {
        let life = self.cache(address).life.id;
        self.keep_double(address, life, double);
    }
}
