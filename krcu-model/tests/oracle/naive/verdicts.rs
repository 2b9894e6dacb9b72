//! Verdicts: what each destroy should be said to be, by "The design".

use krcu_common::BarrierKind;
use krcu_model::{VerdictKind, event::What, state::Blind, verdict::Ordering};

use super::{Barrier, Callback, Deferred, Destroy, Expected, Free, Naive, Place};

impl Naive<'_> {
    /// Every destroy, in the order of their entry.
    pub(crate) fn expected(&self) -> Vec<Expected> {
        self.destroys.iter().map(|destroy| self.expect(destroy)).collect()
    }

    fn expect(&self, destroy: &Destroy) -> Expected {
        let life = destroy.life;
        let unknown = Expected {
            kind: VerdictKind::Inconclusive,
            queued_by_kfree_rcu: 0,
            leaked: None,
            undecided: 0,
            late_frees: 0,
            waited_for_own: 0,
            ordering: Ordering::Unknown,
        };
        let born = self.lives[life].created.map_or(self.watch.attached, |created| self.time(created));
        let has_loss = self.gaps().any(|(_, gap)| {
            gap.until >= born
                && destroy.end.is_none_or(|end| destroy.ended_unseen(self) || gap.from <= self.time(end))
        });
        let late_frees = self.late_frees(destroy);
        let unknown = Expected { late_frees, ..unknown };
        let Some(look) = destroy.look else {
            let is_alias = destroy.refcount != 1 && !has_loss;
            return Expected {
                kind: if is_alias { VerdictKind::Alias } else { VerdictKind::Inconclusive },
                ..unknown
            };
        };
        let end = destroy.end.unwrap_or(self.events.len());
        // A destroy that lingers has looked when it returns.
        let over = destroy.lingers.unwrap_or(end);
        let late_unknown = self.late_unknown(destroy);
        // What is queued during the look is pending as well.
        let is_queued_during =
            self.deferred.iter().any(|e| e.life == life && e.queued > look && e.queued < over);
        let counted_at = if is_queued_during && destroy.end.is_some() { over } else { look };
        let seen_pending = self.outstanding(life, counted_at) + self.being_freed(life, counted_at);
        let unknown = Expected { queued_by_kfree_rcu: seen_pending, ..unknown };
        let is_ever_queued = self.deferred.iter().any(|e| e.life == life && e.queued < over);
        match destroy.empty {
            None => return unknown,
            // A free that went unseen would make that of another object at its address look late.
            Some(_) if has_loss || (is_ever_queued && !self.sees(Blind::Frees)) => return unknown,
            Some(true) if late_frees > 0 => return Expected { kind: VerdictKind::LateFree, ..unknown },
            Some(_) => {}
        }
        let after = self.outstanding(life, end);
        if destroy.empty == Some(true) {
            if after > 0 {
                return Expected { kind: VerdictKind::ModelDisagrees, ..unknown };
            }
            return self.expect_emptied(destroy, look, over, &unknown);
        }
        if destroy.left.is_some_and(|left| after > left) {
            return Expected { kind: VerdictKind::ModelDisagrees, ..unknown };
        }
        let pending = seen_pending + late_unknown;
        let has_unknown_past = self.lives[life].created.is_none()
            || destroy.counted
            || !self.open_callbacks(destroy, look, over).is_empty()
            || !self.sees(Blind::Callbacks);
        let is_moving = self.being_freed(life, end) > 0 || is_queued_during;
        let (leaked, undecided) = match destroy.left {
            None => (None, u64::from(pending == 0 && has_unknown_past)),
            Some(left) => {
                let rest = left.saturating_sub(after + self.being_freed(life, end) + late_unknown);
                if rest > 0 && has_unknown_past { (None, rest) } else { ((!is_moving).then_some(rest), 0) }
            }
        };
        let kind = if pending > 0 {
            VerdictKind::Pending
        } else if undecided > 0 || (destroy.left.is_some() && leaked.is_none()) {
            VerdictKind::Inconclusive
        } else {
            VerdictKind::Leaked
        };
        Expected { kind, queued_by_kfree_rcu: pending, leaked, undecided, ..unknown }
    }

    /// Nothing was left: by order, or by luck?
    fn expect_emptied(&self, destroy: &Destroy, look: Place, over: Place, seen: &Expected) -> Expected {
        let life = destroy.life;
        let unknown = Expected { queued_by_kfree_rcu: 0, leaked: Some(0), ..seen.clone() };
        let is_ordered = |queued: Place| self.is_ordered(BarrierKind::Kvfree, destroy, queued, look);
        let of_life = |e: &&Deferred| {
            e.life == life
                && e.queued < over
                && !(e.within_call && e.freed.is_some_and(|freed| freed < over))
                && !(e.headless && e.replaced.is_some())
        };
        let unknown_frees = self.unknown_frees(life, 0, over);
        let has_luck = self.deferred.iter().filter(of_life).any(|entry| !is_ordered(entry.queued));
        // Queued before the probes: any barrier that was seen begins after that.
        let has_unknown_luck = unknown_frees > 0 && !self.has_any_barrier(destroy, look);
        let open = self.open_callbacks(destroy, look, over);
        let callbacks_prove = !open.is_empty() && self.sees(Blind::RcuBarrier);
        let frees_prove = (has_luck || has_unknown_luck) && self.sees(Blind::KvfreeBarrier);
        if callbacks_prove || frees_prove {
            return Expected { kind: VerdictKind::Unordered, ordering: Ordering::Unordered, ..unknown };
        }
        if !open.is_empty() || has_luck || has_unknown_luck {
            return Expected { kind: VerdictKind::Inconclusive, ..unknown };
        }
        let is_anything_deferred = unknown_frees > 0
            || self.deferred.iter().any(|entry| entry.life == life && entry.queued < over)
            || self.callbacks.iter().any(|callback| callback.life == life && callback.queued < over);
        let ordering = if is_anything_deferred { Ordering::Ordered } else { Ordering::NothingDeferred };
        let own = self.outstanding(life, destroy.begin)
            + self.being_freed(life, destroy.begin)
            + self.unknown_frees(life, destroy.begin, over);
        let is_inside = self.barriers.iter().any(|b| {
            b.task == destroy.task
                && b.begin > destroy.begin
                && b.end.is_some_and(|e| e < look)
                && b.is_for(life)
        }) || self.flushes_every_cpu(destroy);
        // Whether a callback would be open without what the destroy itself did.
        let waited_for_callbacks = !self.open_callbacks(destroy, destroy.begin, over).is_empty();
        if (is_inside && own > 0) || waited_for_callbacks {
            return Expected { kind: VerdictKind::Waited, waited_for_own: own, ordering, ..unknown };
        }
        let is_old = self.lives[life].created.is_none() || destroy.counted;
        let ordering = match ordering {
            Ordering::NothingDeferred if is_old => Ordering::Unknown,
            _ if is_old && !is_inside => Ordering::Unknown,
            ordering => ordering,
        };
        Expected { kind: VerdictKind::Clean, ordering, ..unknown }
    }

    /// Two flushed works for each CPU are what is seen of an inlined barrier.
    fn flushes_every_cpu(&self, destroy: &Destroy) -> bool {
        self.watch.possible_cpus > 0 && destroy.works_flushed >= 2 * self.watch.possible_cpus
    }

    /// Barriers that stand between `kfree_rcu()` or `call_rcu()` and the look of a destroy: those that
    /// returned before the destroy was called, and its own.
    fn standing(&self, kind: BarrierKind, destroy: &Destroy, look: Place) -> impl Iterator<Item = &Barrier> {
        let (task, begin, life) = (destroy.task, destroy.begin, destroy.life);
        self.barriers.iter().filter(move |barrier| {
            let is_before = |end: Place| end < begin || (barrier.task == task && end < look);
            let is_for_it = match kind {
                BarrierKind::Rcu => barrier.kind == BarrierKind::Rcu && !barrier.by_chance,
                BarrierKind::Kvfree | BarrierKind::KvfreeOnCache => barrier.is_for(life),
            };
            is_for_it && barrier.end.is_some_and(is_before)
        })
    }

    fn is_ordered(&self, kind: BarrierKind, destroy: &Destroy, queued: Place, look: Place) -> bool {
        self.standing(kind, destroy, look).any(|barrier| queued < barrier.begin)
            || (kind == BarrierKind::Kvfree && self.inlined(destroy).any(|other| queued < other.begin))
    }

    /// Destroys of the same cache with an inlined barrier that stands between: its own, and earlier ones.
    fn inlined(&self, destroy: &Destroy) -> impl Iterator<Item = &Destroy> {
        let (life, begin) = (destroy.life, destroy.begin);
        let is_before =
            move |other: &Destroy| other.begin == begin || other.look.is_some_and(|look| look < begin);
        self.destroys.iter().filter(move |d| d.life == life && is_before(d) && self.flushes_every_cpu(d))
    }

    fn has_any_barrier(&self, destroy: &Destroy, look: Place) -> bool {
        self.standing(BarrierKind::Kvfree, destroy, look).next().is_some()
            || self.inlined(destroy).next().is_some()
    }

    /// Callbacks of the cache that no `rcu_barrier()` orders before a place.
    fn open_callbacks(&self, destroy: &Destroy, before: Place, end: Place) -> Vec<&Callback> {
        let is_open = |callback: &&Callback| {
            callback.life == destroy.life
                && callback.queued < end
                && !self.is_ordered(BarrierKind::Rcu, destroy, callback.queued, before)
        };
        self.callbacks.iter().filter(is_open).collect()
    }

    /// The destroy that a free is late for: the last one whose look at the cache was over; where nobody
    /// was seen to look, the last one, once the cache is gone.
    fn is_late_for(&self, destroy: &Destroy, life: usize, freed: Place) -> bool {
        let of_life = || self.destroys.iter().filter(|d| d.life == life && d.begin < freed);
        let has_looked = |d: &&Destroy| d.look.is_some() && d.end.is_some_and(|end| end < freed);
        let looked = of_life().filter(has_looked).max_by_key(|d| d.end);
        let last = looked.or_else(|| of_life().next_back().filter(|_| self.is_gone(life, freed)));
        last.is_some_and(|last| last.begin == destroy.begin)
    }

    fn late_frees(&self, destroy: &Destroy) -> u64 {
        let is_late =
            |entry: &&Deferred| entry.freed.is_some_and(|freed| self.is_late_for(destroy, entry.life, freed));
        self.deferred.iter().filter(is_late).count() as u64 + self.late_unknown(destroy)
    }

    fn late_unknown(&self, destroy: &Destroy) -> u64 {
        let is_late = |f: &&Free| f.unknown && self.is_late_for(destroy, f.life, f.begin);
        self.frees.iter().filter(is_late).count() as u64
    }
}

impl Destroy {
    /// Whether only its cache's release tells that it has ended.
    fn ended_unseen(&self, naive: &Naive<'_>) -> bool {
        self.end.is_some_and(|end| !matches!(naive.events[end].what, What::ShutdownEnd { .. }))
    }
}
