//! What is known of a destroy, in the words of a verdict, before it is decided.

use crate::{
    event::{Blind, Gap, Scope},
    state::{
        State,
        cache::Born,
        destroy::{Destroy, Shutdown},
        function::FunctionId,
        moment::Moment,
        stack::StackId,
    },
    verdict::{
        kind::{KernelResult, Ordering, VerdictKind},
        line::{CallbackCount, CpuCount, DestroyedBy, SiteCount, Verdict},
    },
};

/// What is known of a destroy before it is decided.
pub(crate) fn of(state: &State, destroy: &Destroy) -> Verdict {
    let look = destroy.look.unwrap_or(destroy.begin).time;
    let left = match destroy.shutdown {
        Some(Shutdown::Left(left)) => left,
        Some(Shutdown::Empty) | None => None,
    };
    let (site_stack, created_while_watched) = match &destroy.life.born {
        Born::Watched { stack, .. } => (Some(*stack), true),
        Born::BeforeAttach => (None, false),
    };
    Verdict {
        verdict: VerdictKind::Inconclusive,
        flagged: false,
        flagged_strictly: false,
        cache: destroy.life.facts.name.clone(),
        aliases: destroy.life.aliases.clone(),
        module: module_of(state, destroy, site_stack),
        object_bytes: destroy.life.facts.object_size,
        created_while_watched,
        destroyed_by: DestroyedBy {
            comm: destroy.caller.comm.clone(),
            task: destroy.caller.task.0,
            stack: frames(state, destroy.caller.stack),
        },
        destroyed_at_ns: destroy.begin.time.since(state.watch.attached),
        queued_by_kfree_rcu: destroy.judged_at().counts.frees(),
        queued_by_call_rcu: queued_by_call_rcu(state, destroy),
        callbacks: Vec::new(),
        leaked: None,
        queued_twice: state.queued_twice(destroy.life.id),
        undecided: 0,
        kernel_result: match destroy.shutdown {
            Some(Shutdown::Empty) => KernelResult::Empty,
            Some(Shutdown::Left(_)) => KernelResult::ObjectsRemain,
            None if destroy.life.facts.refcount != 1 => KernelResult::ReferenceDropped,
            None => KernelResult::Unseen,
        },
        kernel_objects_left: left.map(|left| left.objects),
        kernel_objects_listed: left.map(|left| left.listed),
        oldest_age_ns: destroy.judged_at().oldest.map(|oldest| look.since(oldest)),
        sites: sites(state, destroy),
        cpus: cpus(destroy.judged_at()),
        queued_ever: destroy.latest().frees.ever,
        callbacks_ever: destroy.latest().callbacks.ever,
        freed_by: destroy.at_look.past.freed_by,
        leak_sites: Vec::new(),
        barrier_inside: destroy.coverage.inside,
        wait_ns: destroy.look.map(|look| look.time.since(destroy.begin.time)),
        waited_for_own: 0,
        waited_for_other: 0,
        waited_for_callbacks: false,
        waited_grace_periods: waited_grace_periods(state, destroy),
        in_sheaves: 0,
        waited_for_own_callbacks: 0,
        ordering: Ordering::Unknown,
        margin_ns: destroy.at_look.past.last_freed.map(|freed| look.since(freed)),
        rcu_barrier_before_ns: destroy
            .caller
            .rcu_barrier_before
            .map(|barrier| destroy.begin.time.since(barrier)),
        lucky_barrier: None,
        late_frees: destroy.late.frees,
        last_late_free_ns: destroy.late.last.map(|late| late.since(look)),
        reasons: Vec::new(),
        missed_programs: Vec::new(),
        notes: Vec::new(),
        advice: String::new(),
    }
}

/// Grace periods that ended while the destroy waited, where all were seen.
fn waited_grace_periods(state: &State, destroy: &Destroy) -> Option<u64> {
    let look = destroy.look?;
    let is_lost = |gap: &Gap| {
        matches!(gap.scope, Scope::Everything | Scope::Grace)
            && gap.from <= look.time
            && gap.until >= destroy.begin.time
    };
    let sees_all = !state.watch.blind.contains(&Blind::Grace) && !state.gaps.iter().any(is_lost);
    sees_all.then(|| destroy.at_look.graces_ended.saturating_sub(destroy.at_begin.graces_ended))
}

/// Where leaked objects were allocated, and what is not known of it.
pub(crate) fn leaks(state: &State, destroy: &Destroy, verdict: &mut Verdict) {
    let Some(leaked) = verdict.leaked.filter(|leaked| *leaked > 0 && state.ledger.sees_allocations) else {
        return;
    };
    let sites = destroy.allocated.iter();
    verdict.leak_sites =
        sites.map(|(id, objects)| SiteCount { objects: *objects, stack: frames(state, *id) }).collect();
    verdict.leak_sites.sort_by_key(|site| core::cmp::Reverse(site.objects));
    let seen: u64 = destroy.allocated.values().sum();
    if seen < leaked {
        let unseen = leaked - seen;
        verdict.notes.push(match destroy.life.born {
            Born::BeforeAttach => {
                format!("{unseen} of the leaked objects were allocated before the probes were attached")
            }
            Born::Watched { .. } => {
                format!("where {unseen} of the leaked objects were allocated was not seen")
            }
        });
    } else if seen > leaked {
        verdict.notes.push(format!(
            "{seen} objects were allocated and neither queued nor seen to be freed, {} more than are left",
            seen - leaked
        ));
    }
}

/// Without sight of their runs, a barrier alone tells that callbacks have run.
fn queued_by_call_rcu(state: &State, destroy: &Destroy) -> Option<u64> {
    if state.watch.blind.contains(&Blind::Callbacks) {
        None
    } else if state.sees_callbacks_run() {
        Some(destroy.judged_at().counts.callbacks())
    } else {
        (!destroy.has_open_callbacks()).then_some(0)
    }
}

/// The callbacks that a verdict is about, most objects first.
pub(crate) fn callbacks(state: &State, destroy: &Destroy, verdict: &Verdict) -> Vec<CallbackCount> {
    let count = |function: FunctionId, objects| {
        let function = state.functions.get(function);
        CallbackCount { objects, function: function.name.clone(), module: function.module.clone() }
    };
    let waiting = if verdict.verdict == VerdictKind::Waited && verdict.waited_for_callbacks {
        &destroy.at_begin.functions
    } else {
        &destroy.judged_at().functions
    };
    let is_by_count = match verdict.verdict {
        VerdictKind::Pending | VerdictKind::LateFree | VerdictKind::Inconclusive => true,
        VerdictKind::Waited => verdict.waited_for_callbacks,
        _ => false,
    };
    let mut callbacks: Vec<CallbackCount> = Vec::new();
    if is_by_count {
        callbacks.extend(waiting.iter().map(|(function, objects)| count(*function, *objects)));
        callbacks.sort_by_key(|callback| core::cmp::Reverse(callback.objects));
    }
    let uncovered = match verdict.verdict {
        VerdictKind::Unordered | VerdictKind::LateFree => Some(destroy.coverage.callbacks),
        VerdictKind::Waited if verdict.waited_for_callbacks => Some(destroy.coverage.callbacks_before),
        _ => None,
    };
    if let Some(covered) = uncovered.filter(|_| callbacks.is_empty()) {
        callbacks
            .extend(destroy.past().functions.since(covered).into_iter().map(|function| count(function, 0)));
    }
    callbacks
}

/// A callback that nothing waits for may run when its own code is gone.
pub(crate) fn note_of_modules(verdict: &mut Verdict) {
    if !matches!(verdict.verdict, VerdictKind::Pending | VerdictKind::Unordered) {
        return;
    }
    for callback in &verdict.callbacks {
        if let Some(module) = &callback.module {
            let function = &callback.function;
            verdict.notes.push(format!(
                "{function}() is in the text of {module}: without rcu_barrier() it may run after the module is gone"
            ));
        }
    }
}

/// Whose cache: who created it, else whose code destroyed it, whose exit ran, or who queued into it.
fn module_of(state: &State, destroy: &Destroy, created: Option<StackId>) -> Option<String> {
    let of_stack = |id: StackId| state.stack(id).module().map(str::to_owned);
    created
        .and_then(of_stack)
        .or_else(|| of_stack(destroy.caller.stack))
        .or_else(|| {
            state
                .stack(destroy.caller.stack)
                .is_module_exit()
                .then(|| destroy.caller.module_going.clone())
                .flatten()
        })
        .or_else(|| of_stack(destroy.past().frees.stack))
        .or_else(|| of_stack(destroy.past().callbacks.stack))
}

pub(crate) fn frames(state: &State, id: StackId) -> Vec<String> {
    state.stack(id).frames.iter().map(ToString::to_string).collect()
}

/// The sites of what was left at the look, or of what the destroy waited for; else the site of the last
/// deferred free.
fn sites(state: &State, destroy: &Destroy) -> Vec<SiteCount> {
    let is_waited_for = destroy.coverage.inside || destroy.waited_for_callbacks();
    let taken = match destroy.shutdown {
        Some(Shutdown::Empty) if destroy.after.counts.callbacks_waiting > 0 => Some(destroy.judged_at()),
        Some(Shutdown::Empty) if is_waited_for => Some(&destroy.at_begin),
        Some(Shutdown::Empty) => None,
        Some(Shutdown::Left(_)) | None => Some(destroy.judged_at()),
    };
    let mut sites: Vec<SiteCount> = taken
        .into_iter()
        .flat_map(|moment| &moment.stacks)
        .map(|(id, objects)| SiteCount { objects: *objects, stack: frames(state, *id) })
        .collect();
    if sites.is_empty() {
        let last = if destroy.has_open_callbacks() {
            destroy.past().callbacks.stack
        } else {
            destroy.past().frees.stack
        };
        if last != StackId::default() {
            sites.push(SiteCount { objects: 0, stack: frames(state, last) });
        }
    }
    sites.sort_by_key(|site| core::cmp::Reverse(site.objects));
    sites
}

fn cpus(moment: &Moment) -> Vec<CpuCount> {
    moment.cpus.iter().map(|(cpu, objects)| CpuCount { cpu: *cpu, objects: *objects }).collect()
}
