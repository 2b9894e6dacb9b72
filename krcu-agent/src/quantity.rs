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
