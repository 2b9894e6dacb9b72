//! Wrap: breaks text into lines, in the same way on every page and screen.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Options for lines of this many columns. Each line takes as many whole words as fit; a word that is too
/// long has a line of its own.
#[must_use]
pub fn lines_of(columns: usize) -> Options<'static> {
    Options::new(columns)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}
