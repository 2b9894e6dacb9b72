//! Compares what a scenario left with what its data says must have come of it.
//!
//! Pure: texts in, a list of disagreements out, so that the comparing itself is tested without a kernel.

use serde_json::Value;

use crate::scenarios::{Expectation, Line, Want};

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

/// Every way in which the evidence is not what was expected; none when the scenario passed.
pub(crate) fn disagreements(expected: &Expectation, evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    if evidence.status != expected.status {
        found.push(format!("exit status {}, expected {}", evidence.status, expected.status));
    }
    let objects = match parse(&evidence.stdout) {
        Ok(objects) => objects,
        Err(complaint) => {
            found.push(complaint);
            Vec::new()
        }
    };
    found.extend(accusations(&objects));
    found.extend(alarms(expected, &objects));
    for (index, line) in expected.lines.iter().enumerate() {
        let (before, after) = expected.lines.split_at(index);
        let alike = |lines: &[Line]| lines.iter().filter(|other| alike(other, line)).count();
        judge_line(line, alike(before), alike(before) + alike(after), &objects, &evidence.log, &mut found);
    }
    for text in expected.log_has.iter().filter(|text| !evidence.log.contains(**text)) {
        found.push(format!("the kernel's log lacks `{text}`"));
    }
    for text in expected.log_lacks.iter().filter(|text| evidence.log.contains(**text)) {
        found.push(format!("the kernel's log has `{text}`"));
    }
    found
}

/// Whether krcu itself left something open because the kernel skipped runs of a probe.
pub(crate) fn is_left_open(stdout: &str) -> bool {
    let missed = |object: &Value| {
        let reasons = object.get("reasons").and_then(Value::as_array);
        reasons.is_some_and(|reasons| reasons.iter().any(|reason| reason == "probe-missed"))
    };
    stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|object| missed(&object))
}

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

/// Holds the line that is number `index` of `count` alike ones against what was printed.
fn judge_line(
    line: &Line,
    index: usize,
    count: usize,
    objects: &[Value],
    log: &str,
    found: &mut Vec<String>,
) {
    let matching = matching(line, objects);
    let name = name_of(line);
    let Some(object) = matching.get(index).filter(|_| matching.len() == count) else {
        let wanted = if count == 1 { "one".to_owned() } else { count.to_string() };
        found.push(format!("{} lines `{name}`, expected {wanted}", matching.len()));
        return;
    };
    for (field, want) in line.fields {
        let value = if field.starts_with('/') { object.pointer(field) } else { object.get(field) };
        let value = value.unwrap_or(&Value::Null);
        let truth = |key: &str| truth_of(log, line.cache.unwrap_or_default(), key);
        let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count() as u64;
        if let Want::Balanced = want {
            found.extend(unbalanced(object, value).map(|complaint| format!("{name}: {complaint}")));
            continue;
        }
        if let Err(wanted) = judge_value(value, *want, truth, lines) {
            found.push(format!("{name}: {field} is {value}, expected {wanted}"));
        }
    }
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
    use super::{Evidence, disagreements};
    use crate::scenarios::{Expectation, Line, Want};

    const LOG: &str = "[  1.0] m: truth cache=c queued=777 leaked=0 outstanding=777 outstanding_min=770\n";
    const LINE: &str =
        r#"{"kind":"verdict","cache":"c","verdict":"pending","n":777,"one":1,"from":[{"at":"flush+0x1"}]}"#;

    fn judge(fields: &'static [(&'static str, Want)], stdout: &str) -> Vec<String> {
        judge_all(Box::leak(Box::new([Line { kind: "verdict", cache: Some("c"), fields }])), stdout)
    }

    fn judge_all(lines: &'static [Line], stdout: &str) -> Vec<String> {
        let expected =
            Expectation { series: &["6.1"], status: 10, lines, log_has: &["truth"], log_lacks: &["BUG"] };
        disagreements(&expected, &Evidence { status: 10, stdout: stdout.to_owned(), log: LOG.to_owned() })
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
            disagreements(&expected, &evidence),
            ["exit status 1, expected 0", "the kernel's log lacks `absent`", "the kernel's log has `truth`"]
        );
    }
}
