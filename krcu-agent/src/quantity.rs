//! Quantities: a span of time and a size, as a person writes them on the command line and in the configuration.
//!
//! `humantime` reads spans: it has no dependencies, is maintained, and other crates here use it already. `parse-size`
//! reads sizes: it has no dependencies, computes in integers, and can read K, M and G as powers of 1024, which krcu
//! always did.

use std::time::Duration;

use humantime::DurationError;
use parse_size::Config;

/// Digits of the largest number of 64 bits.
const MOST_DIGITS: usize = 20;
/// A page: the smallest ring, and the smallest size at which another file is begun.
const LEAST_BYTES: u64 = 4 << 10;
/// The largest ring.
const MOST_RING_BYTES: u64 = 1 << 30;

/// Reads a span of time; a number alone is seconds.
///
/// # Errors
/// What is wrong, and how a time is written.
pub fn span(text: &str) -> Result<Duration, String> {
    let text = unsigned(text);
    let is_bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = if is_bare {
        humantime::parse_duration(&format!("{text}s"))
    } else {
        humantime::parse_duration(text)
    };
    read.map_err(|error| {
        let wrong = match error {
            DurationError::Empty => "no time is given".to_owned(),
            DurationError::UnknownUnit { unit, value, .. } if unit.is_empty() => {
                format!("`{value}` has no unit of time")
            }
            DurationError::UnknownUnit { unit, .. } => format!("there is no unit of time `{unit}`"),
            DurationError::NumberOverflow => format!("`{text}` is too long, or finer than a nanosecond"),
            DurationError::InvalidCharacter(_) | DurationError::NumberExpected(_) => {
                format!("`{text}` is no time")
            }
        };
        format!("{wrong}: write a number with ms, s, m, h or d, as in 15s or 1h")
    })
}

/// Reads a size in bytes; K, M and G are 1024 bytes, 1024 K and 1024 M.
///
/// # Errors
/// What is wrong, and how a size is written.
pub fn size(text: &str) -> Result<u64, String> {
    let text = unsigned(text);
    // `parse-size` may overflow on more digits than 64 bits can hold.
    let can_be = text.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS;
    let read =
        Some(text).filter(|_| can_be).and_then(|text| Config::new().with_binary().parse_size(text).ok());
    read.ok_or_else(|| format!("`{text}` is no size: write a number with K, M or G, as in 64M"))
}

/// Reads the size of the ring.
///
/// # Errors
/// What is wrong, and which sizes there are.
pub fn ring_bytes(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    let can_be = bytes.is_power_of_two() && (LEAST_BYTES..=MOST_RING_BYTES).contains(&bytes);
    let read = u32::try_from(bytes).ok().filter(|_| can_be);
    read.ok_or_else(|| format!("`{text}` is no power of two from 4K to 1G: write one, as in 16M"))
}

/// Reads the size at which another file is begun.
///
/// # Errors
/// What is wrong, and which sizes there are.
pub fn file_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    let is_enough = bytes >= LEAST_BYTES;
    is_enough.then_some(bytes).ok_or_else(|| format!("`{text}` is too small: write at least 4K, as in 64M"))
}

/// A number may begin with a plus sign.
fn unsigned(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_unit() {
        for (text, expected) in [
            ("250ms", Duration::from_millis(250)),
            ("15s", Duration::from_secs(15)),
            ("15", Duration::from_secs(15)),
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("007s", Duration::from_secs(7)),
            ("2m", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("+1h", Duration::from_secs(3600)),
            ("1h30m", Duration::from_secs(5400)),
            ("1h 30m", Duration::from_secs(5400)),
            ("1.5s", Duration::from_millis(1500)),
            ("2d", Duration::from_secs(172_800)),
            ("18446744073709551615s", Duration::from_secs(u64::MAX)),
        ] {
            assert_eq!(span(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_how_one_is_written() {
        for (text, wrong) in [
            ("", "no time is given"),
            ("s", "`s` is no time"),
            ("-1s", "`-1s` is no time"),
            ("1x", "there is no unit of time `x`"),
            ("1s 5", "`5` has no unit of time"),
            ("18446744073709551615h", "too long"),
        ] {
            let said = span(text).unwrap_err();
            assert!(said.contains(wrong) && said.contains("as in 15s or 1h"), "{text:?}: {said}");
            assert_eq!(said.lines().count(), 1);
        }
    }

    #[test]
    fn a_size_is_read_with_its_unit_in_powers_of_1024() {
        for (text, expected) in [
            ("4096", 4096),
            ("+4096", 4096),
            ("0", 0),
            ("64K", 64 << 10),
            ("16M", 16 << 20),
            ("016M", 16 << 20),
            ("3G", 3 << 30),
            ("4MiB", 4 << 20),
            ("4MB", 4 << 20),
            ("4m", 4 << 20),
            ("4 M", 4 << 20),
            ("1.5G", 3 << 29),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(expected), "{text:?}");
        }
        for text in
            ["", "M", "-4K", "4X", "4Q", "99999999999G", "18446744073709551616", "184467440737095516155"]
        {
            let said = size(text).unwrap_err();
            assert!(said.contains(&format!("`{text}` is no size: write a number with K, M or G")), "{said}");
        }
    }

    #[test]
    fn the_ring_has_a_power_of_two_of_pages() {
        for (text, expected) in
            [("4K", 4 << 10), ("4096", 4096), ("16M", 16 << 20), ("1024M", 1 << 30), ("1G", 1 << 30)]
        {
            assert_eq!(ring_bytes(text), Ok(expected), "{text:?}");
        }
        for wrong in ["3M", "2K", "2G", "4G", "99999M", "0"] {
            let said = ring_bytes(wrong).unwrap_err();
            assert!(said.contains(wrong) && said.contains("power of two from 4K to 1G"), "{said}");
        }
        for wrong in ["", "-4K"] {
            assert!(ring_bytes(wrong).is_err(), "{wrong:?} was read as a size");
        }
    }

    #[test]
    fn a_file_has_at_least_a_page() {
        assert_eq!(
            (file_bytes("4K"), file_bytes("3M"), file_bytes("2G")),
            (Ok(4 << 10), Ok(3 << 20), Ok(2 << 30))
        );
        for wrong in ["0", "4095"] {
            let said = file_bytes(wrong).unwrap_err();
            assert!(said.contains(wrong) && said.contains("at least 4K"), "{said}");
        }
    }
}
