//! Hotplug: a CPU goes away, in the two steps that others can get between.
//!
//! `cpus_write_lock()` is held from the first to the second. First the CPU leaves the online ones and
//! its callbacks move to another's list (`rcutree_migrate_callbacks()`); then, in `slub_cpu_dead()`, its
//! sheaves are flushed. Its `krc` stays: monitors and batches run anywhere.
//!
//! Callbacks that move from a CPU where an `rcu_barrier()` in flight has not been yet to one where it
//! has been would be missed by it. So the move puts the barrier's callback behind them first.

use super::{
    CacheIndex, Machine, Move,
    fault::Fault,
    op::{Lock, Op},
};
use krcu_model::event::Cpu;

impl Machine {
    pub(crate) fn hotplug_moves(&self, moves: &mut Vec<Move>) {
        if let Some(cpu) = self.going_offline {
            moves.push(Move::Dead(cpu));
        } else if self.offline_left > 0 && self.cpus_readers == 0 && self.online_cpus().count() > 1 {
            moves.extend(self.online_cpus().map(Move::Offline));
        }
    }

    pub(crate) fn goes_offline(&mut self, cpu: Cpu) {
        self.offline_left -= 1;
        self.going_offline = Some(cpu);
        self.cpu_mut(cpu).offline = true;
        if self.has_fault(Fault::CallbacksStay) {
            return;
        }
        if self.barrier_comes_to(cpu) && !self.has_fault(Fault::MigrationForgetsBarrier) {
            self.entrain(cpu);
        }
        let callbacks = std::mem::take(&mut self.cpu_mut(cpu).callbacks);
        let heir = self.callback_cpu(cpu);
        self.cpu_mut(heir).callbacks.extend(callbacks);
    }

    /// Whether an `rcu_barrier()` in flight has not been at this CPU yet.
    fn barrier_comes_to(&self, cpu: Cpu) -> bool {
        let owner = self.lock_owners[Lock::RcuBarrier as usize];
        owner.is_some_and(|task| self.next_op(task) == Some(Op::Entrain) && !self.task(task).visited.has(cpu))
    }

    pub(crate) fn is_dead(&mut self, cpu: Cpu) {
        self.going_offline = None;
        if self.has_fault(Fault::SheavesStay) {
            return;
        }
        let heir = self.callback_cpu(cpu);
        for cache in (0..).map(CacheIndex).take(self.caches.len()) {
            self.detach_sheaf(cpu, cache, heir);
        }
    }
}
