//! Reason: why a verdict is inconclusive, with one word for each reason.

use serde::{Deserialize, Serialize};

use crate::event::{Blind, LossReason};

/// Why something cannot be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Events were lost because the ring was full.
    RingFull,
    /// Runs of a probe were skipped.
    ProbeMissed,
    /// A map of the probes was full.
    MapFull,
    /// The trace ends before its run did.
    NotInTrace,
    /// The cache is older than the probes.
    LateAttach,
    /// Objects of this cache are counted, not followed one by one.
    Counted,
    /// One of the ways in which deferred frees run cannot be seen on this kernel.
    BlindFrees,
    /// Callbacks given to `call_rcu()` cannot be seen.
    BlindCallbacks,
    /// Callbacks of other kinds of RCU cannot be seen.
    BlindFlavours,
    /// The runs of callbacks of `call_rcu()` cannot be seen.
    BlindCallbackRuns,
    /// `rcu_barrier()` cannot be seen.
    BlindRcuBarrier,
    /// The barriers for `kfree_rcu()` cannot be seen.
    BlindKvfreeBarrier,
    /// The kernel's count of the objects left mixes several moments.
    InexactCount,
    /// The end of the destroy was not seen.
    EndUnseen,
    /// Callbacks have returned, and whether they have freed their objects or handed them on is not seen.
    HandedOn,
    /// Callbacks wait, or works that they have queued, and each may free further objects of the cache.
    CallbacksOutstanding,
    /// Callbacks of the module's whose heads lie elsewhere may free objects of the cache.
    HeadsElsewhere,
    /// Another task called the only barrier that covers what was deferred last, and its caller is not known.
    BarrierCallerUnknown,
    /// A helper of the module's own called that barrier, and whether the destroying task has waited for the helper is
    /// not seen.
    HelperUnawaited,
}

impl Reason {
    /// The word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::RingFull => "ring-full",
            Reason::ProbeMissed => "probe-missed",
            Reason::MapFull => "map-full",
            Reason::NotInTrace => "not-in-trace",
            Reason::LateAttach => "late-attach",
            Reason::Counted => "counted",
            Reason::BlindFrees => "blind-frees",
            Reason::BlindCallbacks => "blind-callbacks",
            Reason::BlindFlavours => "blind-flavours",
            Reason::BlindCallbackRuns => "blind-callback-runs",
            Reason::BlindRcuBarrier => "blind-rcu-barrier",
            Reason::BlindKvfreeBarrier => "blind-kvfree-barrier",
            Reason::InexactCount => "inexact-count",
            Reason::EndUnseen => "end-unseen",
            Reason::HandedOn => "handed-on",
            Reason::CallbacksOutstanding => "callbacks-outstanding",
            Reason::HeadsElsewhere => "heads-elsewhere",
            Reason::BarrierCallerUnknown => "barrier-caller-unknown",
            Reason::HelperUnawaited => "helper-unawaited",
        }
    }

    /// The reason for something that cannot be seen; none if no verdict of a destroy depends on it.
    pub(crate) fn of_blind(blind: Blind) -> Option<Reason> {
        match blind {
            Blind::Frees => Some(Reason::BlindFrees),
            Blind::Callbacks => Some(Reason::BlindCallbacks),
            Blind::Flavours => Some(Reason::BlindFlavours),
            Blind::RcuBarrier => Some(Reason::BlindRcuBarrier),
            Blind::KvfreeBarrier => Some(Reason::BlindKvfreeBarrier),
            Blind::CallbackRuns => Some(Reason::BlindCallbackRuns),
            Blind::Grace | Blind::Inside => None,
        }
    }
}

impl From<LossReason> for Reason {
    fn from(loss: LossReason) -> Reason {
        match loss {
            LossReason::RingFull => Reason::RingFull,
            LossReason::ProbeMissed => Reason::ProbeMissed,
            LossReason::MapFull => Reason::MapFull,
            LossReason::NotInTrace => Reason::NotInTrace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_word_in_json_as_in_text() {
        for reason in [
            Reason::RingFull,
            Reason::ProbeMissed,
            Reason::MapFull,
            Reason::NotInTrace,
            Reason::LateAttach,
            Reason::Counted,
            Reason::BlindFrees,
            Reason::BlindCallbacks,
            Reason::BlindFlavours,
            Reason::BlindCallbackRuns,
            Reason::BlindRcuBarrier,
            Reason::BlindKvfreeBarrier,
            Reason::InexactCount,
            Reason::EndUnseen,
            Reason::HandedOn,
            Reason::CallbacksOutstanding,
            Reason::HeadsElsewhere,
            Reason::BarrierCallerUnknown,
            Reason::HelperUnawaited,
        ] {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.word()));
        }
    }
}
