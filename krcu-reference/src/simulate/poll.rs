//! Poll: which moves are due after the last move, and when.

use super::{agenda::Due, measured::InputKind, run::Simulation};
use crate::machine::{
    Reclaimer,
    cache::End,
    facts::KFREE_N_BATCHES,
    parts::{Monitor, Work},
};
use krcu_model::event::{Cpu, Time};

/// What the agenda has for a CPU.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuPlan {
    /// Whether its monitor's delay is the short one, and when the delay ends.
    pub(super) armed: Option<(bool, Time)>,
    /// The batches whose worker is about to begin.
    pub(super) works: [bool; KFREE_N_BATCHES],
    /// The batches whose worker is freeing.
    pub(super) work_frees: [bool; KFREE_N_BATCHES],
    /// Whether its monitor frees what it found ready.
    pub(super) monitor_frees: bool,
    /// Whether its page cache is about to be filled.
    pub(super) fills: bool,
    /// Whether a callback runs.
    pub(super) calls: bool,
    /// Whether a callback has just ended.
    pub(super) in_softirq: bool,
}

impl Simulation<'_> {
    /// Puts on the agenda what has become due. After a plain queueing call, no waiting task can go on.
    pub(super) fn poll(&mut self, lets_go_on: bool) {
        self.poll_grace();
        for cpu in self.machine.cpu_numbers() {
            self.poll_monitor(cpu);
            self.poll_batches(cpu);
            self.poll_callbacks(cpu);
        }
        self.poll_shrinker();
        self.poll_touched();
        self.poll_release();
        if lets_go_on {
            self.poll_blocked();
        }
    }

    /// The same after something was queued on a CPU, which changes nothing elsewhere.
    pub(super) fn poll_queued(&mut self, cpu: Cpu) {
        self.poll_grace();
        self.poll_monitor(cpu);
        self.poll_batches(cpu);
    }

    fn poll_grace(&mut self) {
        let grace = self.machine.grace;
        if !self.begins_grace && !grace.is_in_flight() && !grace.is_done(self.accounts.asked()) {
            self.begins_grace = true;
            let follows = self.grace_ended == Some(self.now);
            let at = if follows { self.now } else { self.after(InputKind::GraceStart) };
            self.agenda.put_last(at, Due::GraceBegin);
        }
    }

    fn poll_monitor(&mut self, cpu: Cpu) {
        let place = usize::from(cpu.0);
        let armed = self.cpus[place].armed;
        match &self.machine.cpu(cpu).krc.monitor {
            Monitor::Idle => self.cpus[place].armed = None,
            Monitor::Armed { soon } => {
                let soon = *soon;
                if armed.is_some_and(|(already, _)| already || !soon) {
                    return;
                }
                let at = self.after(if soon { InputKind::FullPageDrain } else { InputKind::Drain });
                // The time can become sooner, but not later.
                let at = armed.map_or(at, |(_, before)| before.min(at));
                self.cpus[place].armed = Some((soon, at));
                if armed.is_none_or(|(_, before)| before != at) {
                    self.agenda.put(at, Due::Monitor(cpu));
                }
            }
            Monitor::Running(ready) => {
                self.cpus[place].armed = None;
                if !std::mem::replace(&mut self.cpus[place].monitor_frees, true) {
                    let objects = ready.next_objects();
                    self.frees(Reclaimer::Monitor(cpu), objects);
                }
            }
        }
    }

    fn poll_batches(&mut self, cpu: Cpu) {
        let place = usize::from(cpu.0);
        for slot in 0..KFREE_N_BATCHES {
            let krw = &self.machine.cpu(cpu).krc.krw[slot];
            let number = u8::try_from(slot).unwrap_or(u8::MAX);
            if let Some(running) = &krw.running {
                if !std::mem::replace(&mut self.cpus[place].work_frees[slot], true) {
                    let objects = running.next_objects();
                    self.frees(Reclaimer::Work(cpu, number), objects);
                }
            } else if krw.work == Work::Ready && !std::mem::replace(&mut self.cpus[place].works[slot], true) {
                let at = self.after(InputKind::WorkerDelay);
                self.agenda.put(at, Due::Work(cpu, number));
            }
        }
        if self.machine.cpu(cpu).krc.fill && !std::mem::replace(&mut self.cpus[place].fills, true) {
            let at = self.after(InputKind::WorkerDelay);
            self.agenda.put(at, Due::FillPages(cpu));
        }
    }

    fn poll_callbacks(&mut self, cpu: Cpu) {
        let place = usize::from(cpu.0);
        if self.cpus[place].calls {
            return;
        }
        let follows = std::mem::take(&mut self.cpus[place].in_softirq);
        let Some(objects) = self.machine.next_callback(cpu) else { return };
        let begins = if follows { self.now } else { self.after(InputKind::SoftirqDelay) };
        self.cpus[place].calls = true;
        let ends = begins.0.saturating_add(self.cost_ns(objects));
        self.agenda.put(Time(ends), Due::Callback(cpu));
    }

    fn poll_shrinker(&mut self) {
        let Some((_, freeing)) = self.machine.shrinker.as_ref().filter(|_| !self.shrinker_frees) else {
            return;
        };
        let objects = freeing.next_objects();
        self.shrinker_frees = true;
        self.frees(Reclaimer::Shrinker, objects);
    }

    /// Lingering caches whose last object was freed.
    fn poll_touched(&mut self) {
        for cache in std::mem::take(&mut self.touched) {
            let ended = self.machine.cache(cache);
            let End::Lingering { linger, .. } = ended.end else { continue };
            // A cache that lingers only for rcu_barrier() needs no check.
            let had_none = self.accounts.objects_of(cache) == 0;
            if ended.is_empty()
                && (linger.early_checks || had_none)
                && !std::mem::replace(&mut self.looks[usize::from(cache.0)], true)
            {
                self.agenda.put(self.now, Due::LingerLook(cache));
            }
        }
    }

    /// The work item never runs twice at the same time.
    pub(super) fn poll_release(&mut self) {
        if !self.release_due && self.releasing.is_empty() && !self.to_release.is_empty() {
            self.release_due = true;
            let at = self.after(InputKind::WorkerDelay);
            self.agenda.put(at, Due::ReleaseWork);
        }
    }

    fn poll_blocked(&mut self) {
        let mut blocked = std::mem::take(&mut self.blocked);
        blocked.retain(|task| {
            self.machine.forget_done(*task);
            let can_step = self.machine.can_step(*task);
            if can_step {
                self.agenda.put(self.now, Due::Task(*task));
            }
            !can_step
        });
        self.blocked = blocked;
    }

    /// A call that frees this many objects ends when each has taken its time.
    fn frees(&mut self, freer: Reclaimer, objects: usize) {
        let at = Time(self.now.0.saturating_add(self.cost_ns(objects)));
        self.agenda.put(at, Due::Free(freer));
    }

    fn cost_ns(&mut self, objects: usize) -> u64 {
        if objects == 0 {
            return 0;
        }
        let each_ns = self.dice.draw(InputKind::Free).unwrap_or(0);
        each_ns.saturating_mul(objects as u64)
    }
}
