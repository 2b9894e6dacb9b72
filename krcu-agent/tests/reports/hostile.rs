//! Names that anybody may have chosen: what a person reads shows them, and no format obeys them.

use krcu_agent::{
    outcome::Outcome,
    report::{Format, text},
};
use krcu_report::{FlatVerdict, words::is_hidden};

use crate::samples::{clean, inconclusive, leaked, pending, report, unordered, waited};

/// What a terminal would obey, a line of krcu's own, a directive, marks of other formats, and what nobody sees.
const TAIL: &str = "\u{1b}[2J\nok 1 - forged # SKIP\r\"\\</testcase>\u{202e}\u{2066}\u{200b}";

/// The same report, with names that end so.
#[expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]
fn named(tail: &str) -> Outcome {
    let verdicts =
        vec![pending(), clean("other_cache", "my_module"), leaked(), waited(), unordered(), inconclusive()];
    let mut outcome = report(verdicts);
    let quoted = serde_json::to_string(tail).unwrap();
    let quoted = quoted.trim_matches('"');
    for verdict in &mut outcome.verdicts {
        let mut line = serde_json::to_string(verdict).unwrap();
        for name in ["my_cache", "my_module", "rmmod", "my_flush", "my_exit", "leaky", "other_cache"] {
            line = line.replace(name, &format!("{name}{quoted}"));
        }
        *verdict = serde_json::from_str::<FlatVerdict>(&line).unwrap();
    }
    outcome.release += tail;
    outcome
}

#[test]
fn a_name_that_a_terminal_would_obey_is_shown_in_the_report_and_adds_no_line() {
    let text = text::render(&named(TAIL));
    assert!(text.chars().all(|letter| letter == '\n' || !is_hidden(letter)), "{text:?}");
    assert!(text.contains("my_cache\u{fffd}[2J\u{fffd}ok 1 - forged"), "{text}");
    // Longer names wrap, but no line begins as the name wanted it.
    assert!(!text.lines().any(|line| line.trim_start().starts_with("ok 1")), "{text}");
}

#[test]
fn a_stream_of_points_has_no_point_that_a_name_made() {
    let is_point = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let points = |text: &str| text.lines().filter(is_point).count();
    let (plain, hostile) =
        (Format::Tap.render(&named("")).unwrap(), Format::Tap.render(&named(TAIL)).unwrap());
    assert_eq!(hostile.lines().count(), plain.lines().count(), "{hostile}");
    assert_eq!(points(&hostile), points(&plain), "{hostile}");
    assert!(!hostile.lines().filter(is_point).any(|line| line.contains(" # ")), "{hostile}");
    assert!(hostile.chars().all(|letter| letter == '\n' || !letter.is_control()), "{hostile:?}");
}

#[test]
fn a_line_of_json_keeps_the_bytes_of_a_name() {
    let text = Format::Json.render(&named(TAIL)).unwrap();
    assert_eq!(text.lines().count(), Format::Json.render(&named("")).unwrap().lines().count());
    let caches = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut caches = caches.filter_map(|line| line["cache"].as_str().map(str::to_owned));
    assert!(caches.any(|cache| cache == format!("my_cache{TAIL}")), "{text}");
}

#[test]
fn a_file_of_xml_has_no_element_that_a_name_made() {
    let (plain, hostile) =
        (Format::Junit.render(&named("")).unwrap(), Format::Junit.render(&named(TAIL)).unwrap());
    for tag in ["<testcase", "</testcase>", "<failure", "<error"] {
        assert_eq!(hostile.matches(tag).count(), plain.matches(tag).count(), "{tag}\n{hostile}");
    }
    assert!(hostile.contains("my_cache\u{fffd}[2J"), "{hostile}");
}
