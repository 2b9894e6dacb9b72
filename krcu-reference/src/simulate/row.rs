//! Row: what one destroy costs under one approach, and the sum over a workload.
//!
//! The columns are those of the document's page on approaches. What a column does not say stands with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::InputUse;
use crate::machine::CacheIndex;
use krcu_model::promise::Violation;

/// What was reported of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Splat {
    /// Nothing. Says nothing of a leak: one may have been kept silent.
    #[default]
    None,
    /// "Objects remaining", and one of them had leaked; others may have been queued.
    TrueLeak,
    /// "Objects remaining", and all of them had been queued.
    False,
}

/// One destroy under one approach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The approach, and its option.
    pub approach: String,
    /// The cache, by its place in the workload.
    #[serde(skip)]
    pub cache: CacheIndex,
    /// The cache's name.
    pub name: String,
    /// When the exit path of the cache began, in nanoseconds from the beginning of the workload. Absent
    /// when it never did, because an earlier one of the same caller never ended; then nothing else is said.
    pub destroyed_at_ns: Option<u64>,
    /// Whether the cache is merged and this destroy only dropped a reference: it has cost what its waits
    /// cost, and the rest is the last destroy's.
    pub is_alias: bool,
    /// Whether memory of the cache was given back, or the cache given up, while an object of it was
    /// queued: `memory_outlives_objects` was broken. Of *this* run: `false` does not say that the
    /// approach is safe, which is the checker's to say.
    #[serde(rename = "unsafe")]
    pub is_unsafe: bool,
    /// Nanoseconds from the beginning of the exit path of this cache to its end, barriers before and
    /// after the destroy included; time that its steps take by themselves is not. Absent when it never
    /// ended.
    pub caller_wait_ns: Option<u64>,
    /// Of these, nanoseconds until the destroy dropped its reference and entered
    /// `__kmem_cache_shutdown()`: what a probe can measure. Absent when it never came so far.
    pub look_after_ns: Option<u64>,
    /// Nanoseconds from the return of the destroy to the moment at which everything of the cache had been
    /// given back: 0 where the destroy did it. Absent when that never came: the cache was given up, or
    /// lingers for ever, or others still use it.
    pub linger_ns: Option<u64>,
    /// Objects of this cache that were outstanding when the exit path began, that it waits for by its
    /// design, and that were free when it ended. What was freed meanwhile without being waited for does not count.
    pub waited_for_own: u64,
    /// The same of other caches, and of `vmalloc()` memory.
    pub waited_for_other: u64,
    /// Grace periods that began because of this exit path: somebody had to wait for one, and all who did
    /// had been made to by exit paths. Each counts for the first of these. Some would have been needed later
    /// by what was queued: it does not say that there were more of them in all, which [`Sum::grace_periods`] does.
    pub grace_periods_forced: u64,
    /// Bytes of objects times nanoseconds from their own free, but at the earliest the beginning of the
    /// exit path, until their slab was given back. Of memory that never was, [`Row::kept_bytes`] speaks.
    pub retained_bytes_ns: u128,
    /// Bytes of slabs that are never given back: what a destroy that failed or never ended keeps.
    pub kept_bytes: u64,
    /// What was reported of the cache.
    pub splat: Splat,
    /// Nanoseconds from the beginning of the exit path to the report; absent when there was none.
    pub splat_after_ns: Option<u64>,
    /// What a module's source would have to say.
    pub api_changes: &'static str,
    /// What the times rest on.
    #[serde(serialize_with = "shared")]
    pub inputs: Arc<[InputUse]>,
}

fn shared<S: Serializer>(inputs: &Arc<[InputUse]>, serializer: S) -> Result<S::Ok, S::Error> {
    inputs.serialize(serializer)
}

/// The sum of the rows of an approach, and what is no destroy's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// The approach, and its option.
    pub approach: String,
    /// Destroys.
    pub destroys: u64,
    /// Of these, unsafe ones.
    #[serde(rename = "unsafe")]
    pub unsafe_destroys: u64,
    /// Exit paths that never ended, or never began.
    pub hung: u64,
    /// Sum of [`Row::caller_wait_ns`], of those that ended.
    pub caller_wait_ns: u64,
    /// The longest of them.
    pub longest_wait_ns: u64,
    /// Sum of [`Row::linger_ns`].
    pub linger_ns: u64,
    /// Sum of [`Row::waited_for_own`].
    pub waited_for_own: u64,
    /// Sum of [`Row::waited_for_other`]: an object counts for each destroy that waits for it.
    pub waited_for_other: u64,
    /// Sum of [`Row::grace_periods_forced`].
    pub grace_periods_forced: u64,
    /// Nanoseconds by which unrelated callers of `rcu_barrier()` waited longer than they do when they
    /// call the plain one, everything else being the same: the workload is run twice to know. Each
    /// caller counts by itself, and one that waited less counts 0. No destroy's own: an approach that
    /// changes `rcu_barrier()` makes them wait where nobody destroys anything.
    pub bystander_wait_ns: u64,
    /// Sum of [`Row::retained_bytes_ns`].
    pub retained_bytes_ns: u128,
    /// Sum of [`Row::kept_bytes`].
    pub kept_bytes: u64,
    /// Reports of a leak that there was.
    pub true_leaks: u64,
    /// Reports of a leak that there was not.
    pub false_splats: u64,
    /// Grace periods that began in the whole run.
    pub grace_periods: u64,
    /// Operations of `rcu_barrier()` in the whole run: those that no caller rode on another's, the work
    /// item's that releases type-safe caches, and a lingering cache's own.
    pub rcu_barriers: u64,
    /// Events that a watcher would have seen.
    pub events: u64,
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
    /// What the unrelated callers of `rcu_barrier()` waited, in the order of the workload: nanoseconds;
    /// absent for one that never returned.
    pub bystander_waits_ns: Vec<Option<u64>>,
    /// Every promise that was broken, by the engine that judges real kernels.
    pub violations: Vec<Violation>,
}

impl Outcome {
    /// Charges what bystanders waited more than in a run in which they call the plain `rcu_barrier()`.
    pub(super) fn charge_bystanders(&mut self, plain: &Outcome) {
        let both = self.bystander_waits_ns.iter().zip(&plain.bystander_waits_ns);
        let more = both.filter_map(|(this, plain)| Some(this.as_ref()?.saturating_sub(*plain.as_ref()?)));
        self.sum.bystander_wait_ns = more.sum();
    }
}

impl Sum {
    /// Adds the sum of a workload that comes after it.
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
        self.events += later.events;
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
