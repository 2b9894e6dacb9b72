//! What is known of a destroy, in the words of a verdict, before it is decided.

use crate::{
    stack::StackId,
    state::{Born, Destroy, Shutdown, Snapshot, State},
    verdict::{CpuCount, DestroyedBy, KernelResult, Ordering, SiteCount, Verdict, VerdictKind},
};

/// What is known of a destroy before it is decided.
pub(crate) fn evidence(state: &State, destroy: &Destroy) -> Verdict {
    let look = destroy.look.unwrap_or(destroy.begin).time;
    let left = match destroy.shutdown {
        Some(Shutdown::Left(left)) => left,
        Some(Shutdown::Empty) | None => None,
    };
    let (site_stack, created_while_watched) = match &destroy.born {
        Born::Watched { stack, .. } => (Some(*stack), true),
        Born::BeforeAttach => (None, false),
    };
    Verdict {
        verdict: VerdictKind::Inconclusive,
        flagged: false,
        flagged_strictly: false,
        cache: destroy.facts.name.clone(),
        aliases: destroy.aliases.clone(),
        module: module_of(state, destroy, site_stack),
        object_bytes: destroy.facts.object_size,
        created_while_watched,
        destroyed_by: DestroyedBy {
            comm: destroy.comm.clone(),
            task: destroy.task.0,
            stack: frames(state, destroy.stack),
        },
        destroyed_at_ns: destroy.begin.time.since(state.watch.attached),
        queued_by_kfree_rcu: destroy.at_look.outstanding + destroy.at_look.being_freed,
        queued_by_call_rcu: (!destroy.has_open_callbacks()).then_some(0),
        leaked: None,
        undecided: 0,
        kernel_result: match destroy.shutdown {
            Some(Shutdown::Empty) => KernelResult::Empty,
            Some(Shutdown::Left(_)) => KernelResult::ObjectsRemain,
            None if destroy.facts.refcount != 1 => KernelResult::ReferenceDropped,
            None => KernelResult::Unseen,
        },
        kernel_objects_left: left.map(|left| left.objects),
        kernel_objects_listed: left.map(|left| left.listed),
        oldest_age_ns: destroy.at_look.oldest.map(|oldest| look.since(oldest)),
        sites: sites(state, destroy),
        cpus: cpus(&destroy.at_look),
        queued_ever: destroy.queued,
        callbacks_ever: destroy.callbacks,
        barrier_inside: destroy.barrier_inside,
        wait_ns: destroy.look.map(|look| look.time.since(destroy.begin.time)),
        waited_for_own: 0,
        waited_for_other: 0,
        waited_for_callbacks: false,
        ordering: Ordering::Unknown,
        margin_ns: destroy.last_freed.map(|freed| look.since(freed)),
        rcu_barrier_before_ns: destroy.rcu_barrier_before.map(|barrier| destroy.begin.time.since(barrier)),
        late_frees: destroy.late,
        last_late_free_ns: destroy.last_late.map(|late| late.since(look)),
        notes: Vec::new(),
        advice: String::new(),
    }
}

/// Whose cache: who created it, else whose code destroyed it, whose exit ran, or who queued into it.
fn module_of(state: &State, destroy: &Destroy, created: Option<StackId>) -> Option<String> {
    let of_stack = |id: StackId| state.stack(id).module().map(str::to_owned);
    created
        .and_then(of_stack)
        .or_else(|| of_stack(destroy.stack))
        .or_else(|| {
            state.stack(destroy.stack).is_module_exit().then(|| destroy.module_going.clone()).flatten()
        })
        .or_else(|| of_stack(destroy.last_queued_stack))
        .or_else(|| of_stack(destroy.last_callback_stack))
}

fn frames(state: &State, id: StackId) -> Vec<String> {
    state.stack(id).frames.iter().map(ToString::to_string).collect()
}

/// The sites of what was left at the look, or of what the destroy waited for; else the site of the last
/// deferred free.
fn sites(state: &State, destroy: &Destroy) -> Vec<SiteCount> {
    let taken = match destroy.shutdown {
        Some(Shutdown::Empty) if destroy.barrier_inside => Some(&destroy.at_begin),
        Some(Shutdown::Empty) => None,
        Some(Shutdown::Left(_)) | None => Some(&destroy.at_look),
    };
    let mut sites: Vec<SiteCount> = taken
        .into_iter()
        .flat_map(|snapshot| &snapshot.stacks)
        .map(|(id, objects)| SiteCount { objects: *objects, stack: frames(state, *id) })
        .collect();
    if sites.is_empty() {
        let last = if destroy.has_open_callbacks() {
            destroy.last_callback_stack
        } else {
            destroy.last_queued_stack
        };
        if last != StackId::default() {
            sites.push(SiteCount { objects: 0, stack: frames(state, last) });
        }
    }
    sites.sort_by_key(|site| core::cmp::Reverse(site.objects));
    sites
}

fn cpus(snapshot: &Snapshot) -> Vec<CpuCount> {
    snapshot.cpus.iter().map(|(cpu, objects)| CpuCount { cpu: *cpu, objects: *objects }).collect()
}
