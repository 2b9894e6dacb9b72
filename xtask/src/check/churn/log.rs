//! The kernel's log of a churn, as `/dev/kmsg` gives it: what it says of caches, whether it is whole, and how its clock stands
//! to krcu's.
//!
//! A record is `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`. Records have consecutive numbers, so a missing one is noticed, and
//! one that was read twice is known by its number. The clock is the kernel's `local_clock()`. krcu's is `CLOCK_MONOTONIC`,
//! which stands still when the other does, but may have begun earlier or later. The test machine writes
//! `krcu-churn: clock SECONDS` with the seconds of `/proc/uptime`, which is `CLOCK_MONOTONIC` as long as a machine does not
//! sleep: the difference of the two in such a record is the difference of the clocks.

use std::collections::BTreeMap;

/// The kernel found objects in a cache that is being destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    /// When, in microseconds of the log's clock.
    pub(super) at_us: i64,
    /// The cache.
    pub(super) cache: String,
    /// The whole text.
    pub(super) text: String,
}

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KernelLog {
    /// What the kernel reported, in the order of time.
    pub(super) warnings: Vec<Warning>,
    /// Records that nobody read: the last number before them, and the first one after them.
    pub(super) gaps: Vec<(u64, u64)>,
    /// What is to be added to a microsecond of krcu's to have one of the log's; none if the log does not tell.
    pub(super) offset_us: Option<i64>,
}

const DESTROY: &str = "kmem_cache_destroy ";
const HAS_OBJECTS: &str = ": Slab cache still has objects";
const CLOCK: &str = "krcu-churn: clock ";

impl KernelLog {
    /// Reads records. Lines that begin with a space belong to the record before them.
    pub(super) fn read(text: &str) -> Self {
        let records: BTreeMap<u64, (i64, &str)> = text.lines().filter_map(record).collect();
        let mut log = Self::default();
        let numbers: Vec<u64> = records.keys().copied().collect();
        for pair in numbers.windows(2) {
            if let [before, after] = pair
                && before + 1 != *after
            {
                log.gaps.push((*before, *after));
            }
        }
        let mut offsets = Vec::new();
        for (at_us, text) in records.into_values() {
            if let Some((_, rest)) = text.split_once(DESTROY)
                && let Some((cache, _)) = rest.split_once(HAS_OBJECTS)
            {
                log.warnings.push(Warning { at_us, cache: cache.to_owned(), text: text.to_owned() });
            }
            offsets
                .extend(text.strip_prefix(CLOCK).and_then(microseconds).map(|uptime_us| at_us - uptime_us));
        }
        // A record may be late, since the machine did something else between the two, and is never early.
        log.offset_us = offsets.into_iter().min();
        log
    }
}

fn record(line: &str) -> Option<(u64, (i64, &str))> {
    let (head, text) = line.split_once(';')?;
    let mut fields = head.split(',');
    let _priority: u32 = fields.next()?.parse().ok()?;
    let number = fields.next()?.parse().ok()?;
    Some((number, (fields.next()?.parse().ok()?, text)))
}

/// `12.34` seconds in microseconds.
fn microseconds(text: &str) -> Option<i64> {
    let (seconds, hundredths) = text.trim().split_once('.')?;
    let (seconds, hundredths): (i64, i64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    Some(seconds * 1_000_000 + hundredths * 10_000)
}
