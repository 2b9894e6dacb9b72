//! Notes: the sentences of the notes about a verdict.

use super::flavour;
use krcu_model::{
    event::LossReason,
    promise::BeingFreed,
    verdict::{Note, OfLeft, Unseen},
};

/// The sentence of a note.
#[must_use]
pub fn note(note: &Note) -> String {
    match note {
        Note::Unseen(note) => unseen(note),
        Note::Left(note) => of_left(note),
        Note::DestroyedBefore => {
            "the cache was destroyed before, which failed: this call changes nothing".to_owned()
        }
        Note::Merged(1) => {
            "the cache is merged with another and stays for it; this dropped a reference".to_owned()
        }
        Note::Merged(others) => {
            format!("the cache is merged with others and stays for {others} users; this dropped a reference")
        }
        Note::FreedAfterRelease(frees) => {
            format!("{frees} deferred frees ran after the memory of the cache was given back")
        }
        Note::CallbacksOutliveMemory(callbacks) => format!(
            "nothing was left, and {callbacks} callbacks of call_rcu() had not run: somebody else has freed their objects, and they will run on memory that is gone"
        ),
        Note::LayInSheaves(objects) => format!(
            "{objects} of what it waited for lay in sheaves of the CPUs, which are freed when they are full or flushed, and not before: normal where a kernel has sheaves, and no leak"
        ),
        Note::EmptiedByForeign => {
            "callbacks whose rcu_head is in no object of this cache freed objects of it".to_owned()
        }
        Note::LuckyBarrier => {
            "a barrier that somebody else called happened to run before the destroy: this teardown did not ask for it"
                .to_owned()
        }
        Note::BarrierByChance => {
            "flush_rcu_work() happened to call rcu_barrier() in this task, because a work waited: it does not do so every time"
                .to_owned()
        }
        Note::CallbackInModule { function, module, flavour } => format!(
            "{function}() is in the text of {module}: without {} it may run after the module is gone",
            flavour::needs(*flavour)
        ),
        Note::BarrierEarly { objects, took_ns, being_freed } => {
            let had = if *objects == 1 { "object that had" } else { "objects that had" };
            let early = format!(
                "a barrier returned after {took_ns} ns without the free of {objects} {had} been queued before it"
            );
            being_freed.map_or_else(|| early.clone(), |running| format!("{early}: {}", in_a_call(running)))
        }
        Note::FreedEarly { objects, after_ns } => {
            let were = if *objects == 1 { "object was" } else { "objects were" };
            format!(
                "{objects} {were} freed before a grace period had passed since they were queued, the first after {after_ns} ns"
            )
        }
        Note::HandedOverTwice { objects, after_ns } => {
            let (were, they) =
                if *objects == 1 { ("object was", "it was") } else { ("objects were", "they were") };
            format!(
                "{objects} {were} handed over to be freed while {they} queued already, the first {after_ns} ns after it was queued"
            )
        }
    }
}

/// Who was freeing as a barrier returned.
fn in_a_call(BeingFreed { objects, task, ended_after_ns }: BeingFreed) -> String {
    format!(
        "task {} was in a call that frees {objects} of them, which returned {ended_after_ns} ns after the barrier",
        task.0
    )
}

/// The sentence about something that the watch did not see.
fn unseen(note: &Unseen) -> String {
    match note {
        Unseen::Lost { reason, events, programs } => {
            let of =
                if programs.is_empty() { String::new() } else { format!(" ({})", programs.join(", ")) };
            match events {
                0 => format!("events that nobody counted were {}{of}", loss(*reason)),
                1 => format!("1 event was {}{of}", loss(*reason)),
                events => format!("{events} events were {}{of}", loss(*reason)),
            }
        }
        Unseen::FreedMaybeQueued { objects, calls } => format!(
            "{objects} objects were freed that nobody was seen to queue, and {calls} calls of kfree_rcu() and call_rcu() were {}",
            loss(LossReason::ProbeMissed)
        ),
        Unseen::EndUnseen => "how the destroy ended was not seen".to_owned(),
        Unseen::BlindFrees => "this kernel does not let every deferred free be seen".to_owned(),
        Unseen::BlindCallbacks => {
            "nothing was left, but this kernel does not let call_rcu() be seen".to_owned()
        }
        Unseen::BlindFlavours => {
            "callbacks ran that nobody was seen to queue, and this kernel does not let every kind of RCU be seen".to_owned()
        }
        Unseen::FreedByForeign => {
            "callbacks of the module whose rcu_head is in no object of this cache may have freed objects of it, and no barrier of the teardown waits for them: --alloc-stacks shows whether they did"
                .to_owned()
        }
        Unseen::BlindCallbackRuns => "this kernel does not let the runs of callbacks be seen, and a callback has queued a \
             callback: whether a barrier was called for each of them is not known"
            .to_owned(),
        Unseen::BlindRcuBarrier => "this kernel does not let rcu_barrier() be seen".to_owned(),
        Unseen::BlindKvfreeBarrier => {
            "this kernel does not let its barrier for kfree_rcu() be seen".to_owned()
        }
        Unseen::WaitUnknown => {
            "a map of the probes was full, so whether the destroy waited is not known".to_owned()
        }
        Unseen::OlderBarrierMayOrder => {
            "a barrier that was running when the probes were attached may order what was queued before them"
                .to_owned()
        }
        Unseen::UnderWayAtAttach => {
            "the destroy was under way when the probes were attached, so what it may have waited for was not seen"
                .to_owned()
        }
        Unseen::PastUnordered => {
            "nothing was left, but what was queued before the probes were attached is not known to be ordered: attach before the module is loaded to know"
                .to_owned()
        }
        Unseen::TextOlder => {
            "the module calls call_rcu(), and what it queued before the probes were attached is not known to be ordered: attach before the module is loaded to know"
                .to_owned()
        }
        Unseen::WorksUnordered => {
            "works of queue_rcu_work() may have freed objects of this cache, and what waits for such a work is not seen"
                .to_owned()
        }
        Unseen::BarrierCaller => {
            "another task called the barrier that covers what was deferred last, and who called it is not known"
                .to_owned()
        }
        Unseen::HelperAwaited => {
            "the module's own code called the barrier that covers what was deferred last, in another task, and whether the destroying task has waited for that task is not seen"
                .to_owned()
        }
        Unseen::Counted => "deferred frees of a built-in cache are counted, not followed".to_owned(),
    }
}

/// The sentence about the objects that are left.
fn of_left(note: &OfLeft) -> String {
    match note {
        OfLeft::MoreThanKernelCounts { outstanding, left: Some(left) } => format!(
            "{outstanding} deferred frees are outstanding by our count, and the kernel counts {left} objects"
        ),
        OfLeft::MoreThanKernelCounts { outstanding, left: None } => format!(
            "{outstanding} deferred frees are outstanding by our count, and the kernel found nothing left"
        ),
        OfLeft::MoreCallbacks(excess) => format!(
            "{excess} more callbacks of call_rcu() wait than objects are left: several lie in one object, or in objects that somebody else has freed"
        ),
        OfLeft::CallbacksMayShare => {
            "callbacks of call_rcu() wait that may lie in one object, so how many objects nobody queued is not known"
                .to_owned()
        }
        OfLeft::CountOfSeveralMoments => {
            "deferred frees ran or were queued while the kernel looked, so its count is of no one moment"
                .to_owned()
        }
        OfLeft::MaybeForeign { objects, callbacks } => format!(
            "{objects} of the objects left may be freed by {callbacks} callbacks of the module's that wait, and whose heads lie in no object of this cache"
        ),
        OfLeft::MaybeHandedOn { objects, callbacks, functions } => {
            let by = if functions.is_empty() { String::new() } else { format!(" ({})", functions.join(", ")) };
            format!(
                "{objects} of the objects left may be held by what {callbacks} callbacks of call_rcu(){by} have handed them to, such as a work item or a timer: that is not followed"
            )
        }
        OfLeft::MaybeSiblings { objects, callbacks, functions } => {
            let by = if functions.is_empty() { String::new() } else { format!(" ({})", functions.join(", ")) };
            let were = if *callbacks == 1 { "callback that was" } else { "callbacks that were" };
            format!(
                "{objects} of the objects left may be freed by the {callbacks} {were} outstanding{by}: a callback may free more objects than the one that its head is in"
            )
        }
        OfLeft::OlderThanProbes(objects) => format!(
            "{objects} of the objects left were allocated before the probes were attached: attach before the module is loaded to know whether they were queued"
        ),
        OfLeft::MaybeQueued { objects, calls } => format!(
            "{objects} of the objects left may have been queued by one of the {calls} calls of kfree_rcu() and call_rcu() that were {}",
            loss(LossReason::ProbeMissed)
        ),
        OfLeft::MaybeCallbacks(objects) => format!(
            "{objects} of the objects left may belong to callbacks of call_rcu() that no rcu_barrier() has waited for"
        ),
        OfLeft::LeaksOlderThanProbes(objects) => {
            format!("{objects} of the leaked objects were allocated before the probes were attached")
        }
        OfLeft::LeaksFromUnseen(objects) => {
            format!("where {objects} of the leaked objects were allocated was not seen")
        }
        OfLeft::MoreAllocated { allocated, excess } => format!(
            "{allocated} objects were allocated and neither queued nor seen to be freed, {excess} more than are left"
        ),
    }
}

/// Why events were not seen, in words that follow their count.
fn loss(reason: LossReason) -> &'static str {
    match reason {
        LossReason::RingFull => "lost because the ring was full",
        LossReason::MapFull => "not followed because a map of the probes was full",
        LossReason::NotInTrace => "not in the trace, which ends before its run did",
        LossReason::ProbeMissed => "missed because the probe was already running on that CPU",
    }
}
