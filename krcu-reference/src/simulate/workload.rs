//! Workload: which tasks queue and destroy what, and when.
//!
//! Each object has one action, which says what happens to it; it is allocated from the beginning on. For a
//! cache that the workload destroys, the approach chooses whether its owner frees by `kfree_rcu()` or by its
//! own callback ([`Approach::free`](crate::approach::Approach::free)): the status quo forbids `kfree_rcu()`
//! there. Objects of a cache that stays, and `vmalloc()` memory, are queued by `kfree_rcu()` under every
//! approach.

use std::fmt;

use super::GaveUp;
use crate::machine::{CacheIndex, facts::Sizes};
use krcu_model::event::{Cpu, DeferredBy, Time};

const NS_IN_S: u64 = 1_000_000_000;
const NS_IN_MS: u64 = 1_000_000;

/// Everything that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The number of CPUs of the machine.
    pub cpus: u16,
    /// The sizes of its parts: [`Sizes::KERNEL`], except in a test.
    pub sizes: Sizes,
    /// The caches; a [`CacheIndex`] is a number in this list.
    pub caches: Vec<CacheSpec>,
    /// The actions, in any order. Actions at the same time happen in the order of this list.
    pub actions: Vec<Timed>,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// Its name.
    pub name: String,
    /// Bytes of one object, including what the slab needs for it.
    pub object_bytes: u32,
    /// Whether it is `SLAB_TYPESAFE_BY_RCU`.
    pub type_safe: bool,
    /// Objects in a slab. Objects fill slabs in the order of their actions.
    pub slab_objects: u32,
    /// Users of the cache that do not destroy it in this workload: if there is one, no destroy of it is the
    /// last.
    pub other_users: u16,
}

/// An action, and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Nanoseconds from the beginning of the workload.
    pub at: Time,
    /// The action.
    pub action: Action,
}

/// A task that destroys caches one after the other: a module's exit function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u32);

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An object's free is deferred: by `kfree_rcu()`, or as the approach chooses.
    Queue {
        /// Its cache; `None` for `vmalloc()` memory.
        cache: Option<CacheIndex>,
        /// The CPU.
        cpu: Cpu,
    },
    /// The same without an `rcu_head`. If the approach makes owners write callbacks, it has a head and a
    /// callback.
    QueueHeadless {
        /// Its cache; `None` for `vmalloc()` memory.
        cache: Option<CacheIndex>,
        /// The CPU.
        cpu: Cpu,
    },
    /// `call_rcu()` with a callback that frees the object, under every approach.
    CallRcu {
        /// Its cache; `None` for memory that belongs to no cache.
        cache: Option<CacheIndex>,
        /// The CPU.
        cpu: Cpu,
    },
    /// An object is allocated and never freed.
    Leak {
        /// Its cache.
        cache: CacheIndex,
    },
    /// The exit path of a cache begins, but not before earlier exit paths of the same caller have ended. A
    /// cache that is destroyed twice is merged: the first destroy drops a reference.
    Destroy {
        /// The cache.
        cache: CacheIndex,
        /// The caller.
        caller: Caller,
        /// The CPU. The CPU of a caller's first destroy counts for all its destroys.
        cpu: Cpu,
    },
    /// A task that has nothing to do with any of this calls `rcu_barrier()`.
    RcuBarrier {
        /// The CPU.
        cpu: Cpu,
    },
    /// Somebody else has queued a callback that frees nothing of the workload. The grace period that it needs ends
    /// at a known time.
    UnseenCallback {
        /// The CPU.
        cpu: Cpu,
        /// When the grace period ends.
        grace: Time,
    },
    /// The monitor of each CPU runs that would run later: it was seen to have run.
    Drain,
    /// Memory becomes short, so that `kfree_rcu()` gets no pages; or the shortage ends.
    Pressure {
        /// Whether it is short from now on.
        is_short: bool,
    },
    /// The shrinker calls the monitor of each CPU that has something queued, one after the other.
    Shrink,
}

impl Action {
    /// An object's free is deferred.
    #[must_use]
    pub fn deferred(by: DeferredBy, cache: Option<CacheIndex>, cpu: Cpu) -> Action {
        match by {
            DeferredBy::Head => Action::Queue { cache, cpu },
            DeferredBy::Headless => Action::QueueHeadless { cache, cpu },
            DeferredBy::Callback => Action::CallRcu { cache, cpu },
        }
    }
}

/// Why a workload cannot be run, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// It has no CPU.
    NoCpu,
    /// An action names a CPU that the workload does not have.
    UnknownCpu(Cpu),
    /// An action names a cache that the workload does not have.
    UnknownCache(CacheIndex),
    /// There are more callers, unrelated callers of `rcu_barrier()`, or objects than a machine can number.
    TooMany,
    /// It has more CPUs than the kernel can have, or so many CPUs and caches that each CPU's part of each
    /// cache does not fit into memory.
    TooLarge,
    /// The simulation has used up its [`Budget`](super::Budget).
    GaveUp {
        /// After this many events.
        events: u64,
        /// At this time of the simulated run, in nanoseconds from its beginning.
        simulated_ns: u64,
        /// What it has used up.
        why: GaveUp,
    },
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadError::NoCpu => f.write_str("the workload has no CPU"),
            WorkloadError::UnknownCpu(cpu) => write!(f, "the workload has no CPU {}", cpu.0),
            WorkloadError::UnknownCache(cache) => write!(f, "the workload has no cache {}", cache.0),
            WorkloadError::TooMany => {
                f.write_str("the workload has more tasks or objects than can be numbered")
            }
            WorkloadError::TooLarge => {
                f.write_str("the workload has too many CPUs, or too many caches for them")
            }
            WorkloadError::GaveUp { events, simulated_ns, why } => write!(
                f,
                "gave up after {events} events, {}.{:03} s into the simulated run: {why}",
                simulated_ns / NS_IN_S,
                simulated_ns % NS_IN_S / NS_IN_MS
            ),
        }
    }
}

impl std::error::Error for WorkloadError {}

impl Workload {
    /// A workload without actions on this many CPUs, with the kernel's usual sizes.
    #[must_use]
    pub fn new(cpus: u16) -> Workload {
        Workload { cpus, sizes: Sizes::KERNEL, caches: Vec::new(), actions: Vec::new() }
    }

    /// Adds a cache.
    pub fn cache(&mut self, spec: CacheSpec) -> CacheIndex {
        let index = CacheIndex(u16::try_from(self.caches.len()).unwrap_or(u16::MAX));
        self.caches.push(spec);
        index
    }

    /// Adds an action, this many nanoseconds from the beginning.
    pub fn at(&mut self, at_ns: u64, action: Action) -> &mut Workload {
        self.actions.push(Timed { at: Time(at_ns), action });
        self
    }
}

impl Action {
    /// The cache of the action, if it has one.
    #[must_use]
    pub fn cache(self) -> Option<CacheIndex> {
        match self {
            Action::Queue { cache, .. }
            | Action::QueueHeadless { cache, .. }
            | Action::CallRcu { cache, .. } => cache,
            Action::Leak { cache } | Action::Destroy { cache, .. } => Some(cache),
            Action::RcuBarrier { .. }
            | Action::UnseenCallback { .. }
            | Action::Drain
            | Action::Pressure { .. }
            | Action::Shrink => None,
        }
    }

    /// The CPU of the action, if that makes a difference.
    #[must_use]
    pub fn cpu(self) -> Option<Cpu> {
        match self {
            Action::Queue { cpu, .. }
            | Action::QueueHeadless { cpu, .. }
            | Action::CallRcu { cpu, .. }
            | Action::Destroy { cpu, .. }
            | Action::UnseenCallback { cpu, .. }
            | Action::RcuBarrier { cpu } => Some(cpu),
            Action::Leak { .. } | Action::Drain | Action::Pressure { .. } | Action::Shrink => None,
        }
    }

    /// Whether it says what happens to an object.
    #[must_use]
    pub fn has_object(self) -> bool {
        matches!(
            self,
            Action::Queue { .. }
                | Action::QueueHeadless { .. }
                | Action::CallRcu { .. }
                | Action::Leak { .. }
        )
    }
}
