//! Promises: what the reference demands of a kernel, and the covering rule behind them.
//!
//! "Covered by a barrier" is the rule of `rcu_barrier()`, which "Waiting for kfree_rcu()" applies to every
//! barrier that it discusses: a barrier waits for what was queued by calls that had *returned* when the
//! barrier was called. Probes see the entry of a queueing call, but not its return. So there are two rules.
//! For the question whether a race exists, an object counts as covered if its call began before the barrier.
//! An accusation of the kernel needs a proof that the call had returned: an event that says so, or program
//! order, if the same task queued the object and called the barrier.
//!
//! What is being freed as a barrier returns is held against it as well, if the call that frees it is seen to
//! return later: a barrier that waits for such a call returns after it. Which of the objects of the call were
//! free by then is not seen.

pub(crate) mod doubles;
pub mod ledger;

use crate::{
    event::{CacheAddress, Gap, ObjectAddress, Scope, Task, Time},
    state::{
        barriers::OpenBarrier,
        deferred::Outstanding,
        id::{CacheId, Mark},
    },
};

/// A promise that an approach has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// No slab of a cache is given back, and no cache given up, while an object of it is queued or a
    /// reader may hold one.
    MemoryOutlivesObjects,
    /// No object is freed before a full grace period has passed since it was queued.
    GracePeriodKept,
    /// A barrier returns only after everything that it covers has been freed.
    BarrierCovers,
    /// A barrier can return while what was queued after its call is still queued.
    BarrierIsNoStricter,
    /// No callback in a module's text runs after the module is gone.
    CallbacksBeforeUnload,
    /// A cache that is destroyed with a leaked object is reported.
    LeakIsReported,
    /// A cache whose objects are all queued or freed is never reported.
    NoFalseSplat,
    /// When every object of a destroyed cache is freed, its memory is given back.
    DestroyCompletes,
    /// What is queued is freed at some time, even if nobody calls anything more.
    DeferredFreeComes,
    /// The other promises hold with two callers at once, and with a caller that joins the operation of
    /// another.
    ConcurrentCallers,
    /// No promise holds only because nothing happens.
    SomethingHappens,
}

/// The states in which a promise has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sense {
    /// In every state.
    Always,
    /// In some state.
    Sometimes,
    /// In every state in which nothing more can happen.
    Eventually,
}

impl Promise {
    /// All of them, in the order of the table.
    pub const ALL: [Promise; 11] = [
        Promise::MemoryOutlivesObjects,
        Promise::GracePeriodKept,
        Promise::BarrierCovers,
        Promise::BarrierIsNoStricter,
        Promise::CallbacksBeforeUnload,
        Promise::LeakIsReported,
        Promise::NoFalseSplat,
        Promise::DestroyCompletes,
        Promise::DeferredFreeComes,
        Promise::ConcurrentCallers,
        Promise::SomethingHappens,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Promise::MemoryOutlivesObjects => "memory_outlives_objects",
            Promise::GracePeriodKept => "grace_period_kept",
            Promise::BarrierCovers => "barrier_covers",
            Promise::BarrierIsNoStricter => "barrier_is_no_stricter",
            Promise::CallbacksBeforeUnload => "callbacks_before_unload",
            Promise::LeakIsReported => "leak_is_reported",
            Promise::NoFalseSplat => "no_false_splat",
            Promise::DestroyCompletes => "destroy_completes",
            Promise::DeferredFreeComes => "deferred_free_comes",
            Promise::ConcurrentCallers => "concurrent_callers",
            Promise::SomethingHappens => "something_happens",
        }
    }

    /// The states in which it has to hold.
    #[must_use]
    pub fn sense(self) -> Sense {
        match self {
            Promise::BarrierIsNoStricter | Promise::SomethingHappens => Sense::Sometimes,
            Promise::DestroyCompletes | Promise::LeakIsReported | Promise::DeferredFreeComes => {
                Sense::Eventually
            }
            _ => Sense::Always,
        }
    }

    /// What it says, and the place in "Waiting for kfree_rcu()" or in the kernel that says so.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Promise::MemoryOutlivesObjects => {
                "\"no way to wait for all memory to be freed before passing that kmem_cache to kmem_cache_destroy()\" is the document's problem; a kernel that finds objects there gives the cache up and keeps their slabs, which is no less broken"
            }
            Promise::GracePeriodKept => "what kfree_rcu() is for (Status Quo: \"RCU-protected objects\")",
            Promise::BarrierCovers => {
                "\"waits for the freeing of all memory that has previously been passed to kfree_rcu()\", where \"rcu_barrier() only waits for call_rcu() invocations that have return[ed] before that call\""
            }
            Promise::BarrierIsNoStricter => "the same sentence: what is passed later is not waited for",
            Promise::CallbacksBeforeUnload => {
                "Status Quo: \"must use call_rcu()\", whose callback is the module's own code"
            }
            Promise::LeakIsReported => {
                "\"losing valuable memory-leak debugging\"; within \"the same 21 seconds\" where a destroy lingers"
            }
            Promise::NoFalseSplat => {
                "\"suppress any warnings […] if there was still slab memory yet to be freed\""
            }
            Promise::DestroyCompletes => {
                "\"defer the actual slab deallocation until all memory is freed\", and not for ever"
            }
            Promise::DeferredFreeComes => {
                "a deferred free is no leak; sheaves that nothing flushes are the kernel's own exception"
            }
            Promise::ConcurrentCallers => "barriers meet at a mutex and ride on one another's sequence",
            Promise::SomethingHappens => "the check's own honesty",
        }
    }
}

/// Whether what was queued at `queued` counts as covered by a barrier that was entered at `begin`.
#[must_use]
pub fn covers(begin: Mark, queued: Mark) -> bool {
    queued.position < begin.position
}

/// Whether the call that queued this object had returned when its task entered the barrier.
#[must_use]
pub fn surely_covers(barrier: &OpenBarrier, caller: Task, object: &Outstanding) -> bool {
    object.task == caller && covers(barrier.begin, object.queued)
}

/// A promise that was broken. There is one for each promise and cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// The cache that it is about, if there is one.
    pub cache: Option<CacheId>,
    /// Its address.
    pub address: Option<CacheAddress>,
    /// The first object that shows it, if one does.
    pub object: Option<ObjectAddress>,
    /// When the operation began that broke it: the entry of a barrier, or the queueing of an object.
    pub begin: Time,
    /// When it was broken.
    pub at: Time,
    /// Objects that show it.
    pub objects: u64,
    /// When the oldest of them was queued.
    pub oldest: Time,
    /// Of these objects, those that were being freed when a barrier returned.
    pub being_freed: Option<BeingFreed>,
}

/// Objects that a call was freeing when a barrier returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeingFreed {
    /// How many. Some of them may have been free by then.
    pub objects: u64,
    /// The task that was in the call.
    pub task: Task,
    /// From the return of the barrier to the return of the call, in nanoseconds.
    pub ended_after_ns: u64,
}

impl Gap {
    /// Whether this loss may be the reason why something that began or was queued at `since` looks broken.
    /// The cache is the one that it concerns; `needs_grace` says whether it depends on grace periods.
    pub(crate) fn may_explain(&self, cache: Option<CacheAddress>, needs_grace: bool, since: Time) -> bool {
        let is_about = match self.scope {
            Scope::Everything | Scope::Freeing | Scope::Barriers => true,
            Scope::Cache(address) => cache.is_none_or(|cache| cache == address),
            Scope::Grace => needs_grace,
            // An accusation is about what was seen to be queued, so an unseen queueing call does not matter.
            Scope::Queueing => false,
        };
        is_about && self.until >= since
    }
}
