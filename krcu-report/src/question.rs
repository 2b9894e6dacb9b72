//! Question: the data to simulate what each approach would have cost a destroy, with the destroy's own
//! workload.
//!
//! The agent gathers a question and sends it. The program that asked for it simulates.

use serde::{Deserialize, Serialize};

use krcu_model::event::DeferredBy;

/// The workload of one destroy, and how long things took meanwhile. It owns its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the destroy.
    pub destroy: u64,
    /// Its cache.
    pub cache: String,
    /// Deferred frees of this cache that are in the question.
    pub own_objects: u64,
    /// The same for other caches.
    pub other_objects: u64,
    /// The number of deferred frees of this cache, the oldest ones, that were not kept.
    pub own_left_out: u64,
    /// Whether some deferred frees of other caches were not kept.
    pub others_left_out: bool,
    /// How long the destroy took until it looked at its slabs, in nanoseconds.
    pub measured_wait_ns: u64,
    /// CPUs of the machine.
    pub cpus: u16,
    /// The caches, with that of the destroy first.
    pub caches: Vec<AskedCache>,
    /// Deferred frees, the oldest first.
    pub deferred: Vec<DeferredFree>,
    /// Objects of the destroyed cache that nobody queued.
    pub leaked: u64,
    /// When unrelated tasks called `rcu_barrier()`.
    pub bystanders_ns: Vec<u64>,
    /// The destroys in the order of time. The last one is the destroy of the question.
    pub destroys: Vec<AskedDestroy>,
    /// Grace periods, in nanoseconds from their begin to their end.
    pub grace_ns: Vec<u64>,
    /// Nanoseconds from the end of a grace period to the begin of the next.
    pub between_grace_ns: Vec<u64>,
    /// Nanoseconds that the free of one object took.
    pub free_ns: Vec<u64>,
}

/// A cache of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedCache {
    /// Its name; empty if it is not known.
    pub name: String,
    /// Bytes of one object; 0 if that is not known.
    pub object_bytes: u32,
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

/// A destroy of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedDestroy {
    /// When it began, in nanoseconds from the begin of the workload.
    pub at_ns: u64,
    /// The cache, by its place in [`Question::caches`].
    pub cache: u16,
    /// The number of the task. One task destroys one cache after the other.
    pub caller: u32,
}
