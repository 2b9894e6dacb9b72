//! Verdicts: the rows of `destroys`, `verdicts` and `gaps`, which the state itself keeps.

use krcu_model::{
    State,
    event::{Gap, LossReason, Time},
    state::{Destroy, Shutdown},
};
use krcu_report::FlatVerdict;

use super::{identity, since_attach, words};

/// The row of a destroy.
pub(super) fn destroy(attached: Time, destroy: &Destroy) -> words::Destroy {
    let at = |mark: krcu_model::state::Mark| since_attach(attached, mark.time);
    let (empty, left) = match destroy.shutdown {
        Some(Shutdown::Empty) => (Some(true), None),
        Some(Shutdown::Left(left)) => (Some(false), left.map(|left| left.objects)),
        None => (None, None),
    };
    words::Destroy {
        destroy: u32::try_from(destroy.id.0).unwrap_or(u32::MAX),
        cache: destroy.life.id.0,
        task: destroy.caller.task.0,
        comm: destroy.caller.comm.clone(),
        site: destroy.caller.stack.0,
        begin_at_ns: at(destroy.begin),
        look_at_ns: destroy.look.map(at),
        end_at_ns: destroy.end.map(at),
        wait_ns: destroy.look.map(|look| look.time.since(destroy.begin.time)),
        refcount: destroy.life.facts.refcount,
        barrier_inside: destroy.coverage.inside,
        outstanding_at_begin: destroy.at_begin.counts.frees(),
        others_at_begin: destroy.meanwhile.others_at_begin,
        outstanding_at_look: destroy.judged_at().counts.frees(),
        empty,
        left,
        late: destroy.late.frees,
    }
}

/// The rows of every verdict: of the destroys in the order of their entry, then of the broken promises.
pub(super) fn all(state: &State) -> Vec<words::VerdictRow> {
    let destroys = state.destroys().len();
    let rows = krcu_report::verdicts(state).into_iter().enumerate();
    rows.map(|(place, verdict)| row((place < destroys).then_some(place), verdict)).collect()
}

fn row(place: Option<usize>, verdict: FlatVerdict) -> words::VerdictRow {
    let signature = identity::signature(&verdict);
    let site = verdict.sites.first().filter(|site| !site.stack.is_empty());
    words::VerdictRow {
        destroy: place.and_then(|place| u32::try_from(place).ok()),
        verdict: verdict.verdict.word().to_owned(),
        flagged: verdict.flagged,
        flagged_strictly: verdict.flagged_strictly,
        cache: verdict.cache,
        module: verdict.module,
        destroyed_by: format!("{}[{}]", verdict.destroyed_by.comm, verdict.destroyed_by.task),
        destroyed_at_ns: i64::try_from(verdict.destroyed_at_ns).unwrap_or(i64::MAX),
        queued_by_kfree_rcu: verdict.queued_by_kfree_rcu,
        leaked: verdict.leaked,
        oldest_age_ns: verdict.oldest_age_ns,
        wait_ns: verdict.wait_ns,
        waited_for_own: verdict.waited_for_own,
        waited_for_other: verdict.waited_for_other,
        late_frees: verdict.late_frees,
        queued_at: site.map(|site| site.stack.join(" ← ")),
        signature,
        notes: verdict.notes.join("; "),
        advice: verdict.advice,
    }
}

/// The row of a loss.
pub(super) fn gap(attached: Time, gap: &Gap) -> words::Gap {
    words::Gap {
        reason: match gap.reason {
            LossReason::RingFull => "ring-full",
            LossReason::ProbeMissed => "probe-missed",
            LossReason::MapFull => "map-full",
            LossReason::NotInTrace => "not-in-trace",
        }
        .to_owned(),
        events: gap.events,
        from_ns: since_attach(attached, gap.from),
        until_ns: since_attach(attached, gap.until),
        scope: gap.scope.word().to_owned(),
        programs: gap.programs.join(", "),
    }
}
