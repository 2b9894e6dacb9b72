//! Losses: how many events went unseen in a run, by reason.

use serde::{Deserialize, Serialize};

/// Events that were lost or missed, by what the kernel's counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Losses {
    /// Events that found no room in the ring.
    pub ring_full: u64,
    /// Runs of a probe that the kernel skipped because it was running on that CPU already.
    pub probe_missed: u64,
    /// What a map of the probes had no room to remember.
    pub map_full: u64,
    /// Of all these, entries into `kmem_cache_destroy()`: each may be a cache without a verdict.
    pub destroys: u64,
}

impl Losses {
    /// The sum of all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        sum([self.ring_full, self.probe_missed, self.map_full])
    }
}

/// A sum of numbers that others said, and that may be any: it is at most the largest number.
pub fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}
