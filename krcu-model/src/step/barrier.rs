//! Barriers: how far each reaches when it returns, and whether it returned too early.

use std::sync::Arc;

use krcu_common::{BarrierKind, FreePath};

use crate::{
    event::{Blind, CacheAddress, ObjectAddress, Task},
    promise::{self, Promise, Violation},
    rules::Rule,
    state::{
        State,
        barriers::{OpenBarrier, Returned},
        cache::Cache,
        deferral::BY_CALL_RCU,
        deferred::Waiting,
        id::{CacheId, Mark},
        stack::{NO_STACK, StackId},
    },
};

impl State {
    pub(super) fn barrier_begin(
        &mut self,
        begin: Mark,
        task: Task,
        barrier: BarrierKind,
        rcu_works_flushed: u32,
        stack: StackId,
        comm: String,
    ) {
        // flush_rcu_work() calls rcu_barrier() when it meets a batch that waits. Where the stack is not known, the
        // works that the task has flushed tell that it is inside of the destroy's own wait.
        let is_flush = if stack == StackId::default() {
            rcu_works_flushed > 0 || self.open_barriers.get(&task).is_some_and(|open| !open.is_empty())
        } else {
            self.stack(stack).is_within("flush_rcu_work")
        };
        let by_chance = barrier == BarrierKind::Rcu && is_flush && self.rules.has(Rule::FlushIsChance);
        // A flush knows the works that are queued. Those of callbacks surely are, if a barrier of the same task has waited for
        // the callbacks before. The same is true of a barrier for callbacks that callbacks queue.
        let exit_of = self.stack(stack).exit_of();
        let rcu = self.rcu_barriers.before(task, exit_of);
        let rcu = rcu.map(|barrier| ((None, Some(BY_CALL_RCU)), barrier.until));
        let after = match barrier {
            BarrierKind::Work | BarrierKind::Workqueue if self.rules.has(Rule::FlushNeedsBarrier) => {
                rcu.into_iter().chain(self.domains.before_flush(task, exit_of)).collect()
            }
            BarrierKind::Rcu
            | BarrierKind::Srcu
            | BarrierKind::Tasks
            | BarrierKind::TasksRude
            | BarrierKind::TasksTrace => self.domains.before_chain((task, exit_of), rcu),
            _ => Vec::new(),
        };
        let open = self.open_barriers.entry(task).or_default();
        open.push(OpenBarrier { barrier, begin, after, by_chance, stack, comm });
    }

    pub(super) fn barrier_end(
        &mut self,
        end: Mark,
        task: Task,
        barrier: BarrierKind,
        address: Option<CacheAddress>,
        of: u64,
    ) {
        if !matches!(barrier, BarrierKind::Kvfree | BarrierKind::KvfreeOnCache) {
            self.last_barrier_for_callbacks = end.position;
        }
        let mut open = self.open_barriers.get_mut(&task);
        let place = open.as_ref().and_then(|open| open.iter().rposition(|entry| entry.barrier == barrier));
        let (Some(open), Some(place)) = (&mut open, place) else {
            return self.older_barrier_ends(barrier, address);
        };
        open.truncate(place + 1);
        let Some(ended) = open.pop() else { return };
        if open.is_empty() {
            self.open_barriers.remove(&task);
        }
        let reach = ended.begin.position;
        let OpenBarrier { by_chance, stack, .. } = ended;
        let returned = Returned {
            until: reach,
            kind: barrier,
            task,
            comm: ended.comm.clone(),
            stack,
            work_of: self
                .modules
                .working
                .get(&task)
                .and_then(|work| self.functions.get(work.function).module.clone()),
            work: self.modules.working.get(&task).map(|work| work.head.0),
            exit_of: self.stack(stack).within_exit_of().map(str::to_owned),
            began: ended.begin.time,
            returned: end.time,
        };
        if let (BarrierKind::KvfreeOnCache, Some(address)) = (barrier, address) {
            self.cache(address);
        }
        let stack = self.stacks.get(stack.0 as usize).unwrap_or(&NO_STACK);
        // The destroy that it is inside of. What somebody else calls meanwhile orders nothing before the look.
        let inside =
            self.open_destroys.get(&task).and_then(|id| self.destroys.get_mut(id).map(Arc::make_mut));
        let counts = self.rules.has(Rule::InnerBarrier);
        let inside =
            inside.filter(|destroy| counts && destroy.look.is_none() && reach > destroy.begin.position);
        match barrier {
            BarrierKind::Rcu => {
                if !by_chance {
                    for (before, until) in &ended.after {
                        let returned = Returned { until: *until, ..returned.clone() };
                        self.domains.returned((0, *before), returned, stack);
                    }
                }
                self.rcu_barriers.returned(returned, stack, by_chance);
                if !by_chance {
                    if let Some(destroy) = inside {
                        destroy.coverage.callbacks = destroy.coverage.callbacks.max(reach);
                    }
                    self.sheaves_are_covered(task, reach);
                }
                self.check_rcu_barrier(end, task, &ended);
                return;
            }
            BarrierKind::Srcu | BarrierKind::Tasks | BarrierKind::TasksRude | BarrierKind::TasksTrace => {
                for (before, until) in ended.after {
                    let returned = Returned { until, ..returned.clone() };
                    self.domains.returned((of, before), returned, stack);
                }
                return self.domains.returned((of, (None, None)), returned, stack);
            }
            BarrierKind::RcuWork | BarrierKind::Work | BarrierKind::Workqueue => {
                if barrier == BarrierKind::RcuWork {
                    self.domains.returned((of, (None, None)), returned.clone(), stack);
                }
                let drains = stack.is_within("drain_workqueue") || stack.is_within("destroy_workqueue");
                for (before, until) in ended.after {
                    let returned = Returned { until, ..returned.clone() };
                    if let (None, callback) = before
                        && drains
                    {
                        let drained = (Some((barrier, of)), callback);
                        self.domains.returned((of, drained), returned.clone(), stack);
                    }
                    self.domains.returned((of, before), returned, stack);
                }
                if barrier != BarrierKind::Workqueue {
                    self.work_is_awaited(of, task, ended.stack);
                }
                return self.works_are_flushed(barrier, of, ended.begin);
            }
            BarrierKind::Kvfree => {
                self.barriers.returned(returned, stack, false);
                if let Some(destroy) = inside {
                    destroy.coverage.frees = destroy.coverage.frees.max(reach);
                }
            }
            BarrierKind::KvfreeOnCache => {
                // If the address of its cache could not be read, the barrier covers nothing that is known.
                let Some(address) = address else { return };
                let Some(cache) = self.caches.get_mut(&address) else { return };
                cache.barriers.returned(returned, stack, false);
                let life = cache.life.id;
                if let Some(destroy) = inside.filter(|destroy| destroy.life.id == life) {
                    destroy.coverage.frees = destroy.coverage.frees.max(reach);
                }
            }
        }
        self.suspect_barrier(end, task, ended.begin, address);
        self.check_barrier(end, task, &ended, address);
    }

    /// A task has waited for a work. Had that called a barrier in its run, it counts as the task's own.
    fn work_is_awaited(&mut self, work: u64, task: Task, stack: StackId) {
        let exit_of = self.stack(stack).exit_of().map(str::to_owned);
        let of_caches = self.caches.values_mut().map(|cache| &mut cache.barriers);
        for callers in [&mut self.rcu_barriers, &mut self.barriers].into_iter().chain(of_caches) {
            callers.awaited(work, task, exit_of.as_deref());
        }
        self.domains.awaited(work, task, exit_of.as_deref());
    }

    /// Ends a barrier whose begin was not seen. It covers nothing that is known, but maybe what is older than
    /// the probes.
    fn older_barrier_ends(&mut self, barrier: BarrierKind, address: Option<CacheAddress>) {
        match (barrier, address) {
            (BarrierKind::Kvfree, _) => self.after_older_barrier = true,
            (BarrierKind::KvfreeOnCache, Some(address)) => {
                self.cache(address).doubt.after_older_barrier = true;
            }
            _ => {}
        }
    }

    /// Notes that the sheaves are covered: during its look, a destroy calls `rcu_barrier()` only after it has
    /// flushed the sheaves of its cache.
    fn sheaves_are_covered(&mut self, task: Task, reach: u64) {
        if let Some(destroy) =
            self.open_destroys.get(&task).and_then(|id| self.destroys.get_mut(id).map(Arc::make_mut))
            && destroy.look.is_some_and(|look| reach > look.position)
        {
            destroy.coverage.sheaves = destroy.coverage.sheaves.max(reach);
        }
    }

    /// `barrier_covers`: a call that frees what a barrier surely covers must not be running when the barrier returns. Only of
    /// a call that frees an array are both ends told. `begin` is the entry of the barrier, `task` its caller.
    ///
    /// A barrier that waits for a call returns after it, and the probe of the call's return runs before that. So the order of
    /// the two ends proves that it did not wait, however short the time between.
    pub(super) fn suspect_barrier(&mut self, end: Mark, task: Task, begin: Mark, only: Option<CacheAddress>) {
        if self.freeing.is_empty() || self.watch.blind.contains(&Blind::Frees) {
            return;
        }
        let mut missed = Vec::new();
        for ((freer, path), run) in self.freeing.runs() {
            // In its own barrier a task queues nothing, but an interrupt may on top of it.
            let covered = run.queued.filter(|(by, _, last)| *by == task && promise::covers(begin, *last));
            let Some((_, oldest, _)) = covered.filter(|_| path == FreePath::Bulk) else { continue };
            if only.is_none_or(|cache| cache == run.cache) {
                missed.push((freer, run.cache, run.objects, oldest));
            }
        }
        for (freer, address, objects, oldest) in missed {
            let found = self.violation(Promise::BarrierCovers, Some(address), end);
            let (begin, oldest) = (begin.time, oldest.time);
            self.ledger.suspect(freer, Violation { begin, objects, oldest, ..found });
        }
    }

    /// `barrier_covers`: what a barrier surely covers must not be queued when it returns.
    pub(super) fn check_barrier(
        &mut self,
        end: Mark,
        task: Task,
        barrier: &OpenBarrier,
        address: Option<CacheAddress>,
    ) {
        // If frees cannot be seen, every object would look as if the barrier had not waited for it.
        if self.outstanding == 0 || self.watch.blind.contains(&Blind::Frees) {
            return;
        }
        let is_meant = |of: &CacheAddress, cache: &Cache| {
            !cache.outstanding.is_empty() && address.is_none_or(|only| only == *of)
        };
        let mut missed = Vec::new();
        for (of, cache) in self.caches.iter().filter(|(of, cache)| is_meant(of, cache)) {
            let life = cache.life.id;
            // Of its own calls the task knows that they have returned.
            let own = cache.outstanding.queued_before(task, barrier.begin.position);
            missed.extend(own.map(|(object, queued)| (queued, *of, life, object)));
            // Of others' calls only a machine and a script tell that.
            let returned = self.ledger.returned.iter().filter(|(_, at)| **at < barrier.begin.position);
            missed.extend(returned.filter_map(|(object, _)| {
                let entry = cache.outstanding.get(*object)?;
                (!promise::surely_covers(barrier, task, &entry)).then_some((entry.queued, *of, life, *object))
            }));
        }
        self.barrier_was_early(end, barrier, missed);
    }

    /// The same for `rcu_barrier()` and callbacks, if their runs can be seen.
    pub(super) fn check_rcu_barrier(&mut self, end: Mark, task: Task, barrier: &OpenBarrier) {
        if self.ledger.callbacks.is_empty() || !self.sees_callbacks_run() {
            return;
        }
        let is_covered = |waiting: &Waiting, returned: Option<&u64>| {
            (waiting.task == task && promise::covers(barrier.begin, waiting.queued))
                || returned.is_some_and(|returned| *returned < barrier.begin.position)
        };
        let callbacks = self.ledger.callbacks.iter().filter(|(_, waiting)| waiting.is_of_call_rcu());
        let missed: Vec<_> = callbacks
            .filter(|(object, waiting)| is_covered(waiting, self.ledger.returned.get(object)))
            .map(|(object, waiting)| (waiting.queued, waiting.cache, waiting.life, *object))
            .collect();
        self.barrier_was_early(end, barrier, missed);
    }

    pub(super) fn barrier_was_early(
        &mut self,
        end: Mark,
        barrier: &OpenBarrier,
        mut missed: Vec<(Mark, CacheAddress, CacheId, ObjectAddress)>,
    ) {
        let is_explained = |(queued, address, ..): &(Mark, CacheAddress, CacheId, ObjectAddress)| {
            self.gaps.iter().any(|gap| gap.may_explain(Some(*address), false, queued.time))
        };
        missed.retain(|missed| !is_explained(missed));
        missed.sort_unstable();
        for (queued, address, life, object) in missed {
            let found = self.violation(Promise::BarrierCovers, Some(address), end);
            let (begin, oldest) = (barrier.begin.time, queued.time);
            let (object, cache) = (Some(object), Some(life));
            self.ledger.broken(Violation { object, cache, begin, objects: 1, oldest, ..found });
        }
    }
}
