//! Outcome: the result of a run, and the exit status that follows from it.

use krcu_model::{VerdictKind, event::Losses, verdict::Ordering};
use krcu_report::FlatVerdict;
use krcu_trace::meta::Account;

/// How the exit status is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether `waited` and `unordered` are faults too.
    pub strict: bool,
    /// The status when something is flagged.
    pub exit_flagged: u8,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { strict: false, exit_flagged: EXIT_FLAGGED }
    }
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
    /// How the exit status is chosen.
    pub policy: Policy,
}

impl Outcome {
    /// Whether a verdict is a fault under this run's policy.
    #[must_use]
    pub fn is_flagged(&self, verdict: &FlatVerdict) -> bool {
        if self.policy.strict { verdict.flagged_strictly } else { verdict.flagged }
    }

    /// Whether a verdict is undecided under this run's policy.
    #[must_use]
    pub fn is_open(&self, verdict: &FlatVerdict) -> bool {
        let order_unknown = verdict.verdict == VerdictKind::Clean && verdict.ordering == Ordering::Unknown;
        verdict.verdict == VerdictKind::Inconclusive || (self.policy.strict && order_unknown)
    }

    /// How many verdicts are faults.
    #[must_use]
    pub fn flagged(&self) -> usize {
        self.verdicts.iter().filter(|verdict| self.is_flagged(verdict)).count()
    }

    /// How many verdicts are undecided.
    #[must_use]
    pub fn open(&self) -> usize {
        self.verdicts.iter().filter(|verdict| self.is_open(verdict)).count()
    }

    /// The exit status.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.events_cut_short {
            EXIT_FAILED
        } else if self.flagged() > 0 {
            self.policy.exit_flagged
        } else if self.open() > 0 || self.losses.destroys > 0 || self.incomplete.is_some() {
            EXIT_INCONCLUSIVE
        } else {
            self.command_status
        }
    }
}
