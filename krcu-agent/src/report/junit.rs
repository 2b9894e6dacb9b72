//! JUnit: one test case a verdict, in the XML that CI servers read.
//!
//! A fault under this run's policy is a `failure`; what cannot be decided is an `error`, as is a run in
//! which destroys were not seen. A case is named by its module and its cache alone, so that its history
//! holds together whatever the verdict; the verdict's word is the type of the failure.

use std::fmt::Write as _;

use krcu_report::FlatVerdict;

use super::text;
use crate::outcome::Outcome;

/// The report as a JUnit file.
#[must_use]
pub fn render(report: &Outcome) -> String {
    let unseen = report.losses.destroys;
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let tests = report.verdicts.len() + usize::from(unseen > 0);
    let errors = report.open() + usize::from(unseen > 0);
    let _ = writeln!(
        xml,
        "  <testsuite name=\"krcu check\" tests=\"{tests}\" failures=\"{}\" errors=\"{errors}\" skipped=\"0\" time=\"{}\">",
        report.flagged(),
        seconds(report.duration_ns)
    );
    xml += &properties(report);
    for verdict in &report.verdicts {
        xml += &of_verdict(report, verdict);
    }
    let losses: String = text::losses(report).iter().map(|loss| format!("{loss}\n")).collect();
    if unseen > 0 {
        let message = format!("{} unseen", text::objects(unseen, "destroy"));
        let error = result("error", "inconclusive", &message, &losses);
        xml += &case("krcu", "every destroy was seen", 0, Some(&error));
    }
    if !losses.is_empty() {
        let _ = writeln!(xml, "    <system-err>\n{}</system-err>", escaped(&losses));
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

fn properties(report: &Outcome) -> String {
    let mut xml = "    <properties>\n".to_owned();
    let properties = [
        ("kernel_release", report.release.clone()),
        ("probes", report.probes.to_string()),
        ("events", report.events.to_string()),
        ("lost_ring_full", report.losses.ring_full.to_string()),
        ("lost_probe_missed", report.losses.probe_missed.to_string()),
        ("lost_destroys", report.losses.destroys.to_string()),
        ("strict", report.policy.strict.to_string()),
        ("command_status", report.command_status.to_string()),
        ("exit_status", report.exit_status().to_string()),
    ];
    for (name, value) in properties {
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", attribute(&value));
    }
    xml + "    </properties>\n"
}

fn of_verdict(report: &Outcome, verdict: &FlatVerdict) -> String {
    let class = verdict.module.as_ref().map_or_else(|| "krcu".to_owned(), |module| format!("krcu.{module}"));
    let evidence = || text::block(report, verdict);
    let found = |kind| result(kind, text::word(report, verdict), &text::clause(verdict), &evidence());
    let body = if report.is_flagged(verdict) {
        Some(found("failure"))
    } else if report.is_open(verdict) {
        Some(found("error"))
    } else if text::is_quiet(report, verdict) {
        None
    } else {
        Some(format!("      <system-out>\n{}</system-out>\n", escaped(&evidence())))
    };
    case(&class, &verdict.cache, verdict.wait_ns.unwrap_or(0), body.as_deref())
}

fn case(class: &str, name: &str, ns: u64, body: Option<&str>) -> String {
    let (class, name, time) = (attribute(class), attribute(name), seconds(ns));
    let opening = format!("    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time}\"");
    match body {
        Some(body) => format!("{opening}>\n{body}    </testcase>\n"),
        None => format!("{opening}/>\n"),
    }
}

fn result(kind: &str, word: &str, message: &str, evidence: &str) -> String {
    let (message, evidence) = (attribute(message), escaped(evidence));
    format!("      <{kind} type=\"{word}\" message=\"{message}\">\n{evidence}</{kind}>\n")
}

/// Seconds with their thousandths.
fn seconds(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Text for a quoted attribute: a reader would turn a line break into a blank.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;")
}

/// Text for an element. What XML 1.0 has no way to write becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml += "&amp;",
            '<' => xml += "&lt;",
            '>' => xml += "&gt;",
            '"' => xml += "&quot;",
            '\n' => xml.push('\n'),
            '\t' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(character));
            }
            '\0'..=' ' if character != ' ' => xml.push(char::REPLACEMENT_CHARACTER),
            '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(character),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_element_or_be_no_xml() {
        assert_eq!(
            escaped("a<b>&\"c\"\t\u{1b}[0m\0\u{ffff}é"),
            "a&lt;b&gt;&amp;&quot;c&quot;&#9;\u{fffd}[0m\u{fffd}\u{fffd}é"
        );
        assert_eq!((seconds(3_204_999_999), seconds(0)), ("3.204".to_owned(), "0.000".to_owned()));
    }
}
