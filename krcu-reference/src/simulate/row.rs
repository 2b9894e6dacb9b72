//! Row: what one destroy costs under one approach, and the sum over a workload.
//!
//! The columns are those of the design document's comparison of approaches. What a column does not tell is
//! written at the column.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::InputUse;
use crate::{
    approach::{Approach, row_name},
    machine::CacheIndex,
};

/// What the kernel would report about a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Splat {
    /// No report. That does not mean that there was no leak: the approach may have suppressed the report.
    #[default]
    None,
    /// "Objects remaining", and one of the objects had leaked; others may have been queued.
    TrueLeak,
    /// "Objects remaining", and all of the objects had been queued.
    False,
}

/// One destroy under one approach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The approach, and its option.
    pub approach: String,
    /// The cache, by its number in the workload.
    #[serde(skip)]
    pub cache: CacheIndex,
    /// The cache's name.
    pub name: String,
    /// When the exit path of the cache began, in nanoseconds from the beginning of the workload. Absent if it
    /// never began, because an earlier exit path of the same caller never ended; the other fields then say
    /// nothing.
    pub destroyed_at_ns: Option<u64>,
    /// Whether the cache is merged and this destroy only dropped a reference. The row then has the cost of
    /// its waits; the last destroy's row has the rest.
    pub is_alias: bool,
    /// Whether memory of the cache was given back, or the cache given up, while an object of it was queued:
    /// `memory_outlives_objects` was broken. The machine knows that by itself; a judge of its events says the
    /// same ([`simulate_judged`](super::simulate_judged)). This is about *this* run only: `false` does not mean that the
    /// approach is safe. The checker answers that.
    #[serde(rename = "unsafe")]
    pub is_unsafe: bool,
    /// Nanoseconds from the beginning of the exit path of this cache to its end, including barriers before
    /// and after the destroy. The time that its steps take by themselves is not included. Absent if it never
    /// ended.
    pub caller_wait_ns: Option<u64>,
    /// Of these, nanoseconds until the destroy dropped its reference and entered `__kmem_cache_shutdown()`,
    /// which a probe can measure. Absent if it never came so far.
    pub look_after_ns: Option<u64>,
    /// Nanoseconds from the return of the destroy until everything of the cache had been given back; 0 if the
    /// destroy gave it back. Absent if that never happened: the cache was given up, or lingers for ever, or
    /// has other users.
    pub linger_ns: Option<u64>,
    /// Objects of this cache that were outstanding when the exit path began, that the approach waits for by
    /// design, and that were free when it ended. Objects that were freed meanwhile without such a wait do not
    /// count.
    pub waited_for_own: u64,
    /// The same for other caches, and for `vmalloc()` memory.
    pub waited_for_other: u64,
    /// Grace periods that began because of this exit path: at least one task waited for it, and every task
    /// that did was waiting because of an exit path. Each grace period counts for the first of these exit
    /// paths. Queued objects would have needed some of them later anyway, so this is not the number of
    /// additional grace periods; compare [`Sum::grace_periods`].
    pub grace_periods_forced: u64,
    /// Bytes of objects times nanoseconds, from the object's own free, or from the beginning of the exit path
    /// if that is later, until its slab was given back. Slabs that never were are in [`Row::kept_bytes`].
    pub retained_bytes_ns: u128,
    /// Bytes of slabs that are never given back, because a destroy failed or never ended.
    pub kept_bytes: u64,
    /// What would be reported about the cache.
    pub splat: Splat,
    /// Nanoseconds from the beginning of the exit path to the report; absent if there was none.
    pub splat_after_ns: Option<u64>,
    /// What a module's source has to change.
    pub api_changes: &'static str,
    /// The inputs that the times depend on.
    #[serde(serialize_with = "shared")]
    pub inputs: Arc<[InputUse]>,
}

fn shared<S: Serializer>(inputs: &Arc<[InputUse]>, serializer: S) -> Result<S::Ok, S::Error> {
    inputs.serialize(serializer)
}

/// The sum of the rows of an approach, and numbers that belong to no single destroy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// The approach, and its option.
    pub approach: String,
    /// The number of destroys.
    pub destroys: u64,
    /// How many of these were unsafe.
    #[serde(rename = "unsafe")]
    pub unsafe_destroys: u64,
    /// Exit paths that never ended, or never began.
    pub hung: u64,
    /// The sum of [`Row::caller_wait_ns`], for exit paths that ended.
    pub caller_wait_ns: u64,
    /// The longest of them.
    pub longest_wait_ns: u64,
    /// Sum of [`Row::linger_ns`].
    pub linger_ns: u64,
    /// Sum of [`Row::waited_for_own`].
    pub waited_for_own: u64,
    /// The sum of [`Row::waited_for_other`]: an object counts once for each destroy that waits for it.
    pub waited_for_other: u64,
    /// Sum of [`Row::grace_periods_forced`].
    pub grace_periods_forced: u64,
    /// How much longer, in nanoseconds, unrelated callers of `rcu_barrier()` waited than with the plain
    /// `rcu_barrier()`, with everything else the same; the workload is run twice to know this. Each caller
    /// counts by itself, and a caller that waited less counts 0. This belongs to no destroy: an approach that
    /// changes `rcu_barrier()` makes these callers wait even if nothing is destroyed.
    pub bystander_wait_ns: u64,
    /// Sum of [`Row::retained_bytes_ns`].
    pub retained_bytes_ns: u128,
    /// Sum of [`Row::kept_bytes`].
    pub kept_bytes: u64,
    /// Reports of a real leak.
    pub true_leaks: u64,
    /// Reports of a leak that was none.
    pub false_splats: u64,
    /// Grace periods that began in the whole run.
    pub grace_periods: u64,
    /// Operations of `rcu_barrier()` in the whole run: those of callers that did not ride on another's, those
    /// of the work item that releases type-safe caches, and those of a lingering cache itself.
    pub rcu_barriers: u64,
    /// From the beginning of the workload to the last thing that happened.
    pub simulated_ns: u64,
}

/// A workload under an approach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The destroys, in the order of the workload.
    pub rows: Vec<Row>,
    /// Their sum.
    pub sum: Sum,
    /// How long the unrelated callers of `rcu_barrier()` waited, in the order of the workload, in
    /// nanoseconds; absent for a caller that never returned.
    pub bystander_waits_ns: Vec<Option<u64>>,
}

impl Row {
    /// Whether it has the same figures as another approach's row of the same destroy.
    #[must_use]
    pub fn is_like(&self, other: &Row) -> bool {
        let named = Row {
            approach: self.approach.clone(),
            api_changes: self.api_changes,
            inputs: Arc::clone(&self.inputs),
            ..other.clone()
        };
        *self == named
    }
}

impl Outcome {
    /// The same outcome, of another approach that does the same on this workload.
    #[must_use]
    pub fn of(&self, approach: &dyn Approach) -> Outcome {
        let mut outcome = self.clone();
        let name = row_name(approach);
        for row in &mut outcome.rows {
            row.approach.clone_from(&name);
            row.api_changes = approach.api_changes();
        }
        outcome.sum.approach = name;
        outcome
    }

    /// Charges what unrelated callers waited more than in a run in which they call the plain `rcu_barrier()`.
    pub(super) fn charge_bystanders(&mut self, plain: &Outcome) {
        let both = self.bystander_waits_ns.iter().zip(&plain.bystander_waits_ns);
        let more = both.filter_map(|(this, plain)| Some(this.as_ref()?.saturating_sub(*plain.as_ref()?)));
        self.sum.bystander_wait_ns = more.sum();
    }
}

impl Sum {
    /// Whether it has the same figures as another approach's sum over the same destroys. What belongs to the run, and
    /// not to its destroys, does not count: its length, its grace periods, its operations of `rcu_barrier()`.
    #[must_use]
    pub fn is_like(&self, other: &Sum) -> bool {
        let named = Sum {
            approach: self.approach.clone(),
            simulated_ns: self.simulated_ns,
            grace_periods: self.grace_periods,
            rcu_barriers: self.rcu_barriers,
            ..other.clone()
        };
        *self == named
    }

    /// Adds the sum of the workload's next part.
    pub fn extend(&mut self, later: &Sum) {
        self.destroys += later.destroys;
        self.unsafe_destroys += later.unsafe_destroys;
        self.hung += later.hung;
        self.caller_wait_ns = self.caller_wait_ns.saturating_add(later.caller_wait_ns);
        self.longest_wait_ns = self.longest_wait_ns.max(later.longest_wait_ns);
        self.linger_ns = self.linger_ns.saturating_add(later.linger_ns);
        self.waited_for_own += later.waited_for_own;
        self.waited_for_other += later.waited_for_other;
        self.grace_periods_forced += later.grace_periods_forced;
        self.bystander_wait_ns = self.bystander_wait_ns.saturating_add(later.bystander_wait_ns);
        self.retained_bytes_ns = self.retained_bytes_ns.saturating_add(later.retained_bytes_ns);
        self.kept_bytes += later.kept_bytes;
        self.true_leaks += later.true_leaks;
        self.false_splats += later.false_splats;
        self.grace_periods += later.grace_periods;
        self.rcu_barriers += later.rcu_barriers;
        self.simulated_ns = self.simulated_ns.saturating_add(later.simulated_ns);
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Row) {
        self.destroys += 1;
        self.unsafe_destroys += u64::from(row.is_unsafe);
        self.hung += u64::from(row.caller_wait_ns.is_none());
        let wait_ns = row.caller_wait_ns.unwrap_or(0);
        self.caller_wait_ns = self.caller_wait_ns.saturating_add(wait_ns);
        self.longest_wait_ns = self.longest_wait_ns.max(wait_ns);
        self.linger_ns = self.linger_ns.saturating_add(row.linger_ns.unwrap_or(0));
        self.waited_for_own += row.waited_for_own;
        self.waited_for_other += row.waited_for_other;
        self.grace_periods_forced += row.grace_periods_forced;
        self.retained_bytes_ns = self.retained_bytes_ns.saturating_add(row.retained_bytes_ns);
        self.kept_bytes += row.kept_bytes;
        self.true_leaks += u64::from(row.splat == Splat::TrueLeak);
        self.false_splats += u64::from(row.splat == Splat::False);
    }
}
