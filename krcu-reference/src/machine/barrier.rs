//! Barrier: which task waits for which.
//!
//! `rcu_barrier()` puts a callback behind the last one of each CPU that has callbacks, and waits for these.
//! So it waits for callbacks that were queued before. It starts no grace period, and it does not wait for
//! lists, which are not callbacks. Callers meet at a mutex. A caller need not do the work if another caller
//! has done a whole operation since its snapshot. The barriers for `kfree_rcu()` are made of the other steps
//! here.

use super::{
    CacheIndex, Life, Machine, ObjectIndex, TaskIndex,
    fault::Fault,
    op::Lock,
    parts::{Duty, Krw, Monitor},
    sequence::Sequence,
};
use krcu_model::event::Cpu;

impl Machine {
    pub(crate) fn sequence(&mut self, lock: Lock) -> &mut Sequence {
        match lock {
            Lock::RcuBarrier => &mut self.rcu_barrier,
            Lock::KfreeRcuBarrier => &mut self.kfree_rcu_barrier,
        }
    }

    pub(crate) fn owner(&mut self, lock: Lock) -> &mut Option<TaskIndex> {
        &mut self.lock_owners[lock as usize]
    }

    pub(crate) fn is_taken(&self, lock: Lock) -> bool {
        self.lock_owners[lock as usize].is_some()
    }

    /// `rcu_seq_snap()` of the operation behind a lock.
    pub(crate) fn snap(&mut self, task: TaskIndex, lock: Lock) {
        let half = self.has_fault(Fault::BarrierRidesHalf);
        let sequence = *self.sequence(lock);
        self.task_mut(task).cookies[lock as usize] =
            if half { sequence.half_a_snap() } else { sequence.snap() };
    }

    /// Whether a whole operation has been done since the snapshot.
    pub(crate) fn can_ride(&self, task: TaskIndex, lock: Lock) -> bool {
        let cookie = self.task(task).cookies[lock as usize];
        match lock {
            Lock::RcuBarrier => self.rcu_barrier.is_done(cookie),
            Lock::KfreeRcuBarrier => self.kfree_rcu_barrier.is_done(cookie),
        }
    }

    /// One CPU of `rcu_barrier()`: a callback behind its last one (`rcu_barrier_entrain()`).
    pub(crate) fn entrain(&mut self, cpu: Cpu) {
        if cpu != Cpu(0) && self.has_fault(Fault::BarrierOnOneCpu) {
            return;
        }
        self.barrier_callbacks += u16::from(self.follow_callbacks(cpu, Duty::Barrier));
    }

    /// One CPU of the document's walk. Pages that a worker has taken off are on no list, so the walk does not
    /// see them.
    pub(crate) fn pass_pages_to_call_rcu(&mut self, cpu: Cpu, of_batches: bool) {
        let krc = &mut self.cpu_mut(cpu).krc;
        let mut pages = std::mem::take(&mut krc.bulk).into_iter().flatten().collect::<Vec<_>>();
        let mut lists = std::mem::take(&mut krc.head);
        for krw in krc.krw.iter_mut().filter(|_| of_batches) {
            pages.extend(std::mem::take(&mut krw.pages).into_iter().flatten());
            lists.append(&mut krw.head);
        }
        let parts = pages.into_iter().map(|page| page.objects).chain(lists.into_iter().map(|o| vec![o]));
        for objects in parts {
            self.call_rcu(cpu, Duty::Page(objects));
        }
    }

    /// Whether `kvfree_rcu_queue_batch()` can do its work, or has none.
    pub(crate) fn can_offload(&self, cpu: Cpu) -> bool {
        let krc = &self.cpu(cpu).krc;
        !krc.has_queued() || krc.krw.iter().any(Krw::is_empty)
    }

    pub(crate) fn is_monitor_running(&self, cpu: Cpu) -> bool {
        matches!(self.cpu(cpu).krc.monitor, Monitor::Running(_))
    }

    /// Whether a barrier has to wait for what the shrinker has taken off this CPU's lists.
    pub(crate) fn is_shrinker_awaited(&self, cpu: Cpu) -> bool {
        let is_here = self.shrinker.as_ref().is_some_and(|(on, _)| *on == cpu);
        is_here && self.setup.generation.repairs.shrinker_is_awaited
    }

    /// `cancel_delayed_work_sync()` of a monitor that does not run.
    pub(crate) fn cancel_monitor(&mut self, cpu: Cpu) {
        self.cpu_mut(cpu).krc.monitor = Monitor::Idle;
        if self.setup.generation.repairs.monitor_is_kept && self.cpu(cpu).krc.has_queued() {
            self.arm_monitor(cpu);
        }
    }

    /// One CPU of `flush_rcu_sheaves_on_cache()`.
    pub(crate) fn flush_sheaves(&mut self, cpu: Cpu, cache: Option<CacheIndex>) {
        for index in (0..).map(CacheIndex).take(self.caches.len()) {
            if cache.is_none_or(|cache| cache == index) {
                self.detach_sheaf(cpu, index, cpu);
            }
        }
    }

    /// The objects of a cache that are queued now.
    pub(crate) fn queued_of(&self, cache: CacheIndex) -> Vec<ObjectIndex> {
        if self.cache(cache).queued == 0 {
            return Vec::new();
        }
        self.objects_of(cache).filter(|(_, life)| *life == Life::Queued).map(|(object, _)| object).collect()
    }
}
