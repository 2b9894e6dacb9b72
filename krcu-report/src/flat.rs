//! Flat: a verdict as one line of JSON, with every field by its name, and the sentences.

use std::borrow::Cow;

use krcu_model::{
    State, Verdict, VerdictKind,
    reason::Reason,
    verdict::{
        About, CallbackCount, CpuCount, DestroyedBy, Evidence, FreedBy, KernelResult, LuckyBarrier, Ordering,
        SiteCount,
    },
};
use serde::{Deserialize, Serialize};

use crate::words::{advice::advice, cache_name, notes::note};

/// One verdict, with its evidence. Counts are numbers of objects; times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlatVerdict {
    /// The word of the verdict.
    pub verdict: VerdictKind,
    /// Whether it is a fault.
    pub flagged: bool,
    /// Whether it is a fault under `--strict`.
    pub flagged_strictly: bool,
    /// What it is about; absent for a cache.
    #[serde(default, skip_serializing_if = "is_cache")]
    pub about: About,
    /// Name of the cache, its first 55 bytes at most; empty of a module, whose name is below.
    pub cache: String,
    /// Other names under which it was asked for, of each its first 55 bytes at most.
    pub aliases: Vec<String>,
    /// The module whose cache it is, if known.
    pub module: Option<String>,
    /// Bytes of an object.
    pub object_bytes: u32,
    /// Whether the cache was created while the probes were attached.
    pub created_while_watched: bool,
    /// Who destroyed it.
    pub destroyed_by: DestroyedBy,
    /// When, counted from the moment at which the probes were attached.
    pub destroyed_at_ns: u64,
    /// Objects handed to `kfree_rcu()` and not freed when the destroy looked.
    pub queued_by_kfree_rcu: u64,
    /// Of the objects in `queued_by_kfree_rcu`, those whose free had begun and not returned; absent where there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub being_freed: u64,
    /// Of the objects in `queued_by_kfree_rcu`, those that the barrier inside the destroy covers and did not wait for; absent
    /// where there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub missed_by_barrier: u64,
    /// Objects whose callback of `call_rcu()` had not run when the destroy looked; absent if that is not
    /// known.
    pub queued_by_call_rcu: Option<u64>,
    /// Objects that waited for another kind of RCU, or for a work of `queue_rcu_work()`: `callbacks` says which. Of a module,
    /// also works that its callbacks have queued. Left out if there are none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub queued_by_others: u64,
    /// Callbacks by their function, the largest number of objects first. These are the callbacks that waited
    /// when the destroy looked; if none did, those that it waited for; else those that no `rcu_barrier()`
    /// orders before it.
    pub callbacks: Vec<CallbackCount>,
    /// Objects left that nobody queued; absent if that is not known.
    pub leaked: Option<u64>,
    /// Objects that were handed to `kfree_rcu()` or `call_rcu()`, or freed, while they were queued already.
    pub queued_twice: u64,
    /// Objects left of which it is not known whether they were queued.
    pub undecided: u64,
    /// What the kernel's slab shutdown returned.
    pub kernel_result: KernelResult,
    /// Objects left, by the kernel's own counts; absent if these could not be read.
    pub kernel_objects_left: Option<u64>,
    /// Of these, objects on partial slabs: those that the kernel's report lists.
    pub kernel_objects_listed: Option<u64>,
    /// Age of the oldest deferred free when the destroy looked.
    pub oldest_age_ns: Option<u64>,
    /// Deferred frees by queueing site, the largest number first.
    pub sites: Vec<SiteCount>,
    /// Deferred frees by the CPU that queued them.
    pub cpus: Vec<CpuCount>,
    /// Objects ever handed to `kfree_rcu()` while watched.
    pub queued_ever: u64,
    /// Callbacks with a head in an object that were ever handed to `call_rcu()` while watched.
    pub callbacks_ever: u64,
    /// Deferred objects of this cache that were freed before the destroy looked.
    pub freed_by: FreedBy,
    /// Leaked objects by the place of their allocation, the largest number first; only if allocations are
    /// seen.
    pub leak_sites: Vec<SiteCount>,
    /// Whether a barrier for `kfree_rcu()` ran inside the destroy.
    pub barrier_inside: bool,
    /// How long the destroy took until it looked at its slabs.
    pub wait_ns: Option<u64>,
    /// Deferred frees of this cache for which it waited.
    pub waited_for_own: u64,
    /// Deferred frees of other watched caches that it had to wait for as well.
    pub waited_for_other: u64,
    /// Whether only the `rcu_barrier()` inside the destroy ordered callbacks of `call_rcu()` before it.
    pub waited_for_callbacks: bool,
    /// Normal grace periods that ended between the destroy's entry and its look; absent if not all were seen.
    pub waited_grace_periods: Option<u64>,
    /// The objects that the destroy waited for and that lay in sheaves.
    pub in_sheaves: u64,
    /// Callbacks of this cache that had not run at the entry of the destroy, which waited for them.
    pub waited_for_own_callbacks: u64,
    /// How the deferred frees are ordered before the destroy.
    pub ordering: Ordering,
    /// From the end of the last deferred free to the destroy's look.
    pub margin_ns: Option<u64>,
    /// From the return of the task's last `rcu_barrier()` to the destroy.
    pub rcu_barrier_before_ns: Option<u64>,
    /// The barrier of somebody else that happened to cover all that was deferred, where the teardown's own do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lucky_barrier: Option<LuckyBarrier>,
    /// Deferred frees and callbacks seen after the look.
    pub late_frees: u64,
    /// From the look to the last of them.
    pub last_late_free_ns: Option<u64>,
    /// Why it cannot be decided, with one word for each reason; for `clean` with an unknown ordering, why the
    /// ordering is not known.
    pub reasons: Vec<Reason>,
    /// The programs whose runs were skipped, if that is a reason.
    pub missed_programs: Vec<String>,
    /// Sentences that say why it cannot be decided, or what else the reader should know.
    pub notes: Vec<String>,
    /// What to do, in one sentence.
    pub advice: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(objects: &u64) -> bool {
    *objects == 0
}

fn is_cache(about: &About) -> bool {
    *about == About::Cache
}

impl FlatVerdict {
    /// Everything that was outstanding when the destroy looked.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.queued_by_kfree_rcu + self.queued_by_call_rcu.unwrap_or(0) + self.queued_by_others
    }

    /// What it is about, by name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self.about {
            About::Cache => cache_name(&self.cache),
            About::Module => self.module.as_deref().unwrap_or_default().into(),
        }
    }

    /// Objects of `kfree_rcu()` that it is about: those outstanding when the destroy looked, or those that it waited for.
    #[must_use]
    pub fn frees(&self) -> u64 {
        if self.verdict == VerdictKind::Waited { self.waited_for_own } else { self.queued_by_kfree_rcu }
    }

    /// The same for callbacks of `call_rcu()`; absent if that is not known.
    #[must_use]
    pub fn callbacks_of_call_rcu(&self) -> Option<u64> {
        if self.verdict == VerdictKind::Waited {
            Some(self.waited_for_own_callbacks)
        } else {
            self.queued_by_call_rcu
        }
    }
}

/// Every verdict, in the order of the judge.
#[must_use]
pub fn verdicts(state: &State) -> Vec<FlatVerdict> {
    krcu_model::verdicts(state).into_iter().map(|verdict| FlatVerdict::of(state, verdict)).collect()
}

impl FlatVerdict {
    /// A verdict of this state.
    pub(crate) fn of(state: &State, verdict: Verdict) -> FlatVerdict {
        let advice = advice(&verdict, state.view().ledger.sees_allocations);
        let Verdict { about, cache, decision, evidence } = verdict;
        let Evidence { destroyed, kernel, deferred, late, leak_sites } = evidence;
        FlatVerdict {
            verdict: decision.kind,
            flagged: decision.kind.is_flagged(),
            flagged_strictly: decision.kind.is_flagged_strictly(),
            about,
            cache: cache.name,
            aliases: cache.aliases,
            module: cache.module,
            object_bytes: cache.object_bytes,
            created_while_watched: cache.created_while_watched,
            destroyed_by: destroyed.by,
            destroyed_at_ns: destroyed.at_ns,
            queued_by_kfree_rcu: decision.left.frees,
            being_freed: decision.left.being_freed,
            missed_by_barrier: decision.left.missed_by_barrier,
            queued_by_call_rcu: decision.left.callbacks,
            queued_by_others: decision.left.others,
            callbacks: deferred.callbacks,
            leaked: decision.left.leaked,
            queued_twice: deferred.queued_twice,
            undecided: decision.left.undecided,
            kernel_result: kernel.result,
            kernel_objects_left: kernel.left.map(|left| left.objects),
            kernel_objects_listed: kernel.left.map(|left| left.listed),
            oldest_age_ns: deferred.oldest_age_ns,
            sites: deferred.sites,
            cpus: deferred.cpus,
            queued_ever: deferred.queued_ever,
            callbacks_ever: deferred.callbacks_ever,
            freed_by: deferred.freed_by,
            leak_sites,
            barrier_inside: destroyed.barrier_inside,
            wait_ns: destroyed.wait_ns,
            waited_for_own: decision.waited.own_frees,
            waited_for_other: decision.waited.other_frees,
            waited_for_callbacks: decision.waited.for_callbacks,
            waited_grace_periods: destroyed.grace_periods,
            in_sheaves: decision.waited.in_sheaves,
            waited_for_own_callbacks: decision.waited.own_callbacks,
            ordering: decision.ordering,
            margin_ns: destroyed.margin_ns,
            rcu_barrier_before_ns: destroyed.rcu_barrier_before_ns,
            lucky_barrier: decision.lucky,
            late_frees: late.frees,
            last_late_free_ns: late.last_ns,
            reasons: decision.reasons,
            missed_programs: decision.missed_programs,
            notes: decision.notes.iter().map(note).collect(),
            advice,
        }
    }
}
