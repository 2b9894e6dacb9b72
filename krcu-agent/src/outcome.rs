//! Outcome: the result of a run, and the exit status that follows from it.

use krcu_model::{
    VerdictKind,
    event::Losses,
    verdict::{About, Ordering},
};
use krcu_report::FlatVerdict;
use krcu_trace::meta::{Account, Known};

use crate::known;

/// How the exit status is chosen.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether `waited` and `unordered` are faults too.
    pub strict: bool,
    /// The status when something is flagged.
    pub exit_flagged: u8,
    /// The caches that have to be destroyed; an empty name stands for any cache.
    pub require_destroy: Vec<String>,
    /// The verdicts that do not count, because they are known.
    pub known: Vec<Known>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { strict: false, exit_flagged: EXIT_FLAGGED, require_destroy: Vec::new(), known: Vec::new() }
    }
}

/// Where and when a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The unique name of the run.
    pub run: String,
    /// The machine, as `uname -m` prints it.
    pub arch: String,
    /// The machine's name, if it may be told.
    pub host: Option<String>,
    /// When the probes were attached, in nanoseconds since 1970; absent if that is not known.
    pub began_ns: Option<u64>,
    /// The words of the command; absent if the run had no command. They are empty if they may not be told.
    pub command: Option<Vec<String>>,
}

/// The status when something is flagged, unless another one is asked for.
pub const EXIT_FLAGGED: u8 = 10;

/// The status when something cannot be decided.
pub const EXIT_INCONCLUSIVE: u8 = 11;

/// The status if krcu failed.
pub const EXIT_FAILED: u8 = 1;

/// Why a trace ends before its run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Incomplete {
    /// Its recorder was killed, or is still at work.
    NoGoodbye,
    /// What came could not be written any more, or what came last not waited for.
    CutShort,
    /// It has its end, but a part of the trace is not what was written.
    Damaged,
}

impl Incomplete {
    /// In a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Incomplete::NoGoodbye => {
                "the trace ends without a goodbye: its recorder was killed or is still at work, and what came after is not known"
            }
            Incomplete::Damaged => {
                "the trace is damaged: it is read up to the damage, and what came after is not known"
            }
            Incomplete::CutShort => {
                "the trace is cut short: its recorder could not write, or not wait, any longer, and what came after is not known"
            }
        }
    }
}

/// The result of a run. `check` ends with it, and the replay of a trace gives the same.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where and when it was.
    pub setting: Setting,
    /// The kernel's release.
    pub release: String,
    /// Probes that were attached.
    pub probes: usize,
    /// Events taken.
    pub events: u64,
    /// Events that were not seen.
    pub losses: Losses,
    /// Events that do not say where they came from, because there was no room for their stack.
    pub without_site: u64,
    /// What happened to everything that the probes saw.
    pub accounts: Vec<Account>,
    /// From the start of krcu until every probe was attached.
    pub attach_ns: u64,
    /// From there to the start of detaching.
    pub duration_ns: u64,
    /// The verdicts: one for each destroy, then the broken promises.
    pub verdicts: Vec<FlatVerdict>,
    /// Status of the command, as a shell reports it.
    pub command_status: u8,
    /// Whether the file of the events was asked for and is incomplete.
    pub events_cut_short: bool,
    /// In the replay of a trace that ends before its run: why events are missing.
    pub incomplete: Option<Incomplete>,
    /// Why krcu failed, if it did. Then nothing else is known.
    pub failed: Option<String>,
    /// How the exit status is chosen.
    pub policy: Policy,
}

impl Outcome {
    /// The outcome of a run in which krcu itself failed.
    #[must_use]
    pub fn of_failure(why: String, release: String, setting: Setting, policy: Policy) -> Outcome {
        Outcome {
            setting,
            release,
            probes: 0,
            events: 0,
            losses: Losses::default(),
            without_site: 0,
            accounts: Vec::new(),
            attach_ns: 0,
            duration_ns: 0,
            verdicts: Vec::new(),
            command_status: 0,
            events_cut_short: false,
            incomplete: None,
            failed: Some(why),
            policy,
        }
    }

    /// Whether a verdict is a fault under this run's policy, known or not.
    #[must_use]
    pub fn is_fault(&self, verdict: &FlatVerdict) -> bool {
        if self.policy.strict { verdict.flagged_strictly } else { verdict.flagged }
    }

    /// Whether a verdict is undecided under this run's policy, known or not.
    #[must_use]
    pub fn is_undecided(&self, verdict: &FlatVerdict) -> bool {
        let order_unknown = verdict.verdict == VerdictKind::Clean && verdict.ordering == Ordering::Unknown;
        verdict.verdict == VerdictKind::Inconclusive || (self.policy.strict && order_unknown)
    }

    /// The word of the verdict; `inconclusive` if it is undecided under this run's policy.
    #[must_use]
    pub fn word(&self, verdict: &FlatVerdict) -> &'static str {
        if self.is_undecided(verdict) { VerdictKind::Inconclusive.word() } else { verdict.verdict.word() }
    }

    /// The entry that knows this fault or this undecided verdict. It may have expired.
    #[must_use]
    pub fn entry_of(&self, verdict: &FlatVerdict) -> Option<&Known> {
        if !self.is_fault(verdict) && !self.is_undecided(verdict) {
            return None;
        }
        let word = self.word(verdict);
        self.policy.known.iter().find(|entry| known::matches(entry, word, verdict))
    }

    /// The same, if it has not expired. Such a verdict does not count.
    #[must_use]
    pub fn known(&self, verdict: &FlatVerdict) -> Option<&Known> {
        self.entry_of(verdict).filter(|entry| !entry.expired)
    }

    /// Whether a verdict is a fault that counts.
    #[must_use]
    pub fn is_flagged(&self, verdict: &FlatVerdict) -> bool {
        self.is_fault(verdict) && self.known(verdict).is_none()
    }

    /// Whether a verdict is undecided, and counts.
    #[must_use]
    pub fn is_open(&self, verdict: &FlatVerdict) -> bool {
        self.is_undecided(verdict) && self.known(verdict).is_none()
    }

    /// How many verdicts are faults that count.
    #[must_use]
    pub fn flagged(&self) -> usize {
        self.verdicts.iter().filter(|verdict| self.is_flagged(verdict)).count()
    }

    /// How many verdicts are undecided, and count.
    #[must_use]
    pub fn open(&self) -> usize {
        self.verdicts.iter().filter(|verdict| self.is_open(verdict)).count()
    }

    /// Whether a destroy may have happened that krcu did not see.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.losses.destroys > 0
            || self.incomplete.is_some()
            || self.events_cut_short
            || self.failed.is_some()
    }

    /// Whether a cache of this name was destroyed, and not only a reference to it dropped; any cache, if the name is empty.
    #[must_use]
    pub fn has_destroyed(&self, cache: &str) -> bool {
        self.verdicts.iter().any(|verdict| {
            let is_destroy = !matches!(
                verdict.verdict,
                VerdictKind::Alias
                    | VerdictKind::Repeated
                    | VerdictKind::Abandoned
                    | VerdictKind::BarrierEarly
                    | VerdictKind::FreedEarly
                    | VerdictKind::DoubleFree
            );
            verdict.about == About::Cache && is_destroy && (cache.is_empty() || verdict.cache == cache)
        })
    }

    /// The caches that had to be destroyed and were not, as far as that is known.
    pub fn not_destroyed(&self) -> impl Iterator<Item = &str> {
        let required = self.policy.require_destroy.iter().filter(|_| !self.is_blind());
        required.map(String::as_str).filter(|cache| !self.has_destroyed(cache))
    }

    /// What is to be said of the entries of known verdicts: those that do not fit any more, and those that have expired.
    #[must_use]
    pub fn known_remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut elsewhere = 0;
        for entry in &self.policy.known {
            let signature = &entry.signature;
            let occurs = self.verdicts.iter().any(|verdict| self.entry_of(verdict) == Some(entry));
            let name = signature.split(' ').nth(1).unwrap_or_default();
            let is_here = self.verdicts.iter().any(|verdict| known::name(verdict) == name);
            if occurs && entry.expired {
                remarks.push(format!("known until {} only, and counts again: {signature}", entry.until));
            } else if !occurs && is_here {
                remarks.push(format!(
                    "known, but it did not occur: {signature}: remove the entry if it is mended"
                ));
            } else if !occurs {
                elsewhere += 1;
            }
        }
        if elsewhere > 0 {
            let are = if elsewhere == 1 { "entry is" } else { "entries are" };
            remarks.push(format!("{elsewhere} known {are} about caches that this run did not destroy"));
        }
        remarks
    }

    /// Whether something is at fault that counts.
    #[must_use]
    pub fn has_fault(&self) -> bool {
        self.flagged() > 0 || self.not_destroyed().next().is_some()
    }

    /// The exit status.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.events_cut_short || self.failed.is_some() {
            EXIT_FAILED
        } else if self.has_fault() {
            self.policy.exit_flagged
        } else if self.open() > 0 || self.is_blind() {
            EXIT_INCONCLUSIVE
        } else {
            self.command_status
        }
    }
}
