//! Question: the data to simulate what each approach would have cost, with a recorded workload.
//!
//! A [`Gather`](crate::gather::Gather) notes it while a trace is replayed, or while an agent watches. A
//! question holds a whole run while the run is short, else a part of it. The program that asked for it
//! simulates. The same question has the same answer, wherever it was asked.

use serde::{Deserialize, Serialize};

use krcu_model::event::DeferredBy;

/// A recorded workload, and how long things took meanwhile. It owns its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the destroy that was asked about.
    pub destroy: u64,
    /// CPUs of the machine.
    pub cpus: u16,
    /// The caches.
    pub caches: Vec<AskedCache>,
    /// Deferred frees, the oldest first.
    pub deferred: Vec<DeferredFree>,
    /// What else the destroys waited for, or did not wait for.
    pub unseen: Vec<Unseen>,
    /// When unrelated tasks called `rcu_barrier()`.
    pub bystanders: Vec<Bystander>,
    /// The destroys in the order in which their exit paths began.
    pub destroys: Vec<AskedDestroy>,
    /// How long things took.
    pub took: Took,
    /// How the destroy of this kernel waits.
    pub kernel: KernelBarrier,
    /// What was not kept.
    pub left_out: LeftOut,
}

/// A cache of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedCache {
    /// Its name; empty if it is not known.
    pub name: String,
    /// Bytes of one object; 0 if that is not known.
    pub object_bytes: u32,
    /// Destroys of it that come after the question.
    pub later_destroys: u16,
}

/// A deferred free of a question, as a short list in JSON: there are thousands of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredFree(
    /// When, in nanoseconds from the begin of the workload.
    pub u64,
    /// The CPU.
    pub u16,
    /// Its cache, by the place in [`Question::caches`].
    pub u16,
    /// The call that deferred it.
    pub DeferredBy,
);

/// Something that no event tells of, but that shows in what a destroy did or did not wait for. Times are in nanoseconds from the
/// begin of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unseen {
    /// Memory that is only counted: `flush_rcu_work()` found it on the lists of a CPU. When it was there, and the
    /// CPU.
    List(u64, u16),
    /// Everything that was on any list before was freed by now, since nothing was outstanding when a destroy was
    /// entered: the monitors have run. When.
    Drained(u64),
    /// A callback of somebody else, for which an `rcu_barrier()` waited. When it was there, and the end of the
    /// grace period that it needed.
    Callback(u64, u64),
}

/// A call of `rcu_barrier()` by a task that destroys nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bystander(
    /// When, in nanoseconds from the begin of the workload.
    pub u64,
    /// The CPU.
    pub u16,
);

/// A destroy of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedDestroy {
    /// Its number among all destroys of the run.
    pub number: u64,
    /// When its exit path began, in nanoseconds from the begin of the workload: at its entry, or at that of
    /// the barrier for `kfree_rcu()` that the same task called just before.
    pub at_ns: u64,
    /// The cache, by its place in [`Question::caches`].
    pub cache: u16,
    /// The number of the task. One task destroys one cache after the other.
    pub caller: u32,
    /// The CPU.
    pub cpu: u16,
    /// Objects of its cache that nobody queued.
    pub leaked: u64,
    /// How long the kernel took until it looked at the slabs, in nanoseconds: from the entry of the destroy,
    /// with the time of the same task in a barrier that it called just before. Absent if it only dropped a
    /// reference.
    pub measured_ns: Option<u64>,
    /// Whether the destroy of this kernel waits inside, so that the measured wait is one of a barrier.
    pub has_barrier: bool,
    /// Whether its own barrier told which unseen callbacks it waited for. Then the simulated wait is no
    /// prediction: the kernel's own wait says which grace period it needed.
    pub is_given: bool,
    /// Of the measured time, the nanoseconds after the last deferred free before the look.
    pub after_last_free_ns: u64,
}

/// How long things took, in nanoseconds. A list without samples means that none was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Grace periods in their order, from the begin of the workload on.
    pub graces: Vec<TookGrace>,
    /// The length of each grace period.
    pub grace_ns: Vec<u64>,
    /// From the end of one to the begin of the next.
    pub between_grace_ns: Vec<u64>,
    /// From a flush that needs one, while none is in flight, to its begin.
    pub grace_start_ns: Vec<u64>,
    /// Nanoseconds in calls that freed several objects, from the first to the last.
    pub freed_in_ns: u64,
    /// The objects that these calls freed after their first.
    pub freed: u64,
    /// From the end of the grace period that an array needed to its first free, while something flushed.
    pub flushed_array_ns: Vec<u64>,
    /// From the end of the grace period that a callback needed to its run; for a callback of `rcu_barrier()`, to
    /// the return of the barrier.
    pub callback_ns: Vec<u64>,
    /// The same for the callback of a sheaf.
    pub sheaf_ns: Vec<u64>,
    /// From the entry of a destroy to the first barrier inside. Where the kernel has sheaves, a work on each CPU
    /// flushes them meanwhile.
    pub flush_start_ns: Vec<u64>,
}

/// A recorded grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TookGrace(
    /// Its begin, in nanoseconds from the begin of the workload.
    pub u64,
    /// Its end.
    pub u64,
);

/// How the destroy of a kernel waits, as its events show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelBarrier {
    /// It does not wait (before 6.12).
    #[default]
    None,
    /// It waits for lists and batches (6.12).
    Lists,
    /// It flushes sheaves, and does not wait for their callbacks (6.18).
    Sheaves,
    /// It flushes sheaves and waits for their callbacks (7.x).
    SheavesAwaited,
}

/// What a question lacks of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The number of deferred frees of the asked destroy's cache, the oldest ones, that were not kept.
    pub own: u64,
    /// Whether some deferred frees of other caches were not kept.
    pub others: bool,
}

impl Question {
    /// The destroy that was asked about, and its place in [`Question::destroys`].
    #[must_use]
    pub fn asked(&self) -> Option<(usize, &AskedDestroy)> {
        self.destroys.iter().enumerate().find(|(_, destroy)| destroy.number == self.destroy)
    }

    /// The cache of a destroy.
    #[must_use]
    pub fn cache_of(&self, destroy: &AskedDestroy) -> Option<&AskedCache> {
        self.caches.get(usize::from(destroy.cache))
    }
}
