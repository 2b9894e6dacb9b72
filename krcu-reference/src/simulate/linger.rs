//! Linger: what happens to caches whose destroy has returned, and what the shrinker does.

use super::{agenda::Due, measured::InputKind, run::Simulation};
use crate::machine::{CacheIndex, Move, cache::End, op::Batching};
use krcu_model::event::Cpu;

impl Simulation<'_> {
    /// The shrinker visits the CPUs. Before it visits the next, it waits until it has freed what it took off
    /// the last.
    pub(super) fn shrink(&mut self, from: Cpu) {
        for cpu in self.machine.cpu_numbers().skip(usize::from(from.0)) {
            if self.machine.shrinker.is_some() {
                self.shrinks_next = Some(cpu);
                return;
            }
            if self.machine.cpu(cpu).krc.has_queued() {
                self.machine.allow_shrink();
                self.apply(Move::Shrink(cpu), None);
            }
        }
    }

    pub(super) fn linger_look(&mut self, cache: CacheIndex) {
        self.looks[usize::from(cache.0)] = false;
        let End::Lingering { linger, .. } = self.machine.cache(cache).end else { return };
        if !self.machine.cache(cache).is_empty() {
            return;
        }
        self.apply(Move::LingerCheck(cache), self.accounts.exit_of_cache(cache));
        if self.machine.cache(cache).end == End::AwaitsWork {
            self.release_later(cache);
        } else if linger.for_rcu_barrier == Some(Batching::Each)
            && self.machine.setup.caches[usize::from(cache.0)].type_safe
        {
            self.barriers += 1;
        }
    }

    pub(super) fn linger_timer(&mut self, cache: CacheIndex) {
        let End::Lingering { linger, reported } = self.machine.cache(cache).end else { return };
        if self.machine.cache(cache).is_empty() {
            self.linger_look(cache);
            return;
        }
        // The clock does not know whether an object that is left has leaked or is still waiting for its grace
        // period.
        if linger.reports_late && !reported {
            self.apply(Move::LingerTimeout(cache), None);
        }
        if self.agenda.has_more() {
            self.set_linger_timer(cache);
        }
    }

    pub(super) fn set_linger_timer(&mut self, cache: CacheIndex) {
        let at = self.after(InputKind::LingerTimeout);
        self.agenda.put(at, Due::LingerTimer(cache));
    }

    /// The work item takes all caches that have come, and calls `rcu_barrier()` once for them.
    pub(super) fn release_work(&mut self) {
        self.release_due = false;
        let caches = std::mem::take(&mut self.to_release);
        self.barriers += 1;
        self.releasing.extend(caches.iter().copied());
        for cache in caches {
            self.apply(Move::ReleaseWork(cache), None);
        }
    }

    pub(super) fn release_later(&mut self, cache: CacheIndex) {
        if !self.to_release.contains(&cache) && !self.releasing.contains(&cache) {
            self.to_release.push_back(cache);
            self.poll_release();
        }
    }
}
