//! Task: a thread and the step that it takes next.
//!
//! A step is one [`Op`], and with it those that follow and that nobody else could tell apart from it:
//! the return from a wait, an unlock, the snapshot at the entry of a call.

use super::{
    CacheIndex, Life, Machine, Move, ObjectIndex, Seen, TaskIndex,
    facts::KFREE_N_BATCHES,
    fault::Fault,
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
    /// The CPUs at which an op that goes over all of them, in any order, has been.
    pub visited: CpuSet,
    /// Whether it has noted what its op waits for.
    pub has_noted: bool,
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
    /// The CPU whose batches it flushes, and the requests up to which.
    pub flush: Option<(Cpu, [u32; KFREE_N_BATCHES])>,
    /// Calls of `flush_rcu_work()` since it entered a destroy.
    pub flushed: u32,
}

/// Some CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuSet(u128);

impl CpuSet {
    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, cpu: Cpu) -> bool {
        1u128.checked_shl(u32::from(cpu.0)).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, cpu: Cpu) {
        self.0 |= 1u128.checked_shl(u32::from(cpu.0)).unwrap_or(0);
    }
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
    /// Whether it has a turn for each CPU. Their order means nothing to it.
    #[must_use]
    pub fn goes_over_all(self) -> bool {
        matches!(
            self,
            Op::Entrain
                | Op::Offload
                | Op::Hurry
                | Op::Drain
                | Op::FlushWorks
                | Op::PassPagesToCallRcu { .. }
                | Op::FlushSheaves(_)
        )
    }

    /// Whether it is one step with the op before it.
    fn follows(self, before: Op) -> bool {
        match self {
            Op::Leave(_)
            | Op::DestructionAwaited(_)
            | Op::Finish(_)
            | Op::CpusReadUnlock
            | Op::CountFromZero
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
            if op.goes_over_all() {
                moves.extend(self.turns(task, op).map(|cpu| Move::Task(task, cpu)));
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

    /// The CPUs at which an op that goes over all of them can be next.
    fn turns(&self, task: TaskIndex, op: Op) -> impl Iterator<Item = Cpu> + '_ {
        let thread = self.task(task);
        self.cpu_numbers().filter(move |cpu| match thread.flush {
            Some((at, requested)) => at == *cpu && self.are_flushed(at, requested),
            None if thread.visited.has(*cpu) => false,
            None => match op {
                Op::Offload | Op::Hurry => self.can_offload(*cpu),
                Op::Drain => !self.is_monitor_running(*cpu),
                _ => true,
            },
        })
    }

    pub(crate) fn is_enabled(&self, task: TaskIndex, op: Op) -> bool {
        let thread = self.task(task);
        match op {
            Op::QueueHeadless(_) => thread.waiting.is_none_or(|cookie| self.grace.is_done(cookie)),
            Op::Join(other) => self.is_finished(other),
            Op::Take(lock) | Op::TakeAlways(lock) => !self.is_taken(lock),
            Op::AwaitCallbacks => self.barrier_callbacks == 0,
            _ if op.goes_over_all() => self.turns(task, op).next().is_some(),
            Op::AwaitMonitors => self.cpu_numbers().all(|cpu| !self.is_monitor_running(cpu)),
            Op::SynchronizeSrcu => {
                !thread.has_noted || thread.noted_tasks.iter().all(|t| self.task(*t).waiting.is_none())
            }
            Op::CpusReadLock | Op::DropReference(_) => self.going_offline.is_none(),
            Op::AwaitNoted => thread.noted.iter().rev().all(|object| self.life(*object) == Life::Free),
            Op::AwaitLingering | Op::AwaitDestroyed(_) => {
                !thread.has_noted || thread.noted_caches.iter().all(|cache| self.is_settled(*cache))
            }
            _ => true,
        }
    }

    /// One step of a task.
    pub(crate) fn task_step(&mut self, task: TaskIndex, cpu: Cpu, seen: &mut Seen) {
        let Some(mut before) = self.next_op(task) else { return };
        if !before.goes_over_all() {
            self.task_mut(task).cpu = cpu;
        }
        self.run(task, before, cpu, seen);
        while let Some(op) = self.next_op(task) {
            if !op.follows(before) || !self.is_enabled(task, op) {
                break;
            }
            // An op that is not through yet (a call that waits) is followed by nothing.
            if op == before {
                break;
            }
            self.run(task, op, self.task(task).cpu, seen);
            before = op;
        }
    }

    fn advance(&mut self, task: TaskIndex) {
        let thread = self.task_mut(task);
        thread.next += 1;
        thread.visited = CpuSet::default();
        thread.has_noted = false;
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

    /// An op that goes over all CPUs has done with this one.
    fn has_visited(&mut self, task: TaskIndex, cpu: Cpu) {
        let thread = self.task_mut(task);
        thread.visited.add(cpu);
        thread.flush = None;
        let visited = thread.visited;
        if self.cpu_numbers().all(|cpu| visited.has(cpu)) {
            self.advance(task);
        }
    }

    /// Runs one op, on a CPU or about it.
    fn run(&mut self, task: TaskIndex, op: Op, cpu: Cpu, seen: &mut Seen) {
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

    /// The first time takes note of the caches, the second has seen them settled.
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
        let text = self.object_setup(object).owner.map(|cache| self.module_name(cache));
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

    /// The lock that a task waits for or has: whether two callers meet at it.
    #[must_use]
    pub fn waits_for_lock(&self, task: TaskIndex) -> Option<Lock> {
        match self.next_op(task) {
            Some(Op::Take(lock) | Op::TakeAlways(lock)) if self.is_taken(lock) => Some(lock),
            _ => None,
        }
    }

    /// Where a task that is in the middle of an op that goes over all CPUs can go on.
    #[must_use]
    pub fn next_turn(&self, task: TaskIndex) -> Option<Cpu> {
        let thread = self.task(task);
        let op = self.next_op(task).filter(|op| op.goes_over_all())?;
        let is_between = !thread.visited.is_empty() && thread.flush.is_none();
        is_between.then(|| self.turns(task, op).next()).flatten()
    }

    /// Whether the next step of a task is to ride on another's operation.
    #[must_use]
    pub fn rides(&self, task: TaskIndex) -> bool {
        matches!(self.next_op(task), Some(Op::Take(lock)) if !self.is_taken(lock) && self.can_ride(task, lock))
    }
}
