//! JUnit: one test case a verdict, in the XML that CI servers read.
//!
//! A fault under this run's policy is a `failure`. An inconclusive verdict is an `error`, and so is a run in which
//! destroys were not seen. The name of a case is its module and its cache only, so a CI server sees one history of it,
//! whatever the verdict is. The word of the verdict is the type of the failure.

use std::time::Duration;

use krcu_report::FlatVerdict;
use quick_junit::{
    NonSuccessKind::{self, Error, Failure},
    SerializeError, TestCase, TestCaseStatus, TestSuite, XmlString,
};

use super::text;
use crate::outcome::Outcome;

/// The report as a JUnit file.
///
/// # Errors
/// Never: writing XML in memory does not fail.
pub fn render(report: &Outcome) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("krcu check");
    suite.set_time(thousandths(report.duration_ns)).add_properties(properties(report));
    suite.add_test_cases(report.verdicts.iter().map(|verdict| of_verdict(report, verdict)));
    let losses: String = text::losses(report).iter().map(|loss| format!("{loss}\n")).collect();
    if report.losses.destroys > 0 {
        let message = format!("{} unseen", text::objects(report.losses.destroys, "destroy"));
        let mut unseen = case("krcu", "every destroy was seen", 0);
        unseen.status = result(Error, "inconclusive", &message, &losses);
        suite.add_test_case(unseen);
    }
    if !losses.is_empty() {
        suite.set_system_err(lines(&losses));
    }
    quick_junit::Report::unnamed().add_test_suite(suite).to_string()
}

fn properties(report: &Outcome) -> [(XmlString, XmlString); 9] {
    [
        ("kernel_release", report.release.clone()),
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

fn of_verdict(report: &Outcome, verdict: &FlatVerdict) -> TestCase {
    let class = verdict.module.as_ref().map_or_else(|| "krcu".to_owned(), |module| format!("krcu.{module}"));
    let mut case = case(&class, &verdict.name(), verdict.wait_ns.unwrap_or(0));
    let evidence = text::block(report, verdict);
    let found = |kind| result(kind, text::word(report, verdict), &text::clause(verdict), &evidence);
    if report.is_flagged(verdict) {
        case.status = found(Failure);
    } else if report.is_open(verdict) {
        case.status = found(Error);
    } else if !text::is_quiet(report, verdict) {
        case.set_system_out(lines(&evidence));
    }
    case
}

fn case(class: &str, name: &str, ns: u64) -> TestCase {
    let mut case = TestCase::new(printable(name), TestCaseStatus::success());
    case.set_classname(printable(class)).set_time(thousandths(ns));
    case
}

fn result(kind: NonSuccessKind, word: &str, message: &str, evidence: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word).set_message(printable(message)).set_description(lines(evidence));
    status
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
