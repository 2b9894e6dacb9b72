//! Cases: a run as the list of test cases that a CI server keeps a history of.
//!
//! The names never change with what was found, and no two cases of a run have the same name. Each life of a cache is
//! one case, `MODULE.CACHE`; the second life of a cache of the same name is `MODULE.CACHE#2`. What the kernel is accused
//! of belongs to the case of its cache. The run has cases of its own, in the place of a module: its command, and
//! whether krcu saw everything. So a file without its exit status says whether the run was good.

use std::collections::BTreeMap;

use krcu_model::{VerdictKind, verdict::About};
use krcu_report::{FlatVerdict, words::objects};

use super::text;
use crate::{
    known::{module_of, own_name},
    outcome::Outcome,
};

/// What stands for the module of the cases of the run itself.
pub(super) const RUN: &str = "krcu";

/// How a case went. The worst is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Went {
    Passed,
    Skipped,
    Known,
    Undecided,
    Failed,
}

/// A test case.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// The module, or what stands for it.
    pub(super) module: String,
    /// The name in its module.
    pub(super) name: String,
    /// How it went.
    pub(super) went: Went,
    /// The word of the verdict, or of the fault.
    pub(super) word: &'static str,
    /// What is to be said on one line; empty if nothing is.
    pub(super) message: String,
    /// The evidence, in lines; empty if there is none.
    pub(super) evidence: String,
    /// How long it took.
    pub(super) ns: u64,
    /// The verdict that decides it, if one does.
    pub(super) verdict: Option<&'a FlatVerdict>,
    /// What the kernel, or whoever frees, is accused of besides.
    pub(super) accused: Vec<&'a FlatVerdict>,
}

impl Case<'_> {
    /// Its whole name.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

fn is_accusation(verdict: &FlatVerdict) -> bool {
    matches!(verdict.verdict, VerdictKind::BarrierEarly | VerdictKind::FreedEarly | VerdictKind::DoubleFree)
}

/// All cases of a run: those of its verdicts, then its own.
pub(super) fn of(outcome: &Outcome) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut lives: BTreeMap<String, usize> = BTreeMap::new();
    let (accused, judged): (Vec<&FlatVerdict>, Vec<&FlatVerdict>) =
        outcome.verdicts.iter().partition(|verdict| is_accusation(verdict));
    for verdict in judged {
        cases.push(of_verdict(outcome, verdict));
        number(&mut cases, &mut lives);
    }
    for verdict in accused {
        let is_same = |case: &&mut Case<'_>| {
            case.verdict.is_some_and(|known| known.about == About::Cache && known.cache == verdict.cache)
        };
        let new = of_verdict(outcome, verdict);
        match cases.iter_mut().find(is_same) {
            Some(case) => fold(case, new),
            None => {
                cases.push(new);
                number(&mut cases, &mut lives);
            }
        }
    }
    cases.extend(of_run(outcome));
    cases
}

/// Numbers the last case, if it is not the first of its name.
fn number(cases: &mut [Case<'_>], lives: &mut BTreeMap<String, usize>) {
    let Some(case) = cases.last_mut() else { return };
    let life = lives.entry(case.full_name()).or_default();
    *life += 1;
    if *life > 1 {
        case.name = format!("{}#{life}", case.name);
    }
}

/// Adds what the kernel is accused of to the case of the cache.
fn fold<'a>(case: &mut Case<'a>, accusation: Case<'a>) {
    case.accused.extend(accusation.verdict);
    case.evidence += &accusation.evidence;
    if accusation.went > case.went {
        (case.went, case.word) = (accusation.went, accusation.word);
        case.message = accusation.message;
    }
}

fn of_verdict<'a>(outcome: &Outcome, verdict: &'a FlatVerdict) -> Case<'a> {
    let went = match outcome.known(verdict) {
        Some(_) => Went::Known,
        None if outcome.is_fault(verdict) => Went::Failed,
        None if outcome.is_undecided(verdict) => Went::Undecided,
        None => Went::Passed,
    };
    let clause = text::clause(verdict);
    let message = match outcome.known(verdict) {
        Some(known) => format!("known until {}: {}", known.until, known.reason),
        None => clause,
    };
    let is_plain = went == Went::Passed && text::is_quiet(outcome, verdict);
    Case {
        module: module_of(verdict).to_owned(),
        name: own_name(verdict),
        went,
        word: outcome.word(verdict),
        message,
        evidence: if is_plain { String::new() } else { text::block(outcome, verdict) },
        ns: verdict.wait_ns.unwrap_or(0),
        verdict: Some(verdict),
        accused: Vec::new(),
    }
}

/// The cases of the run itself.
fn of_run(outcome: &Outcome) -> Vec<Case<'static>> {
    let mut cases = Vec::new();
    let case = |name: &str, (went, word, message): (Went, &'static str, String)| Case {
        module: RUN.to_owned(),
        name: name.to_owned(),
        went,
        word,
        message,
        evidence: String::new(),
        ns: 0,
        verdict: None,
        accused: Vec::new(),
    };
    if outcome.setting.command.is_some() {
        let mut command = case("the command succeeded", command(outcome));
        command.ns = outcome.duration_ns;
        cases.push(command);
    }
    let required = &outcome.policy.require_destroy;
    let is_required = required.iter().any(String::is_empty);
    cases.push(case("a cache was destroyed", destroyed(outcome, "", is_required)));
    for cache in required.iter().filter(|cache| !cache.is_empty()) {
        cases.push(case(
            &format!("{} was destroyed", cache.replace('#', "_")),
            destroyed(outcome, cache, true),
        ));
    }
    let losses: String = text::losses(outcome).iter().map(|loss| format!("{loss}\n")).collect();
    let mut seen = case("every destroy was seen", seen(outcome));
    if seen.went != Went::Passed {
        seen.evidence = outcome.failed.as_ref().map_or(losses, |why| format!("{why}\n"));
    }
    cases.push(seen);
    cases
}

const PASSED: (Went, &str, String) = (Went::Passed, "passed", String::new());

fn command(outcome: &Outcome) -> (Went, &'static str, String) {
    if outcome.failed.is_some() || outcome.incomplete.is_some() {
        return (Went::Undecided, "inconclusive", "how it ended is not known".to_owned());
    }
    match outcome.command_status {
        0 => PASSED,
        status => (Went::Failed, "command-failed", format!("its status was {status}")),
    }
}

fn destroyed(outcome: &Outcome, cache: &str, is_required: bool) -> (Went, &'static str, String) {
    let nothing = if cache.is_empty() {
        "no slab cache was destroyed".to_owned()
    } else {
        format!("no slab cache {cache} was destroyed")
    };
    if outcome.has_destroyed(cache) {
        PASSED
    } else if outcome.is_blind() {
        (Went::Undecided, "inconclusive", format!("{nothing}, as far as krcu saw"))
    } else if is_required {
        (Went::Failed, "not-destroyed", nothing)
    } else {
        (Went::Skipped, "not-destroyed", nothing)
    }
}

fn seen(outcome: &Outcome) -> (Went, &'static str, String) {
    let message = match (&outcome.failed, outcome.incomplete) {
        (Some(why), _) => format!("krcu failed: {}", why.lines().next().unwrap_or_default()),
        (None, Some(incomplete)) => incomplete.sentence().to_owned(),
        (None, None) if outcome.losses.destroys > 0 => {
            format!("{} unseen", objects(outcome.losses.destroys, "destroy"))
        }
        (None, None) if outcome.events_cut_short => "a file of this run is incomplete".to_owned(),
        (None, None) => return PASSED,
    };
    (Went::Undecided, "inconclusive", message)
}
