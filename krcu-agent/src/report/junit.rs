//! JUnit: one test case a verdict, in the XML that CI servers read.
//!
//! A fault under this run's policy is a `failure`; what cannot be decided is an `error`, as is a run in
//! which destroys were not seen. A case is named by its module and its cache alone, so that its history
//! holds together whatever the verdict; the verdict's word is the type of the failure.

use std::fmt::Write as _;

use krcu_model::Verdict;

use super::{Report, text};

/// The report as a JUnit file.
#[must_use]
pub fn render(report: &Report) -> String {
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
        xml += &case(report, verdict);
    }
    if unseen > 0 {
        let message = format!("{} unseen", text::objects(unseen, "destroy"));
        xml += &opening("krcu", "every destroy was seen", 0);
        xml += &result("error", "inconclusive", &message, &text::losses(report));
    }
    if report.losses.total() > 0 {
        let _ = writeln!(xml, "    <system-err>{}</system-err>", escaped(&text::losses(report)));
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

fn properties(report: &Report) -> String {
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
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", escaped(&value));
    }
    xml + "    </properties>\n"
}

fn case(report: &Report, verdict: &Verdict) -> String {
    let module = verdict.module.as_ref().map_or_else(|| "krcu".to_owned(), |module| format!("krcu.{module}"));
    let opening = opening(&module, &verdict.cache, verdict.wait_ns.unwrap_or(0));
    let kind = match (report.is_flagged(verdict), report.is_open(verdict)) {
        (true, _) => "failure",
        (false, true) => "error",
        (false, false) if text::is_quiet(report, verdict) => return opening.replace(">\n", "/>\n"),
        (false, false) => {
            let screen = escaped(&text::block(report, verdict));
            return format!("{opening}      <system-out>{screen}</system-out>\n    </testcase>\n");
        }
    };
    opening + &result(kind, verdict.verdict.word(), &text::clause(verdict), &text::block(report, verdict))
}

fn opening(class: &str, name: &str, ns: u64) -> String {
    format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\">\n",
        escaped(class),
        escaped(name),
        seconds(ns)
    )
}

fn result(kind: &str, word: &str, message: &str, evidence: &str) -> String {
    format!(
        "      <{kind} type=\"{word}\" message=\"{}\">{}</{kind}>\n    </testcase>\n",
        escaped(message),
        escaped(evidence)
    )
}

/// Seconds with their thousandths.
fn seconds(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Text for an element or a quoted attribute. What XML 1.0 has no way to write becomes U+FFFD.
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
