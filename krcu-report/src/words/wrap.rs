//! Wrap: how text is put into lines, the same on every page and screen.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Lines of so many columns: each takes as many whole words as fit, and a longer word stands alone.
#[must_use]
pub fn lines_of(columns: usize) -> Options<'static> {
    Options::new(columns)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}
