//! Text: numbers as a screen shows them, and lines that fit.

use krcu_model::words::{count, span};
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Theme;

/// Columns that it takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// As much of it as fits, with a mark where something is missing. What a terminal would obey is shown as such.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    let clean = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    if !text.chars().any(char::is_control) && width(text) <= columns {
        return text.to_owned();
    }
    let text: String = text.chars().map(clean).collect();
    if width(&text) <= columns {
        return text;
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

/// Clipped, and filled with blanks behind.
pub(crate) fn left(text: &str, columns: usize) -> String {
    let clipped = clip(text, columns);
    let gap = columns.saturating_sub(width(&clipped));
    format!("{clipped}{}", " ".repeat(gap))
}

/// Clipped, and filled with blanks before.
pub(crate) fn right(text: &str, columns: usize) -> String {
    let clipped = clip(text, columns);
    let gap = columns.saturating_sub(width(&clipped));
    format!("{}{clipped}", " ".repeat(gap))
}

/// Nanoseconds, in the unit that suits; hours and more, in these.
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

/// Milliseconds, the same.
pub(crate) fn duration(ms: u64) -> String {
    span_of(ms.saturating_mul(1_000_000))
}

/// So many a second; nothing where there are none.
pub(crate) fn rate(a_second: f64) -> String {
    match a_second {
        r if r <= 0.0 => "·".to_owned(),
        r if r < 10.0 => format!("{r:.1}"),
        r if r < 1e6 => whole(r),
        r if r < 1e9 => format!("{:.1} M", r / 1e6),
        r => format!("{:.1} G", r / 1e9),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 10 and a million")]
fn whole(rate: f64) -> String {
    count(rate.round() as u64)
}

/// A count, in thousands of thousands where it is long.
pub(crate) fn short(number: u64) -> String {
    match number {
        0..10_000_000 => count(number),
        _ => format!("{} M", count(number / 1_000_000)),
    }
}

/// Bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", count(bytes / 1_048_576)),
    }
}

/// Words below one another, behind a label of so many columns.
pub(crate) fn labelled(label: &str, words: &str, label_columns: usize, columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(label_columns).max(10);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let head = |place: usize| if place == 0 { label } else { "" };
    let lines = lines.into_iter().enumerate();
    lines.map(|(place, line)| format!("{:label_columns$}{}", head(place), clip(&line, room))).collect()
}

/// The same as lines, the label in its own style.
pub(crate) fn evidence(theme: Theme, label: &str, words: &str, columns: usize) -> Vec<Line<'static>> {
    /// Columns of a label.
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
        assert_eq!(clip("a\x1b[2Jb", 20), "a\u{fffd}[2Jb");
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
    }

    #[test]
    fn words_are_wrapped_under_themselves() {
        assert_eq!(labelled("why", "one two three four", 5, 15), ["why  one two", "     three four"]);
    }
}
