//! Evidence: what else is known about a verdict. Counts are numbers of objects; times are in nanoseconds.

use krcu_common::Flavour;
use serde::{Deserialize, Serialize};

use crate::{
    event::{Cpu, Leftover},
    state::freed_by::FreedBy,
    verdict::kind::KernelResult,
};

/// Deferred frees of one queueing site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteCount {
    /// How many.
    pub objects: u64,
    /// The frames, with the caller first.
    pub stack: Vec<String>,
}

/// Deferred frees that one CPU queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CpuCount {
    /// The CPU.
    pub cpu: Cpu,
    /// How many.
    pub objects: u64,
}

/// Objects whose head waits for one callback of `call_rcu()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallbackCount {
    /// How many; 0 if none waits for this callback.
    pub objects: u64,
    /// The callback's symbol; its address if that has no symbol; `unknown` if neither was seen.
    pub function: String,
    /// The module in whose text it lies; absent if it belongs to the kernel itself.
    pub module: Option<String>,
    /// The kind of RCU that it was given to, or that it is a work: `srcu`, `tasks`, `tasks_rude`, `tasks_trace`, `rcu_work`,
    /// `work`. Left out for `call_rcu()`.
    #[serde(default, skip_serializing_if = "flavour_word::is_rcu", with = "flavour_word")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub flavour: Flavour,
}

/// A flavour in JSON: its word.
mod flavour_word {
    use krcu_common::Flavour;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::script::Word as _;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_rcu(flavour: &Flavour) -> bool {
        *flavour == Flavour::Rcu
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(flavour: &Flavour, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(flavour.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Flavour, D::Error> {
        let word = String::deserialize(from)?;
        Flavour::of_word(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is no flavour of RCU")))
    }
}

/// Who destroyed the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DestroyedBy {
    /// Name of the task.
    pub comm: String,
    /// Its thread id.
    pub task: u32,
    /// The frames, with the caller first.
    pub stack: Vec<String>,
}

/// The barrier that ordered everything by luck: somebody else called it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LuckyBarrier {
    /// The function.
    pub function: String,
    /// Name of the task that called it; empty where that is not known.
    pub comm: String,
    /// Its thread id.
    pub task: u32,
    /// The frames, caller first.
    pub stack: Vec<String>,
    /// From its return to the destroy's look, in nanoseconds.
    pub before_ns: u64,
}

/// Which cache it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AboutCache {
    /// Its name.
    pub name: String,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// The module whose cache it is, if known.
    pub module: Option<String>,
    /// Bytes of an object.
    pub object_bytes: u32,
    /// Whether it was created while the probes were attached.
    pub created_while_watched: bool,
}

/// The call that destroyed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// The task that called it.
    pub by: DestroyedBy,
    /// When, counted from the moment at which the probes were attached.
    pub at_ns: u64,
    /// How long it took until it looked at its slabs.
    pub wait_ns: Option<u64>,
    /// Normal grace periods that ended meanwhile; absent if not all were seen.
    pub grace_periods: Option<u64>,
    /// Whether a barrier for `kfree_rcu()` ran inside the destroy.
    pub barrier_inside: bool,
    /// From the return of the task's last `rcu_barrier()` to the entry of the destroy.
    pub rcu_barrier_before_ns: Option<u64>,
    /// From the end of the last deferred free to the look.
    pub margin_ns: Option<u64>,
}

/// What the kernel said about the slabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSaid {
    /// What the slab shutdown returned.
    pub result: KernelResult,
    /// Objects left, by the kernel's own counts; absent if these could not be read.
    pub left: Option<Leftover>,
}

/// The deferred frees of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeferredFrees {
    /// Objects ever handed to `kfree_rcu()` while watched.
    pub queued_ever: u64,
    /// Callbacks with a head in an object that were ever handed to `call_rcu()` while watched.
    pub callbacks_ever: u64,
    /// Objects that were handed to `kfree_rcu()` or `call_rcu()`, or freed, while they were queued already.
    pub queued_twice: u64,
    /// Age of the oldest one when the destroy looked.
    pub oldest_age_ns: Option<u64>,
    /// Their number by queueing site, the largest first.
    pub sites: Vec<SiteCount>,
    /// Their number by the CPU that queued them.
    pub cpus: Vec<CpuCount>,
    /// Callbacks by their function, the largest number of objects first. These are the callbacks that waited
    /// when the destroy looked; if none did, those that it waited for; else those that no `rcu_barrier()`
    /// orders before it.
    pub callbacks: Vec<CallbackCount>,
    /// Deferred objects that were freed before the destroy looked.
    pub freed_by: FreedBy,
}

/// Deferred frees and callbacks that were seen after the look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LateFrees {
    /// How many.
    pub frees: u64,
    /// From the look to the last of them.
    pub last_ns: Option<u64>,
}

/// What else is known about a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The call that destroyed the cache.
    pub destroyed: Destroyed,
    /// What the kernel said about the slabs.
    pub kernel: KernelSaid,
    /// What was deferred.
    pub deferred: DeferredFrees,
    /// What was seen after the look.
    pub late: LateFrees,
    /// Leaked objects by the place of their allocation, the largest number first; only if allocations are
    /// seen.
    pub leak_sites: Vec<SiteCount>,
}
