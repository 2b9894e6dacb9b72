//! Run: the effect of each op when it is its turn.

use super::{
    CacheIndex, Life, Machine, ObjectIndex, Seen, TaskIndex,
    facts::KFREE_N_BATCHES,
    fault::Fault,
    op::{Call, Op},
    parts::Duty,
    queue::Put,
};
use krcu_common::{BarrierKind, FreePath};
use krcu_model::event::{Cpu, Domain, Site, What};

fn barrier_kind(call: Call) -> (BarrierKind, Option<CacheIndex>) {
    match call {
        Call::RcuBarrier => (BarrierKind::Rcu, None),
        Call::KfreeRcuBarrier => (BarrierKind::Kvfree, None),
        Call::FreeBarrier(cache) => (BarrierKind::KvfreeOnCache, Some(cache)),
    }
}

impl Machine {
    /// Runs one op, on a CPU or about it.
    // tidy: long, since it is one arm for each op, of a few lines each.
    pub(super) fn run(&mut self, task: TaskIndex, op: Op, cpu: Cpu, seen: &mut Seen) {
        let number = Machine::task_number(task);
        match op {
            Op::Queue(object) => {
                let _ = self.put(object, number, cpu, false, seen);
                self.say_returned(object, number, cpu, seen);
                self.advance(task);
            }
            Op::QueueHeadless(object) => self.queue_headless(task, object, seen),
            Op::CallRcu(object) => self.queue_callback(task, object, seen),
            Op::Free(object) => {
                self.free_whole(&[object], FreePath::Single, number, cpu, seen);
                self.advance(task);
            }
            Op::ReadLock(object) => {
                if self.life(object) != Life::Allocated {
                    // A reader that finds nothing needs no further steps.
                    self.skip_past(task, |op| op == Op::ReadUnlock);
                    return;
                }
                self.task_mut(task).reading = Some(object);
                let what = What::ReadLock {
                    object: Some(self.object_address(object)),
                    cache: Some(self.cache_address_of(object)),
                };
                self.say(seen, number, cpu, what);
                self.advance(task);
            }
            Op::ReadUnlock => {
                self.task_mut(task).reading = None;
                self.blocking_readers.retain(|reader| *reader != task);
                self.say(seen, number, cpu, What::ReadUnlock);
                self.advance(task);
            }
            Op::Join(_) | Op::AwaitMonitors | Op::AwaitShrinker | Op::AwaitCallbacks => self.advance(task),
            Op::Rearm => {
                for cpu in self.cpu_numbers().collect::<Vec<_>>() {
                    if self.cpu(cpu).krc.has_queued() {
                        self.arm_monitor(cpu);
                    }
                }
                self.advance(task);
            }
            Op::Unload(cache) => {
                self.say(seen, number, cpu, What::ModuleFreed { name: self.module_name(cache) });
                self.advance(task);
            }
            Op::Enter(call) => {
                let barrier = barrier_kind(call).0;
                let rcu_works_flushed = self.task(task).flushed;
                self.say(
                    seen,
                    number,
                    cpu,
                    What::BarrierBegin { barrier, rcu_works_flushed, site: Site(0), comm: String::new() },
                );
                self.advance(task);
            }
            Op::Leave(call) => {
                let (barrier, cache) = barrier_kind(call);
                let cache = cache.map(|cache| self.cache_address(cache));
                self.say(seen, number, cpu, What::BarrierEnd { barrier, cache, of: 0 });
                self.advance(task);
            }
            Op::Snap(lock) => {
                self.snap(task, lock);
                self.advance(task);
            }
            Op::Take(lock) if self.can_ride(task, lock) => {
                self.skip_past(task, |op| op == Op::Finish(lock));
            }
            Op::Take(lock) | Op::TakeAlways(lock) => {
                *self.owner(lock) = Some(task);
                self.sequence(lock).begin();
                self.advance(task);
            }
            Op::Finish(lock) => {
                if *self.owner(lock) == Some(task) {
                    *self.owner(lock) = None;
                }
                self.sequence(lock).end();
                self.advance(task);
            }
            Op::CountFromZero => {
                self.barrier_callbacks = 0;
                self.advance(task);
            }
            Op::Entrain => {
                self.entrain(cpu);
                self.has_visited(task, cpu);
            }
            Op::Offload | Op::Hurry => {
                self.queue_batch(cpu);
                self.has_visited(task, cpu);
            }
            Op::Drain | Op::FlushWorks => self.flush_works(task, op, cpu),
            Op::PassPagesToCallRcu { of_batches } => {
                self.pass_pages_to_call_rcu(cpu, of_batches);
                self.has_visited(task, cpu);
            }
            Op::SynchronizeSrcu => {
                let inside = self.task_indices().filter(|other| self.task(*other).waiting.is_some());
                let inside: Vec<TaskIndex> = inside.collect();
                if !self.task(task).has_noted && !inside.is_empty() {
                    let thread = self.task_mut(task);
                    thread.noted_tasks = inside;
                    thread.has_noted = true;
                } else {
                    self.task_mut(task).noted_tasks.clear();
                    self.advance(task);
                }
            }
            Op::CpusReadLock => {
                self.cpus_readers += 1;
                self.advance(task);
            }
            Op::CpusReadUnlock => {
                self.cpus_readers = self.cpus_readers.saturating_sub(1);
                self.advance(task);
            }
            Op::FlushSheaves(cache) => {
                if !self.cpu(cpu).offline {
                    self.flush_sheaves(cpu, cache);
                }
                self.has_visited(task, cpu);
            }
            Op::Note(cache) => {
                let queued = self.queued_of(cache);
                self.task_mut(task).noted = queued;
                self.advance(task);
            }
            Op::AwaitNoted => {
                self.task_mut(task).noted.clear();
                self.advance(task);
            }
            Op::SkipUnlessQueued(cache, steps) => {
                let is_queued = self.cache(cache).queued > 0 && !self.has_fault(Fault::CountNotKept);
                self.advance(task);
                if !is_queued {
                    (0..steps).for_each(|_| self.advance(task));
                }
            }
            Op::DestroyEnter(cache) => {
                self.task_mut(task).flushed = 0;
                self.destroy_enters(task, cache, seen);
                self.advance(task);
            }
            Op::DropReference(cache) => {
                let users = &mut self.cache_mut(cache).users;
                *users = users.saturating_sub(1);
                if *users > 0 {
                    self.skip_past(task, |op| matches!(op, Op::Release(_) | Op::ReleaseLater(_)));
                } else {
                    self.advance(task);
                }
            }
            Op::ShutdownFlush(cache) => {
                for each in self.cpu_numbers() {
                    let on = self.callback_cpu(each);
                    self.detach_sheaf(each, cache, on);
                }
                self.advance(task);
            }
            Op::Look(cache, found) => {
                if self.look(task, cache, found, seen) {
                    self.advance(task);
                } else {
                    self.skip_past(task, |op| matches!(op, Op::Release(_) | Op::ReleaseLater(_)));
                }
            }
            Op::Release(cache) => {
                self.release(cache, number, cpu, seen);
                self.advance(task);
            }
            Op::ReleaseLater(cache) => {
                self.cache_mut(cache).end = super::cache::End::AwaitsWork;
                self.advance(task);
            }
            Op::DestructionAwaited(cache) => {
                let cache = cache.map(|cache| self.cache_address(cache));
                self.say(seen, number, cpu, What::DestructionAwaited { cache });
                self.advance(task);
            }
            Op::AwaitLingering => {
                let caches = self.lingering();
                self.await_caches(task, caches);
            }
            Op::AwaitDestroyed(cache) => self.await_caches(task, vec![cache]),
        }
    }

    /// The first visit notes the caches, the last one has seen them settled.
    fn await_caches(&mut self, task: TaskIndex, caches: Vec<CacheIndex>) {
        let is_first = !self.task(task).has_noted;
        if is_first && !caches.iter().all(|cache| self.is_settled(*cache)) {
            let thread = self.task_mut(task);
            thread.noted_caches = caches;
            thread.has_noted = true;
        } else {
            self.task_mut(task).noted_caches.clear();
            self.advance(task);
        }
    }

    fn queue_headless(&mut self, task: TaskIndex, object: ObjectIndex, seen: &mut Seen) {
        let (number, cpu) = (Machine::task_number(task), self.task(task).cpu);
        if self.task_mut(task).waiting.take().is_some() {
            self.free_whole(&[object], FreePath::Single, number, cpu, seen);
        } else if let Put::MustWait = self.put(object, number, cpu, true, seen) {
            self.task_mut(task).waiting = Some(self.ask());
            return;
        }
        self.say_returned(object, number, cpu, seen);
        self.advance(task);
    }

    fn queue_callback(&mut self, task: TaskIndex, object: ObjectIndex, seen: &mut Seen) {
        let (number, cpu) = (Machine::task_number(task), self.task(task).cpu);
        let owner = self.object_setup(object).owner.filter(|_| !self.telling.only_ends);
        let text = owner.map(|cache| self.module_name(cache));
        let what = What::CallbackQueued {
            object: self.object_address(object),
            cache: self.cache_address_of(object),
            function: krcu_model::event::FunctionAddress::default(),
            text,
            domain: Domain::default(),
            site: Site(0),
        };
        self.say(seen, number, cpu, what);
        self.set_life(object, Life::Queued);
        self.call_rcu(cpu, Duty::Module(object));
        self.say_returned(object, number, cpu, seen);
        self.advance(task);
    }

    fn flush_works(&mut self, task: TaskIndex, op: Op, cpu: Cpu) {
        if self.task(task).flush.is_some() {
            self.has_visited(task, cpu);
            return;
        }
        if op == Op::Drain {
            self.cancel_monitor(cpu);
        }
        let requested = self.requests(cpu);
        let batches = u32::try_from(KFREE_N_BATCHES).unwrap_or(u32::MAX);
        self.task_mut(task).flushed += batches;
        if self.are_flushed(cpu, requested) {
            self.has_visited(task, cpu);
        } else {
            self.task_mut(task).flush = Some((cpu, requested));
        }
    }
}
