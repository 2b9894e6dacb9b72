//! Lines: one line of evidence each, which the text and the other formats share.

use std::fmt::Write as _;

use krcu_model::{
    Verdict, VerdictKind,
    reason::Reason,
    verdict::{CallbackCount, KernelResult},
};

use super::{
    text::objects,
    units::{count, span},
};

/// Frames shown of one site.
const FRAMES: usize = 3;

/// `12 × my_free [my_module]`.
pub(super) fn callback(callback: &CallbackCount) -> String {
    let module = callback.module.as_ref().map_or_else(String::new, |module| format!(" [{module}]"));
    let name = format!("{}{module}", callback.function);
    if callback.objects > 0 { format!("{} × {name}", count(callback.objects)) } else { name }
}

/// By what, when and on which CPUs what is outstanding was deferred.
pub(super) fn queued_by(verdict: &Verdict) -> Option<String> {
    if matches!(verdict.verdict, VerdictKind::BarrierEarly | VerdictKind::FreedEarly) {
        // The clause has the number, which may be of callbacks.
        return None;
    }
    let mut parts = Vec::new();
    let outstanding = verdict.queued_by_kfree_rcu.max(verdict.waited_for_own);
    if outstanding > 0 {
        parts.push(format!("kfree_rcu  {}", count(outstanding)));
    } else if verdict.queued_ever > 0 {
        parts.push(format!("kfree_rcu  {} in all", count(verdict.queued_ever)));
    }
    let callbacks = verdict.queued_by_call_rcu.unwrap_or(0).max(verdict.waited_for_own_callbacks);
    let is_about_callbacks = verdict.queued_by_call_rcu.is_none() || !verdict.callbacks.is_empty();
    if callbacks > 0 {
        parts.push(format!("call_rcu  {}", count(callbacks)));
    } else if is_about_callbacks && verdict.callbacks_ever > 0 {
        parts.push(format!("call_rcu  {} in all", count(verdict.callbacks_ever)));
    }
    if parts.is_empty() {
        return None;
    }
    if let Some(leaked) = verdict.leaked.filter(|leaked| *leaked > 0) {
        parts.push(format!("nobody  {}", count(leaked)));
    }
    if let Some(age) = verdict.oldest_age_ns {
        parts.push(format!("oldest {}", span(age)));
    }
    if !verdict.cpus.is_empty() {
        let cpus: Vec<String> =
            verdict.cpus.iter().map(|cpu| format!("CPU {}: {}", cpu.cpu.0, count(cpu.objects))).collect();
        parts.push(cpus.join(", "));
    }
    Some(parts.join("   "))
}

/// `777 × my_flush+0x51 ← my_exit+0x37f [my_module]`: a module is named once for frames in a row.
pub(super) fn site(objects: u64, stack: &[String]) -> String {
    // As far as the module's own code goes, and its caller where it has none.
    let own = stack.iter().rposition(|frame| frame.contains(" [")).map_or(FRAMES, |last| last + 1);
    let shown: Vec<&String> = stack.iter().take(own.min(FRAMES)).collect();
    let mut frames = Vec::new();
    for (place, frame) in shown.iter().enumerate() {
        let module = |frame: &str| frame.split_once(" [").map(|(_, module)| module.to_owned());
        let repeats =
            shown.get(place + 1).is_some_and(|next| module(frame).is_some() && module(next) == module(frame));
        frames.push(if repeats { frame.split(" [").next().unwrap_or(frame) } else { frame.as_str() });
    }
    let chain = if frames.is_empty() { "an unknown place".to_owned() } else { frames.join(" ← ") };
    if objects > 0 { format!("{} × {chain}", count(objects)) } else { format!("last from {chain}") }
}

/// That it is undecided, and why: a word each, with the programs where runs of probes were skipped.
pub(super) fn undecided(verdict: &Verdict) -> String {
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

/// What stands between the deferred frees and the destroy.
pub(super) fn ordering(verdict: &Verdict) -> Option<String> {
    let barrier_before = verdict.rcu_barrier_before_ns.map(span);
    let by_call_rcu = !verdict.callbacks.is_empty();
    Some(match verdict.verdict {
        VerdictKind::Pending if verdict.queued_by_kfree_rcu == 0 => {
            "no rcu_barrier() stands between the last call_rcu() and the destroy".to_owned()
        }
        VerdictKind::Pending if verdict.barrier_inside => {
            "the barrier inside the destroy does not cover what was queued after it began".to_owned()
        }
        VerdictKind::Pending => match barrier_before {
            Some(before) => format!(
                "no barrier that covers kfree_rcu() stands before the destroy; the rcu_barrier() {before} before it does not cover it"
            ),
            None => "no barrier that covers kfree_rcu() stands before the destroy".to_owned(),
        },
        VerdictKind::Unordered if by_call_rcu => {
            "no rcu_barrier() stands between the last call_rcu() and the destroy".to_owned()
        }
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

/// The kernel's own word.
pub(super) fn kernel(verdict: &Verdict) -> Option<String> {
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
    use krcu_common::{BarrierKind, FreePath, QueueForm};
    use krcu_model::{
        Event, State, Watch,
        event::{
            CacheAddress, CacheFacts, Cpu, FunctionAddress, Leftover, ObjectAddress, Site, Task, Time, What,
        },
        state::Blind,
        verdicts,
    };

    use crate::{
        pipeline::Losses,
        report::{Policy, Report, text},
    };

    const CACHE: CacheAddress = CacheAddress(1);
    const FUNCTION: FunctionAddress = FunctionAddress(0xffff_ffff_c000_0000);
    const BEGIN: What = What::BarrierBegin { barrier: BarrierKind::Rcu, rcu_works_flushed: 0 };
    const END: What = What::BarrierEnd { barrier: BarrierKind::Rcu, cache: None };
    const EMPTY: What = What::ShutdownEnd { empty: Some(true), left: None };

    fn left(objects: u64) -> What {
        What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects, listed: objects }) }
    }

    fn callback(object: u64) -> What {
        let object = ObjectAddress(object * 64);
        What::CallbackQueued { object, cache: CACHE, function: FUNCTION, text: None, site: Site(1) }
    }

    fn ran(object: u64) -> [What; 2] {
        let object = ObjectAddress(object * 64);
        [What::CallbackRuns { object, cache: CACHE }, What::BatchFreed { path: FreePath::Callback }]
    }

    fn queued(object: u64, site: u32) -> What {
        let object = ObjectAddress(object * 64);
        What::Queued { object, cache: CACHE, site: Site(site), form: QueueForm::Head }
    }

    /// What is said of a cache whose destroy comes after `before`, and looks after `inside`.
    fn screen(before: Vec<What>, inside: Vec<What>, end: What) -> String {
        let facts = CacheFacts { name: "my_cache".to_owned(), object_size: 64, refcount: 1 };
        let site = |site, frame: &str| What::Site { site: Site(site), frames: vec![frame.to_owned()] };
        let mut events = vec![
            site(1, "my_put+0x51/0x80 [my_module]"),
            site(2, "my_get+0x22/0x80 [my_module]"),
            What::Function { function: FUNCTION, symbol: "my_free+0x0/0x20 [my_module]".to_owned() },
        ];
        let (cache, asked_name) = (CACHE, "my_cache".to_owned());
        events.push(What::CacheCreated { cache, facts: facts.clone(), asked_name, site: Site(1) });
        events.extend(before);
        let comm = "rmmod".to_owned();
        events.push(What::DestroyBegin { cache, facts, site: Site(2), comm, counted: false });
        events.extend(inside);
        events.push(What::ShutdownBegin { cache, rcu_works_flushed: 0 });
        events.push(end);
        let watch = Watch { attached: Time(0), possible_cpus: 2, blind: vec![Blind::Inside] };
        let mut state = State::new(watch);
        for (time, what) in (1..).zip(events) {
            state.step(Event { time: Time(time * 1000), task: Task(412), cpu: Cpu(0), what });
        }
        let report = Report {
            release: "7.3".to_owned(),
            probes: 16,
            events: state.events(),
            losses: Losses::default(),
            without_site: 0,
            accounts: Vec::new(),
            attach_ns: 0,
            duration_ns: 1,
            verdicts: verdicts(&state),
            command_status: 0,
            events_cut_short: false,
            incomplete: None,
            policy: Policy { strict: false, exit_flagged: 10 },
        };
        let blocks: String = report.verdicts.iter().map(|verdict| text::block(&report, verdict)).collect();
        assert!(blocks.lines().all(|line| line.chars().count() <= 100), "{blocks}");
        // One blank between words, so that it does not matter where a line is wrapped.
        blocks.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn says(screen: &str, words: &[&str]) {
        for words in words {
            assert!(screen.contains(words), "{words} is not in\n{screen}");
        }
    }

    #[test]
    fn callbacks_that_wait_are_named() {
        let screen = screen((0..3).map(callback).collect(), vec![], left(3));
        says(
            &screen,
            &[
                "PENDING my_cache destroyed with 3 callbacks outstanding my_module",
                "queued by call_rcu 3 oldest",
                "3 × my_put+0x51 [my_module] callbacks 3 × my_free [my_module]",
                "ordering no rcu_barrier() stands between the last call_rcu() and the destroy",
                "it may run after the module is gone",
                "what to do nothing here waits for call_rcu(): call rcu_barrier()",
            ],
        );
    }

    #[test]
    fn callbacks_that_finished_by_luck_are_named_with_their_module() {
        let before = [vec![callback(0)], ran(0).to_vec()].concat();
        says(
            &screen(before, vec![], EMPTY),
            &[
                "UNORDERED my_cache",
                "nothing outstanding, by luck: the last callback was 3.00 µs before",
                "queued by call_rcu 1 in all",
                "callbacks my_free [my_module]",
                "my_free() is in the text of my_module",
                "call rcu_barrier() before kmem_cache_destroy()",
            ],
        );
    }

    #[test]
    fn a_wait_for_callbacks_says_how_many_and_through_what() {
        let graces = [What::GraceBegin { expedited: false }, What::GraceEnd { expedited: false }];
        let inside = [vec![BEGIN], graces.to_vec(), ran(0).to_vec(), ran(1).to_vec(), vec![END]].concat();
        says(
            &screen(vec![callback(0), callback(1)], inside, EMPTY),
            &[
                "the destroy waited 9.00 µs for 2 callbacks of call_rcu()",
                "callbacks 2 × my_free [my_module]",
                "by the rcu_barrier() inside the destroy, and by none before it; 1 grace period ended meanwhile",
            ],
        );
    }

    #[test]
    fn a_double_free_shows_both_places_and_a_leak_where_it_came_from() {
        let allocated = |object: u64| {
            let object = ObjectAddress(object * 64);
            What::Allocated { object, cache: CACHE, site: Site(2) }
        };
        let before = vec![queued(0, 1), queued(0, 2), allocated(1), allocated(2)];
        says(
            &screen(before, vec![], left(3)),
            &[
                "PENDING my_cache destroyed with 1 deferred free outstanding",
                "nobody 2",
                "allocated by 2 × my_get+0x22 [my_module]",
                "DOUBLE-FREE my_cache 1 object was handed over to be freed while queued already",
                "queued by 1 × my_get+0x22 [my_module] 1 × my_put+0x51 [my_module]",
            ],
        );
    }
}
