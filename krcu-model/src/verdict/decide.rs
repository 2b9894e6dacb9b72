//! Decide: which verdict follows from a destroy, and why.
//!
//! [`verdicts`] reads the state and changes nothing. It may be called at any time, and its answer is final
//! once [`State::is_unsettled`] is false. Each destroy has one verdict. If it cannot be decided, it is
//! `inconclusive`, with the reasons.

use crate::{
    event::{Blind, Gap},
    rules::Rule,
    state::{
        State,
        destroy::{Destroy, Shutdown},
    },
    verdict::{
        accuse,
        case::Case,
        decision::{Decision, Verdict},
        emptied, failed, gather,
        kind::{Ordering, VerdictKind},
        loss::{LifeGaps, lost, missed_programs},
        note::{Note, Unseen},
        reason::Reason,
        unload::{of_abandoned, of_unload},
    },
};

/// Every verdict: the destroys in the order of their entry, then the caches that were left behind, the unloads of modules, the
/// broken promises, and the double frees.
#[must_use]
pub fn verdicts(state: &State) -> Vec<Verdict> {
    let destroys = state.destroys().map(|destroy| of_destroy(state, destroy));
    let abandoned = state.abandoned().iter().map(|abandoned| of_abandoned(state, abandoned));
    let unloads = state.unloads().iter().map(|unload| of_unload(state, unload));
    destroys
        .chain(abandoned)
        .chain(unloads)
        .chain(accuse::all(state).map(|accusation| accusation.verdict))
        .collect()
}

/// The verdict about one destroy, from what the model believes now.
#[must_use]
pub fn of_destroy(state: &State, destroy: &Destroy) -> Verdict {
    let losses = LifeGaps::of(state, destroy);
    let case = Case { state, destroy, unseen_calls: losses.unseen_calls() };
    let mut decision = decide(&case, &losses.open);
    let behind = losses.behind(state, destroy, decision.kind);
    if !behind.is_empty() && case.has(Rule::LossIsBehind) {
        decision = lost(&behind, case.undecided());
    }
    let is_open = decision.kind == VerdictKind::Clean && decision.ordering == Ordering::Unknown;
    if decision.kind != VerdictKind::Inconclusive && !is_open && decision.left.undecided == 0 {
        // The word is decided; a number may be inexact all the same.
        decision.reasons.retain(|reason| *reason == Reason::InexactCount);
    }
    if decision.kind == VerdictKind::Pending {
        decision.left.missed_by_barrier = accuse::missed_by_barrier(state, destroy).min(decision.left.frees);
    }
    decision.reasons.sort_unstable();
    decision.reasons.dedup();
    if decision.reasons.contains(&Reason::ProbeMissed) && decision.missed_programs.is_empty() {
        decision.missed_programs = missed_programs(&losses.calls);
    }
    gather::verdict(state, destroy, decision)
}

fn decide(case: &Case<'_>, losses: &[&Gap]) -> Decision {
    let Case { destroy, .. } = case;
    if destroy.look.is_none() && losses.is_empty() {
        match destroy.life.facts.refcount {
            ..=0 => return case.undecided().is(VerdictKind::Repeated).note(Note::DestroyedBefore),
            1 => {}
            _ if !case.has(Rule::DropIsAlias) => {}
            users => {
                let others = u32::try_from(users - 1).unwrap_or(0);
                return case.undecided().is(VerdictKind::Alias).note(Note::Merged(others));
            }
        }
    }
    let undecided = lost(losses, case.undecided());
    let Some(shutdown) = destroy.shutdown else {
        return undecided.because(Reason::EndUnseen, Unseen::EndUnseen);
    };
    if !losses.is_empty() && case.has(Rule::LossIsOpen) {
        return undecided;
    }
    if case.has(Rule::BlindToFrees) && case.is_blind(Blind::Frees) && destroy.latest().frees.ever > 0 {
        return undecided.because(Reason::BlindFrees, Unseen::BlindFrees);
    }
    match shutdown {
        Shutdown::Empty if destroy.late.frees > 0 && case.has(Rule::LateFree) => {
            // Only now: were a free unseen, that of another object at the same address would look like this.
            let note = Note::FreedAfterRelease(destroy.late.frees);
            undecided.is(VerdictKind::LateFree).note(note)
        }
        Shutdown::Left(left) => failed::decide(case, left),
        Shutdown::Empty => emptied::decide(case),
    }
}
