//! Step: one event changes the state.
//!
//! The checker and the simulation make events, the agent receives them, and others read them from a script or
//! a trace. All of them call [`State::step`], so a broken promise is the same for all of them. Some events do
//! not fit the state, such as the end of a barrier that began before the watch, or the free of an object that
//! nobody queued. They are not errors: they change the counts of what is unknown and nothing else.

mod barrier;
mod cache;
mod callback;
mod doubles;
mod free;
mod module;
mod promises;
mod queue;

use std::sync::Arc;

use krcu_common::FreePath;

use crate::{
    event::{Blind, CacheAddress, CacheFacts, Cpu, Done, Event, Run, Site, Task, Time, What},
    promise::ledger::Allocation,
    state::{
        State,
        cache::{Born, Cache},
        destroy::Shutdown,
        id::{CacheId, Freer, Mark},
        stack::{Stack, StackId},
    },
};

use self::callback::CallbackQueued;

impl State {
    /// Takes one event.
    pub fn step(&mut self, event: Event) {
        let Event { time, task, cpu, what } = event;
        let (object, cache, done) = match what {
            What::Gap(gap) => return self.gaps.push(gap),
            What::Queued { object, cache, site, form } => (object, cache, Done::Queued { site, form }),
            What::Freed { object, cache, path } => (object, cache, Done::Freed { path }),
            what => return self.step_apart(time, task, cpu, what),
        };
        self.step_run(Run { task, cpu, cache, done, times_ns: &[time.0], objects: &[object.0] });
    }

    /// Takes a run of events: the same as if each was taken by itself.
    pub fn step_run(&mut self, run: Run<'_>) {
        let Some(first) = run.times_ns.first().filter(|_| !run.is_empty()) else { return };
        match run.done {
            Done::Queued { site, form } => {
                let mark = Mark { position: self.position + 1, time: Time(*first) };
                self.ends_single_frees(mark, run.task, run.cpu);
                self.queued(run, site, form);
            }
            Done::Freed { path } => self.freed(run, path),
        }
    }

    /// The task does something else now, so it has finished its frees one by one.
    fn ends_single_frees(&mut self, at: Mark, task: Task, cpu: Cpu) {
        if !self.freeing.is_empty() {
            self.batch_freed(at, Freer::of(task, cpu), FreePath::Single);
        }
    }

    /// Takes an event that is in no run.
    fn step_apart(&mut self, time: Time, task: Task, cpu: Cpu, what: What) {
        self.position += 1;
        self.events += 1;
        self.now = self.now.max(time);
        let mark = Mark { position: self.position, time };
        // Callbacks are excepted: they may run on top of any task.
        if !matches!(what, What::BatchFreed { .. } | What::CallbackRuns { .. }) {
            self.ends_single_frees(mark, task, cpu);
        }
        match what {
            What::BatchFreed { path } => self.batch_freed(mark, Freer::of(task, cpu), path),
            What::CallbackQueued { object: head, cache, function, text, domain, site } => {
                let text = text.as_ref();
                let what = CallbackQueued { head, cache, function, text, domain, site };
                self.callback_queued(mark, task, cpu, &what);
            }
            What::WorkRuns { object, function } => self.work_runs(mark, (task, cpu), object, function),
            What::WorkRan { object } => self.work_ran(mark, task, object),
            What::CallbackRuns { object, cache } => {
                self.callback_runs(mark, Freer::of(task, cpu), object, cache);
            }
            What::CallbackRan { object, text } => {
                let cache = self.callback_begins(mark, object).map(|waiting| waiting.cache);
                self.check_unload(mark, object, cache, text.as_ref());
            }
            What::Function { function, symbol } => self.functions.is_at(function, &symbol),
            What::CacheCreated { cache, facts, asked_name, site } => {
                self.created(mark, cache, facts, asked_name, site);
            }
            What::DestroyBegin { cache, facts, site, comm, counted } => {
                self.destroy_begin(mark, task, cache, facts, site, comm, counted);
            }
            What::ShutdownBegin { cache, rcu_works_flushed } => {
                self.shutdown_begin(mark, task, cache, rcu_works_flushed);
            }
            What::ShutdownEnd { empty, left } => {
                let shutdown = empty.map(|empty| if empty { Shutdown::Empty } else { Shutdown::Left(left) });
                self.shutdown_end(mark, task, shutdown);
            }
            What::CacheReleased { cache } => self.cache_released(mark, cache),
            What::BarrierBegin { barrier, rcu_works_flushed, site, comm } => {
                let stack = self.stack_of(site);
                self.barrier_begin(mark, task, barrier, rcu_works_flushed, stack, comm);
            }
            What::BarrierEnd { barrier, cache, of } => self.barrier_end(mark, task, barrier, cache, of),
            What::ModuleLoaded { name } => self.module_loaded(mark, name),
            What::ModuleGoing { name } => {
                self.has_exited(task, &name);
                self.module_going(mark, task, &name);
            }
            What::ModuleFreed { name } => {
                self.has_exited(task, &name);
                for id in self.unattributed.remove(&task).unwrap_or_default() {
                    if let Some(destroy) = self.destroys.get_mut(&id).map(Arc::make_mut) {
                        destroy.caller.module_going = Some(name.clone());
                    }
                }
                self.module_freed(mark, task, &name);
                if !self.watch.blind.contains(&Blind::CallbackRuns) {
                    self.ledger.gone_modules.insert(name);
                }
            }
            // Names are sent again after each module that was unloaded, and are rarely different.
            What::Site { site, frames } if *self.stack(self.stack_of(site)) == Stack::from_probe(&frames) => {
            }
            What::Site { site, frames } => {
                let id = StackId(u32::try_from(self.stacks.len()).unwrap_or(0));
                if id.0 != 0 {
                    self.stacks.push(Stack::from_probe(&frames));
                    self.sites.insert(site, id);
                }
            }
            What::GraceBegin { expedited } => self.ledger.grace_begins(mark.position, expedited),
            What::GraceEnd { expedited } => self.ledger.grace_ends(mark.position, expedited),
            What::FreedAtOnce { object, cache } => {
                self.freed_at_once(mark, Freer::of(task, cpu), object, cache);
            }
            What::Allocated { object, cache, site } => {
                let stack = self.stack_of(site);
                self.ledger.sees_allocations = true;
                self.ledger.is_no_longer_held(object);
                self.ledger.allocated.insert(object, Allocation { cache, stack });
            }
            What::QueueReturned { object } => {
                // When a call returns, another task may already have queued a new object at this address.
                let is_his = |queuer: Task| queuer == task;
                if self.ledger.callbacks.get(&object).is_some_and(|waiting| is_his(waiting.task))
                    || self.caches.values().any(|c| c.outstanding.get(object).is_some_and(|e| is_his(e.task)))
                {
                    self.ledger.returned.insert(object, mark.position);
                }
            }
            What::ReadLock { object, cache } => {
                self.ledger.readers.insert(task, object.zip(cache));
            }
            What::ReadUnlock => {
                self.ledger.readers.remove(&task);
            }
            What::Lingers { cache } => {
                if let Some(destroy) = self
                    .open_destroys
                    .remove(&task)
                    .and_then(|id| self.destroys.get_mut(&id).map(Arc::make_mut))
                {
                    destroy.lingers = true;
                }
                self.ledger.ends.entry(cache).or_default().looked_by = Some(task);
            }
            What::Reported { cache } => self.check_report(mark, cache),
            What::DestructionAwaited { cache } => self.check_destruction(mark, task, cache),
            What::SlabsFreed { cache } => self.slabs_freed(mark, cache),
            What::Quiet => self.quiet(mark),
            What::Gap(_) | What::Queued { .. } | What::Freed { .. } => {}
        }
    }

    fn stack_of(&self, site: Site) -> StackId {
        self.sites.get(&site).copied().unwrap_or_default()
    }

    /// The cache at this address. If no event introduced it, it is older than the probes.
    fn cache(&mut self, address: CacheAddress) -> &mut Cache {
        self.caches.entry(address).or_insert_with(|| {
            let id = CacheId(self.next_cache);
            self.next_cache += 1;
            Box::new(Cache::new(id, CacheFacts::default(), Born::BeforeAttach))
        })
    }

    /// Whether the source of the events reports everything, as a machine and a script do.
    pub(crate) fn tells_all(&self) -> bool {
        !self.watch.blind.iter().any(|blind| matches!(blind, Blind::CallbackRuns | Blind::Inside))
    }
}
