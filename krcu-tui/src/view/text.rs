//! Text: numbers for a screen, and lines that fit.

use krcu_report::words::{count, shown, span, wrapped};
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Theme;

/// The width of a text.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// As much of the text as fits, with a mark if something is missing. Hidden characters are made visible.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    let text = shown(text);
    if width(&text) <= columns {
        return text.into_owned();
    }
    let mut clipped = String::new();
    let mut room = columns.saturating_sub(1);
    for letter in text.chars() {
        let columns = letter.width().unwrap_or(0);
        if columns > room {
            break;
        }
        room -= columns;
        clipped.push(letter);
    }
    if columns > 0 {
        clipped.push('…');
    }
    clipped
}

/// Clipped, and filled with blanks on the right.
pub(crate) fn left(text: &str, columns: usize) -> String {
    let clipped = clip(text, columns);
    let gap = columns.saturating_sub(width(&clipped));
    format!("{clipped}{}", " ".repeat(gap))
}

/// Clipped, and filled with blanks on the left.
pub(crate) fn right(text: &str, columns: usize) -> String {
    let clipped = clip(text, columns);
    let gap = columns.saturating_sub(width(&clipped));
    format!("{}{clipped}", " ".repeat(gap))
}

/// Nanoseconds, in a suitable unit, up to hours.
pub(crate) fn span_of(ns: u64) -> String {
    const MINUTE_NS: u64 = 60_000_000_000;
    let minutes = ns / MINUTE_NS;
    let seconds = ns % MINUTE_NS / 1_000_000_000;
    match minutes {
        0 => span(ns),
        1..60 => format!("{minutes} min {seconds:02} s"),
        60..1440 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {:02} h", minutes / 1440, minutes % 1440 / 60),
    }
}

/// The same for a column of a table, in at most eight characters.
pub(crate) fn brief(ns: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    let seconds = ns / SECOND_NS;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => span(ns),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ if days < 10_000 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// Milliseconds, in words for a sentence.
pub(crate) fn duration(ms: u64) -> String {
    span_of(ms.saturating_mul(1_000_000))
}

/// A rate for each second; empty if it is zero.
pub(crate) fn rate(a_second: f64) -> String {
    match a_second {
        r if r <= 0.0 => "·".to_owned(),
        r if r < 10.0 => format!("{r:.1}"),
        r if r < 999_999.5 => whole(r),
        r if r < 1e9 => format!("{:.1} M", r / 1e6),
        r => format!("{:.1} G", r / 1e9),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 10 and a million")]
fn whole(rate: f64) -> String {
    count(rate.round() as u64)
}

/// A count; long ones in thousands, millions and so on.
pub(crate) fn short(number: u64) -> String {
    match number {
        0..10_000_000 => count(number),
        _ => format!("{} M", count(number / 1_000_000)),
    }
}

/// A count in this width: exact if it fits, otherwise in the smallest unit with which it fits.
pub(crate) fn narrow(number: u64, columns: usize) -> String {
    const UNITS: [(u64, char); 4] =
        [(1_000, 'k'), (1_000_000, 'M'), (1_000_000_000, 'G'), (1_000_000_000_000, 'T')];
    let whole = count(number);
    if width(&whole) <= columns {
        return whole;
    }
    let scaled = UNITS.iter().flat_map(|(of_unit, unit)| {
        let (whole, tenth) = (number / of_unit, number % of_unit / (of_unit / 10));
        [format!("{}.{tenth} {unit}", count(whole)), format!("{} {unit}", count(whole))]
    });
    scaled.into_iter().find(|words| width(words) <= columns).unwrap_or(whole)
}

/// A number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..10_485_760_000 => format!("{} MiB", count(bytes / 1_048_576)),
        _ => format!("{} GiB", count(bytes / 1_073_741_824)),
    }
}

/// Words in several lines, behind a label of this width.
pub(crate) fn labelled(label: &str, words: &str, label_columns: usize, columns: usize) -> Vec<String> {
    let columns = label_columns + columns.saturating_sub(label_columns).max(10);
    let (head, indent) = (format!("{label:label_columns$}"), " ".repeat(label_columns));
    wrapped([&head, &indent], &shown(words), columns).iter().map(|line| clip(line, columns)).collect()
}

/// The same as lines, with the label in its own style.
pub(crate) fn evidence(theme: Theme, label: &str, words: &str, columns: usize) -> Vec<Line<'static>> {
    /// The width of a label.
    const LABEL: usize = 14;
    let lines = labelled(label, words, LABEL, columns);
    let styled = |line: String| {
        let cut = line.char_indices().nth(LABEL).map_or(line.len(), |(place, _)| place);
        let (label, words) = line.split_at(cut);
        Line::from(vec![Span::styled(label.to_owned(), theme.quiet()), Span::raw(words.to_owned())])
    };
    lines.into_iter().map(styled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_says_so_and_what_a_terminal_obeys_is_no_more_than_text() {
        assert_eq!(clip("krcu_pending", 12), "krcu_pending");
        assert_eq!(clip("krcu_pending", 6), "krcu_…");
        assert_eq!(clip("ab", 0), "");
        assert_eq!(clip("a\x1b[2Jb\u{202e}\u{200b}", 20), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert_eq!((left("ab", 4), right("ab", 4)), ("ab  ".to_owned(), "  ab".to_owned()));
        assert_eq!(width(&left("日本語", 4)), 4);
    }

    #[test]
    fn numbers_fit_their_columns() {
        for (rate_of, expected) in
            [(0.0, "·"), (0.25, "0.2"), (9.94, "9.9"), (1234.4, "1,234"), (2_500_000.0, "2.5 M")]
        {
            assert_eq!(rate(rate_of), expected);
        }
        assert_eq!(span_of(61_000_000_000), "1 min 01 s");
        assert_eq!(span_of(3_600_000_000_000), "1 h 00 min");
        assert_eq!((bytes(16 << 20), bytes(512)), ("16 MiB".to_owned(), "512 B".to_owned()));
        for (number, columns, expected) in [
            (999_999, 7, "999,999"),
            (999_999, 6, "999 k"),
            (1_234_567, 7, "1,234 k"),
            (1_234_567, 6, "1.2 M"),
            (1_234_567, 9, "1,234,567"),
            (12_345, 5, "12 k"),
            (9_876_543_210, 6, "9.8 G"),
            (u64::MAX, 12, "18,446,744 T"),
        ] {
            assert_eq!(narrow(number, columns), expected);
        }
    }

    #[test]
    fn a_time_of_any_length_fits_its_column() {
        const MINUTE: u64 = 60_000_000_000;
        for (ns, expected) in [
            (0, "0 ns"),
            (59_999_999_999, "59.9 s"),
            (MINUTE + 1_000_000_000, "1m01s"),
            (60 * MINUTE - 1, "59m59s"),
            (60 * MINUTE, "1h00m"),
            (24 * 60 * MINUTE - 1, "23h59m"),
            ((3 * 24 + 4) * 60 * MINUTE, "3d04h"),
            (9_999 * 24 * 60 * MINUTE, "9999d00h"),
            (10_000 * 24 * 60 * MINUTE, "10000d"),
            (u64::MAX, "213503d"),
        ] {
            let words = brief(ns);
            assert_eq!(words, expected);
            assert!(width(&words) <= 8, "{words}");
        }
        // Each length between is no longer: those with the most digits of each unit are above and here.
        for ns in (0..64).map(|bit| u64::MAX >> bit) {
            assert!(width(&brief(ns)) <= 8, "{}", brief(ns));
        }
    }

    #[test]
    fn words_are_wrapped_under_themselves() {
        assert_eq!(labelled("why", "one two three four", 5, 15), ["why  one two", "     three four"]);
    }
}
