//! Loss: which verdicts depend on events that were not seen.
//!
//! A loss within the life of a cache makes its verdict inconclusive, with one exception: for some losses it
//! is known which verdicts they could cause, and any other verdict stands.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{Blind, Gap, LossReason, Scope, sum},
    state::{State, cache::Born, destroy::Destroy},
    verdict::{decision::Decision, kind::VerdictKind, note::Unseen},
};

/// The losses in the life of a cache, by their effect on its verdict.
pub(crate) struct LifeGaps<'a> {
    /// Losses that may concern anything.
    pub(crate) open: Vec<&'a Gap>,
    /// Losses of queueing calls. What such a call queued shows up later: it is freed, or left.
    pub(crate) calls: Vec<&'a Gap>,
    /// Losses of frees and barriers. They can only make a freed object look outstanding, or an ordered one
    /// look unordered.
    pub(crate) one_sided: Vec<&'a Gap>,
}

impl<'a> LifeGaps<'a> {
    pub(crate) fn of(state: &'a State, destroy: &Destroy) -> LifeGaps<'a> {
        let mut losses = LifeGaps { open: Vec::new(), calls: Vec::new(), one_sided: Vec::new() };
        let sees_all = !state.watch.blind.contains(&Blind::Frees) && state.sees_callbacks_run();
        // What was deferred before the probes were attached shows up only by a free or a barrier.
        let sees_past = !destroy.life.has_unseen_past();
        for gap in state.gaps.iter().filter(|gap| touches(state, destroy, gap)) {
            match gap.scope {
                Scope::Queueing if sees_all => losses.calls.push(gap),
                Scope::Freeing | Scope::Barriers if sees_all && sees_past => losses.one_sided.push(gap),
                _ => losses.open.push(gap),
            }
        }
        // What an unseen call has queued shows up by its free, and that free could be seen.
        if !losses.calls.is_empty() {
            let frees = losses.one_sided.extract_if(.., |gap| gap.scope == Scope::Freeing);
            losses.open.extend(frees);
        }
        losses
    }

    /// How many calls were not seen.
    pub(crate) fn unseen_calls(&self) -> u64 {
        sum(self.calls.iter().map(|gap| gap.events))
    }

    /// The one-sided losses that may be the reason for this verdict.
    pub(crate) fn behind(&self, state: &State, destroy: &Destroy, kind: VerdictKind) -> Vec<&'a Gap> {
        let is_behind = |gap: &&&Gap| match gap.scope {
            Scope::Freeing => seems_outstanding(state, destroy, kind),
            Scope::Barriers => seems_unordered(destroy, kind),
            _ => false,
        };
        self.one_sided.iter().filter(is_behind).copied().collect()
    }
}

/// Whether a loss falls into the part of this cache's life on which its verdict depends.
fn touches(state: &State, destroy: &Destroy, gap: &Gap) -> bool {
    let is_about = match gap.scope {
        Scope::Everything | Scope::Queueing | Scope::Freeing | Scope::Barriers => true,
        Scope::Cache(address) => address == destroy.address,
        Scope::Grace => false,
    };
    let born = match &destroy.life.born {
        Born::Watched { at, .. } => at.time,
        Born::BeforeAttach => state.watch.attached,
    };
    let end = destroy.end.map_or(state.now.max(gap.from), |end| end.time);
    // An event at the end of a loss is the first one that was seen again.
    is_about && gap.from <= end && gap.until > born
}

/// Whether an unseen free, or its unseen end, could be the reason for this verdict: something looks
/// outstanding or being freed that may be free already. If one free was seen for each queued object, none was
/// missed.
fn seems_outstanding(state: &State, destroy: &Destroy, kind: VerdictKind) -> bool {
    let running_before = [&destroy.at_begin, destroy.judged_at()].map(|moment| moment.counts.running());
    let after = destroy.after.counts;
    let is_decided = !matches!(kind, VerdictKind::Inconclusive | VerdictKind::Alias | VerdictKind::Repeated);
    let is_left = after.waiting() + after.running() + running_before.iter().sum::<u64>() > 0;
    is_decided && (is_left || kind == VerdictKind::LateFree || state.doubles.contains_key(&destroy.life.id))
}

/// Whether a barrier whose begin or end was not seen could be the reason for this verdict. Such a barrier
/// orders nothing. If it called an inner `rcu_barrier()` by chance, that one then looks like a barrier of the
/// task itself, which matters for callbacks.
fn seems_unordered(destroy: &Destroy, kind: VerdictKind) -> bool {
    match kind {
        VerdictKind::Unordered => true,
        VerdictKind::Clean => destroy.latest().callbacks.ever > 0 || destroy.at_begin.counts.frees() > 0,
        VerdictKind::Waited => destroy.latest().callbacks.ever > 0 || destroy.at_begin.counts.frees() == 0,
        _ => false,
    }
}

/// Adds losses as the reasons why it cannot be decided: for each reason one sentence, and the programs whose runs were skipped.
pub(crate) fn lost(losses: &[&Gap], mut decision: Decision) -> Decision {
    let mut by_reason: BTreeMap<LossReason, Vec<&Gap>> = BTreeMap::new();
    for gap in losses {
        by_reason.entry(gap.reason).or_default().push(gap);
    }
    for (reason, gaps) in by_reason {
        let events = sum(gaps.iter().map(|gap| gap.events));
        let programs = missed_programs(&gaps);
        decision.missed_programs.extend(programs.iter().cloned());
        decision = decision.because(reason.into(), Unseen::Lost { reason, events, programs });
    }
    decision
}

/// The programs of these losses, each once.
pub(crate) fn missed_programs(losses: &[&Gap]) -> Vec<String> {
    let programs: BTreeSet<&String> = losses.iter().flat_map(|gap| &gap.programs).collect();
    programs.into_iter().cloned().collect()
}
