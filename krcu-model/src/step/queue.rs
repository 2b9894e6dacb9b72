//! Queue: `kfree_rcu()` defers a free.

use krcu_common::QueueForm;

use crate::{
    event::{Blind, CacheAddress, ObjectAddress, Run, Site, Time},
    promise::doubles::Double,
    state::{State, deferred::Outstanding, id::Mark, origins::Origin, stack::StackId},
};

impl State {
    /// Takes a run of objects that are queued.
    pub(super) fn queued(&mut self, run: Run<'_>, site: Site, form: QueueForm) {
        let stack = self.stack_of(site);
        let mut rest = run;
        while !rest.is_empty() {
            let (taken, replaced) = self.queued_in_table(rest, stack, form);
            if let (Some(last), Some(time_ns)) = (rest.objects.get(taken - 1), rest.times_ns.get(taken - 1)) {
                let mark = Mark { position: self.position, time: Time(*time_ns) };
                self.has_been_queued(mark, (ObjectAddress(*last), run.cache), stack, replaced);
            }
            rest = rest.without(taken);
        }
    }

    /// Puts objects into the table of their cache: all up to one that was queued already, or one alone if each has to be
    /// looked for elsewhere too. Returns how many, at least one, and what was known of the last of them.
    fn queued_in_table(
        &mut self,
        run: Run<'_>,
        stack: StackId,
        form: QueueForm,
    ) -> (usize, Option<Outstanding>) {
        let Run { task, cpu, mut times_ns, mut objects, .. } = run;
        if !self.ledger.callbacks.is_empty()
            || self.ledger.sees_allocations
            || !self.ledger.returned.is_empty()
        {
            (times_ns, objects) = (&times_ns[..1], &objects[..1]);
        }
        let first = self.position + 1;
        let cache = self.cache(run.cache);
        let origin = Origin { task, cpu, stack, form };
        let (taken, replaced) = cache.outstanding.insert_run(origin, first, times_ns, objects);
        let rows = taken as u64;
        let last = Mark { position: first + rows - 1, time: Time(times_ns[taken - 1]) };
        cache.past.frees.ever += rows;
        cache.past.frees.stack = stack;
        if form != QueueForm::Headless {
            cache.past.frees.last = Some(last);
        }
        self.outstanding += rows - u64::from(replaced.is_some());
        self.have_come(&times_ns[..taken]);
        (taken, replaced)
    }

    /// Looks at an object that was queued just now.
    fn has_been_queued(
        &mut self,
        mark: Mark,
        (object, address): (ObjectAddress, CacheAddress),
        stack: StackId,
        replaced: Option<Outstanding>,
    ) {
        if let Some(before) = replaced {
            self.queued_again(mark, object, address, &before);
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

    /// Counts events of a run.
    pub(super) fn have_come(&mut self, times_ns: &[u64]) {
        self.position += times_ns.len() as u64;
        self.events += times_ns.len() as u64;
        self.now = times_ns.iter().map(|time_ns| Time(*time_ns)).fold(self.now, Time::max);
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
