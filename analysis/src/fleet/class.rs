//! Class: spans of time in classes, so that quantiles of many hosts follow from counts, which every engine adds alike.
//!
//! A class is an eighth of a doubling: its largest value is at most 12.5 % above its smallest. Everything is in integers,
//! since logarithms differ in their last bit from one engine to the other.

/// Classes of one doubling.
const PARTS: u64 = 8;

/// The class of a span in nanoseconds.
#[must_use]
pub fn class_of(span_ns: u64) -> i64 {
    // The four highest bits are kept: 8 to 15 of so many doublings.
    let doublings = u64::from((u64::BITS - span_ns.leading_zeros()).saturating_sub(4));
    i64::try_from(doublings * PARTS + (span_ns >> doublings)).unwrap_or(i64::MAX)
}

/// The largest span of a class.
#[must_use]
pub fn largest_of(class: i64) -> u64 {
    let class = u64::try_from(class).unwrap_or(0);
    if class < 2 * PARTS {
        return class;
    }
    let doublings = class / PARTS - 1;
    let first = (PARTS + class % PARTS) << doublings;
    first + ((1 << doublings) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_without_gaps_and_not_wide() {
        for class in 0..488 {
            let most = largest_of(class);
            assert_eq!(class_of(most), class);
            assert_eq!(
                class_of(most + 1),
                class + 1,
                "what comes after the largest of a class is of the next"
            );
            let least = largest_of(class - 1) + u64::from(class > 0);
            assert_eq!(class_of(least), class);
            assert!((most - least) * 8 <= least, "{least} to {most}");
        }
        assert_eq!(largest_of(class_of(u64::MAX)), u64::MAX);
    }
}
