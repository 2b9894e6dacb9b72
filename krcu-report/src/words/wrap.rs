//! Wrap: breaks text into lines, in the same way on every page and screen.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Breaks words into lines of this many columns. The first line begins with `head`, and the others with
/// `indent`. Each line takes as many whole words as fit; a word that is too long has a line of its own.
#[must_use]
pub fn wrapped([head, indent]: [&str; 2], words: &str, columns: usize) -> Vec<String> {
    if words.is_empty() {
        return vec![head.trim_end().to_owned()];
    }
    let options = Options::new(columns)
        .initial_indent(head)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(words, options).into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn a_head_stands_before_its_words_and_also_without_any() {
        assert_eq!(
            wrapped(["why  ", "     "], "one two three ← four", 16),
            ["why  one two", "     three ←", "     four"]
        );
        assert_eq!(
            wrapped(["# ", "# "], "a-word-that-is-too-long here", 9),
            ["# a-word-that-is-too-long", "# here"]
        );
        assert_eq!(wrapped(["why  ", "     "], "", 9), ["why"]);
    }
}
