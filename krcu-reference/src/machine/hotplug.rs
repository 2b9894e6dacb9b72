//! Hotplug: a CPU goes away in two steps, and other moves can come between them.
//!
//! `cpus_write_lock()` is held from the first step to the second. First the CPU is no longer online, and its
//! callbacks move to the list of another CPU (`rcutree_migrate_callbacks()`). Then `slub_cpu_dead()` flushes
//! its sheaves. Its `krc` stays: monitors and batches can run anywhere. A CPU that comes back finds it as it is.
//!
//! An `rcu_barrier()` in flight would miss callbacks that move from a CPU that it has not visited yet to one
//! that it has visited. So the move first puts the barrier's callback behind them.

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
        if self.online_left > 0 && self.cpus_readers == 0 && self.going_offline.is_none() {
            moves.extend(self.cpu_numbers().filter(|cpu| self.cpu(*cpu).offline).map(Move::Online));
        }
    }

    pub(crate) fn comes_back(&mut self, cpu: Cpu) {
        self.online_left -= 1;
        self.cpu_mut(cpu).offline = false;
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

    /// Whether an `rcu_barrier()` in flight has not visited this CPU yet.
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
