//! Shown: text as a person may see it.
//!
//! Names come from the kernel, from a trace or from a command line, and anybody may have chosen them. A
//! terminal obeys control characters; a line break forges a line; and letters without a width, or those that
//! turn the direction, make one name look like another. All that a person reads passes here, at the last
//! moment. What a program reads keeps its bytes, by the rules of its format.

use std::borrow::Cow;

/// How lines after the first begin in a text of several lines, so that none of them looks like one of
/// krcu's own.
const BELOW: &str = "\n      ";

/// Whether a person does not see this character, or a terminal obeys it.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Soft hyphen, joiners and fillers without a width.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
            // Spaces without a width and marks of direction; separators of lines; embeddings and overrides.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Variations, the byte order mark, annotations, musical formatting, tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line. U+FFFD stands for each hidden character.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) { text.replace(is_hidden, "\u{fffd}").into() } else { text.into() }
}

/// The same for a text that may have several lines. Those after the first are indented.
#[must_use]
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.trim_end().split('\n').map(shown).collect();
    lines.join(BELOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_does_not_see_is_made_visible() {
        assert_eq!(shown("my_cache-64 ← é 日本"), "my_cache-64 ← é 日本");
        assert_eq!(
            shown("a\u{1b}[2J\nok 1\r\t\0\u{7f}\u{9b}"),
            "a\u{fffd}[2J\u{fffd}ok 1".to_owned() + &"\u{fffd}".repeat(5)
        );
        for letter in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain('\u{200b}'..='\u{200f}')
        {
            assert_eq!(shown(&format!("a{letter}b")), "a\u{fffd}b", "{letter:?}");
        }
        assert_eq!(shown("a\u{feff}\u{2060}\u{ad}b"), "a\u{fffd}\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_line_break_in_a_name_forges_no_line() {
        assert_eq!(
            shown_lines("cannot read a\nkrcu: all is well\n"),
            "cannot read a\n      krcu: all is well"
        );
    }
}
