//! Due: what a simulation asks a machine between two moves. Each question takes constant time.
//!
//! [`Machine::moves`] looks at the whole machine, which is fine for the checker's small machines. A
//! simulation knows what the last move may have changed, and asks about that only.

use super::{
    CacheIndex, Life, Machine, ObjectIndex, TaskIndex,
    op::Op,
    parts::{Callback, Duty, Taken},
    sequence::Cookie,
};
use krcu_model::event::{CacheAddress, Cpu, Task};

impl Machine {
    /// Whether a task can take its next step.
    pub(crate) fn can_step(&self, task: TaskIndex) -> bool {
        self.next_op(task).is_some_and(|op| self.is_enabled(task, op))
    }

    /// Whether a task is about to flush the lists or the sheaves of the first CPU.
    pub(crate) fn begins_to_flush(&self, task: TaskIndex) -> bool {
        let flushes = |op| matches!(op, Op::FlushSheaves(_) | Op::Offload | Op::PassPagesToCallRcu { .. });
        self.next_op(task).is_some_and(flushes) && self.task(task).visited.is_empty()
    }

    /// The CPU of a task's next step: the one that it runs on, or, for an op that visits all CPUs, the one
    /// that it visits.
    pub(crate) fn next_cpu(&self, task: TaskIndex) -> Cpu {
        let turn = self.next_op(task).filter(|op| op.goes_over_all());
        turn.and_then(|op| self.turns(task, op).next()).unwrap_or(self.task(task).cpu)
    }

    /// Removes finished entries from the end of a task's list of things to wait for. The list is a set, so
    /// its order does not matter.
    pub(crate) fn forget_done(&mut self, task: TaskIndex) {
        let last = |machine: &Machine| machine.task(task).noted.last().copied();
        while last(self).is_some_and(|object| self.life(object) == Life::Free) {
            self.task_mut(task).noted.pop();
        }
        let last = |machine: &Machine| machine.task(task).noted_caches.last().copied();
        while last(self).is_some_and(|cache| self.is_settled(cache)) {
            self.task_mut(task).noted_caches.pop();
        }
    }

    /// Whether the grace period in flight may end: every reader of its beginning has left.
    pub(crate) fn can_end_grace(&self) -> bool {
        self.grace.is_in_flight() && self.blocking_readers.is_empty()
    }

    /// The number of objects that the next callback of a CPU frees, if it may run.
    pub(crate) fn next_callback(&self, cpu: Cpu) -> Option<usize> {
        let first = self.cpu(cpu).callbacks.front().filter(|first| self.grace.is_done(first.cookie))?;
        Some(match &first.duty {
            Duty::Module(_) => 1,
            Duty::Sheaf(_, objects) | Duty::Page(objects) => objects.len(),
            Duty::Work(..) | Duty::Barrier | Duty::Slabs(_) | Duty::Release(_) => 0,
        })
    }

    /// A callback that frees nothing here, and whose grace period the machine does not know.
    pub(crate) fn put_unseen(&mut self, cpu: Cpu) {
        let callback = Callback { duty: Duty::Page(Vec::new()), cookie: Cookie(u32::MAX) };
        self.cpu_mut(cpu).callbacks.push_back(callback);
    }

    /// The grace period of such callbacks of a CPU, and of what follows them, has ended.
    pub(crate) fn unseen_is_ready(&mut self, cpu: Cpu) {
        let callbacks = self.cpu_mut(cpu).callbacks.iter_mut();
        callbacks.filter(|one| one.cookie == Cookie(u32::MAX)).for_each(|one| one.cookie = Cookie::default());
    }

    /// Tells a machine that memory is short, or no longer short.
    pub(crate) fn set_pressure(&mut self, is_short: bool) {
        self.pressure = is_short;
    }

    /// Lets the shrinker call one more monitor.
    pub(crate) fn allow_shrink(&mut self) {
        self.shrinks_left = self.shrinks_left.saturating_add(1);
    }

    /// A queueing call from its entry to its return, without a task: by `kfree_rcu()` or by `call_rcu()`. Nobody
    /// is told.
    pub(crate) fn queue_untold(&mut self, object: ObjectIndex, cpu: Cpu, by_callback: bool) {
        if by_callback {
            self.set_life(object, Life::Queued);
            self.call_rcu(cpu, Duty::Module(object));
        } else {
            let _ = self.put(object, Task(0), cpu, false, &mut Vec::new());
        }
    }

    /// The cache with this address in events; `None` for memory that belongs to no cache.
    pub(crate) fn cache_at(address: CacheAddress) -> Option<CacheIndex> {
        u16::try_from(address.0.checked_sub(1)?).ok().map(CacheIndex)
    }
}

impl Taken {
    /// The number of objects that the next call frees.
    pub(crate) fn next_objects(&self) -> usize {
        self.parts.front().map_or(0, |part| part.objects.len())
    }
}
