//! Batch: how queued objects come to wait for a grace period together.
//!
//! Some time after the first object is queued, the monitor of that CPU runs. Where pages carry cookies, it
//! frees at once the pages whose grace period has passed. It puts the rest into one of two batches, if one is
//! empty, and gives the batch to `queue_rcu_work()`: a callback, and after its grace period a worker. If both
//! batches are full, the monitor runs again later. A batch counts as empty as soon as the worker has taken
//! its lists off, while the worker is still freeing what was on them.

use super::{
    Machine, Move, Reclaimer,
    facts::KFREE_N_BATCHES,
    fault::Fault,
    parts::{Callback, Duty, Krw, Monitor, Page, Taken, Work},
};
use krcu_model::event::Cpu;

impl Machine {
    pub(crate) fn batch_moves(&self, cpu: Cpu, moves: &mut Vec<Move>) {
        let krc = &self.cpu(cpu).krc;
        match &krc.monitor {
            Monitor::Idle => {}
            Monitor::Armed { .. } => moves.push(Move::Monitor(cpu)),
            Monitor::Running(_) => moves.push(Move::Free(Reclaimer::Monitor(cpu))),
        }
        for (slot, krw) in (0..).zip(&krc.krw) {
            if krw.running.is_some() {
                moves.push(Move::Free(Reclaimer::Work(cpu, slot)));
            } else if krw.work == Work::Ready {
                moves.push(Move::Work(cpu, slot));
            }
        }
        if krc.fill {
            moves.push(Move::FillPages(cpu));
        }
        if self.pressure && self.shrinks_left > 0 && self.shrinker.is_none() && krc.has_queued() {
            moves.push(Move::Shrink(cpu));
        }
    }

    /// `schedule_delayed_monitor_work()`: can make the time sooner, but not later.
    pub(crate) fn arm_monitor(&mut self, cpu: Cpu) {
        let entries = self.setup.sizes.bulk_entries;
        let krc = &mut self.cpu_mut(cpu).krc;
        let soon = krc.queued() >= entries;
        match &mut krc.monitor {
            Monitor::Idle => krc.monitor = Monitor::Armed { soon },
            Monitor::Armed { soon: already } => *already |= soon,
            // It is queued again while it runs: before it ends, it looks whether anything is left.
            Monitor::Running(_) => {}
        }
    }

    /// `kfree_rcu_monitor()` as a work item.
    pub(crate) fn monitor_runs(&mut self, cpu: Cpu) {
        let ready = self.drain_ready(cpu);
        if ready.parts.is_empty() {
            self.monitor_ends(cpu);
        } else {
            self.cpu_mut(cpu).krc.monitor = Monitor::Running(ready);
        }
    }

    /// The end of the monitor, after it has freed what was ready.
    pub(crate) fn monitor_ends(&mut self, cpu: Cpu) {
        self.cpu_mut(cpu).krc.monitor = Monitor::Idle;
        self.queue_batch(cpu);
        if self.cpu(cpu).krc.has_queued() && !self.has_fault(Fault::MonitorNotRearmed) {
            self.arm_monitor(cpu);
        }
    }

    /// Whether a CPU's lists hold anything whose grace period has passed.
    #[cfg(feature = "check")]
    pub(crate) fn has_ready(&self, cpu: Cpu) -> bool {
        let krc = &self.cpu(cpu).krc;
        self.setup.generation.pages_have_cookies
            && (krc
                .bulk
                .iter()
                .any(|pages| pages.first().is_some_and(|page| self.grace.is_done(page.cookie)))
                || (!krc.head.is_empty() && self.grace.is_done(krc.head_cookie)))
    }

    /// `kvfree_rcu_drain_ready()`: takes off what has had its grace period, the oldest pages first.
    pub(crate) fn drain_ready(&mut self, cpu: Cpu) -> Taken {
        if !self.setup.generation.pages_have_cookies {
            return Taken::default();
        }
        let grace = self.grace;
        let krc = &mut self.cpu_mut(cpu).krc;
        let pages = krc.bulk.each_mut().map(|channel| {
            let ready = channel.iter().take_while(|page| grace.is_done(page.cookie)).count();
            channel.drain(..ready).collect::<Vec<Page>>()
        });
        let head = if grace.is_done(krc.head_cookie) { std::mem::take(&mut krc.head) } else { Vec::new() };
        Taken::of(pages, head)
    }

    /// `kvfree_rcu_queue_batch()`: puts everything into the first empty batch. Returns whether there was one.
    pub(crate) fn queue_batch(&mut self, cpu: Cpu) -> bool {
        let krc = &mut self.cpu_mut(cpu).krc;
        if !krc.has_queued() {
            return false;
        }
        let Some(slot) = krc.krw.iter().position(Krw::is_empty) else { return false };
        let (pages, head) = (std::mem::take(&mut krc.bulk), std::mem::take(&mut krc.head));
        krc.krw[slot].put(pages, head);
        self.queue_rcu_work(cpu, slot);
        true
    }

    /// `queue_rcu_work()`: does nothing while the work is pending.
    fn queue_rcu_work(&mut self, cpu: Cpu, slot: usize) {
        let at_once = self.has_fault(Fault::WorkWithoutGrace);
        let krw = &mut self.cpu_mut(cpu).krc.krw[slot];
        if krw.work != Work::Idle {
            return;
        }
        krw.requested += 1;
        if at_once {
            krw.work = Work::Ready;
            return;
        }
        krw.work = Work::Waiting;
        let cookie = self.ask();
        let slot = u8::try_from(slot).unwrap_or(u8::MAX);
        let on = self.callback_cpu(cpu);
        self.cpu_mut(on).callbacks.push_back(Callback { duty: Duty::Work(cpu, slot), cookie });
    }

    /// `kfree_rcu_work()` begins: takes the lists off its batch.
    pub(crate) fn work_runs(&mut self, cpu: Cpu, slot: u8) {
        let krw = &mut self.cpu_mut(cpu).krc.krw[usize::from(slot)];
        krw.work = Work::Idle;
        let freeing = Taken::of(std::mem::take(&mut krw.pages), std::mem::take(&mut krw.head));
        if freeing.parts.is_empty() {
            krw.finished += 1;
        } else {
            krw.running = Some(freeing);
        }
    }

    /// The shrinker empties a page cache and calls the monitor of a CPU, not as a work item.
    pub(crate) fn shrink(&mut self, cpu: Cpu) {
        self.shrinks_left -= 1;
        self.cpu_mut(cpu).krc.cached_pages = 0;
        let ready = self.drain_ready(cpu);
        if ready.parts.is_empty() {
            self.queue_batch(cpu);
        } else {
            self.shrinker = Some((cpu, ready));
        }
    }

    /// Whether the batches of a CPU are flushed up to these counts of requests.
    pub(crate) fn are_flushed(&self, cpu: Cpu, requested: [u32; KFREE_N_BATCHES]) -> bool {
        let skips_pending = self.has_fault(Fault::FlushSkipsPending);
        self.cpu(cpu).krc.krw.iter().zip(requested).all(|(krw, requested)| {
            if skips_pending { krw.running.is_none() } else { krw.is_flushed(requested) }
        })
    }

    /// How often the work of each batch of a CPU has been queued.
    pub(crate) fn requests(&self, cpu: Cpu) -> [u32; KFREE_N_BATCHES] {
        self.cpu(cpu).krc.krw.each_ref().map(|krw| krw.requested)
    }
}
