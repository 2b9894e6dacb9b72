//! Histogram: counts waits by their length, as totals.

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets, in nanoseconds: 100 µs to 20 s.
pub const BOUNDS_NS: [u64; 16] = [
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    15_000_000_000,
    20_000_000_000,
];

/// Waits by their length. Buckets are cumulative, as in OpenMetrics: each counts the waits that took at most
/// its bound. The last bucket has no bound; it is [`Histogram::count`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The number of waits.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub sum_ns: u64,
    /// The longest, in nanoseconds.
    pub longest_ns: u64,
    /// One bucket for each of [`BOUNDS_NS`].
    pub buckets: [u64; BOUNDS_NS.len()],
}

impl Histogram {
    /// Adds a wait.
    pub fn add(&mut self, wait_ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(wait_ns);
        self.longest_ns = self.longest_ns.max(wait_ns);
        for (bucket, bound_ns) in self.buckets.iter_mut().zip(BOUNDS_NS) {
            *bucket += u64::from(wait_ns <= bound_ns);
        }
    }

    /// The number of waits between the previous bound and each bound; the last number is of the waits longer
    /// than all bounds.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        let mut before = 0;
        let all = self.buckets.iter().chain([&self.count]);
        all.map(|bucket| bucket.saturating_sub(std::mem::replace(&mut before, *bucket))).collect()
    }
}
