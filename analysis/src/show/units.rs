//! Numbers as a person reads them.

pub use krcu_report::words::count;
use krcu_report::words::span as short_span;

/// A span of time in the unit that leaves one to three digits before the point; of seconds as many as there are.
#[must_use]
pub fn span(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    if seconds < 1_000 { short_span(ns) } else { format!("{} s", count(seconds)) }
}

/// A moment of a trace: seconds from the attach, to the microsecond.
#[must_use]
pub fn moment(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    format!("{sign}{}.{:06} s", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000)
}

/// A sum of bytes over time: bytes held for a second.
#[must_use]
pub fn byte_seconds(bytes_ns: f64) -> String {
    let value = bytes_ns / 1e9;
    let (value, unit) = match value {
        ..1e3 => (value, "B·s"),
        ..1e6 => (value / 1e3, "kB·s"),
        ..1e9 => (value / 1e6, "MB·s"),
        _ => (value / 1e9, "GB·s"),
    };
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_000_000), "1,000,000");
        for (ns, expected) in [(999, "999 ns"), (3_149_000, "3.14 ms"), (21_000_000_000, "21.0 s")] {
            assert_eq!(span(ns), expected);
        }
        for (ns, expected) in [(0, "0.000000 s"), (-1_500, "-0.000001 s"), (83_164_025, "0.083164 s")] {
            assert_eq!(moment(ns), expected);
        }
        for (bytes_ns, expected) in [(0.0, "0.0 B·s"), (99_456.0 * 8e6, "795.6 B·s"), (2.5e15, "2.5 MB·s")]
        {
            assert_eq!(byte_seconds(bytes_ns), expected);
        }
    }
}
