//! Heat: quantiles of waits, from counts by class, and their map by kernel and day.

use std::collections::{BTreeMap, BTreeSet};

use krcu_analysis::fleet::class::{class_of, largest_of};

use crate::ask::answer::Answer;

/// How many waits there are of each class, by which versions of krcu they were seen, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    counts: BTreeMap<i64, u64>,
    krcu: BTreeSet<String>,
    utc_ns: BTreeSet<i64>,
}

impl Classes {
    /// So many more of a class.
    pub(super) fn add(&mut self, class: i64, count: u64) {
        *self.counts.entry(class).or_default() += count;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The versions of krcu.
    pub(super) fn krcu(&self) -> String {
        let versions: Vec<&str> = self.krcu.iter().map(String::as_str).collect();
        versions.join(", ")
    }

    /// The first of them and the last, where their time is known.
    pub(super) fn moments(&self) -> [Option<i64>; 2] {
        [self.utc_ns.first().copied(), self.utc_ns.last().copied()]
    }

    /// The span that so many of a thousand do not exceed, as the largest one of its class; none without a wait.
    pub(super) fn quantile_ns(&self, of_thousand: u64) -> Option<u64> {
        let needed = (self.count() * of_thousand).div_ceil(1000).max(1);
        let mut reached = 0;
        self.counts.iter().find_map(|(class, count)| {
            reached += count;
            (reached >= needed).then(|| largest_of(*class))
        })
    }
}

/// Waits by what these columns say.
pub(super) fn waits<'a>(answer: &'a Answer, keys: &[&str]) -> BTreeMap<Vec<&'a str>, Classes> {
    let mut waits: BTreeMap<Vec<&str>, Classes> = BTreeMap::new();
    for row in answer.rows() {
        let (Some(class), Some(count)) = (row.number("wait_class"), row.number("waits")) else { continue };
        let key = keys.iter().map(|key| row.text(key)).collect();
        let classes = waits.entry(key).or_default();
        classes.add(class, u64::try_from(count).unwrap_or(0));
        classes.krcu.extend(["krcu_least", "krcu_most"].map(|name| row.text(name).to_owned()));
        classes.utc_ns.extend(["first_utc_ns", "last_utc_ns"].iter().filter_map(|name| row.number(name)));
    }
    waits
}

/// What 99 of 100 waits of a day do not exceed, and how hot that is, of 100; none of a day without a wait.
pub(super) type Cell = Option<(u64, i64)>;

/// The map.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Map {
    /// The days, the earliest first.
    pub(super) days: Vec<String>,
    /// Each kernel with a cell for each day.
    pub(super) kernels: Vec<(String, Vec<Cell>)>,
}

/// The map of these waits, which are by day.
pub(super) fn map(by_day: &Answer) -> Map {
    let waits = waits(by_day, &["kernel", "utc_day"]);
    let part = |key: &[&str], place: usize| key.get(place).map(|text| (*text).to_owned()).unwrap_or_default();
    let days: BTreeSet<String> = waits.keys().map(|key| part(key, 1)).collect();
    let kernels: BTreeSet<String> = waits.keys().map(|key| part(key, 0)).collect();
    let hottest =
        waits.values().filter_map(|classes| classes.quantile_ns(990)).map(class_of).max().unwrap_or(0);
    let cell = |kernel: &str, day: &str| {
        let span = waits.get(&vec![kernel, day])?.quantile_ns(990)?;
        Some((span, class_of(span) * 100 / hottest.max(1)))
    };
    let row = |kernel: String| {
        let cells = days.iter().map(|day| cell(&kernel, day)).collect();
        (kernel, cells)
    };
    Map { kernels: kernels.into_iter().map(row).collect(), days: days.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_counts() {
        let mut classes = Classes::default();
        assert_eq!(classes.quantile_ns(500), None);
        // 100 waits: 98 of 5 ns, 1 of 1000 ns, 1 of 5000 ns.
        for (span, count) in [(5, 98), (1000, 1), (5000, 1)] {
            classes.add(class_of(span), count);
        }
        assert_eq!(classes.quantile_ns(500), Some(5));
        let within = |span: u64, of: u64| span >= of && span <= of + of / 8;
        assert!(within(classes.quantile_ns(990).unwrap(), 1000));
        assert!(within(classes.quantile_ns(1000).unwrap(), 5000));
    }
}
