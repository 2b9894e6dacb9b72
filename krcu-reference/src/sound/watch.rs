//! Watch: what a judge is told of a kernel, by a plan, and what is lost on the way.

use krcu_common::{BarrierKind, Flavour, FreePath};
use krcu_model::event::{Blind, Gap, LossReason, Scope, Time, What};

/// What is seen of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything that probes can see.
    Full,
    /// The same, and allocations and frees that nobody deferred (`--alloc-stacks`).
    Allocations,
    /// Everything but one thing.
    Without(Blind),
    /// Everything, as a machine tells it of itself.
    Inside,
}

impl Plan {
    /// The plan in words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Plan::Full => "full".to_owned(),
            Plan::Allocations => "with allocations".to_owned(),
            Plan::Without(blind) => format!("blind: {}", format!("{blind:?}").to_lowercase()),
            Plan::Inside => "inside".to_owned(),
        }
    }

    /// What the judge is told that it cannot see.
    pub(super) fn blind(self, has_graces: bool) -> Vec<Blind> {
        let mut blind = match self {
            Plan::Full | Plan::Allocations => vec![Blind::Inside],
            Plan::Without(other) => vec![Blind::Inside, other],
            Plan::Inside => Vec::new(),
        };
        if !has_graces {
            blind.push(Blind::Grace);
        }
        blind
    }

    /// Whether the judge is told of it.
    pub(super) fn shows(self, what: &What) -> bool {
        let is_blind = |blind| self == Plan::Without(blind);
        match what {
            What::Allocated { .. } | What::FreedAtOnce { .. } => {
                matches!(self, Plan::Allocations | Plan::Inside)
            }
            What::Freed { .. } => !is_blind(Blind::Frees),
            What::CallbackRuns { .. } | What::BatchFreed { path: FreePath::Callback } => {
                !is_blind(Blind::CallbackRuns)
            }
            What::BatchFreed { .. } => !is_blind(Blind::Frees),
            What::CallbackQueued { domain, .. } if domain.flavour == Flavour::Rcu => {
                !is_blind(Blind::Callbacks)
            }
            What::CallbackQueued { .. } | What::WorkRan { .. } => !is_blind(Blind::Flavours),
            What::BarrierBegin { barrier, .. } | What::BarrierEnd { barrier, .. } => match barrier {
                BarrierKind::Rcu => !is_blind(Blind::RcuBarrier),
                BarrierKind::Kvfree | BarrierKind::KvfreeOnCache => !is_blind(Blind::KvfreeBarrier),
                _ => !is_blind(Blind::Flavours),
            },
            What::GraceBegin { .. } | What::GraceEnd { .. } => !is_blind(Blind::Grace),
            _ => true,
        }
    }
}

/// What is lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// One event finds no room in the ring.
    Event,
    /// One run of a probe is skipped.
    Run,
}

impl Loss {
    /// The loss in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Loss::Nothing => "nothing lost",
            Loss::Event => "one event lost",
            Loss::Run => "one run skipped",
        }
    }

    /// What the judge is told of an event that it does not get.
    pub(super) fn gap(self, what: &What, at: u64) -> Gap {
        // krcu reads its counters before the loss and after it; how long before does not matter to a judge.
        let (from, until) = (Time(at - 500), Time(at + 500));
        let (reason, scope) = match self {
            Loss::Run => (LossReason::ProbeMissed, skipped(what)),
            _ => (LossReason::RingFull, lost(what)),
        };
        let programs = if self == Loss::Run { vec!["a program".to_owned()] } else { Vec::new() };
        Gap { reason, events: 1, from, until, scope, programs }
    }
}

/// The scope of an event that found no room in the ring.
fn lost(what: &What) -> Scope {
    match what {
        What::Queued { cache, .. } | What::Freed { cache, .. } => Scope::Cache(*cache),
        What::CallbackQueued { cache, .. } | What::CallbackRuns { cache, .. }
            if cache.0 != krcu_common::wire::ELSEWHERE =>
        {
            Scope::Cache(*cache)
        }
        What::GraceBegin { .. } | What::GraceEnd { .. } => Scope::Grace,
        _ => Scope::Everything,
    }
}

/// The scope of a run that was skipped.
fn skipped(what: &What) -> Scope {
    match what {
        What::Queued { .. } | What::CallbackQueued { .. } => Scope::Queueing,
        What::Freed { .. } | What::BatchFreed { .. } | What::CallbackRuns { .. } | What::WorkRan { .. } => {
            Scope::Freeing
        }
        What::BarrierBegin { .. } | What::BarrierEnd { .. } => Scope::Barriers,
        What::GraceBegin { .. } | What::GraceEnd { .. } => Scope::Grace,
        _ => Scope::Everything,
    }
}
