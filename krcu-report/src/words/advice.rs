//! Advice: one sentence for each verdict, for the person who has to change something.

use super::{
    flavour::{self, are_of_callbacks, are_of_init},
    units::objects,
};
use krcu_model::{
    Verdict, VerdictKind,
    reason::Reason,
    verdict::{About, Decision, Ordering, SiteCount},
};

/// What to do about a verdict. A watch that sees allocations is not advised to look at them.
#[must_use]
pub fn advice(verdict: &Verdict, sees_allocations: bool) -> String {
    if verdict.kind() == VerdictKind::Inconclusive
        && let Some(advice) = of_undecided(verdict, sees_allocations)
    {
        return advice;
    }
    let advice = of_word(verdict);
    match verdict.decision.left.leaked {
        Some(leaked) if leaked > 0 && verdict.kind() == VerdictKind::Pending => format!(
            "{advice}; and nobody queued {}: free every object before destroying its cache",
            objects(leaked, "more object")
        ),
        _ if verdict.kind() == VerdictKind::Pending
            && verdict.decision.reasons.contains(&Reason::CallbacksOutstanding) =>
        {
            let more = objects(verdict.decision.left.undecided, "more object");
            format!(
                "{advice}; {more} may be freed by callbacks too: if not, free every object before destroying its cache"
            )
        }
        _ => advice.to_owned(),
    }
}

/// What to do about the word.
fn of_word(verdict: &Verdict) -> &'static str {
    let Decision { kind, ordering, left, waited, .. } = &verdict.decision;
    let callbacks = &verdict.evidence.deferred.callbacks;
    if matches!(kind, VerdictKind::Pending | VerdictKind::Unordered)
        && left.frees + left.callbacks.unwrap_or(0) == 0
    {
        if flavour::chained(callbacks, &verdict.evidence.deferred.sites).is_some() {
            return "callbacks queue again: call a barrier for each time that they do, of the kind of RCU in question, in the order in which they queue; cleanup_srcu_struct() waits for no callback";
        }
        if let Some(advice) = flavour::advice(callbacks) {
            return advice;
        }
    }
    if verdict.about == About::Module && matches!(kind, VerdictKind::Pending | VerdictKind::Unordered) {
        return of_open_module(&verdict.evidence.deferred.sites);
    }
    // Of two stages, only the second is missing its barrier.
    let is_second_stage = verdict.evidence.destroyed.rcu_barrier_before_ns.is_some()
        && are_of_callbacks(&verdict.evidence.deferred.sites);
    match kind {
        VerdictKind::Clean if *ordering == Ordering::Unknown => {
            "nothing to do for this run; with --strict, attach before the module is loaded"
        }
        VerdictKind::Clean | VerdictKind::Alias => "nothing to do",
        VerdictKind::Repeated => "a cache whose destroy has failed stays as it is: see to the first destroy",
        VerdictKind::Waited if waited.own_frees == 0 => {
            "safe here; on kernels whose kmem_cache_destroy() does not call rcu_barrier() this is a race: call rcu_barrier() before destroying"
        }
        VerdictKind::Waited => {
            "safe here; this exit path needs a kernel whose kmem_cache_destroy() waits (mainline: 6.12 and later)"
        }
        VerdictKind::Pending => of_pending(verdict, is_second_stage),
        VerdictKind::Leaked => {
            "nobody queued these objects by kfree_rcu() or call_rcu(): free every object before destroying its cache"
        }
        VerdictKind::LateFree => {
            "memory was freed into a cache that was gone: stop whatever still defers frees, then wait, then destroy"
        }
        VerdictKind::Unordered if !verdict.evidence.deferred.callbacks.is_empty() && is_second_stage => {
            "the race exists and was won by luck: call rcu_barrier() once more for each time that callbacks queue, before kmem_cache_destroy()"
        }
        VerdictKind::Unordered if !verdict.evidence.deferred.callbacks.is_empty() => {
            "the race exists and was won by luck: call rcu_barrier() before kmem_cache_destroy()"
        }
        VerdictKind::Unordered => {
            "the race exists and was won by luck: no barrier on this path covers kfree_rcu(); free with call_rcu() and call rcu_barrier() before destroying, or need a kernel whose destroy waits"
        }
        VerdictKind::DoubleFree => {
            "each of these will be freed twice: find which of the places that hand it over does not own it"
        }
        VerdictKind::BarrierEarly | VerdictKind::FreedEarly | VerdictKind::ModelDisagrees => {
            "the kernel and its reference disagree: report this with what --events writes of the run"
        }
        VerdictKind::Abandoned => {
            "if nobody else holds the cache, it stays until the machine is switched off: call kmem_cache_destroy() in the module's exit function, and before its init function returns an error"
        }
        VerdictKind::Inconclusive => {
            "decide it by a run that sees everything: attach before the module is loaded, and with a larger --ring-bytes if events were lost"
        }
    }
}

/// What to do where callbacks of `call_rcu()`, last queued here, may outlive their module.
fn of_open_module(sites: &[SiteCount]) -> &'static str {
    if are_of_callbacks(sites) {
        "call rcu_barrier() in the module's exit function, and once more for each time that callbacks queue: a callback that runs later runs in text that is gone"
    } else if are_of_init(sites) {
        "call rcu_barrier() in the module's exit function, and before its init function returns an error, after the last call_rcu(): a callback that runs later runs in text that is gone"
    } else {
        "call rcu_barrier() in the module's exit function, after the last call_rcu(): a callback that runs later runs in text that is gone"
    }
}

/// What to do where it cannot be decided for this reason; none if only a run that sees more decides it.
fn of_undecided(verdict: &Verdict, sees_allocations: bool) -> Option<String> {
    let advice = match verdict.decision.reasons.first()? {
        // Those that wait still may hold what is left: what they free then is not seen.
        Reason::HeadsElsewhere if verdict.decision.left.undecided > 0 => {
            "wait for these callbacks before kmem_cache_destroy(), if they free objects of this cache: by rcu_barrier() for call_rcu(), by srcu_barrier() for call_srcu(), by rcu_barrier() and then a flush for works"
        }
        Reason::HeadsElsewhere => {
            let Some(waits) = flavour::advice(&verdict.evidence.deferred.callbacks) else {
                let advice = "call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu(), if these callbacks free objects of this cache; a run with --alloc-stacks shows whether they do";
                return Some(advice.to_owned());
            };
            return Some(format!(
                "if these callbacks free objects of this cache, before kmem_cache_destroy() {waits}; a run with --alloc-stacks shows whether they do"
            ));
        }
        Reason::HandedOn => {
            let waits = "after rcu_barrier(), wait for what these callbacks hand their objects to, as by flush_workqueue()";
            let seen = if sees_allocations { "" } else { "; a run with --alloc-stacks shows what was freed" };
            return Some(format!("{waits}{seen}"));
        }
        Reason::HelperUnawaited if verdict.about == About::Module => {
            "call the barrier in the module's exit function itself: krcu does not see whether the exit waits for the task that called the barrier"
        }
        Reason::HelperUnawaited => {
            "call the barrier in the task that destroys the cache, before kmem_cache_destroy(): krcu does not see whether this task waits for the one that called the barrier"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What to do where something was outstanding.
fn of_pending(verdict: &Verdict, is_second_stage: bool) -> &'static str {
    let left = &verdict.decision.left;
    let is_inside = verdict.evidence.destroyed.barrier_inside;
    match left.frees {
        frees if left.missed_by_barrier > 0 && frees > left.missed_by_barrier => {
            "the kernel's barrier failed here: report the barrier-early of this cache, with what --events writes of the run; and stop whatever calls kfree_rcu() while the destroy waits, if anything does"
        }
        _ if left.missed_by_barrier > 0 => {
            "the kernel's barrier failed here, not this exit path: report the barrier-early of this cache, with what --events writes of the run"
        }
        0 if verdict.evidence.deferred.callbacks.is_empty() => {
            "wait for these callbacks before kmem_cache_destroy(), by rcu_barrier() for call_rcu(), or by srcu_barrier() for call_srcu(): which of them queued these was not seen"
        }
        0 if is_second_stage => {
            "callbacks queued again, and no barrier waited for that: call rcu_barrier() once more for each time that callbacks queue, before kmem_cache_destroy()"
        }
        0 => {
            "nothing here waits for call_rcu(): call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu()"
        }
        frees if is_inside && frees > left.being_freed => {
            "the destroy waited for every call of kfree_rcu() that had returned when it began: stop whatever still calls kfree_rcu() before destroying"
        }
        _ if is_inside => {
            "the destroy's barrier did not wait for a batch that was being freed: unless something called kfree_rcu() meanwhile, the fault is the kernel's, whose barrier can miss such a batch; free with call_rcu() and call rcu_barrier() before destroying"
        }
        _ => {
            "this kernel's kmem_cache_destroy() does not wait for kfree_rcu(): free with call_rcu() and call rcu_barrier() before destroying"
        }
    }
}
