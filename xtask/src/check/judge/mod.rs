//! Compares what a scenario left with what its data says must have come of it.
//!
//! Pure: texts in, a list of disagreements out, so that the comparing itself is tested without a kernel.

#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::scenarios::{Expectation, Line, Want};
use value::{judge_value, truth_of, unbalanced};

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

/// What a module says whose reader or destroy could not stay for as long as it had to, `krcu_play` of a script that could not
/// be done, and `krcu_shrink` where the monitor had freed the objects before the shrinker came.
const NOT_DONE: [&str; 3] =
    [": a hold ran out", "krcu_play: `", "krcu_shrink: the shrinker has freed none of them"];
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
    found.wrong.extend(accusations(expected, &objects));
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

/// How the kernel tells of a system call that a filter refused: krcu's own list then lacks a call that it makes.
const REFUSED_CALL: &str = "type=1326";

fn wrong_log(expected: &Expectation, log: &str) -> Vec<String> {
    let lacks = expected.log_has.iter().filter(|text| !log.contains(**text));
    let has = expected.log_lacks.iter().chain([&REFUSED_CALL]).filter(|text| log.contains(**text));
    lacks
        .map(|text| format!("the kernel's log lacks `{text}`"))
        .chain(has.map(|text| format!("the kernel's log has `{text}`")))
        .collect()
}

/// Whether krcu itself left this verdict open, or the order behind a `clean` one, for no reason but these. Under `--strict` the
/// latter has the status of what is inconclusive, also where it is about a module of which nothing is expected.
fn is_open(object: &Value, reasons: &[&str]) -> bool {
    let told = object["reasons"].as_array().filter(|told| !told.is_empty());
    let is_order_unknown = object["verdict"] == "clean" && object["ordering"] == "unknown";
    (object["verdict"] == "inconclusive" || is_order_unknown)
        && told.is_some_and(|told| {
            told.iter().all(|reason| reason.as_str().is_some_and(|reason| reasons.contains(&reason)))
        })
}

/// Whether krcu itself left this number out, or left open whether some objects belong to it, for one of these reasons.
fn is_not_said(object: &Value, field: &str, reasons: &[&str]) -> bool {
    let told = object["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut told = told.filter(|reason| reasons.contains(reason));
    let is_undecided = matches!(field, "leaked" | "undecided") && object["undecided"].as_u64() > Some(0);
    if is_undecided {
        return told.next().is_some();
    }
    object.get(field).is_some_and(Value::is_null) && told.any(|reason| reason == INEXACT)
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
    // In a task of KUnit's, `kmem_cache_destroy()` warns of nothing (`slab_in_kunit_test()`).
    let is_told = |verdict: &&&Value| verdict["destroyed_by"]["comm"] != "kunit_try_catch";
    for verdict in verdicts.iter().filter(|verdict| verdict["verdict"] == "leaked").filter(is_told) {
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

/// Verdicts that accuse the kernel, or contradict it, and that the scenario does not expect by their word and cache. Where no
/// scenario has provoked it, no test kernel breaks a promise: the rule is wrong then.
fn accusations(expected: &Expectation, objects: &[Value]) -> impl Iterator<Item = String> {
    let is_meant = |object: &Value, word: &str| {
        let mut lines = expected.lines.iter().filter(|line| line.word() == Some(word));
        lines.any(|line| line.cache.is_some_and(|cache| object["cache"] == *cache))
    };
    let accuses = move |object: &&Value| {
        let word = object["verdict"].as_str();
        word.is_some_and(|word| ACCUSATIONS.contains(&word) && !is_meant(object, word))
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
