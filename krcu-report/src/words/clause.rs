//! Clause: what a verdict says about its cache, after the word.

use super::{
    lines::undecided,
    units::{cache_name, objects, span},
};
use crate::flat::FlatVerdict;
use krcu_model::{
    VerdictKind,
    reason::Reason,
    verdict::{About, Ordering},
};

/// One clause that follows the name of the cache; empty if the word says everything.
#[must_use]
pub fn clause(verdict: &FlatVerdict) -> String {
    if verdict.about == About::Module {
        return of_module(verdict);
    }
    match verdict.verdict {
        VerdictKind::Clean if verdict.ordering == Ordering::Unknown => match verdict.reasons.first() {
            Some(Reason::LateAttach) | None => "empty, maybe by luck: older than the probes",
            Some(_) => "nothing was left; how that was ordered is not known",
        }
        .to_owned(),
        VerdictKind::Clean => String::new(),
        VerdictKind::Repeated => verdict.notes.join("; "),
        VerdictKind::Alias if verdict.aliases.is_empty() => verdict.notes.join("; "),
        VerdictKind::Alias => {
            let names: Vec<_> = verdict.aliases.iter().map(|name| cache_name(name)).collect();
            format!("has {} merged into it: only a reference was dropped", names.join(", "))
        }
        VerdictKind::Waited => {
            format!("the destroy waited {} for {}", span(verdict.wait_ns.unwrap_or(0)), waited_for(verdict))
        }
        VerdictKind::Pending => format!("destroyed with {} outstanding", outstanding(verdict)),
        VerdictKind::Leaked => match verdict.leaked {
            Some(leaked) => format!("destroyed with {} that nobody queued", objects(leaked, "object")),
            None => "destroyed with objects that nobody queued".to_owned(),
        },
        VerdictKind::LateFree => {
            format!("{} ran after the cache was gone", objects(verdict.late_frees, "deferred free"))
        }
        VerdictKind::Unordered => {
            let last = match (verdict.callbacks.is_empty(), verdict.queued_ever) {
                (true, _) => "free",
                (false, 0) => "callback",
                (false, _) => "free or callback",
            };
            match verdict.margin_ns.map(span) {
                Some(margin) => format!("nothing outstanding, by luck: the last {last} was {margin} before"),
                None => format!("nothing outstanding, by luck: it is not known when the last {last} ended"),
            }
        }
        VerdictKind::BarrierEarly => {
            let still =
                match verdict.queued_by_kfree_rcu - verdict.being_freed.min(verdict.queued_by_kfree_rcu) {
                    0 => "being freed",
                    _ if verdict.being_freed == 0 => "queued",
                    _ => "queued or being freed",
                };
            let missed = objects(verdict.queued_by_kfree_rcu, "object");
            format!("a barrier returned with {missed} that it covers still {still}")
        }
        VerdictKind::FreedEarly => {
            let freed = objects(verdict.queued_by_kfree_rcu, "object");
            format!("{freed} freed before a grace period had passed")
        }
        VerdictKind::DoubleFree => {
            let were = if verdict.queued_twice == 1 { "was" } else { "were" };
            let freed = objects(verdict.queued_twice, "object");
            format!("{freed} {were} handed over to be freed while queued already")
        }
        VerdictKind::Abandoned => match verdict.outstanding() {
            0 => "left behind by its module, which never destroyed it".to_owned(),
            _ => format!("left behind by its module with {} outstanding", outstanding(verdict)),
        },
        VerdictKind::ModelDisagrees => "the kernel's result and the events cannot both be right".to_owned(),
        VerdictKind::Inconclusive => undecided(verdict),
    }
}

/// What is said of a module whose text goes.
fn of_module(verdict: &FlatVerdict) -> String {
    let of_text = objects(verdict.callbacks_ever, "callback");
    match verdict.verdict {
        VerdictKind::Pending => {
            format!("unloaded with {} in its text outstanding", objects(verdict.outstanding(), "callback"))
        }
        VerdictKind::Unordered => format!("unloaded after {of_text} in its text had run, by luck"),
        VerdictKind::Inconclusive => undecided(verdict),
        VerdictKind::Clean if verdict.reasons.contains(&Reason::LateAttach) => {
            "unloaded; it is older than the probes".to_owned()
        }
        _ => format!("unloaded after {of_text} in its text had run"),
    }
}

/// What was outstanding when a destroy looked, by what deferred it.
fn outstanding(verdict: &FlatVerdict) -> String {
    let callbacks = verdict.queued_by_call_rcu.unwrap_or(0) + verdict.queued_by_others;
    match (verdict.queued_by_kfree_rcu, callbacks) {
        (frees, 0) => objects(frees, "deferred free"),
        (0, callbacks) => objects(callbacks, "callback"),
        (frees, callbacks) => {
            format!("{} and {}", objects(frees, "deferred free"), objects(callbacks, "callback"))
        }
    }
}

/// What a destroy waited for.
fn waited_for(verdict: &FlatVerdict) -> String {
    match (verdict.waited_for_own, verdict.waited_for_own_callbacks) {
        (0, 0) => "callbacks of call_rcu()".to_owned(),
        (0, callbacks) => format!("{} of call_rcu()", objects(callbacks, "callback")),
        (frees, 0) => objects(frees, "deferred free"),
        (frees, callbacks) => {
            format!("{} and {}", objects(frees, "deferred free"), objects(callbacks, "callback"))
        }
    }
}
