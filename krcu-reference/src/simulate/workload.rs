//! Workload: who queues and destroys what, and when.
//!
//! Each object has one action, which says what becomes of it; it is allocated from the beginning on.
//! Whether the owner of a cache frees by `kfree_rcu()` or by a callback of his own is the approach's
//! choice ([`Approach::free`](crate::approach::Approach::free)) for a cache that the workload
//! destroys: the status quo forbids `kfree_rcu()` there. Of a cache that stays, and of `vmalloc()`
//! memory, what is queued is queued by `kfree_rcu()` under every approach.

use std::fmt;

use crate::machine::{CacheIndex, facts::Sizes};
use krcu_model::event::{Cpu, DeferredBy, Time};

/// Who does what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// CPUs of the machine.
    pub cpus: u16,
    /// How large the parts of its `kfree_rcu()` are: [`Sizes::KERNEL`], but for a test.
    pub sizes: Sizes,
    /// The caches; [`CacheIndex`] counts these.
    pub caches: Vec<CacheSpec>,
    /// What happens, in any order. What has the same time happens in the order of this list.
    pub actions: Vec<Timed>,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// Its name.
    pub name: String,
    /// Bytes of one object, with what the slab needs beside it.
    pub object_bytes: u32,
    /// Whether it is `SLAB_TYPESAFE_BY_RCU`.
    pub type_safe: bool,
    /// Objects of a slab. Objects share slabs in the order of their actions.
    pub slab_objects: u32,
    /// Users of it beside those that destroy it in this workload: with one, no destroy of it is the last.
    pub other_users: u16,
}

/// An action, and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Nanoseconds from the beginning of the workload.
    pub at: Time,
    /// What.
    pub action: Action,
}

/// One who destroys caches one after the other: a module's exit function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u32);

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An object's free is deferred: by `kfree_rcu()`, or as the approach has it.
    Queue {
        /// Its cache; `None` for `vmalloc()` memory.
        cache: Option<CacheIndex>,
        /// On which CPU.
        cpu: Cpu,
    },
    /// The same without an `rcu_head`. Where the approach has owners write callbacks, it has a head and
    /// a callback.
    QueueHeadless {
        /// Its cache; `None` for `vmalloc()` memory.
        cache: Option<CacheIndex>,
        /// On which CPU.
        cpu: Cpu,
    },
    /// `call_rcu()` with a callback that frees the object, under every approach.
    CallRcu {
        /// Its cache; `None` for memory of none.
        cache: Option<CacheIndex>,
        /// On which CPU.
        cpu: Cpu,
    },
    /// An object is allocated and never freed.
    Leak {
        /// Its cache.
        cache: CacheIndex,
    },
    /// The exit path of a cache begins, but not before earlier ones of the same caller have ended. A
    /// cache that is destroyed twice is merged: the first destroy drops a reference.
    Destroy {
        /// The cache.
        cache: CacheIndex,
        /// Who does it.
        caller: Caller,
        /// On which CPU; that of his first destroy holds for all.
        cpu: Cpu,
    },
    /// Somebody who has nothing to do with any of this calls `rcu_barrier()`.
    RcuBarrier {
        /// On which CPU.
        cpu: Cpu,
    },
    /// Memory becomes short, so that pages for `kfree_rcu()` cannot be had; or is no longer.
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

/// Why a workload cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// It has no CPU.
    NoCpu,
    /// An action is on a CPU that it does not have.
    UnknownCpu(Cpu),
    /// An action is about a cache that it does not have.
    UnknownCache(CacheIndex),
    /// More callers, unrelated callers of `rcu_barrier()`, or objects than a machine can number.
    TooMany,
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
        }
    }
}

impl std::error::Error for WorkloadError {}

impl Workload {
    /// Nothing happens on these CPUs, whose kernel has its usual sizes.
    #[must_use]
    pub fn new(cpus: u16) -> Workload {
        Workload { cpus, sizes: Sizes::KERNEL, caches: Vec::new(), actions: Vec::new() }
    }

    /// One more cache.
    pub fn cache(&mut self, spec: CacheSpec) -> CacheIndex {
        let index = CacheIndex(u16::try_from(self.caches.len()).unwrap_or(u16::MAX));
        self.caches.push(spec);
        index
    }

    /// One more action, so many nanoseconds from the beginning.
    pub fn at(&mut self, at_ns: u64, action: Action) -> &mut Workload {
        self.actions.push(Timed { at: Time(at_ns), action });
        self
    }
}

impl Action {
    /// The cache that it is about, if it is about one.
    #[must_use]
    pub fn cache(self) -> Option<CacheIndex> {
        match self {
            Action::Queue { cache, .. }
            | Action::QueueHeadless { cache, .. }
            | Action::CallRcu { cache, .. } => cache,
            Action::Leak { cache } | Action::Destroy { cache, .. } => Some(cache),
            Action::RcuBarrier { .. } | Action::Pressure { .. } | Action::Shrink => None,
        }
    }

    /// The CPU that it is on, if that makes a difference.
    #[must_use]
    pub fn cpu(self) -> Option<Cpu> {
        match self {
            Action::Queue { cpu, .. }
            | Action::QueueHeadless { cpu, .. }
            | Action::CallRcu { cpu, .. }
            | Action::Destroy { cpu, .. }
            | Action::RcuBarrier { cpu } => Some(cpu),
            Action::Leak { .. } | Action::Pressure { .. } | Action::Shrink => None,
        }
    }

    /// Whether it says what becomes of an object.
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
