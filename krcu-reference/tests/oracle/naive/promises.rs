//! Promises: which of `barrier_covers` and `grace_period_kept` were broken, and for which caches.

use krcu_common::{BarrierKind, FreePath};
use krcu_model::{
    event::{Gap, Scope, Task, Time, What},
    promise::Promise,
    state::Blind,
};

use super::{Accusation, Barrier, Free, Naive, Place, lasts};

impl Naive<'_> {
    /// Every promise that was broken, once for each cache.
    pub(crate) fn accusations(&self) -> Vec<Accusation> {
        let mut single = Vec::new();
        for barrier in &self.barriers {
            let Some(end) = barrier.end else { continue };
            let mut missed = self.missed(barrier, end);
            let running = self.still_being_freed(barrier.task, barrier.begin, end);
            missed.extend(running.into_iter().filter(|(life, _)| barrier.is_for(*life)));
            for (life, queued) in missed {
                single.push((Promise::BarrierCovers, life, self.time(end), self.time(queued)));
            }
        }
        // The barrier that a destroy inlines ends when the destroy looks at its slabs.
        for destroy in self.destroys.iter().filter(|destroy| self.flushes_every_cpu(destroy)) {
            let Some(look) = destroy.look else { continue };
            for (life, queued) in self.still_being_freed(destroy.task, destroy.begin, look) {
                single.push((Promise::BarrierCovers, life, self.time(look), self.time(queued)));
            }
        }
        for (life, queued, freed) in self.frees_with_a_grace_period_to_wait_for() {
            let can_tell = self.can_tell(Promise::GracePeriodKept, life, queued, freed);
            if can_tell && !self.has_grace_period(queued, freed) {
                single.push((Promise::GracePeriodKept, life, self.time(freed), self.time(queued)));
            }
        }
        for (life, freed) in &self.torn_away {
            single.push((Promise::GracePeriodKept, *life, self.time(*freed), self.time(*freed)));
        }
        let mut merged: Vec<Accusation> = Vec::new();
        for (promise, life, at, oldest) in single {
            match merged.iter_mut().find(|known| known.promise == promise && known.life == Some(life)) {
                Some(known) => {
                    known.at = known.at.min(at);
                    known.oldest = known.oldest.min(oldest);
                }
                None => {
                    let address = Some(self.lives[life].address);
                    merged.push(Accusation { promise, address, at, oldest, life: Some(life), proved: true });
                }
            }
        }
        for known in &mut merged {
            known.proved = !self.gaps().any(|(_, gap)| {
                gap.from <= known.at && self.hides(gap, known.promise, known.life, known.oldest)
            });
        }
        merged.sort();
        merged
    }

    /// Whether everything was seen, as far as is known at a place, that would show that a promise was kept
    /// for an object that was queued then.
    pub(crate) fn can_tell(&self, promise: Promise, life: usize, queued: Place, now: Place) -> bool {
        (promise != Promise::GracePeriodKept || self.sees(Blind::Grace))
            && !self
                .gaps()
                .any(|(place, gap)| place < now && self.hides(gap, promise, Some(life), self.time(queued)))
    }

    /// Whether a loss can be about what would show it.
    pub(super) fn hides(&self, gap: &Gap, promise: Promise, life: Option<usize>, queued: Time) -> bool {
        let is_about = match gap.scope {
            Scope::Everything | Scope::Freeing | Scope::Barriers => true,
            Scope::Cache(address) => life.is_some_and(|life| self.lives[life].address == address),
            Scope::Grace => promise == Promise::GracePeriodKept,
            Scope::Queueing => false,
        };
        is_about && gap.until >= queued
    }

    /// Objects that a barrier surely covers and that were still queued when it returned: the cache, and when
    /// the object was queued.
    fn missed(&self, barrier: &Barrier, end: Place) -> Vec<(usize, Place)> {
        let is_covered = |queued: Place, returned: Option<Place>| {
            (self.events[queued].task == barrier.task && queued < barrier.begin)
                || returned.is_some_and(|returned| returned < barrier.begin)
        };
        let mut missed = Vec::new();
        if barrier.kind == BarrierKind::Rcu {
            if !self.sees(Blind::CallbackRuns) {
                return missed;
            }
            for callback in self.callbacks.iter().filter(|c| lasts(c.queued, c.ran.or(c.replaced), end)) {
                if is_covered(callback.queued, callback.returned.filter(|returned| *returned < end)) {
                    missed.push((callback.life, callback.queued));
                }
            }
        } else if self.sees(Blind::Frees) {
            for entry in self.deferred.iter().filter(|e| lasts(e.queued, e.freed.or(e.replaced), end)) {
                // If the kernel has given a cache back, it is not certain what happened to its objects.
                let is_for_it = barrier.is_for(entry.life) && !self.is_gone(entry.life, end);
                if is_for_it && is_covered(entry.queued, entry.returned) {
                    missed.push((entry.life, entry.queued));
                }
            }
        }
        missed.retain(|(life, queued)| self.can_tell(Promise::BarrierCovers, *life, *queued, end));
        missed
    }

    /// Objects whose array was still being freed at the end of a barrier of this task, as the later return of
    /// that call shows: the cache, and when the object was queued. The task had queued the object before the
    /// barrier began, so the barrier surely covers it.
    fn still_being_freed(&self, task: Task, begin: Place, end: Place) -> Vec<(usize, Place)> {
        let is_running = |free: &&Free| {
            free.path == FreePath::Bulk
                && free.begin < end
                && free.returned.is_some_and(|returned| returned > end)
                && !self.is_gone(free.life, end)
        };
        let frees = self.frees.iter().filter(|free| self.sees(Blind::Frees) && is_running(free));
        let queued = |free: &Free| self.deferred.iter().find(|entry| entry.freed == Some(free.begin));
        let covered = frees.filter_map(|free| Some((free.life, queued(free)?.queued)));
        covered.filter(|(_, queued)| self.events[*queued].task == task && *queued < begin).collect()
    }

    /// Frees that must come a grace period after the queueing: the cache, the queueing, the free.
    pub(crate) fn frees_with_a_grace_period_to_wait_for(&self) -> Vec<(usize, Place, Place)> {
        let deferred = self.deferred.iter().filter_map(|entry| {
            let freed =
                entry.freed.filter(|freed| !entry.within_call && !self.is_gone(entry.life, *freed))?;
            Some((entry.life, entry.queued, freed))
        });
        let callbacks = self.callbacks.iter().filter(|_| self.sees(Blind::CallbackRuns));
        deferred.chain(callbacks.filter_map(|c| Some((c.life, c.queued, c.ran?)))).collect()
    }

    /// Whether a full grace period lies between two places.
    pub(crate) fn has_grace_period(&self, queued: Place, freed: Place) -> bool {
        let mut begun = None;
        for place in queued + 1..freed {
            match &self.events[place].what {
                // An expedited grace period was in flight between its two events.
                What::GraceBegin { expedited: true } | What::GraceEnd { expedited: true } => return true,
                What::GraceBegin { expedited: false } => begun = Some(place),
                What::GraceEnd { expedited: false } if begun.is_some() => return true,
                _ => {}
            }
        }
        false
    }
}
