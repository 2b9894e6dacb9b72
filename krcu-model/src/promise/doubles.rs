//! Double frees: objects that were queued once more, or freed, while they were queued already.
//!
//! For each double it keeps the two moments between which it happened. A loss between them can explain it: if
//! a free was not seen and the address was used again, the events look the same. So a loss that becomes known
//! later withdraws the double.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, Gap, Time},
    state::{
        id::{CacheId, Mark},
        stack::StackId,
    },
};

/// How many doubles of one cache are kept one by one.
const KEPT: usize = 64;

/// An object that was handed over twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Double {
    /// When it was queued first, and the stack of that call.
    pub(crate) first: (Mark, StackId),
    /// When it was handed over once more, and the stack of that call if it is known.
    pub(crate) second: (Mark, Option<StackId>),
}

/// The doubles of one cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubles {
    pub(crate) address: CacheAddress,
    pub(crate) known: Vec<Double>,
    /// The number of further doubles, and the time from the first queueing of any of them to the last.
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

    /// The doubles that no loss can explain: their number, and those that were kept one by one.
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

/// All doubles, by the life of the cache.
pub(crate) type AllDoubles = BTreeMap<CacheId, Doubles>;
