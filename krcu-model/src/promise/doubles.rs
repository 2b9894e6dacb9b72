//! Double frees: objects that were handed over to be freed while they were queued already.
//!
//! Of each it is kept between which two moments it was found, so that a loss which is known later takes
//! back what it could explain: a free that went unseen makes an address that is used again look like this.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, Gap, Time},
    state::{
        id::{CacheId, Mark},
        stack::StackId,
    },
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
    pub(crate) fn add(&mut self, double: Double) {
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
    pub(crate) fn proved(&self, gaps: &[Gap]) -> (u64, Vec<Double>) {
        let is_proved = |double: &Double| {
            !gaps.iter().any(|gap| {
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
