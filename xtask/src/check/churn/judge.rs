//! Holds the verdicts of a churn against the kernel's log and the list of argued exceptions.
//!
//! A warning of the kernel's belongs to the destroy of that cache that began last before it. krcu counts from the moment at
//! which the probes were attached, which its trace names in `CLOCK_MONOTONIC`; the log says how its own clock stands to that
//! one ([`KernelLog`]). A destroy makes one warning at most, and makes it within the time that it waited and a little more.
//!
//! Pure: texts in, a list of faults out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

use super::argued::Argued;
use super::log::{KernelLog, Warning};

/// How far a warning may seem to be before the destroy that makes it: the clocks are compared in hundredths of a second.
const EARLIEST_US: i64 = 100_000;
/// How long after a destroy has begun it may warning, besides what it waited; an emulated machine may stand still meanwhile.
const LATEST_US: i64 = 20_000_000;
/// Verdicts of a cache that are about no destroy of it.
const OF_NO_DESTROY: [&str; 5] = ["abandoned", "alias", "barrier-early", "freed-early", "double-free"];
const INCONCLUSIVE: &str = "inconclusive";

/// A line of `krcu check --format json` about a verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Verdict {
    pub(super) verdict: String,
    pub(super) flagged: bool,
    pub(super) flagged_strictly: bool,
    /// `module` where it is about the unload of a module.
    pub(super) about: String,
    pub(super) cache: String,
    pub(super) module: Option<String>,
    pub(super) destroyed_at_ns: i64,
    pub(super) wait_ns: Option<i64>,
    pub(super) reasons: Vec<String>,
}

/// What a churn left.
#[derive(Debug, Clone)]
pub(super) struct Evidence<'a> {
    /// The kernel's series.
    pub(super) series: &'a str,
    /// The kernel's log, as from `/dev/kmsg`.
    pub(super) log: &'a str,
    /// The verdicts.
    pub(super) verdicts: Vec<Verdict>,
    /// When the probes were attached, by `CLOCK_MONOTONIC`.
    pub(super) attached_ns: i64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The kernel reported objects, and the verdict of that destroy neither flags it nor leaves it open.
    Overlooked { warning: Warning, word: String },
    /// The kernel reported objects, and there is no verdict of that destroy.
    Unjudged(Warning),
    /// Flagged, while the kernel reported nothing, and nobody argued for it.
    Unargued { name: String, word: String, at_us: i64 },
    /// The same, and it was argued that the verdict is another one.
    ArguedOtherwise { name: String, word: String, argued: &'static str },
    /// Records of the kernel's log are missing, so that a warning may be among them.
    Gap { before: u64, after: u64 },
    /// The kernel's log does not say how its clock stands to krcu's.
    NoClock,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlooked { warning, word } => write!(
                formatter,
                "the kernel reports objects, and krcu says `{word}` of that destroy: {}",
                warning.text
            ),
            Self::Unjudged(warning) => {
                write!(
                    formatter,
                    "the kernel reports objects, and krcu has no verdict of that destroy: {}",
                    warning.text
                )
            }
            Self::Unargued { name, word, at_us } => write!(
                formatter,
                "krcu says `{word}` of {name} at {}.{:06} of the kernel's log, which reports nothing, and no entry argues for it",
                at_us / 1_000_000,
                at_us % 1_000_000
            ),
            Self::ArguedOtherwise { name, word, argued } => {
                write!(
                    formatter,
                    "krcu says `{word}` of {name}, of which an entry says that it is `{argued}`"
                )
            }
            Self::Gap { before, after } => {
                write!(
                    formatter,
                    "the records of the kernel's log between the numbers {before} and {after} are missing"
                )
            }
            Self::NoClock => {
                formatter.write_str("the kernel's log does not say how its clock stands to krcu's")
            }
        }
    }
}

/// What the judge says of a churn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// What is wrong; empty if all is right.
    pub(super) faults: Vec<Fault>,
    /// Verdicts of destroys by word.
    pub(super) of_caches: BTreeMap<String, usize>,
    /// Verdicts of modules that went, by word.
    pub(super) of_modules: BTreeMap<String, usize>,
    /// Destroys that the kernel reported and krcu flagged, or left open, by cache and word.
    pub(super) reported: BTreeMap<(String, String), usize>,
    /// Flagged verdicts that an entry argues for, by name and word.
    pub(super) argued: BTreeMap<(String, String), usize>,
    /// Verdicts that were left open, by name and reasons.
    pub(super) open: BTreeMap<(String, String), usize>,
}

/// Judges a churn.
pub(super) fn judge(evidence: &Evidence<'_>, argued: &[Argued]) -> Judgement {
    let log = KernelLog::read(evidence.log);
    let mut judgement = Judgement::default();
    judgement.faults.extend(log.gaps.iter().map(|&(before, after)| Fault::Gap { before, after }));
    for verdict in &evidence.verdicts {
        let counts =
            if verdict.is_of_module() { &mut judgement.of_modules } else { &mut judgement.of_caches };
        *counts.entry(verdict.verdict.clone()).or_default() += 1;
        if verdict.verdict == INCONCLUSIVE {
            *judgement.open.entry((verdict.name(), verdict.reasons.join(", "))).or_default() += 1;
        }
    }
    let Some(offset_us) = log.offset_us else {
        judgement.faults.push(Fault::NoClock);
        return judgement;
    };
    let at_us = |verdict: &Verdict| (evidence.attached_ns + verdict.destroyed_at_ns) / 1000 + offset_us;
    let mut reported = BTreeSet::new();
    for warning in log.warnings {
        let Some(index) = destroy_of(&warning, &evidence.verdicts, &reported, at_us) else {
            judgement.faults.push(Fault::Unjudged(warning));
            continue;
        };
        reported.insert(index);
        let Some(verdict) = evidence.verdicts.get(index) else { continue };
        let word = verdict.verdict.clone();
        if verdict.flagged || word == INCONCLUSIVE {
            *judgement.reported.entry((verdict.name(), word)).or_default() += 1;
        } else {
            judgement.faults.push(Fault::Overlooked { warning, word });
        }
    }
    let unreported = evidence.verdicts.iter().enumerate().filter(|(index, _)| !reported.contains(index));
    for (_, verdict) in unreported.filter(|(_, verdict)| verdict.flagged_strictly) {
        let (name, word) = (verdict.name(), verdict.verdict.clone());
        let entries: Vec<&Argued> =
            argued.iter().filter(|entry| entry.is_of(verdict, evidence.series)).collect();
        match entries.first() {
            _ if entries.iter().any(|entry| entry.word == word) => {
                *judgement.argued.entry((name, word)).or_default() += 1;
            }
            Some(entry) => judgement.faults.push(Fault::ArguedOtherwise { name, word, argued: entry.word }),
            None => judgement.faults.push(Fault::Unargued { name, word, at_us: at_us(verdict) }),
        }
    }
    judgement
}

/// The verdict of the destroy that made a warning: of those of this cache that have made none, the last that began before.
fn destroy_of(
    warning: &Warning,
    verdicts: &[Verdict],
    reported: &BTreeSet<usize>,
    at_us: impl Fn(&Verdict) -> i64,
) -> Option<usize> {
    let may_have_made = |verdict: &Verdict| {
        let begin = at_us(verdict);
        let latest = begin + verdict.wait_ns.unwrap_or(0) / 1000 + LATEST_US;
        (begin - EARLIEST_US..=latest).contains(&warning.at_us)
    };
    let destroys = verdicts.iter().enumerate().filter(|(index, verdict)| {
        verdict.is_of_destroy() && verdict.cache == warning.cache && !reported.contains(index)
    });
    destroys
        .filter(|(_, verdict)| may_have_made(verdict))
        .max_by_key(|(_, verdict)| at_us(verdict))
        .map(|(index, _)| index)
}

impl Verdict {
    fn is_of_module(&self) -> bool {
        self.about == "module"
    }

    fn is_of_destroy(&self) -> bool {
        !self.is_of_module() && !OF_NO_DESTROY.contains(&self.verdict.as_str())
    }

    /// What it is about, as people write it.
    fn name(&self) -> String {
        let module = self.module.as_deref().unwrap_or("no module");
        if self.is_of_module() {
            format!("the module {module}")
        } else {
            format!("{} of {module}", self.cache)
        }
    }
}

impl Argued {
    fn is_of(&self, verdict: &Verdict, series: &str) -> bool {
        let is_same =
            if self.cache.is_empty() { verdict.is_of_module() } else { self.cache == verdict.cache };
        is_same && verdict.module.as_deref() == Some(self.module) && self.series.contains(&series)
    }
}

/// Puts wrong verdicts into these by hand, one each time, and says which of them the judge does not find. A mistake for which
/// these verdicts have no place is left out.
pub(super) fn mistakes_not_found(evidence: &Evidence<'_>, argued: &[Argued]) -> (usize, Vec<&'static str>) {
    let before = judge(evidence, argued).faults.len();
    let warnings = KernelLog::read(evidence.log).warnings;
    let is_reported = |verdict: &Verdict| {
        verdict.flagged
            && verdict.is_of_destroy()
            && warnings.iter().any(|warning| warning.cache == verdict.cache)
    };
    let is_argued = |verdict: &Verdict| {
        let is_same = |entry: &Argued| entry.word == verdict.verdict && entry.is_of(verdict, evidence.series);
        verdict.flagged_strictly && !is_reported(verdict) && argued.iter().any(is_same)
    };
    let mut made = 0;
    let mut missed = Vec::new();
    let mut check = |what: &'static str, place: Option<usize>, change: &dyn Fn(&mut Vec<Verdict>, usize)| {
        let Some(place) = place else { return };
        let mut changed = evidence.clone();
        change(&mut changed.verdicts, place);
        made += 1;
        if judge(&changed, argued).faults.len() <= before {
            missed.push(what);
        }
    };
    let place_of = |is_meant: &dyn Fn(&Verdict) -> bool| evidence.verdicts.iter().position(is_meant);
    check("a warning beside `clean`", place_of(&is_reported), &|verdicts, place| {
        put(verdicts, place, "clean", false);
    });
    check("a warning without a verdict", place_of(&is_reported), &|verdicts, place| {
        verdicts.remove(place);
    });
    check(
        "`leaked` without a warning",
        place_of(&|verdict| verdict.verdict == "clean"),
        &|verdicts, place| {
            put(verdicts, place, "leaked", true);
        },
    );
    check("another word than is argued", place_of(&is_argued), &|verdicts, place| {
        put(verdicts, place, "late-free", true);
    });
    (made, missed)
}

fn put(verdicts: &mut [Verdict], place: usize, word: &str, flagged: bool) {
    if let Some(verdict) = verdicts.get_mut(place) {
        word.clone_into(&mut verdict.verdict);
        verdict.flagged = flagged;
        verdict.flagged_strictly = flagged;
    }
}
