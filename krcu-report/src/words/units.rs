//! Units: numbers for people to read.
//!
//! The code is here because a crate would print a span in several units (`38ms 200us`); this prints one
//! number with one unit.

use std::borrow::Cow;

/// A count with separators between its thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of time, in the unit that gives one to three digits before the point.
#[must_use]
pub fn span(ns: u64) -> String {
    let (unit, per_unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let (whole, rest) = (ns / per_unit, ns % per_unit);
    let thousandths = rest / (per_unit / 1_000);
    match whole {
        0..10 => format!("{whole}.{:02} {unit}", thousandths / 10),
        10..100 => format!("{whole}.{} {unit}", thousandths / 100),
        _ => format!("{whole} {unit}"),
    }
}

/// The longest name of a cache that is kept whole. Of a longer one these are its first bytes.
const WHOLE: usize = 54;

/// The name of a cache, with a mark if it may have been cut.
#[must_use]
pub fn cache_name(name: &str) -> Cow<'_, str> {
    if name.len() > WHOLE { format!("{name}…").into() } else { name.into() }
}

/// A count with a noun: `1 object`, `2 objects`.
#[must_use]
pub fn objects(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_604, "1,604"), (1_000_000, "1,000,000")] {
            assert_eq!(count(number), expected);
        }
        for (ns, expected) in [
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (3_149_000, "3.14 ms"),
            (45_678_000, "45.6 ms"),
            (812_000_000, "812 ms"),
            (1_204_000_000, "1.20 s"),
        ] {
            assert_eq!(span(ns), expected);
        }
    }
}
