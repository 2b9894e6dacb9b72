//! Advice: one sentence for each verdict, for the person who has to change something.

use super::{
    flavour::{self, are_of_callbacks},
    units::objects,
};
use krcu_model::{
    Verdict, VerdictKind,
    reason::Reason,
    verdict::{About, Decision, Ordering},
};

/// What to do about a verdict.
#[must_use]
pub fn advice(verdict: &Verdict) -> String {
    let advice = of_word(verdict);
    match verdict.decision.left.leaked {
        Some(leaked) if leaked > 0 && verdict.kind() == VerdictKind::Pending => format!(
            "{advice}; and nobody queued {}: free every object before destroying its cache",
            objects(leaked, "more object")
        ),
        _ => advice.to_owned(),
    }
}

/// What to do about the word.
fn of_word(verdict: &Verdict) -> &'static str {
    let Decision { kind, ordering, left, waited, reasons, .. } = &verdict.decision;
    let callbacks = &verdict.evidence.deferred.callbacks;
    if matches!(kind, VerdictKind::Pending | VerdictKind::Unordered)
        && left.frees + left.callbacks.unwrap_or(0) == 0
        && let Some(advice) = flavour::advice(callbacks)
    {
        return advice;
    }
    if verdict.about == About::Module && matches!(kind, VerdictKind::Pending | VerdictKind::Unordered) {
        return "call rcu_barrier() in the module's exit function, after the last call_rcu(): a callback that runs later runs in text that is gone";
    }
    let has = |reason: Reason| reasons.first() == Some(&reason);
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
            "if nobody else holds the cache, it stays until the machine is switched off: call kmem_cache_destroy() in the module's exit function"
        }
        VerdictKind::Inconclusive if has(Reason::HeadsElsewhere) => {
            "call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu(), if these callbacks free objects of this cache; a run with --alloc-stacks shows whether they do"
        }
        VerdictKind::Inconclusive if has(Reason::HandedOn) => {
            "after rcu_barrier(), wait for what these callbacks hand their objects to, as by flush_workqueue(); a run with --alloc-stacks shows what was freed"
        }
        VerdictKind::Inconclusive => {
            "decide it by a run that sees everything: attach before the module is loaded, and with a larger --ring-bytes if events were lost"
        }
    }
}

/// What to do where something was outstanding.
fn of_pending(verdict: &Verdict, is_second_stage: bool) -> &'static str {
    let left = &verdict.decision.left;
    let is_inside = verdict.evidence.destroyed.barrier_inside;
    match left.frees {
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
