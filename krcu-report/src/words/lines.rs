//! Lines: the evidence of a verdict, with one line for each piece.

use std::{cmp::Reverse, fmt::Write as _};

use super::{
    flavour,
    units::{count, objects, span},
};
use crate::flat::FlatVerdict;
use krcu_model::{
    VerdictKind,
    reason::Reason,
    verdict::{About, CallbackCount, CpuCount, KernelResult, LuckyBarrier, SiteCount},
};

/// How many frames of a site are shown at most.
const FRAMES: usize = 3;
/// How many CPUs are named at most.
const CPUS: usize = 8;

/// `12 × my_free [my_module]`.
#[must_use]
pub fn callback(callback: &CallbackCount) -> String {
    let module = callback.module.as_ref().map_or_else(String::new, |module| format!(" [{module}]"));
    let name = format!("{}{module}", callback.function);
    if callback.objects > 0 { format!("{} × {name}", count(callback.objects)) } else { name }
}

/// From where it was destroyed.
#[must_use]
pub fn destroyed_in(verdict: &FlatVerdict) -> String {
    let is_exit = |frame: &String| frame.contains("sys_delete_module");
    let Some((first, rest)) = verdict.destroyed_by.stack.split_first() else {
        return "at an unknown place".to_owned();
    };
    let caller = rest.iter().find(|frame| frame.contains(" [")).filter(|_| !first.contains(" ["));
    match (caller, &verdict.module) {
        // A call that is the last act of a function leaves no frame of that function.
        (None, Some(module)) if is_exit(first) => format!("as the last act of the exit of {module}"),
        (None, Some(module)) if !first.contains(" [") && rest.iter().any(is_exit) => {
            format!("in {first}, in the unload of {module}")
        }
        (None, _) => format!("in {first}"),
        (Some(caller), _) => format!("in {first}, called from {caller}"),
    }
}

/// How the outstanding frees were queued: by which call, when, and on which CPUs.
#[must_use]
pub fn queued_by(verdict: &FlatVerdict) -> Option<String> {
    if matches!(verdict.verdict, VerdictKind::BarrierEarly | VerdictKind::FreedEarly) {
        // The clause has the number already, and it may be one of callbacks.
        return None;
    }
    let mut parts = Vec::new();
    if verdict.frees() > 0 {
        parts.push(format!("kfree_rcu  {}", count(verdict.frees())));
    } else if verdict.queued_ever > 0 {
        parts.push(format!("kfree_rcu  {} in all", count(verdict.queued_ever)));
    }
    let callbacks = verdict.callbacks_of_call_rcu().unwrap_or(0);
    let is_about_callbacks = verdict.queued_by_call_rcu.is_none() || !verdict.callbacks.is_empty();
    if callbacks > 0 {
        // The kind of those whose queueing was not seen is not known.
        let is_unknown = verdict.verdict == VerdictKind::Pending && verdict.callbacks.is_empty();
        let by = if is_unknown { "a call that was not seen" } else { "call_rcu" };
        parts.push(format!("{by}  {}", count(callbacks)));
    } else if is_about_callbacks && verdict.callbacks_ever > 0 {
        parts.push(format!("call_rcu  {} in all", count(verdict.callbacks_ever)));
    }
    if verdict.queued_by_others > 0 {
        let by = flavour::of(&verdict.callbacks).map_or("other kinds of RCU", flavour::queues);
        parts.push(format!("{}  {}", by.trim_end_matches("()"), count(verdict.queued_by_others)));
    }
    if parts.is_empty() {
        return None;
    }
    if let Some(leaked) = verdict.leaked.filter(|leaked| *leaked > 0) {
        parts.push(format!("leaked  {}", count(leaked)));
    }
    if let Some(age) = verdict.oldest_age_ns {
        parts.push(format!("oldest {}", span(age)));
    }
    if !verdict.cpus.is_empty() {
        parts.push(cpus(&verdict.cpus));
    }
    Some(parts.join("   "))
}

/// `CPU 0: 700, CPU 1: 77`: of many, the first few of those with the most.
fn cpus(counts: &[CpuCount]) -> String {
    let mut shown: Vec<&CpuCount> = counts.iter().collect();
    shown.sort_by_key(|cpu| Reverse(cpu.objects));
    let rest = shown.split_off(shown.len().min(CPUS));
    shown.sort_by_key(|cpu| cpu.cpu);
    let mut parts: Vec<String> =
        shown.iter().map(|cpu| format!("CPU {}: {}", cpu.cpu.0, count(cpu.objects))).collect();
    let objects = rest.iter().map(|cpu| cpu.objects).sum();
    parts.extend((!rest.is_empty()).then(|| format!("{} other CPUs: {}", rest.len(), count(objects))));
    parts.join(", ")
}

/// `777 × my_flush+0x51 ← my_exit+0x37f [my_module]`: neighbouring frames of the same module name it once.
#[must_use]
pub fn site(objects: u64, stack: &[String]) -> String {
    // The frames of a module come first, since a person looks for their own code. What that called is named after it.
    let is_own = |frame: &String| frame.contains(" [");
    let (called, from) = stack.split_at(stack.iter().position(is_own).unwrap_or(0));
    let own = from.iter().rposition(is_own).map_or(FRAMES, |last| last + 1);
    let shown: Vec<&String> = from.iter().take(own.min(FRAMES)).collect();
    let mut frames = Vec::new();
    for (place, frame) in shown.iter().enumerate() {
        let module = |frame: &str| frame.split_once(" [").map(|(_, module)| module.to_owned());
        let repeats =
            shown.get(place + 1).is_some_and(|next| module(frame).is_some() && module(next) == module(frame));
        frames.push(if repeats { frame.split(" [").next().unwrap_or(frame) } else { frame.as_str() });
    }
    let mut chain = if frames.is_empty() { "an unknown place".to_owned() } else { frames.join(" ← ") };
    if let Some(innermost) = called.first() {
        let _ = write!(chain, ", through {innermost}");
    }
    if objects > 0 { format!("{} × {chain}", count(objects)) } else { format!("last from {chain}") }
}

/// One line for each of these sites. Stacks that print alike are one line.
#[must_use]
pub fn sites(sites: &[SiteCount]) -> Vec<String> {
    let mut chains: Vec<(u64, &[String], String)> = Vec::new();
    for SiteCount { objects, stack } in sites {
        let chain = site(0, stack);
        match chains.iter_mut().find(|(_, _, known)| *known == chain) {
            Some((known, ..)) => *known += objects,
            None => chains.push((*objects, stack, chain)),
        }
    }
    chains.sort_by_key(|(objects, ..)| Reverse(*objects));
    chains.into_iter().map(|(objects, stack, _)| site(objects, stack)).collect()
}

/// The numbers of deferred frees that a verdict is about, by the names of their JSON fields.
#[must_use]
pub fn numbers(verdict: &FlatVerdict) -> [(&'static str, Option<u64>); 2] {
    let names = match verdict.verdict {
        VerdictKind::Waited => ["waited_for_own", "waited_for_own_callbacks"],
        _ => ["queued_by_kfree_rcu", "queued_by_call_rcu"],
    };
    [(names[0], Some(verdict.frees())), (names[1], verdict.callbacks_of_call_rcu())]
}

/// Says that it is undecided and why: one word for each reason, and the programs whose runs were skipped.
#[must_use]
pub fn undecided(verdict: &FlatVerdict) -> String {
    let reason = |reason: &Reason| match reason {
        Reason::ProbeMissed if !verdict.missed_programs.is_empty() => {
            format!("{} ({})", reason.word(), verdict.missed_programs.join(", "))
        }
        _ => reason.word().to_owned(),
    };
    let reasons: Vec<String> = verdict.reasons.iter().map(reason).collect();
    match reasons.as_slice() {
        [] => "cannot be decided".to_owned(),
        reasons => format!("cannot be decided: {}", reasons.join(", ")),
    }
}

/// What orders the deferred frees before the destroy.
#[must_use]
pub fn ordering(verdict: &FlatVerdict) -> Option<String> {
    if let (VerdictKind::Unordered, Some(lucky)) = (verdict.verdict, &verdict.lucky_barrier) {
        return Some(lucky_barrier(lucky, verdict.destroyed_by.task));
    }
    if let Some(missing) = missing_for_others(verdict) {
        return Some(missing);
    }
    if verdict.about == About::Module {
        return of_module(verdict);
    }
    if let Some(stages) = second_stage(verdict) {
        return Some(stages);
    }
    let barrier_before = verdict.rcu_barrier_before_ns.map(span);
    let by_call_rcu = !verdict.callbacks.is_empty();
    Some(match verdict.verdict {
        VerdictKind::Pending if verdict.queued_by_kfree_rcu == 0 && verdict.callbacks.is_empty() => {
            "what queued these callbacks was not seen; nothing has waited for them".to_owned()
        }
        VerdictKind::Pending if verdict.queued_by_kfree_rcu == 0 => no_rcu_barrier(barrier_before),
        VerdictKind::Pending if verdict.missed_by_barrier > 0 => format!(
            "the kernel's barrier is broken: the one inside the destroy covers {} of these and returned before their free was over",
            count(verdict.missed_by_barrier)
        ),
        VerdictKind::Pending if verdict.barrier_inside && verdict.being_freed > 0 => format!(
            "the barrier inside the destroy did not wait for a batch of {} that was being freed when the destroy looked",
            objects(verdict.being_freed, "object")
        ),
        VerdictKind::Pending if verdict.barrier_inside => {
            "the barrier inside the destroy covers only calls of kfree_rcu() that had returned when it began"
                .to_owned()
        }
        VerdictKind::Pending => match barrier_before {
            Some(before) => format!(
                "no barrier that covers kfree_rcu() stands before the destroy; the rcu_barrier() {before} before it does not cover it"
            ),
            None => "no barrier that covers kfree_rcu() stands before the destroy".to_owned(),
        },
        VerdictKind::Unordered if by_call_rcu => no_rcu_barrier(barrier_before),
        VerdictKind::Unordered => match barrier_before {
            Some(before) => format!(
                "no barrier that covers kfree_rcu() stands between; the rcu_barrier() {before} before does not cover it"
            ),
            None => {
                "no barrier that covers kfree_rcu() stands between the last one and the destroy".to_owned()
            }
        },
        VerdictKind::Waited => {
            let barrier = match (verdict.waited_for_own, verdict.waited_for_callbacks) {
                (0, _) => "by the rcu_barrier() inside the destroy, and by none before it",
                (_, false) => "by the barrier inside the destroy",
                (_, true) => "by the barriers inside the destroy, rcu_barrier() among them",
            };
            let mut line = barrier.to_owned();
            if let Some(graces) = verdict.waited_grace_periods {
                let _ = write!(line, "; {} ended meanwhile", objects(graces, "grace period"));
            }
            if verdict.waited_for_other > 0 {
                let others = objects(verdict.waited_for_other, "deferred free");
                let _ = write!(line, "; it waited for {others} of other watched caches as well");
            }
            line
        }
        _ => return None,
    })
}

/// What orders the callbacks in the text of a module before its end.
fn of_module(verdict: &FlatVerdict) -> Option<String> {
    let ordering = match (verdict.verdict, flavour::are_of_callbacks(&verdict.sites)) {
        (VerdictKind::Pending, true) => {
            "callbacks queued again: the module's text goes before these have returned, and no rcu_barrier() has waited for them"
        }
        (VerdictKind::Pending, false) => {
            "the module's text goes before they have returned: no rcu_barrier() has waited for them"
        }
        (VerdictKind::Unordered, true) => {
            "callbacks queued again: the task that removed the module called no further rcu_barrier() for what they queued"
        }
        (VerdictKind::Unordered, false) => {
            "the task that removed the module called no rcu_barrier() after the last call_rcu()"
        }
        _ => return None,
    };
    Some(ordering.to_owned())
}

/// What is missing where nothing of `kfree_rcu()` or `call_rcu()` is outstanding, but something of another kind is, or is open.
fn missing_for_others(verdict: &FlatVerdict) -> Option<String> {
    let is_open = matches!(verdict.verdict, VerdictKind::Pending | VerdictKind::Unordered);
    let is_of_rcu = verdict.queued_by_kfree_rcu + verdict.queued_by_call_rcu.unwrap_or(0) > 0;
    if !is_open || is_of_rcu {
        return None;
    }
    if let Some(flavour) = flavour::chained(&verdict.callbacks, &verdict.sites) {
        return Some(flavour::missing_in_chain(flavour));
    }
    let flavour = flavour::of(&verdict.callbacks)?;
    let is_module = verdict.about == About::Module;
    Some(flavour::missing(flavour, if is_module { "the end of the module" } else { "the destroy" }))
}

/// What the barrier before the destroy did not wait for, where callbacks have queued again.
fn second_stage(verdict: &FlatVerdict) -> Option<String> {
    let is_uncovered = match verdict.verdict {
        VerdictKind::Pending => verdict.queued_by_kfree_rcu == 0 || !verdict.barrier_inside,
        VerdictKind::Unordered => true,
        _ => false,
    };
    let before = verdict
        .rcu_barrier_before_ns
        .filter(|_| is_uncovered && flavour::are_of_callbacks(&verdict.sites))?;
    let by = if verdict.callbacks.is_empty() { " by kfree_rcu()" } else { "" };
    Some(format!(
        "callbacks queued again{by}: the rcu_barrier() {} before the destroy waited for callbacks, and not for what these queued",
        span(before)
    ))
}

/// That no `rcu_barrier()` covers the last callback, although one may stand before the destroy.
fn no_rcu_barrier(before: Option<String>) -> String {
    match before {
        Some(before) => format!(
            "the rcu_barrier() {before} before the destroy was called before the last call_rcu(), and does not cover it"
        ),
        None => "no rcu_barrier() stands between the last call_rcu() and the destroy".to_owned(),
    }
}

/// Whose barrier it was that nobody here had asked for.
fn lucky_barrier(lucky: &LuckyBarrier, destroyer: u32) -> String {
    let LuckyBarrier { function, comm, task, stack, before_ns } = lucky;
    let by = if comm.is_empty() { format!("task {task}") } else { format!("{comm} (task {task})") };
    let before = span(*before_ns);
    let an = if function.starts_with(['r', 's']) { "an" } else { "a" };
    if *task == destroyer {
        let who = stack.first().map_or_else(|| "the destroying task".to_owned(), String::clone);
        return format!("only by {an} {function}() that {who} happened to call: it returned {before} before");
    }
    format!(
        "only by {an} {function}() that {by} called{}: it returned {before} before, and is no part of this teardown",
        called_from(stack)
    )
}

/// From where a barrier was called. A function of the kernel's is named with the code that it works for.
fn called_from(stack: &[String]) -> String {
    let Some((first, rest)) = stack.split_first() else { return String::new() };
    let mut from = format!(" from {first}");
    if !first.contains(" [") {
        if rest.iter().any(|frame| frame.starts_with("kmem_cache_destroy+")) {
            from += " in a kmem_cache_destroy()";
        }
        if let Some(caller) = rest.iter().find(|frame| frame.contains(" [")) {
            let _ = write!(from, ", called from {caller}");
        }
    }
    from
}

/// The kernel's own word.
#[must_use]
pub fn kernel(verdict: &FlatVerdict) -> Option<String> {
    if verdict.about == About::Module || verdict.verdict == VerdictKind::Abandoned {
        return None;
    }
    let mut line = match verdict.kernel_result {
        KernelResult::ObjectsRemain => match (verdict.kernel_objects_left, verdict.kernel_objects_listed) {
            (Some(left), Some(listed)) if listed < left => format!(
                "counts {} left; its report lists the {} on partial slabs",
                objects(left, "object"),
                count(listed)
            ),
            (Some(left), _) => format!("counts {} left", objects(left, "object")),
            (None, _) => "says that objects remain".to_owned(),
        },
        KernelResult::Empty => "found every slab empty".to_owned(),
        KernelResult::ReferenceDropped => return None,
        KernelResult::Unseen => "was not seen to finish".to_owned(),
    };
    if verdict.late_frees > 0 {
        let _ = write!(line, "; {} landed later", objects(verdict.late_frees, "deferred free"));
        if let Some(after) = verdict.last_late_free_ns {
            let _ = write!(line, ", the last {} after", span(after));
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use krcu_model::event::Cpu;

    use super::*;

    #[test]
    fn the_frames_of_a_module_come_first_and_what_they_called_after_them() {
        let stack = |frames: &[&str]| frames.iter().map(|frame| (*frame).to_owned()).collect::<Vec<_>>();
        let deep =
            ["kernfs_put+0x1", "a+0x1", "b+0x1", "c+0x1", "my_put+0x5 [m]", "my_exit+0x7 [m]", "d+0x1"];
        assert_eq!(site(3, &stack(&deep)), "3 × my_put+0x5 ← my_exit+0x7 [m], through kernfs_put+0x1");
        assert_eq!(site(3, &stack(&deep[4..])), "3 × my_put+0x5 ← my_exit+0x7 [m]");
        assert_eq!(site(3, &stack(&deep[..4])), "3 × kernfs_put+0x1 ← a+0x1 ← b+0x1");
        assert_eq!(site(0, &[]), "last from an unknown place");
    }

    #[test]
    fn a_machine_of_many_cpus_has_a_line_of_few() {
        // CPU 5 has queued 9 objects, and each other CPU one.
        let line = |most: u16| {
            let counts =
                (0..most).map(|cpu| CpuCount { cpu: Cpu(cpu), objects: if cpu == 5 { 9 } else { 1 } });
            cpus(&counts.collect::<Vec<_>>())
        };
        assert_eq!(line(1), "CPU 0: 1");
        let eight = "CPU 0: 1, CPU 1: 1, CPU 2: 1, CPU 3: 1, CPU 4: 1, CPU 5: 9, CPU 6: 1, CPU 7: 1";
        assert_eq!(line(8), eight);
        for (cpus, others) in
            [(64, "56"), (65, "57"), (128, "120"), (129, "121"), (256, "248"), (1024, "1,016")]
        {
            assert_eq!(line(cpus), format!("{eight}, {} other CPUs: {others}", cpus - 8));
        }
    }
}
