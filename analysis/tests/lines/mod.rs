//! Lines: what a line of a trace's text says, read without the code under test.

/// The text behind `NAME=` in a line.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}
