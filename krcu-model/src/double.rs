//! Double frees: objects that were handed over to be freed while they were queued already.
//!
//! Of each it is kept between which two moments it was found, so that a loss which is known later takes
//! back what it could explain: a free that went unseen makes an address that is used again look like this.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, ObjectAddress, Time},
    stack::StackId,
    state::{Blind, CacheId, Mark, State},
};

/// Doubles of one cache that are kept one by one.
const KEPT: usize = 64;

/// An object that was handed over twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Double {
    /// When it was queued first, and where from.
    pub(crate) first: (Mark, StackId),
    /// When it was handed over once more, and where from, if that is told.
    pub(crate) second: (Mark, Option<StackId>),
}

/// Those of one cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubles {
    pub(crate) address: CacheAddress,
    pub(crate) known: Vec<Double>,
    /// Further ones, from the first queueing of any to the last.
    pub(crate) more: Option<(u64, Double)>,
}

impl Doubles {
    fn add(&mut self, double: Double) {
        if self.known.len() < KEPT {
            self.known.push(double);
            return;
        }
        let (number, all) = self.more.get_or_insert((0, double));
        *number += 1;
        all.first = all.first.min(double.first);
        all.second = all.second.max(double.second);
    }

    /// When the last of them was found.
    pub(crate) fn last(&self) -> Time {
        let all = self.known.iter().chain(self.more.as_ref().map(|(_, all)| all));
        all.map(|double| double.second.0.time).max().unwrap_or_default()
    }

    /// Those that no loss can explain: how many, and each of those that were kept.
    pub(crate) fn proved(&self, state: &State) -> (u64, Vec<Double>) {
        let is_proved = |double: &Double| {
            !state.gaps.iter().any(|gap| {
                gap.may_explain(Some(self.address), false, double.first.0.time)
                    && gap.from <= double.second.0.time
            })
        };
        let proved: Vec<Double> = self.known.iter().copied().filter(is_proved).collect();
        let more = self.more.filter(|(_, all)| is_proved(all)).map_or(0, |(number, _)| number);
        (proved.len() as u64 + more, proved)
    }
}

/// By the life of the cache.
pub(crate) type AllDoubles = BTreeMap<CacheId, Doubles>;

impl State {
    /// Objects of a cache's life that surely were handed over twice.
    pub(crate) fn queued_twice(&self, life: CacheId) -> u64 {
        self.doubles.get(&life).map_or(0, |doubles| doubles.proved(self).0)
    }

    /// An object was handed over again, `first` being what it was queued by before.
    pub(crate) fn keep_double(&mut self, address: CacheAddress, life: CacheId, double: Double) {
        let doubles = self.doubles.entry(life).or_default();
        doubles.address = address;
        doubles.add(double);
    }

    /// The callback that waits in an object.
    pub(crate) fn callback_in(
        &self,
        address: CacheAddress,
        object: ObjectAddress,
    ) -> Option<(Mark, StackId)> {
        let cache = self.caches.get(&address).filter(|cache| cache.callbacks_waiting > 0)?;
        let end = object.0.saturating_add(u64::from(cache.facts.object_size.max(1)));
        let mut inside = self.ledger.callbacks.range(object..ObjectAddress(end));
        let waiting = inside.find(|(_, waiting)| waiting.life == cache.id)?.1;
        Some((waiting.queued, waiting.stack))
    }

    /// The `kfree_rcu()` of the object that a head lies in.
    pub(crate) fn queued_around(
        &self,
        address: CacheAddress,
        head: ObjectAddress,
    ) -> Option<(Mark, StackId)> {
        let cache = self.caches.get(&address).filter(|cache| !cache.outstanding.is_empty())?;
        if self.watch.blind.contains(&Blind::Frees) {
            return None;
        }
        // Both lie at addresses that a pointer divides.
        let size = u64::from(cache.facts.object_size.max(1));
        let starts = (0..size).step_by(size_of::<u64>()).map_while(|offset| head.0.checked_sub(offset));
        let mut found = starts.filter_map(|start| cache.outstanding.get(ObjectAddress(start)));
        found.next().map(|entry| (entry.queued, entry.stack))
    }
}
