//! Task: a thread and the step that it takes next.
//!
//! A step is one [`Op`], and with it those that follow and that nobody else could tell apart from it:
//! the return from a wait, an unlock, the snapshot at the entry of a call.

use super::{
    CacheIndex, Life, Machine, Move, ObjectIndex, Seen, TaskIndex,
    facts::KFREE_N_BATCHES,
    grace::Duty,
    op::{Call, Lock, Op},
    queue::Put,
    sequence::Cookie,
};
use crate::event::{Cpu, What};
use krcu_common::{BarrierKind, FreePath};

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its next op.
    pub next: u32,
    /// The CPU that it last ran on.
    pub cpu: Cpu,
    /// The CPU at which an op that goes over all of them is.
    pub cursor: u16,
    /// Its snapshots, by lock.
    pub cookies: [Cookie; 2],
    /// Objects that it waits for.
    pub noted: Vec<ObjectIndex>,
    /// Tasks that it waits for: those that were inside a call without memory.
    pub noted_tasks: Vec<TaskIndex>,
    /// Caches that it waits for.
    pub noted_caches: Vec<CacheIndex>,
    /// The grace period that it waits for within `kfree_rcu_mightsleep()`.
    pub waiting: Option<Cookie>,
    /// What it holds in its read-side critical section, if it is in one.
    pub reading: Option<ObjectIndex>,
    /// The requests up to which it flushes the batches of the CPU at the cursor.
    pub flush: Option<[u32; KFREE_N_BATCHES]>,
    /// Calls of `flush_rcu_work()` since it entered a destroy.
    pub flushed: u32,
}

impl Thread {
    pub(crate) fn on(cpu: Cpu) -> Thread {
        Thread { cpu, ..Thread::default() }
    }

    /// Whether it is in a read-side critical section.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }
}

impl Op {
    /// Whether it is one step with the op before it.
    fn follows(self, before: Op) -> bool {
        match self {
            Op::Leave(_)
            | Op::Finish(_)
            | Op::CpusReadUnlock
            | Op::Snap(_)
            | Op::Note(_)
            | Op::SkipUnlessQueued(..) => true,
            Op::Enter(_) => matches!(before, Op::DestroyEnter(_) | Op::Enter(_)),
            Op::DropReference(_) => matches!(before, Op::DestroyEnter(_)),
            Op::Look(..) => matches!(before, Op::DropReference(_)),
            Op::Release(_) | Op::ReleaseLater(_) => matches!(before, Op::Look(..) | Op::Finish(_)),
            Op::Unload(_) => !matches!(before, Op::Queue(_) | Op::Join(_)),
            _ => false,
        }
    }
}

fn barrier_kind(call: Call) -> (BarrierKind, Option<CacheIndex>) {
    match call {
        Call::RcuBarrier => (BarrierKind::Rcu, None),
        Call::KfreeRcuBarrier => (BarrierKind::Kvfree, None),
        Call::FreeBarrier(cache) => (BarrierKind::KvfreeOnCache, Some(cache)),
    }
}

impl Machine {
    pub(crate) fn task_indices(&self) -> impl Iterator<Item = TaskIndex> + use<> {
        (0..u16::try_from(self.tasks.len()).unwrap_or(u16::MAX)).map(TaskIndex)
    }

    pub(crate) fn task(&self, task: TaskIndex) -> &Thread {
        &self.tasks[usize::from(task.0)]
    }

    pub(crate) fn task_mut(&mut self, task: TaskIndex) -> &mut Thread {
        &mut self.tasks[usize::from(task.0)]
    }

    /// The op that a task is at.
    #[must_use]
    pub fn next_op(&self, task: TaskIndex) -> Option<Op> {
        self.op_at(task, self.task(task).next)
    }

    fn op_at(&self, task: TaskIndex, place: u32) -> Option<Op> {
        self.setup.tasks[usize::from(task.0)].program.get(place as usize).copied()
    }

    pub(crate) fn task_moves(&self, moves: &mut Vec<Move>) {
        for task in self.task_indices() {
            let Some(op) = self.next_op(task) else { continue };
            if !self.is_enabled(task, op) {
                continue;
            }
            let is_queueing = matches!(op, Op::Queue(_) | Op::QueueHeadless(_) | Op::CallRcu(_))
                && self.task(task).waiting.is_none();
            let pinned = self.setup.tasks[usize::from(task.0)].cpu;
            match pinned {
                None if is_queueing => moves.extend(self.online_cpus().map(|cpu| Move::Task(task, cpu))),
                _ => moves.push(Move::Task(task, self.callback_cpu(pinned.unwrap_or(self.task(task).cpu)))),
            }
        }
    }

    fn cursor(&self, task: TaskIndex) -> Cpu {
        Cpu(self.task(task).cursor)
    }

    pub(crate) fn is_enabled(&self, task: TaskIndex, op: Op) -> bool {
        let thread = self.task(task);
        let cursor = self.cursor(task);
        match op {
            Op::QueueHeadless(_) => thread.waiting.is_none_or(|cookie| self.grace.is_done(cookie)),
            Op::Join(other) => self.is_finished(other),
            Op::Take(lock) | Op::TakeAlways(lock) => !self.is_taken(lock),
            Op::AwaitCallbacks => self.barrier_callbacks == 0,
            Op::Offload => self.can_offload(cursor),
            Op::Drain => match thread.flush {
                None => !self.is_monitor_running(cursor),
                Some(requested) => self.are_flushed(cursor, requested),
            },
            Op::FlushWorks => thread.flush.is_none_or(|requested| self.are_flushed(cursor, requested)),
            Op::AwaitMonitors => self.cpu_numbers().all(|cpu| !self.is_monitor_running(cpu)),
            Op::SynchronizeSrcu => {
                thread.cursor == 0 || thread.noted_tasks.iter().all(|t| self.task(*t).waiting.is_none())
            }
            Op::CpusReadLock | Op::DropReference(_) => self.going_offline.is_none(),
            Op::AwaitNoted => thread.noted.iter().rev().all(|object| self.life(*object) == Life::Free),
            Op::AwaitLingering | Op::AwaitDestroyed(_) => {
                thread.cursor == 0 || thread.noted_caches.iter().all(|cache| self.is_settled(*cache))
            }
            _ => true,
        }
    }

    /// One step of a task.
    pub(crate) fn task_step(&mut self, task: TaskIndex, cpu: Cpu, seen: &mut Seen) {
        self.task_mut(task).cpu = cpu;
        let Some(mut before) = self.next_op(task) else { return };
        self.run(task, before, seen);
        while let Some(op) = self.next_op(task) {
            if self.task(task).cursor != 0 || !op.follows(before) || !self.is_enabled(task, op) {
                break;
            }
            // An op that is not through yet (a call that waits) is followed by nothing.
            if op == before {
                break;
            }
            self.run(task, op, seen);
            before = op;
        }
    }

    fn advance(&mut self, task: TaskIndex) {
        let thread = self.task_mut(task);
        thread.next += 1;
        thread.cursor = 0;
        thread.flush = None;
    }

    /// Goes on after the next op that `is_target`, or at the end.
    fn skip_past(&mut self, task: TaskIndex, is_target: impl Fn(Op) -> bool) {
        loop {
            let op = self.next_op(task);
            self.advance(task);
            if op.is_none_or(&is_target) {
                return;
            }
        }
    }

    /// An op that goes over all CPUs has done with the one at the cursor.
    fn next_cpu(&mut self, task: TaskIndex) {
        let cpus = self.setup.cpus;
        let thread = self.task_mut(task);
        thread.cursor += 1;
        thread.flush = None;
        if thread.cursor >= cpus {
            self.advance(task);
        }
    }

    fn run(&mut self, task: TaskIndex, op: Op, seen: &mut Seen) {
        let (number, cpu, cursor) = (Machine::task_number(task), self.task(task).cpu, self.cursor(task));
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
                    // A reader that finds nothing is of no interest to anybody.
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
            Op::Join(_) | Op::AwaitMonitors | Op::AwaitCallbacks => self.advance(task),
            Op::Unload(cache) => {
                self.say(seen, number, cpu, What::ModuleFreed { name: self.module_name(cache) });
                self.advance(task);
            }
            Op::Enter(call) => {
                let barrier = barrier_kind(call).0;
                let rcu_works_flushed = self.task(task).flushed;
                self.say(seen, number, cpu, What::BarrierBegin { barrier, rcu_works_flushed });
                self.advance(task);
            }
            Op::Leave(call) => {
                let (barrier, cache) = barrier_kind(call);
                let cache = cache.map(|cache| self.cache_address(cache));
                self.say(seen, number, cpu, What::BarrierEnd { barrier, cache });
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
            Op::Entrain => {
                self.entrain(cursor);
                self.next_cpu(task);
            }
            Op::Offload => {
                self.queue_batch(cursor);
                self.next_cpu(task);
            }
            Op::Drain | Op::FlushWorks => self.flush_works(task, op, cursor),
            Op::PassPagesToCallRcu => {
                self.pass_pages_to_call_rcu(cursor);
                self.next_cpu(task);
            }
            Op::SynchronizeSrcu => {
                let inside = self.task_indices().filter(|other| self.task(*other).waiting.is_some());
                let inside: Vec<TaskIndex> = inside.collect();
                if self.task(task).cursor == 0 && !inside.is_empty() {
                    let thread = self.task_mut(task);
                    thread.noted_tasks = inside;
                    thread.cursor = 1;
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
                if !self.cpu(cursor).offline {
                    self.flush_sheaves(cursor, cache);
                }
                self.next_cpu(task);
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
                let is_queued = self.cache(cache).queued > 0;
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
            Op::AwaitLingering => {
                let caches = self.lingering();
                self.await_caches(task, caches);
            }
            Op::AwaitDestroyed(cache) => self.await_caches(task, vec![cache]),
        }
    }

    /// The first time takes note of the caches, the second has seen them settled.
    fn await_caches(&mut self, task: TaskIndex, caches: Vec<CacheIndex>) {
        let is_first = self.task(task).cursor == 0;
        if is_first && !caches.iter().all(|cache| self.is_settled(*cache)) {
            let thread = self.task_mut(task);
            thread.noted_caches = caches;
            thread.cursor = 1;
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
        let text = self.object_setup(object).cache.map(|cache| self.module_name(cache));
        let what = What::CallbackQueued {
            object: self.object_address(object),
            cache: self.cache_address_of(object),
            text,
            site: crate::event::Site(0),
        };
        self.say(seen, number, cpu, what);
        self.set_life(object, Life::Queued);
        self.call_rcu(cpu, Duty::Module(object));
        self.say_returned(object, number, cpu, seen);
        self.advance(task);
    }

    fn flush_works(&mut self, task: TaskIndex, op: Op, cursor: Cpu) {
        if self.task(task).flush.is_some() {
            self.next_cpu(task);
            return;
        }
        if op == Op::Drain {
            self.cancel_monitor(cursor);
        }
        let requested = self.requests(cursor);
        let batches = u32::try_from(KFREE_N_BATCHES).unwrap_or(u32::MAX);
        self.task_mut(task).flushed += batches;
        if self.are_flushed(cursor, requested) {
            self.next_cpu(task);
        } else {
            self.task_mut(task).flush = Some(requested);
        }
    }

    /// The lock that a task waits for or has: whether two callers meet at it.
    #[must_use]
    pub fn waits_for_lock(&self, task: TaskIndex) -> Option<Lock> {
        match self.next_op(task) {
            Some(Op::Take(lock) | Op::TakeAlways(lock)) if self.is_taken(lock) => Some(lock),
            _ => None,
        }
    }

    /// Whether the next step of a task is to ride on another's operation.
    #[must_use]
    pub fn rides(&self, task: TaskIndex) -> bool {
        matches!(self.next_op(task), Some(Op::Take(lock)) if !self.is_taken(lock) && self.can_ride(task, lock))
    }
}
