//! Flavour: how each kind of deferral is called, and what a teardown has to call for it.

use krcu_common::Flavour;
use krcu_model::verdict::{CallbackCount, SiteCount};

/// The function that queues.
#[must_use]
pub fn queues(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Rcu => "call_rcu()",
        Flavour::Srcu => "call_srcu()",
        Flavour::Tasks => "call_rcu_tasks()",
        Flavour::TasksRude => "call_rcu_tasks_rude()",
        Flavour::TasksTrace => "call_rcu_tasks_trace()",
        Flavour::RcuWork => "queue_rcu_work()",
        Flavour::Work => "queue_work() in a callback",
    }
}

/// What to call before the cache or the text goes.
fn waits(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Rcu => "call rcu_barrier() after the last call_rcu()",
        Flavour::Srcu => {
            "call srcu_barrier() of the same domain after the last call_srcu(); cleanup_srcu_struct() waits for no callback"
        }
        Flavour::Tasks => "call rcu_barrier_tasks() after the last call_rcu_tasks()",
        Flavour::TasksRude => "call rcu_barrier_tasks_rude() after the last call_rcu_tasks_rude()",
        Flavour::TasksTrace => "call rcu_barrier_tasks_trace() after the last call_rcu_tasks_trace()",
        Flavour::RcuWork => {
            "call flush_rcu_work() for each rcu_work, or rcu_barrier() and then flush_workqueue(); rcu_barrier() alone waits for no work"
        }
        Flavour::Work => {
            "call rcu_barrier() and then flush_work() or flush_workqueue(): the callbacks hand on to works, for which rcu_barrier() does not wait"
        }
    }
}

/// The barrier that covers it.
fn barrier(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Rcu => "rcu_barrier()",
        Flavour::Srcu => "srcu_barrier() of its domain",
        Flavour::Tasks => "rcu_barrier_tasks()",
        Flavour::TasksRude => "rcu_barrier_tasks_rude()",
        Flavour::TasksTrace => "rcu_barrier_tasks_trace()",
        Flavour::RcuWork => "flush_rcu_work(), and no rcu_barrier() followed by flush_workqueue(),",
        Flavour::Work => "flush_work() or flush_workqueue() after an rcu_barrier()",
    }
}

/// What its module cannot go without.
pub(crate) fn needs(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::RcuWork | Flavour::Work => "a flush after an rcu_barrier()",
        flavour => barrier(flavour),
    }
}

/// The kind of the most callbacks that are of another kind than `call_rcu()`.
pub(crate) fn of(callbacks: &[CallbackCount]) -> Option<Flavour> {
    callbacks.iter().map(|callback| callback.flavour).find(|flavour| *flavour != Flavour::Rcu)
}

/// The advice for callbacks of another kind than `call_rcu()`, if there are any.
pub(crate) fn advice(callbacks: &[CallbackCount]) -> Option<&'static str> {
    of(callbacks).map(waits)
}

/// What is missing between the last of them and this moment.
pub(crate) fn missing(flavour: Flavour, moment: &str) -> String {
    format!("no {} stands between the last {} and {moment}", barrier(flavour), queues(flavour))
}

/// Whether all of these calls came from callbacks.
pub(crate) fn are_of_callbacks(sites: &[SiteCount]) -> bool {
    are_within(sites, "rcu_do_batch")
}

/// Of callbacks that callbacks queued, where not all are of `call_rcu()`: the kind that these are of.
pub(crate) fn chained(callbacks: &[CallbackCount], sites: &[SiteCount]) -> Option<Flavour> {
    let flavour = of(callbacks).or_else(|| callbacks.first().map(|callback| callback.flavour))?;
    let is_work = matches!(flavour, Flavour::RcuWork | Flavour::Work);
    let is_of_others =
        ["srcu_invoke_callbacks", "rcu_tasks_invoke_cbs"].iter().any(|runs| are_within(sites, runs));
    (!is_work && (is_of_others || flavour != Flavour::Rcu && are_of_callbacks(sites))).then_some(flavour)
}

/// What is missing where callbacks queued them.
pub(crate) fn missing_in_chain(flavour: Flavour) -> String {
    format!(
        "callbacks queued these: no {} stands after a barrier that waits for those callbacks",
        barrier(flavour)
    )
}

/// Whether all of these calls came from an init function, which may have failed.
pub(crate) fn are_of_init(sites: &[SiteCount]) -> bool {
    are_within(sites, "do_one_initcall")
}

/// Whether all of these calls have a frame of this function.
fn are_within(sites: &[SiteCount], function: &str) -> bool {
    let is_within = |site: &SiteCount| site.stack.iter().any(|frame| frame.starts_with(function));
    !sites.is_empty() && sites.iter().all(is_within)
}
