//! Watch: what the watcher knew when it began, and what it cannot see.

use crate::event::Time;

/// What the watcher knew when it began, and what it cannot see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// When the last probe was attached.
    pub attached: Time,
    /// CPUs that the kernel could ever have; 0 when not known.
    pub possible_cpus: u32,
    /// What cannot be seen on this kernel.
    pub blind: Vec<Blind>,
    /// Modules that were loaded when it began and whose text calls `call_rcu()`: what they had handed to it is not known. A
    /// module that is not here may have used it all the same: by other code, or because nobody could look.
    pub deferring: Vec<String>,
}

/// Something that cannot be seen during the whole watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blind {
    /// One of the ways in which deferred frees run.
    Frees,
    /// Callbacks given to `call_rcu()`.
    Callbacks,
    /// Callbacks of some other kind of RCU than `call_rcu()`, or the works that callbacks queue.
    Flavours,
    /// `rcu_barrier()`.
    RcuBarrier,
    /// The barriers that wait for `kfree_rcu()`, where the kernel has them.
    KvfreeBarrier,
    /// When callbacks given to `call_rcu()` run.
    CallbackRuns,
    /// When grace periods begin and end.
    Grace,
    /// What no probe sees and only a machine reports about itself: readers, the return of a queueing call,
    /// the holder of each object. Every watch of a live kernel is blind to it.
    Inside,
}
