//! Time: spans and days, as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDate};
use krcu_ship::layout::day_of;

/// Reads a span of time.
///
/// # Errors
/// How a span is written.
pub fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write a number with h or d, as in 7d"))
}

/// Reads a day.
///
/// # Errors
/// How a day is written.
pub fn day(text: &str) -> Result<String, String> {
    // Only the form that folders of days have: `2026-1-2` would be no folder's name.
    let read = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.to_string());
    read.ok().filter(|day| day == text).ok_or_else(|| format!("`{text}` is no day: write it as 2026-11-29"))
}

/// Reads a size in bytes.
///
/// # Errors
/// How a size is written.
pub fn size(text: &str) -> Result<u64, String> {
    parse_size::Config::new()
        .with_binary()
        .parse_size(text)
        .map_err(|_| format!("`{text}` is no size: write a number with K, M or G, as in 64M"))
}

/// Now, in nanoseconds since 1970.
#[must_use]
pub fn now_utc_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The day so long ago.
#[must_use]
pub fn day_before(ago: Duration) -> String {
    let ago = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
    day_of(now_utc_ns().saturating_sub(ago).max(0))
}

/// A moment for people, to the second.
#[must_use]
pub fn moment(utc_ns: Option<i64>) -> String {
    let shown = |at| DateTime::from_timestamp_nanos(at).format("%Y-%m-%d %H:%M:%S UTC").to_string();
    utc_ns.map_or_else(|| "unknown".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar_in_the_form_of_a_folder() {
        assert_eq!(day("2026-02-28").as_deref(), Ok("2026-02-28"));
        for wrong in ["", "today", "../..", "2026-02-30", "2026-2-3", "2026-11-02/x", "26-11-02"] {
            assert_eq!(day(wrong), Err(format!("`{wrong}` is no day: write it as 2026-11-29")));
        }
    }
}
