//! Compares what a scenario left with what its data says must have come of it.
//!
//! Pure: texts in, a list of disagreements out, so that the comparing itself is tested without a kernel.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::scenarios::{Expectation, Line, Want};

/// What a scenario left behind.
pub(crate) struct Evidence {
    /// The command's exit status.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// What the kernel logged meanwhile.
    pub(crate) log: String,
}

/// The words of such verdicts.
const ACCUSATIONS: [&str; 3] = ["barrier-early", "freed-early", "model-disagrees"];

/// What is to be said of a try.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Where it is not as expected and nothing excuses that: the scenario has failed.
    pub(crate) wrong: Vec<String>,
    /// Where krcu left something open, for reasons that the scenario's data calls possible: it may be tried again.
    pub(crate) open: Vec<String>,
    /// Where it differs because the scenario's premise did not come about: it may be tried again.
    pub(crate) premise: Vec<String>,
}

/// What the module says in the kernel's log when what a script is about did not come about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unmet<'a> {
    /// All of it: a reader was let go by its time before the script let it go, since another waited for it, as the destroy
    /// of newer kernels does where anybody at all has queued something; or a statement could not be done, as when KFENCE
    /// took none of many allocations.
    all: bool,
    /// Of these caches objects may have been freed before the destroy, since a grace period had ended: a timer that
    /// somebody else had armed may have emptied the batches.
    caches: Vec<&'a str>,
}

/// Whether the module says in the kernel's log that something of what is expected did not come about.
pub(crate) fn is_premise_unmet(expected: &Expectation, log: &str) -> bool {
    Unmet::of(expected, log).is_any()
}

impl<'a> Unmet<'a> {
    /// What a kernel's log says. That objects were freed early matters where they are expected to be outstanding.
    fn of(expected: &Expectation, log: &'a str) -> Unmet<'a> {
        let outstanding = |cache: &str| {
            let mut lines = expected.lines.iter().filter(|line| line.cache == Some(cache));
            lines.any(|line| line.word().is_some_and(|word| OUTSTANDING.contains(&word)))
        };
        let ended =
            log.lines().filter_map(|line| line.split_once(GRACE_ENDED)).map(|(_, cache)| cache.trim());
        Unmet {
            all: NOT_DONE.iter().any(|text| log.contains(text)),
            caches: ended.filter(|cache| outstanding(cache)).collect(),
        }
    }

    fn is_any(&self) -> bool {
        self.all || !self.caches.is_empty()
    }

    /// Whether it explains what is told of a line.
    fn explains(&self, line: &Line) -> bool {
        self.all
            || line.cache.is_some_and(|cache| self.caches.contains(&cache))
            || (line.kind == "summary" && self.is_any())
    }
}

/// What `krcu_play` says of a script that could not be done as it is written.
const NOT_DONE: [&str; 2] = ["krcu_play: a hold ran out", "krcu_play: `"];
/// What it says of a cache before whose destroy a grace period ended; its name follows.
const GRACE_ENDED: &str = "krcu_play: a grace period ended before the destroy of ";
/// Verdicts that are about objects that are outstanding when the destroy begins.
const OUTSTANDING: [&str; 3] = ["pending", "waited", "late-free"];

/// Judges a try: each decided verdict as if nothing else had been lost beside it. `open_if` are the reasons for which a
/// verdict may be inconclusive. What the scenario's premise explains is told apart.
pub(crate) fn judge(expected: &Expectation, open_if: &[&str], evidence: &Evidence) -> Judgement {
    let mut found = Judgement::default();
    let objects = objects(evidence, &mut found.wrong);
    // What is expected to be inconclusive is no excuse: it is judged as any verdict is.
    let is_meant = |object: &Value| {
        let mut lines = expected.lines.iter().filter(|line| is_inconclusive(line));
        lines.any(|line| line.cache.is_none_or(|cache| object["cache"] == *cache))
    };
    let is_excuse = |object: &Value| is_open(object, open_if) && !is_meant(object);
    let has_open = objects.iter().any(is_excuse);
    let unmet = Unmet::of(expected, &evidence.log);
    if evidence.status != expected.status {
        let text = format!("exit status {}, expected {}", evidence.status, expected.status);
        // What was left open has a status of its own, where nothing is flagged beside it.
        let is_excused = has_open && evidence.status == INCONCLUSIVE;
        found.add(text, is_excused, unmet.is_any());
    }
    found.wrong.extend(accusations(&objects));
    found.wrong.extend(alarms(expected, &objects));
    for (index, line) in expected.lines.iter().enumerate() {
        let (before, after) = expected.lines.split_at(index);
        let alike = |lines: &[Line]| lines.iter().filter(|other| alike(other, line)).count();
        let (before, all) = (alike(before), alike(before) + alike(after));
        for (field, text) in judge_line(line, before, all, &objects, &evidence.log) {
            let told = matching(line, &objects);
            let excused = match field {
                Some(field) => told
                    .get(before)
                    .is_some_and(|object| is_excuse(object) || is_not_said(object, field, open_if)),
                // Of another number of verdicts than expected, each has to be open.
                None => !told.is_empty() && told.iter().all(|object| is_excuse(object)),
            };
            let excused = excused
                || (has_open
                    && line.kind == "summary"
                    && field.is_some_and(|field| OF_OPEN.contains(&field)));
            found.add(text, excused, unmet.explains(line));
        }
    }
    for text in wrong_log(expected, &evidence.log) {
        found.add(text, false, unmet.is_any());
    }
    found
}

impl Judgement {
    /// Puts a disagreement where it belongs.
    fn add(&mut self, text: String, is_open: bool, is_unmet: bool) {
        let list = match (is_open, is_unmet) {
            (true, _) => &mut self.open,
            (false, true) => &mut self.premise,
            (false, false) => &mut self.wrong,
        };
        list.push(text);
    }
}

/// Whether a line is expected to be inconclusive.
fn is_inconclusive(line: &Line) -> bool {
    line.word() == Some("inconclusive")
}

/// The status of a run that left something open.
const INCONCLUSIVE: i32 = 11;
/// Fields of a summary that say something else when a verdict is open.
const OF_OPEN: [&str; 4] = ["flagged", "inconclusive", "exit_status", "/lost/probe_missed"];

fn objects(evidence: &Evidence, wrong: &mut Vec<String>) -> Vec<Value> {
    parse(&evidence.stdout).unwrap_or_else(|complaint| {
        wrong.push(complaint);
        Vec::new()
    })
}

fn wrong_log(expected: &Expectation, log: &str) -> Vec<String> {
    let lacks = expected.log_has.iter().filter(|text| !log.contains(**text));
    let has = expected.log_lacks.iter().filter(|text| log.contains(**text));
    lacks
        .map(|text| format!("the kernel's log lacks `{text}`"))
        .chain(has.map(|text| format!("the kernel's log has `{text}`")))
        .collect()
}

/// Whether krcu itself left this verdict open, for no reason but these.
fn is_open(object: &Value, reasons: &[&str]) -> bool {
    let told = object["reasons"].as_array().filter(|told| !told.is_empty());
    object["verdict"] == "inconclusive"
        && told.is_some_and(|told| {
            told.iter().all(|reason| reason.as_str().is_some_and(|reason| reasons.contains(&reason)))
        })
}

/// Whether krcu itself left this number out, for one of these reasons.
fn is_not_said(object: &Value, field: &str, reasons: &[&str]) -> bool {
    let told = object["reasons"].as_array();
    object.get(field).is_some_and(Value::is_null)
        && told.is_some_and(|told| told.iter().any(|reason| reason == INEXACT && reasons.contains(&INEXACT)))
}

/// Frees ran while the kernel counted what is left: how much of it nobody queued is not known.
pub(crate) const INEXACT: &str = "inexact-count";

/// In what the verdicts contradict the kernel's log of a run that was watched from its begin to its end, whatever was
/// expected: a destroy after which objects were left is flagged or inconclusive, and what is called leaked was left.
pub(crate) fn contradictions(evidence: &Evidence) -> Vec<String> {
    let Ok(objects) = parse(&evidence.stdout) else { return Vec::new() };
    let verdicts: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "verdict").collect();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for line in evidence.log.lines().filter(|line| line.contains(STILL_HAS_OBJECTS)) {
        let name =
            line.split_once("kmem_cache_destroy ").and_then(|(_, rest)| rest.split_once(STILL_HAS_OBJECTS));
        *left.entry(name.map_or("?", |(name, _)| name)).or_default() += 1;
    }
    let of = |cache: &str, is: &dyn Fn(&Value) -> bool| {
        verdicts.iter().filter(|verdict| verdict["cache"] == *cache && is(verdict)).count()
    };
    let mut found = Vec::new();
    // The entries of destroys that were lost are counted, and make no verdict.
    let lost = objects.iter().find_map(|object| object.pointer("/lost/destroys")?.as_u64()).unwrap_or(0);
    let lost = usize::try_from(lost).unwrap_or(usize::MAX);
    for (cache, times) in &left {
        let told =
            lost + of(cache, &|verdict| verdict["flagged"] == true || verdict["verdict"] == "inconclusive");
        if told < *times {
            found.push(format!(
                "the kernel's log says {times} times that {cache} still has objects, and {told} verdicts say so"
            ));
        }
    }
    for verdict in verdicts.iter().filter(|verdict| verdict["verdict"] == "leaked") {
        let cache = verdict["cache"].as_str().unwrap_or_default();
        if of(cache, &|verdict| verdict["verdict"] == "leaked") > left.get(cache).copied().unwrap_or(0) {
            found.push(format!(
                "{cache} is called leaked, and the kernel's log does not say that it has objects"
            ));
        }
    }
    found
}

/// What stands behind the name of a cache in the kernel's report of a destroy that failed.
const STILL_HAS_OBJECTS: &str = ": Slab cache still has objects when called from";

/// Verdicts that accuse the kernel, or contradict it. No test kernel breaks a promise: the rule is wrong then.
fn accusations(objects: &[Value]) -> impl Iterator<Item = String> {
    let accuses = |object: &&Value| {
        object.get("verdict").and_then(Value::as_str).is_some_and(|word| ACCUSATIONS.contains(&word))
    };
    objects.iter().filter(accuses).map(|object| format!("the kernel is accused: {object}"))
}

fn parse(stdout: &str) -> Result<Vec<Value>, String> {
    let lines = stdout.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).map_err(|error| format!("not JSON ({error}): {line}")))
        .collect()
}

/// Whether two lines are about the same thing: they are expected in their order.
fn alike(left: &Line, right: &Line) -> bool {
    left.kind == right.kind && left.cache == right.cache
}

/// Flagged verdicts of caches that nothing is expected of, where something is expected of caches: false alarms.
fn alarms<'a>(expected: &'a Expectation, objects: &'a [Value]) -> impl Iterator<Item = String> + 'a {
    let named = |name: &str| expected.lines.iter().any(|line| line.cache.is_none_or(|cache| cache == name));
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    objects
        .iter()
        .filter(|object| object["kind"] == "verdict" && object["flagged"] == true)
        .map(move |object| (text(object, "cache"), text(object, "verdict")))
        .filter(move |(cache, _)| !expected.lines.is_empty() && !named(cache))
        .map(|(cache, word)| format!("a false alarm: {cache} is called {word}"))
}

/// Holds the line that is number `index` of `count` alike ones against what was printed: of which field, and what is
/// wrong with it.
fn judge_line<'a>(
    line: &'a Line,
    index: usize,
    count: usize,
    objects: &[Value],
    log: &str,
) -> Vec<(Option<&'a str>, String)> {
    let matching = matching(line, objects);
    let name = name_of(line);
    let Some(object) = matching.get(index).filter(|_| matching.len() == count) else {
        let wanted = if count == 1 { "one".to_owned() } else { count.to_string() };
        return vec![(None, format!("{} lines `{name}`, expected {wanted}", matching.len()))];
    };
    let mut found = Vec::new();
    for (field, want) in line.fields {
        let value = if field.starts_with('/') { object.pointer(field) } else { object.get(field) };
        let value = value.unwrap_or(&Value::Null);
        let truth = |key: &str| truth_of(log, line.cache.unwrap_or_default(), key);
        let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count() as u64;
        let complaint = if let Want::Balanced = want {
            unbalanced(object, value)
        } else {
            let judged = judge_value(value, *want, truth, lines);
            judged.err().map(|wanted| format!("{field} is {value}, expected {wanted}"))
        };
        found.extend(complaint.map(|complaint| (Some(*field), format!("{name}: {complaint}"))));
    }
    found
}

fn name_of(line: &Line) -> String {
    line.cache.map_or_else(|| line.kind.to_owned(), |cache| format!("{} of {cache}", line.kind))
}

/// The printed lines of a kind and cache, in their order.
fn matching<'a>(line: &Line, objects: &'a [Value]) -> Vec<&'a Value> {
    let is = |object: &Value, field: &str, text: &str| object[field].as_str() == Some(text);
    objects
        .iter()
        .filter(|object| {
            is(object, "kind", line.kind) && line.cache.is_none_or(|cache| is(object, "cache", cache))
        })
        .collect()
}

/// What is wrong with the accounts of a summary.
fn unbalanced(summary: &Value, accounts: &Value) -> Option<String> {
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let accounts = accounts.as_array().filter(|accounts| !accounts.is_empty());
    let Some(accounts) = accounts else { return Some("it has no accounts".to_owned()) };
    let mut delivered = 0;
    for account in accounts {
        let sum = ["delivered", "lost", "filtered"]
            .iter()
            .try_fold(0, |sum, field| Some(sum + number(account, field)?));
        if sum.is_none() || number(account, "seen") != sum {
            return Some(format!("an account is not balanced: {account}"));
        }
        delivered += number(account, "delivered").unwrap_or(0);
    }
    let taken = number(summary, "events");
    (taken != Some(delivered)).then(|| format!("{delivered} events were delivered and {taken:?} taken"))
}

/// Says what was wanted when the value is not that.
fn judge_value(
    value: &Value,
    want: Want,
    truth: impl Fn(&str) -> Option<u64>,
    log_lines: impl Fn(&str) -> u64,
) -> Result<(), String> {
    let number = value.as_u64();
    let agrees = match want {
        Want::Text(text) => value.as_str() == Some(text),
        Want::Has(text) => {
            value.as_str().map_or_else(|| value.to_string().contains(text), |value| value.contains(text))
        }
        Want::Number(wanted) => number == Some(wanted),
        Want::AtLeast(wanted) => number.is_some_and(|number| number >= wanted),
        Want::Flag(wanted) => value.as_bool() == Some(wanted),
        Want::Nothing => value.is_null(),
        Want::NumberOrNothing(wanted) => value.is_null() || number == Some(wanted),
        Want::Truth(key) => {
            let told = truth(key).ok_or_else(|| format!("the module's {key}, which it did not print"))?;
            return if number == Some(told) { Ok(()) } else { Err(format!("{told}, the module's {key}")) };
        }
        Want::Balanced => false,
        Want::LogLines(text) => {
            let told = log_lines(text);
            return if number == Some(told) { Ok(()) } else { Err(format!("{told}, the kernel's lines")) };
        }
        Want::TruthBetween(low, high) => {
            let told = |key| truth(key).ok_or_else(|| format!("the module's {key}, which it did not print"));
            let range = told(low)?..=told(high)?;
            let agrees = number.is_some_and(|number| range.contains(&number));
            return if agrees { Ok(()) } else { Err(format!("{range:?}, the module's {low} and {high}")) };
        }
    };
    if agrees { Ok(()) } else { Err(format!("{want:?}")) }
}

/// What a module printed about a cache: `NAME: truth cache=CACHE KEY=NUMBER …`.
fn truth_of(log: &str, cache: &str, key: &str) -> Option<u64> {
    let named = format!("cache={cache}");
    let line =
        log.lines().find(|line| line.contains(": truth ") && line.split(' ').any(|word| word == named))?;
    line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Evidence, INEXACT, Judgement, contradictions};
    use crate::check::scenarios::{Expectation, Line, Want};

    const LOG: &str = "[  1.0] m: truth cache=c queued=777 leaked=0 outstanding=777 outstanding_min=770\n";
    const LINE: &str =
        r#"{"kind":"verdict","cache":"c","verdict":"pending","n":777,"one":1,"from":[{"at":"flush+0x1"}]}"#;

    fn judge(fields: &'static [(&'static str, Want)], stdout: &str) -> Vec<String> {
        judge_all(Box::leak(Box::new([Line { kind: "verdict", cache: Some("c"), fields }])), stdout)
    }

    fn judge_all(lines: &'static [Line], stdout: &str) -> Vec<String> {
        let expected =
            Expectation { series: &["6.1"], status: 10, lines, log_has: &["truth"], log_lacks: &["BUG"] };
        wrong(&expected, &Evidence { status: 10, stdout: stdout.to_owned(), log: LOG.to_owned() })
    }

    /// What is wrong, where nothing may be left open.
    fn wrong(expected: &Expectation, evidence: &Evidence) -> Vec<String> {
        let Judgement { wrong, open, premise } = super::judge(expected, &[], evidence);
        assert_eq!((open.len(), premise.len()), (0, 0), "{open:?} {premise:?}");
        wrong
    }

    #[test]
    fn fields_agree() {
        let fields = &[
            ("verdict", Want::Text("pending")),
            ("n", Want::Truth("outstanding")),
            ("n", Want::TruthBetween("outstanding_min", "outstanding")),
            ("n", Want::AtLeast(700)),
            ("one", Want::LogLines("truth")),
            ("absent", Want::Nothing),
            ("absent", Want::NumberOrNothing(0)),
            ("one", Want::NumberOrNothing(1)),
            ("/from/0/at", Want::Has("flush")),
            ("from", Want::Has("flush")),
        ];
        assert_eq!(judge(fields, LINE), Vec::<String>::new());
    }

    #[test]
    fn each_disagreement_is_told() {
        let found = judge(
            &[("verdict", Want::Text("clean")), ("n", Want::Truth("leaked")), ("n", Want::Truth("no"))],
            LINE,
        );
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].contains("777, expected 0, the module's leaked"), "{found:?}");
        assert_eq!(judge(&[], ""), ["0 lines `verdict of c`, expected one"]);
        assert_eq!(judge(&[], &format!("{LINE}\n{LINE}")), ["2 lines `verdict of c`, expected one"]);
        assert!(judge(&[], "krcu: no root").iter().any(|text| text.starts_with("not JSON")));
    }

    #[test]
    fn lines_of_one_cache_come_in_their_order() {
        const LINES: &[Line] = &[
            Line { kind: "verdict", cache: Some("c"), fields: &[("n", Want::Number(1))] },
            Line { kind: "verdict", cache: Some("c"), fields: &[("n", Want::Number(777))] },
        ];
        let first = LINE.replace("\"n\":777", "\"n\":1");
        assert_eq!(judge_all(LINES, &format!("{first}\n{LINE}")), Vec::<String>::new());
        assert_eq!(judge_all(LINES, &format!("{LINE}\n{first}")).len(), 2);
        assert_eq!(judge_all(LINES, LINE)[0], "1 lines `verdict of c`, expected 2");
    }

    #[test]
    fn an_alarm_about_something_else_is_false() {
        let other = LINE.replace("\"c\"", "\"other\"");
        let flagged = other.replace("\"n\"", "\"flagged\":true,\"n\"");
        assert_eq!(judge(&[], &format!("{LINE}\n{other}")), Vec::<String>::new());
        assert_eq!(judge(&[], &format!("{LINE}\n{flagged}")), ["a false alarm: other is called pending"]);
    }

    #[test]
    fn accounts_are_added_up() {
        let judge = |text: &str| {
            let summary = serde_json::from_str(text).unwrap();
            super::unbalanced(&summary, &summary["accounts"])
        };
        let right = r#"{"events":5,"accounts":[{"seen":9,"delivered":3,"lost":4,"filtered":2},{"seen":2,"delivered":2,"lost":0,"filtered":0}]}"#;
        assert_eq!(judge(right), None);
        assert!(judge(&right.replace("\"seen\":9", "\"seen\":8")).unwrap().contains("not balanced"));
        assert!(
            judge(&right.replace("\"events\":5", "\"events\":6"))
                .unwrap()
                .contains("5 events were delivered")
        );
        assert_eq!(judge(r#"{"events":0,"accounts":[]}"#).unwrap(), "it has no accounts");
    }

    #[test]
    fn no_kernel_is_accused() {
        let accused = LINE.replace("pending", "freed-early").replace("\"c\"", "\"other\"");
        let found = judge(&[("n", Want::Number(777))], &format!("{LINE}\n{accused}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("accused"), "{found:?}");
    }

    #[test]
    fn status_and_log_are_judged() {
        let expected =
            Expectation { series: &[], status: 0, lines: &[], log_has: &["absent"], log_lacks: &["truth"] };
        let evidence = Evidence { status: 1, stdout: String::new(), log: LOG.to_owned() };
        assert_eq!(
            wrong(&expected, &evidence),
            ["exit status 1, expected 0", "the kernel's log lacks `absent`", "the kernel's log has `truth`"]
        );
    }

    const OPEN: &str =
        r#"{"kind":"verdict","cache":"c","verdict":"inconclusive","reasons":["probe-missed"],"n":0}"#;
    const BOTH: &[Line] = &[
        Line { kind: "verdict", cache: Some("c"), fields: &[("verdict", Want::Text("pending"))] },
        Line { kind: "verdict", cache: Some("d"), fields: &[("verdict", Want::Text("pending"))] },
        Line {
            kind: "summary",
            cache: None,
            fields: &[("flagged", Want::Number(2)), ("events", Want::Number(3))],
        },
    ];

    fn try_of(stdout: String, status: i32) -> Judgement {
        let expected =
            Expectation { series: &["6.1"], status: 10, lines: BOTH, log_has: &[], log_lacks: &[] };
        super::judge(&expected, &["probe-missed"], &Evidence { status, stdout, log: String::new() })
    }

    #[test]
    fn what_was_left_open_excuses_itself_and_nothing_beside_it() {
        let summary = r#"{"kind":"summary","flagged":1,"events":3}"#;
        let d = OPEN.replace("\"c\"", "\"d\"");
        let right = LINE.replace("\"c\"", "\"d\"");
        let open = try_of(format!("{OPEN}\n{right}\n{summary}"), 10);
        assert_eq!((open.wrong.len(), open.open.len()), (0, 2), "{open:?}");
        let all = try_of(format!("{OPEN}\n{d}\n{}", summary.replace('1', "0")), 11);
        assert_eq!((all.wrong.len(), all.open.len()), (0, 4), "{all:?}");
        // The judge is at fault for one cache while a run of a probe was missed for the other.
        let clean = right.replace("pending", "clean");
        let fault = try_of(format!("{OPEN}\n{clean}\n{summary}"), 11);
        assert_eq!(fault.wrong, ["verdict of d: verdict is \"clean\", expected Text(\"pending\")"]);
        let events = try_of(format!("{OPEN}\n{right}\n{}", summary.replace('3', "4")), 10);
        assert_eq!(events.wrong.len(), 1, "{events:?}");
        // A decided verdict of the same cache is not excused by the open one before it.
        let twice = try_of(format!("{OPEN}\n{}\n{right}\n{summary}", LINE.replace("pending", "clean")), 10);
        assert_ne!(twice.wrong, Vec::<String>::new());
        for other in [r#"["ring-full"]"#, r#"["probe-missed","ring-full"]"#, "[]"] {
            let lost = OPEN.replace(r#"["probe-missed"]"#, other);
            let lost = try_of(format!("{lost}\n{right}\n{summary}"), 10);
            assert_ne!(lost.wrong, Vec::<String>::new(), "{other} excuses nothing");
        }
    }

    #[test]
    fn a_number_that_is_said_to_be_inexact_excuses_itself_and_nothing_beside_it() {
        const LINES: &[Line] = &[Line {
            kind: "verdict",
            cache: Some("c"),
            fields: &[("leaked", Want::Number(5)), ("n", Want::Number(777))],
        }];
        let expected = Expectation { series: &[], status: 10, lines: LINES, log_has: &[], log_lacks: &[] };
        let judge = |leaked: &str, reason: &str, n: &str, open_if: &[&str]| {
            let more = format!(r#""leaked":{leaked},"reasons":["{reason}"],"n":{n}"#);
            let stdout = LINE.replace(r#""n":777"#, &more);
            let found =
                super::judge(&expected, open_if, &Evidence { status: 10, stdout, log: String::new() });
            (found.wrong.len(), found.open.len())
        };
        assert_eq!(judge("5", "inexact-count", "777", &[INEXACT]), (0, 0));
        assert_eq!(judge("null", "inexact-count", "777", &[INEXACT]), (0, 1));
        assert_eq!(judge("null", "inexact-count", "776", &[INEXACT]), (1, 1));
        assert_eq!(judge("4", "inexact-count", "777", &[INEXACT]), (1, 0));
        assert_eq!(judge("null", "inexact-count", "777", &[]), (1, 0));
        assert_eq!(judge("null", "late-attach", "777", &[INEXACT]), (1, 0));
    }

    #[test]
    fn what_is_expected_to_be_inconclusive_is_judged_as_any_verdict_is() {
        const MEANT: &[Line] = &[Line {
            kind: "verdict",
            cache: Some("c"),
            fields: &[("verdict", Want::Text("inconclusive")), ("n", Want::Number(5))],
        }];
        let expected = Expectation { series: &[], status: 11, lines: MEANT, log_has: &[], log_lacks: &[] };
        let evidence = Evidence { status: 11, stdout: OPEN.to_owned(), log: String::new() };
        let judged = super::judge(&expected, &["probe-missed"], &evidence);
        assert_eq!((judged.wrong.len(), judged.open.len()), (1, 0), "{judged:?}");
    }

    #[test]
    fn a_premise_that_did_not_come_about_explains_what_is_about_it_and_nothing_else() {
        let expected = Expectation { series: &[], status: 10, lines: BOTH, log_has: &[], log_lacks: &[] };
        let judge = |stdout: String, log: &str| {
            super::judge(&expected, &[], &Evidence { status: 10, stdout, log: log.to_owned() })
        };
        let summary = r#"{"kind":"summary","flagged":2,"events":3}"#;
        let (c, d) = (LINE.replace("pending", "clean"), LINE.replace("\"c\"", "\"d\""));
        let ended = "krcu_play: a grace period ended before the destroy of c";
        let unmet = judge(format!("{c}\n{d}\n{summary}"), ended);
        assert_eq!((unmet.wrong.len(), unmet.premise.len()), (0, 1), "{unmet:?}");
        // A wrong verdict of the other cache is found at this try.
        let beside = judge(format!("{c}\n{}\n{summary}", d.replace("pending", "clean")), ended);
        assert_eq!((beside.wrong.len(), beside.premise.len()), (1, 1), "{beside:?}");
        let held =
            judge(format!("{c}\n{}\n{summary}", d.replace("pending", "clean")), "krcu_play: a hold ran out");
        assert_eq!((held.wrong.len(), held.premise.len()), (0, 2), "{held:?}");
        let accused = judge(format!("{c}\n{d}\n{}\n{summary}", c.replace("clean", "freed-early")), ended);
        assert!(accused.wrong.iter().any(|text| text.contains("accused")), "{accused:?}");
    }

    #[test]
    fn the_kernels_own_report_contradicts_a_verdict() {
        let log =
            "[ 1.0] kmem_cache_destroy c: Slab cache still has objects when called from play_destroy+0x1";
        let judge =
            |stdout: String, log: &str| contradictions(&Evidence { status: 0, stdout, log: log.to_owned() });
        let flagged = LINE.replace("\"n\"", "\"flagged\":true,\"n\"");
        assert_eq!(judge(flagged.clone(), log), Vec::<String>::new());
        assert_eq!(judge(OPEN.to_owned(), log), Vec::<String>::new());
        assert_eq!(judge(LINE.replace("pending", "clean"), log).len(), 1);
        let twice = format!("{log}\n{log}");
        assert_eq!(judge(flagged.clone(), &twice).len(), 1, "two reports, one verdict");
        let lost = "{\"kind\":\"summary\",\"lost\":{\"destroys\":1}}";
        assert_eq!(judge(format!("{flagged}\n{lost}"), &twice), Vec::<String>::new());
        assert_eq!(judge(flagged.replace("pending", "leaked"), log), Vec::<String>::new());
        assert_eq!(judge(flagged.replace("pending", "leaked"), "").len(), 1);
    }
}
