//! Forget: drops what a watch that runs for weeks does not need any more.
//!
//! A destroy is forgotten once its final verdict was reported. Everything else that grows with time has a
//! bound. A bound can only make more verdicts inconclusive: losses are merged into longer ones, never
//! dropped.

use std::collections::BTreeSet;

use crate::{
    event::{Gap, Scope},
    state::{
        State,
        id::{CacheId, DestroyId},
    },
    verdict::{accuse, kind::VerdictKind},
};

/// The number of losses that are kept one by one. If there are more, the older half is merged.
const MOST_GAPS: usize = 512;
/// The number of caches whose losses are merged separately. With more caches, they become losses of
/// everything.
const MOST_CACHES: usize = 64;
/// The number of tasks whose unfinished barriers are kept. If there are more, the ends of the oldest count as
/// lost.
const MOST_WAITING: usize = 4096;

impl State {
    /// Forgets the accusations about a cache if every destroy of that cache is about to be forgotten by
    /// [`State::forget_destroys`]. Returns the kinds of these accusations, so that the caller can count them.
    /// They are final, like the verdicts of those destroys: a later loss changes neither.
    pub fn forget_accusations(&mut self, before: DestroyId, open: &BTreeSet<DestroyId>) -> Vec<VerdictKind> {
        let Some(oldest) = self.destroy(before).map(|destroy| destroy.begin.time) else {
            return Vec::new();
        };
        let stays = |id: &DestroyId| *id >= before || open.contains(id);
        let alive = self.caches.values().filter(|cache| cache.failed.as_ref().is_none_or(stays));
        let destroyed = self.destroys().filter(|destroy| stays(&destroy.id));
        let known: BTreeSet<CacheId> =
            alive.map(|cache| cache.life.id).chain(destroyed.map(|destroy| destroy.life.id)).collect();
        accuse::forget(self, |life, at| at < oldest && !known.contains(&life))
    }

    /// Forgets the destroys before `before`, except those in `open`, and everything that belongs only to
    /// them.
    pub fn forget_destroys(&mut self, before: DestroyId, open: &BTreeSet<DestroyId>) {
        self.destroys.retain(|id, _| *id >= before || open.contains(id));
        let known = &self.destroys;
        let is_known = |id: &DestroyId| known.contains_key(id);
        let orphans = self.orphans.len();
        self.orphans.retain(|_, id| is_known(id));
        self.outstanding -= (orphans - self.orphans.len()) as u64;
        self.open_destroys.retain(|_, id| is_known(id));
        for ids in self.unattributed.values_mut() {
            ids.retain(is_known);
        }
        self.unattributed.retain(|_, ids| !ids.is_empty());
        for waiting in self.ledger.callbacks.values_mut().chain(self.ledger.works.values_mut()) {
            waiting.late_for = waiting.late_for.filter(is_known);
        }
        let mut given_up = 0;
        self.caches.retain(|_, cache| {
            let is_over = cache.failed.is_some_and(|id| !is_known(&id));
            if is_over {
                // The kernel keeps this cache for ever, and nobody can use it.
                given_up += cache.outstanding.len();
            }
            cache.looking = cache.looking.filter(is_known);
            cache.looked = cache.looked.filter(is_known);
            !is_over
        });
        self.outstanding -= given_up;
        let alive: BTreeSet<CacheId> = self.caches.values().map(|cache| cache.life.id).collect();
        self.ledger.suspicions.retain(|(_, found)| found.cache.is_some_and(|life| alive.contains(&life)));
        if !self.tells_all() {
            // Only events that no probe sees need the progress of a cache's end.
            self.ledger.ends.retain(|address, _| self.caches.contains_key(address));
        }
        self.forget_barriers();
        self.merge_gaps();
    }

    /// Forgets the oldest open barriers: those whose end was lost would otherwise stay for ever.
    fn forget_barriers(&mut self) {
        self.open_barriers.retain(|_, open| !open.is_empty());
        while self.open_barriers.len() > MOST_WAITING {
            let began = |open: &Vec<crate::state::OpenBarrier>| open.first().map(|barrier| barrier.begin);
            let oldest = self.open_barriers.iter().min_by_key(|(_, open)| began(open)).map(|(task, _)| *task);
            let Some(oldest) = oldest else { break };
            self.open_barriers.remove(&oldest);
        }
    }

    /// Merges gaps: fewer gaps cover the same losses, and also the time between them.
    fn merge_gaps(&mut self) {
        if self.gaps.len() <= MOST_GAPS {
            return;
        }
        let newer = self.gaps.split_off(MOST_GAPS / 2);
        let caches: BTreeSet<Scope> =
            self.gaps.iter().map(|gap| gap.scope).filter(|scope| matches!(scope, Scope::Cache(_))).collect();
        let mut merged: Vec<Gap> = Vec::new();
        for mut gap in std::mem::take(&mut self.gaps) {
            if caches.len() > MOST_CACHES && matches!(gap.scope, Scope::Cache(_)) {
                gap.scope = Scope::Everything;
            }
            let same = |known: &&mut Gap| (known.reason, known.scope) == (gap.reason, gap.scope);
            match merged.iter_mut().find(same) {
                Some(known) => {
                    known.events = known.events.saturating_add(gap.events);
                    known.from = known.from.min(gap.from);
                    known.until = known.until.max(gap.until);
                    known.programs.append(&mut gap.programs);
                    known.programs.sort_unstable();
                    known.programs.dedup();
                }
                None => merged.push(gap),
            }
        }
        self.gaps = merged;
        self.gaps.extend(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{CacheAddress, LossReason, Task, Time},
        state::{Blind, Born, Cache, Watch},
    };

    fn gap(from: u64, scope: Scope) -> Gap {
        let (from, until) = (Time(from), Time(from + 1));
        Gap {
            reason: LossReason::RingFull,
            events: 1,
            from,
            until,
            scope,
            programs: vec!["queued".to_owned()],
        }
    }

    #[test]
    fn how_far_the_ends_of_caches_were_is_not_kept_for_a_watch_that_is_never_asked() {
        for (blind, kept) in [(vec![Blind::Inside], 1), (Vec::new(), 2)] {
            let mut state = State::new(Watch { blind, ..Watch::default() });
            let [alive, gone] = [1, 2].map(CacheAddress);
            let facts = crate::event::CacheFacts::default();
            let cache = Cache::new(CacheId(0), facts, Born::BeforeAttach);
            state.caches.insert(alive, Box::new(cache));
            for address in [alive, gone] {
                state.ledger.ends.entry(address).or_default().looked_by = Some(Task(1));
            }
            state.forget_destroys(DestroyId(0), &BTreeSet::new());
            assert_eq!(state.ledger.ends.len(), kept);
            assert!(state.ledger.ends.contains_key(&alive));
        }
    }

    #[test]
    fn merged_losses_cover_all_that_they_are_of_and_lose_no_count() {
        for caches in [2, 1000] {
            let mut state = State::default();
            for time in 0..10_000 {
                let scope = match time % 3 {
                    0 => Scope::Everything,
                    1 => Scope::Grace,
                    _ => Scope::Cache(CacheAddress(time % caches)),
                };
                let single = gap(time, scope);
                state.gaps.push(single.clone());
                state.merge_gaps();
                assert!(state.gaps.len() <= MOST_GAPS, "{}", state.gaps.len());
                let covers = |known: &Gap| {
                    known.from <= single.from
                        && known.until >= single.until
                        && (known.scope == single.scope || known.scope == Scope::Everything)
                };
                assert!(state.gaps.iter().any(covers));
            }
            assert_eq!(state.gaps.iter().map(|gap| gap.events).sum::<u64>(), 10_000);
            for time in (2..10_000).step_by(3) {
                let of_cache = |known: &&Gap| {
                    known.scope == Scope::Everything
                        || known.scope == Scope::Cache(CacheAddress(time % caches))
                };
                let covers = |known: &Gap| known.from <= Time(time) && known.until > Time(time);
                assert!(state.gaps.iter().filter(of_cache).any(covers), "{time}");
            }
        }
    }
}
