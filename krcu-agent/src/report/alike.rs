//! Alike: verdicts of which the same is to be said, so that a report of eighty destroys is read as one of two.

use std::collections::BTreeSet;

use krcu_model::VerdictKind;
use krcu_report::{
    FlatVerdict,
    words::{count, destroyed_in, site, span},
};

use crate::outcome::Outcome;

/// Fewer verdicts than this are told one by one.
const FEWEST: usize = 3;
/// How many names are told, of a group.
const NAMES: usize = 6;

/// Verdicts of which the same is to be said.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The one of them in which the most was outstanding, or which waited the longest.
    pub(super) most: &'a FlatVerdict,
    /// How many they are.
    pub(super) number: u64,
    /// From the least to the most, of what the verdict is about, if it is about a number.
    pub(super) range: Option<String>,
    /// Their names.
    pub(super) names: String,
}

/// The verdicts in groups, in the order of the first of each group.
pub(super) fn groups<'a>(outcome: &Outcome, verdicts: &[&'a FlatVerdict]) -> Vec<Group<'a>> {
    let mut groups: Vec<(String, Vec<&'a FlatVerdict>)> = Vec::new();
    for verdict in verdicts {
        let sign = sign(outcome, verdict);
        match groups.iter_mut().find(|(known, _)| *known == sign) {
            Some((_, alike)) => alike.push(verdict),
            None => groups.push((sign, vec![verdict])),
        }
    }
    groups.into_iter().flat_map(|(_, alike)| told(&alike)).collect()
}

/// One group, or one for each of a few.
fn told<'a>(alike: &[&'a FlatVerdict]) -> Vec<Group<'a>> {
    let one_by_one = || alike.iter().map(|most| Group { most, number: 1, range: None, names: String::new() });
    let Some(most) = alike.iter().max_by_key(|verdict| size(verdict)).filter(|_| alike.len() >= FEWEST)
    else {
        return one_by_one().collect();
    };
    vec![Group { most, number: alike.len() as u64, range: range(alike), names: names(alike) }]
}

/// What is said of a verdict, apart from its name and its numbers.
fn sign(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let sites = verdict.sites.iter().chain(&verdict.leak_sites).map(|one| site(0, &one.stack));
    let callbacks = verdict.callbacks.iter().map(|callback| callback.function.clone());
    let notes = verdict.notes.iter().map(|note| note.replace(|letter: char| letter.is_ascii_digit(), ""));
    let known = outcome.entry_of(verdict).map(|entry| entry.signature.clone());
    let head = [
        outcome.word(verdict).to_owned(),
        format!("{:?}", verdict.about),
        verdict.module.clone().unwrap_or_default(),
        format!("{:?}", verdict.reasons),
        format!("{:?}", verdict.kernel_result),
        destroyed_in(verdict),
        verdict.advice.clone(),
    ];
    head.into_iter().chain(sites).chain(callbacks).chain(notes).chain(known).collect::<Vec<_>>().join("\n")
}

/// The number that a verdict is about.
fn size(verdict: &FlatVerdict) -> u64 {
    match verdict.verdict {
        VerdictKind::Waited => verdict.wait_ns.unwrap_or(0),
        VerdictKind::Unordered => u64::MAX - verdict.margin_ns.unwrap_or(u64::MAX),
        VerdictKind::Leaked => verdict.leaked.unwrap_or(0),
        VerdictKind::LateFree => verdict.late_frees,
        _ => verdict.outstanding(),
    }
}

fn range(alike: &[&FlatVerdict]) -> Option<String> {
    let kind = alike.first()?.verdict;
    let number = |verdict: &&FlatVerdict| match kind {
        VerdictKind::Unordered => verdict.margin_ns,
        VerdictKind::Waited
        | VerdictKind::Pending
        | VerdictKind::Leaked
        | VerdictKind::LateFree
        | VerdictKind::Abandoned => Some(size(verdict)),
        _ => None,
    };
    let numbers: Vec<u64> = alike.iter().map(number).collect::<Option<_>>()?;
    let (least, most) = (*numbers.iter().min()?, *numbers.iter().max()?);
    let written: fn(u64) -> String =
        if matches!(kind, VerdictKind::Waited | VerdictKind::Unordered) { span } else { count };
    let numbers =
        if least == most { written(most) } else { format!("{} to {}", written(least), written(most)) };
    Some(match kind {
        VerdictKind::Waited => numbers,
        VerdictKind::Unordered => format!("{numbers} before"),
        VerdictKind::Leaked => format!("{numbers} leaked"),
        VerdictKind::LateFree => format!("{numbers} late"),
        _ => format!("{numbers} outstanding"),
    })
}

/// All names, or the first and the last.
fn names(alike: &[&FlatVerdict]) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<String> = alike
        .iter()
        .map(|verdict| verdict.name().into_owned())
        .filter(|name| seen.insert(name.clone()))
        .collect();
    match names.as_slice() {
        [one] => format!("{one}, {} times", count(alike.len() as u64)),
        [first, .., last] if names.len() > NAMES => format!("{first} … {last}"),
        names => names.join(", "),
    }
}
