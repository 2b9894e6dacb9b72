//! Grace: grace periods, the readers that they wait for, and callbacks that wait for them.
//!
//! There is one grace period at a time. It begins when one is needed, and ends when every reader that was in
//! a read-side critical section at its beginning has left it. The callbacks of a CPU run in the order in
//! which they were queued there. A callback runs at any time after its grace period has ended.

use krcu_common::FreePath;

use super::{
    Machine, Move, Seen,
    fault::Fault,
    parts::{Callback, Duty, Krc, Page},
    sequence::Cookie,
};
use krcu_model::event::{Cpu, Task, What};

/// The number by which events name the softirq of CPU 0.
pub(super) const SOFTIRQ: u32 = 500;

impl Machine {
    pub(crate) fn grace_moves(&self, moves: &mut Vec<Move>) {
        if self.grace.is_in_flight() {
            if self.blocking_readers.is_empty() || self.has_fault(Fault::GraceIgnoresReaders) {
                moves.push(Move::GraceEnd);
            }
        } else if self.needs_grace() {
            moves.push(Move::GraceBegin);
        }
    }

    /// Whether a grace period is needed. Polling a cookie does not start one, but another request may.
    fn needs_grace(&self) -> bool {
        let is_open = |cookie: Cookie| !self.grace.is_done(cookie);
        let are_open = |pages: &[Vec<Page>]| pages.iter().flatten().any(|page| is_open(page.cookie));
        let is_polled = |krc: &Krc| are_open(&krc.bulk) || (!krc.head.is_empty() && is_open(krc.head_cookie));
        self.tasks.iter().any(|task| task.waiting.is_some_and(is_open))
            || self.cpus.iter().any(|cpu| cpu.callbacks.iter().any(|callback| is_open(callback.cookie)))
            || (self.setup.disturbances.others_graces && self.cpus.iter().any(|cpu| is_polled(&cpu.krc)))
    }

    pub(crate) fn grace_begins(&mut self, seen: &mut Seen) {
        self.grace.begin();
        self.blocking_readers = self.task_indices().filter(|task| self.task(*task).is_reading()).collect();
        self.say(seen, Task(0), Cpu(0), What::GraceBegin { expedited: false });
    }

    pub(crate) fn grace_ends(&mut self, seen: &mut Seen) {
        self.grace.end();
        self.blocking_readers.clear();
        self.say(seen, Task(0), Cpu(0), What::GraceEnd { expedited: false });
    }

    /// The CPU that takes a callback that is queued here: the same one while it is online.
    pub(crate) fn callback_cpu(&self, cpu: Cpu) -> Cpu {
        if self.cpu(cpu).offline { self.online_cpus().next().unwrap_or(cpu) } else { cpu }
    }

    /// `call_rcu()`.
    pub(crate) fn call_rcu(&mut self, cpu: Cpu, duty: Duty) {
        let (cookie, cpu) = (self.ask(), self.callback_cpu(cpu));
        self.cpu_mut(cpu).callbacks.push_back(Callback { duty, cookie });
    }

    /// Puts a callback behind the last one of a CPU. Returns whether there was one. The callback needs no
    /// grace period of its own, and if the CPU has no callback, there is nothing to wait for.
    pub(crate) fn follow_callbacks(&mut self, cpu: Cpu, duty: Duty) -> bool {
        let callbacks = &mut self.cpu_mut(cpu).callbacks;
        let Some(cookie) = callbacks.back().map(|last| last.cookie) else { return false };
        callbacks.push_back(Callback { duty, cookie });
        true
    }

    /// The oldest callback of a CPU runs.
    pub(crate) fn invoke_callback(&mut self, cpu: Cpu, seen: &mut Seen) {
        let Some(callback) = self.cpu_mut(cpu).callbacks.pop_front() else { return };
        let task = Machine::softirq_number(cpu);
        match callback.duty {
            Duty::Module(object) => {
                let owner = self.object_setup(object).owner.filter(|_| !self.telling.only_ends);
                let module = owner.map(|cache| self.module_name(cache));
                let what = What::CallbackRan { object: self.object_address(object), text: module };
                self.say(seen, task, cpu, what);
                self.set_life(object, super::Life::Free);
            }
            Duty::Work(of, slot) => {
                self.cpu_mut(of).krc.krw[usize::from(slot)].work = super::parts::Work::Ready;
            }
            Duty::Sheaf(_, objects) => self.free_whole(&objects, FreePath::Sheaf, task, cpu, seen),
            Duty::Page(objects) => self.free_whole(&objects, FreePath::Bulk, task, cpu, seen),
            Duty::Barrier => self.barrier_callbacks = self.barrier_callbacks.saturating_sub(1),
            Duty::Slabs(cache) => {
                self.say(seen, task, cpu, What::SlabsFreed { cache: self.cache_address(cache) });
            }
            Duty::Release(cache) => self.release_callback(cache, task, cpu, seen),
        }
    }
}
