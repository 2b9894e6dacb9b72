//! JUnit: the cases of a run in the XML that CI servers read.
//!
//! A fault under this run's policy is a `failure`. An inconclusive verdict is an `error`, and so is a run in which
//! destroys were not seen. A known fault is `skipped`, with its reason. The word of the verdict is the type of the
//! failure, and is not in the name.

use std::time::{Duration, UNIX_EPOCH};

use quick_junit::{
    NonSuccessKind::{Error, Failure},
    SerializeError, TestCase, TestCaseStatus, TestSuite, XmlString,
};

use super::{
    cases::{self, Case, RUN, Went},
    text,
};
use crate::outcome::Outcome;

/// The report as a JUnit file.
///
/// # Errors
/// Never: writing XML in memory does not fail.
pub fn render(report: &Outcome) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("krcu check");
    suite.set_time(thousandths(report.duration_ns)).add_properties(properties(report));
    if let Some(began) = report.setting.began_ns {
        suite.extra.insert("timestamp".into(), began_at(began).into());
    }
    if let Some(host) = &report.setting.host {
        suite.extra.insert("hostname".into(), printable(host));
    }
    suite.add_test_cases(cases::of(report).iter().map(of_case));
    let remarks = text::losses(report).into_iter().chain(report.known_remarks());
    let remarks: String = remarks.map(|remark| format!("{remark}\n")).collect();
    if !remarks.is_empty() {
        suite.set_system_err(lines(&remarks));
    }
    quick_junit::Report::unnamed().add_test_suite(suite).to_string()
}

fn properties(report: &Outcome) -> [(XmlString, XmlString); 10] {
    [
        ("kernel_release", report.release.clone()),
        ("arch", report.setting.arch.clone()),
        ("probes", report.probes.to_string()),
        ("events", report.events.to_string()),
        ("lost_ring_full", report.losses.ring_full.to_string()),
        ("lost_probe_missed", report.losses.probe_missed.to_string()),
        ("lost_destroys", report.losses.destroys.to_string()),
        ("strict", report.policy.strict.to_string()),
        ("command_status", report.command_status.to_string()),
        ("exit_status", report.exit_status().to_string()),
    ]
    .map(|(name, value)| (name.into(), printable(&value)))
}

fn of_case(case: &Case<'_>) -> TestCase {
    let mut status = match case.went {
        Went::Failed => TestCaseStatus::non_success(Failure),
        Went::Undecided => TestCaseStatus::non_success(Error),
        Went::Known | Went::Skipped => TestCaseStatus::skipped(),
        Went::Passed => TestCaseStatus::success(),
    };
    if case.went != Went::Passed {
        status.set_type(case.word).set_message(printable(&case.message));
    }
    let is_in_status = matches!(case.went, Went::Failed | Went::Undecided);
    if is_in_status && !case.evidence.is_empty() {
        status.set_description(lines(&case.evidence));
    }
    let mut written = TestCase::new(printable(&case.name), status);
    let class = if case.module == RUN { RUN.to_owned() } else { format!("{RUN}.{}", case.module) };
    written.set_classname(printable(&class)).set_time(thousandths(case.ns));
    if !is_in_status && !case.evidence.is_empty() {
        written.set_system_out(lines(&case.evidence));
    }
    written
}

/// A text of several lines. Its first line begins below the tag, so all lines begin in the same column.
fn lines(text: &str) -> XmlString {
    printable(&format!("\n{text}"))
}

/// A text with U+FFFD in place of each control character and of each character that XML 1.0 cannot write. The crate
/// would delete control characters, and the text after an escape as well.
fn printable(text: &str) -> XmlString {
    let is_replaced = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.replace(is_replaced, "\u{fffd}").into()
}

/// A time in whole thousandths of a second. The crate writes three digits, and would round.
fn thousandths(ns: u64) -> Duration {
    Duration::from_millis(ns / 1_000_000)
}

/// A moment, from nanoseconds since 1970, in UTC.
pub(super) fn began_at(ns: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_element_or_be_no_xml() {
        let mut suite = TestSuite::new(printable("a<b>&\"c\"\t\u{1b}[0m\0\u{ffff}é"));
        suite.set_time(thousandths(3_204_999_999));
        let xml = quick_junit::Report::unnamed().add_test_suite(suite).to_string().unwrap();
        assert!(xml.contains("a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}\u{fffd}[0m\u{fffd}\u{fffd}é"), "{xml}");
        assert!(xml.contains("time=\"3.204\""), "{xml}");
    }
}
