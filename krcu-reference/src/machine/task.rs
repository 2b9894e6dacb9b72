//! Task: a thread and the step that it takes next.
//!
//! A step is one [`Op`], together with the following ops that no other task can tell apart from it: the
//! return from a wait, an unlock, the snapshot at the entry of a call.

use super::{
    CacheIndex, Life, Machine, Move, ObjectIndex, Seen, TaskIndex,
    facts::KFREE_N_BATCHES,
    op::{Lock, Op},
    sequence::Cookie,
};
use krcu_model::event::Cpu;

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its next op.
    pub next: u32,
    /// The CPU that it last ran on.
    pub cpu: Cpu,
    /// The CPUs that an op over all CPUs has visited, in any order.
    pub visited: CpuSet,
    /// Whether it has noted what its op waits for.
    pub has_noted: bool,
    /// Its snapshots, by lock.
    pub cookies: [Cookie; 2],
    /// Objects that it waits for.
    pub noted: Vec<ObjectIndex>,
    /// Tasks that it waits for: those that were inside a call that found no memory.
    pub noted_tasks: Vec<TaskIndex>,
    /// Caches that it waits for.
    pub noted_caches: Vec<CacheIndex>,
    /// The grace period that it waits for within `kfree_rcu_mightsleep()`.
    pub waiting: Option<Cookie>,
    /// What it holds in its read-side critical section, if it is in one.
    pub reading: Option<ObjectIndex>,
    /// The CPU whose batches it flushes, and up to which requests.
    pub flush: Option<(Cpu, [u32; KFREE_N_BATCHES])>,
    /// Calls of `flush_rcu_work()` since it entered a destroy.
    pub flushed: u32,
}

/// Some CPUs, of any number. The first 128 need no memory of their own, so that a small machine is cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    first: u128,
    /// The words after the first, up to the last that has a CPU.
    more: Vec<u128>,
}

impl CpuSet {
    /// Whether this one is among them.
    #[must_use]
    pub fn has(&self, cpu: Cpu) -> bool {
        let (word, bit) = place(cpu);
        let word = if word == 0 { Some(&self.first) } else { self.more.get(word - 1) };
        word.is_some_and(|word| word & bit != 0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.more.is_empty()
    }

    /// How many there are.
    fn len(&self) -> u32 {
        self.first.count_ones() + self.more.iter().map(|word| word.count_ones()).sum::<u32>()
    }

    fn add(&mut self, cpu: Cpu) {
        let (word, bit) = place(cpu);
        if word == 0 {
            self.first |= bit;
            return;
        }
        if self.more.len() < word {
            self.more.resize(word, 0);
        }
        self.more[word - 1] |= bit;
    }
}

/// The word of a CPU, and its bit there.
fn place(cpu: Cpu) -> (usize, u128) {
    (usize::from(cpu.0) / 128, 1 << (cpu.0 % 128))
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
    /// Whether it visits all CPUs, in any order.
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

    /// The next op of a task.
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

    /// The CPUs that an op over all CPUs can visit next.
    pub(super) fn turns(&self, task: TaskIndex, op: Op) -> impl Iterator<Item = Cpu> + '_ {
        let thread = self.task(task);
        self.cpu_numbers().filter(move |cpu| match thread.flush {
            Some((at, requested)) => at == *cpu && self.are_flushed(at, requested),
            None if thread.visited.has(*cpu) => false,
            None => match op {
                Op::Offload | Op::Hurry => self.can_offload(*cpu),
                Op::Drain => !self.is_monitor_running(*cpu) && !self.is_shrinker_awaited(*cpu),
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
            Op::AwaitShrinker => self.shrinker.is_none(),
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
            // An op that has not finished (a call that waits) has nothing after it.
            if op == before {
                break;
            }
            self.run(task, op, self.task(task).cpu, seen);
            before = op;
        }
    }

    pub(super) fn advance(&mut self, task: TaskIndex) {
        let thread = self.task_mut(task);
        thread.next += 1;
        thread.visited = CpuSet::default();
        thread.has_noted = false;
        thread.flush = None;
    }

    /// Goes on after the next op that `is_target`, or at the end of the program.
    pub(super) fn skip_past(&mut self, task: TaskIndex, is_target: impl Fn(Op) -> bool) {
        loop {
            let op = self.next_op(task);
            self.advance(task);
            if op.is_none_or(&is_target) {
                return;
            }
        }
    }

    /// Notes that an op over all CPUs has visited this one.
    pub(super) fn has_visited(&mut self, task: TaskIndex, cpu: Cpu) {
        let thread = &mut self.tasks[usize::from(task.0)];
        thread.visited.add(cpu);
        thread.flush = None;
        if thread.visited.len() == u32::from(self.setup.cpus) {
            self.advance(task);
        }
    }

    /// The lock that a task waits for or holds; two callers with the same lock meet there.
    #[must_use]
    pub fn waits_for_lock(&self, task: TaskIndex) -> Option<Lock> {
        match self.next_op(task) {
            Some(Op::Take(lock) | Op::TakeAlways(lock)) if self.is_taken(lock) => Some(lock),
            _ => None,
        }
    }

    /// The CPU on which a task in the middle of an op over all CPUs can continue.
    #[must_use]
    pub fn next_turn(&self, task: TaskIndex) -> Option<Cpu> {
        let thread = self.task(task);
        let op = self.next_op(task).filter(|op| op.goes_over_all())?;
        let is_between = !thread.visited.is_empty() && thread.flush.is_none();
        is_between.then(|| self.turns(task, op).next()).flatten()
    }

    /// Whether a task's next step is to ride on another caller's operation.
    #[must_use]
    pub fn rides(&self, task: TaskIndex) -> bool {
        let Some(Op::Take(lock)) = self.next_op(task) else { return false };
        !self.is_taken(lock) && self.can_ride(task, lock)
    }
}
