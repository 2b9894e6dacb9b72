//! KCIDB: the cases of a run as tests of the kernel's common database of results (schema 5.3). krcu submits nothing.
//!
//! A test says which build it tested by an identifier that the CI system gave to it. krcu cannot know it, so it is an
//! option. A known fault is a `FAIL` with an incident of an issue: so the database ties it to the others of its kind.

use serde_json::{Map, Value, json};

use super::{
    cases::{self, Case, RUN, Went},
    junit::began_at,
    text,
    view::View,
};
use crate::outcome::Outcome;

/// The most characters of an excerpt.
const MOST_EXCERPT: usize = 16_384;
const SECOND_NS: f64 = 1e9;

/// The report as a KCIDB document, on one line.
///
/// # Errors
/// Never: every value can be written as JSON.
pub fn render(outcome: &Outcome, view: &View) -> serde_json::Result<String> {
    let cases = cases::of(outcome);
    let document = Document { outcome, build: &view.kcidb_build, origin: origin(&view.kcidb_build) };
    let mut tests = vec![document.summary(&cases)];
    tests.extend(cases.iter().enumerate().map(|(place, case)| document.test(case, place + 1)));
    let (issues, incidents) = document.known(&cases);
    let document = json!({
        "version": { "major": 5, "minor": 3 },
        "tests": tests,
        "issues": issues,
        "incidents": incidents,
    });
    Ok(serde_json::to_string(&document)? + "\n")
}

/// The CI system that gave the build its identifier.
fn origin(build: &str) -> &str {
    build.split_once(':').map_or(RUN, |(origin, _)| origin)
}

/// Whether this can be the identifier of a build: `ORIGIN:` and anything after it.
///
/// # Errors
/// How it is written.
pub fn build_id(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    match text.split_once(':') {
        Some((origin, rest))
            if !origin.is_empty() && origin.chars().all(is_plain) && !rest.contains('\0') =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write ORIGIN:ID, where ORIGIN is the CI system in small letters, digits and _".to_owned()),
    }
}

struct Document<'a> {
    outcome: &'a Outcome,
    build: &'a str,
    origin: &'a str,
}

impl Document<'_> {
    fn id(&self, place: usize) -> String {
        format!("{}:{RUN}-{}-{place}", self.origin, plain(&self.outcome.setting.run))
    }

    /// The test of the whole run, which is as bad as its worst case.
    fn summary(&self, cases: &[Case<'_>]) -> Value {
        let is_worse = |went: &Went| !matches!(went, Went::Known | Went::Skipped);
        let worst = cases.iter().map(|case| case.went).filter(is_worse).max().unwrap_or(Went::Passed);
        let mut test = self.base(0, RUN, worst, self.outcome.duration_ns);
        test.insert("log_excerpt".into(), excerpt(&text::render(self.outcome)).into());
        Value::Object(test)
    }

    fn test(&self, case: &Case<'_>, place: usize) -> Value {
        let module = plain(&case.module);
        let path = if case.module == RUN {
            format!("{RUN}.{}", plain(&case.name))
        } else {
            format!("{RUN}.{module}.{}", plain(&case.name))
        };
        let mut test = self.base(place, &path, case.went, case.ns);
        if !case.message.is_empty() {
            test.insert("comment".into(), without_nul(&case.message).into());
        }
        if !case.evidence.is_empty() {
            test.insert("log_excerpt".into(), excerpt(&case.evidence).into());
        }
        if let (Some(wait_ns), true) =
            (case.verdict.and_then(|verdict| verdict.wait_ns), case.went != Went::Skipped)
        {
            test.insert(
                "number".into(),
                json!({ "value": seconds(wait_ns), "unit": "s", "prefix": "metric" }),
            );
        }
        if let Some(Value::Object(misc)) = test.get_mut("misc") {
            misc.insert("verdict".into(), case.word.into());
            misc.insert("name".into(), without_nul(&case.full_name()).into());
        }
        Value::Object(test)
    }

    fn base(&self, place: usize, path: &str, went: Went, ns: u64) -> Map<String, Value> {
        let Outcome { setting, release, .. } = self.outcome;
        let mut test = Map::new();
        test.insert("id".into(), self.id(place).into());
        test.insert("build_id".into(), self.build.into());
        test.insert("origin".into(), self.origin.into());
        test.insert("path".into(), path.into());
        test.insert("status".into(), status(went).into());
        test.insert("duration".into(), seconds(ns).into());
        if let Some(began) = setting.began_ns {
            test.insert("start_time".into(), began_at(began).into());
        }
        let host = setting.host.as_deref().unwrap_or("a host that is not told");
        let place = without_nul(&format!("{host}, Linux {release}, {}", setting.arch));
        test.insert("environment".into(), json!({ "comment": place }));
        test.insert("misc".into(), json!({ "kernel_release": release }));
        test
    }

    /// An issue for each known signature that occurred, and an incident for each test in which it did.
    fn known(&self, cases: &[Case<'_>]) -> (Vec<Value>, Vec<Value>) {
        let (mut issues, mut incidents): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for (place, case) in cases.iter().enumerate().filter(|(_, case)| case.went == Went::Known) {
            let Some(known) = case.verdict.and_then(|verdict| self.outcome.known(verdict)) else { continue };
            let issue = format!("{}:{RUN}-{}", self.origin, plain(&known.signature));
            if !issues.iter().any(|written| written["id"] == issue) {
                let comment = without_nul(&format!("{}: {}", known.signature, known.reason));
                let culprit = json!({ "code": true, "tool": false, "harness": false });
                issues.push(json!({
                    "id": issue, "version": 1, "origin": self.origin, "comment": comment, "culprit": culprit,
                }));
            }
            incidents.push(json!({
                "id": format!("{}-known", self.id(place + 1)), "origin": self.origin, "issue_id": issue,
                "issue_version": 1, "test_id": self.id(place + 1), "present": true,
            }));
        }
        (issues, incidents)
    }
}

fn status(went: Went) -> &'static str {
    match went {
        Went::Passed => "PASS",
        Went::Skipped => "SKIP",
        Went::Known | Went::Failed => "FAIL",
        Went::Undecided => "ERROR",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a span of a run has far fewer digits than a double")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND_NS
}

/// A part of a path: letters, digits, `_` and `-`.
fn plain(name: &str) -> String {
    let is_kept = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    name.chars().map(|letter| if is_kept(letter) { letter } else { '_' }).collect()
}

fn excerpt(text: &str) -> String {
    without_nul(&text.chars().take(MOST_EXCERPT).collect::<String>())
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
