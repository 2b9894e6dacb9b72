//! Say: a sentence on standard error, as a person may be shown it.

use std::{
    fmt::Display,
    io::{Write as _, stderr},
};

use krcu_report::words::shown_lines;

/// An error and its causes on one line, each once: some errors print their cause themselves.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Says what is wrong, or what a reader has to know. The reader of standard error may be gone.
pub fn say(what: impl Display) {
    let _ = writeln!(stderr(), "krcu: {}", shown_lines(&what.to_string()));
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::causes;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("a/meta.json: no such file").context("cannot read a");
        assert_eq!(causes(&error), "cannot read a: a/meta.json: no such file");
    }
}
