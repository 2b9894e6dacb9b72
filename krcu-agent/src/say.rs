//! Say: a sentence on standard error, as a person may be shown it.

use std::{
    fmt::Display,
    io::{Write as _, stderr},
};

use krcu_report::words::shown_lines;

/// Says what is wrong, or what a reader has to know. The reader of standard error may be gone.
pub fn say(what: impl Display) {
    let _ = writeln!(stderr(), "krcu: {}", shown_lines(&what.to_string()));
}
