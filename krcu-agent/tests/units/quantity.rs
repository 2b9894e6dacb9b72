//! Times and sizes, as people write them.

use std::time::Duration;

use krcu_agent::quantity::{file_bytes, ring_bytes, size, span};

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
    for text in ["", "M", "-4K", "4X", "4Q", "99999999999G", "18446744073709551616", "184467440737095516155"]
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
