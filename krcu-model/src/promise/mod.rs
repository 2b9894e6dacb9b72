//! Promises: what the reference demands of a kernel, and the covering rule that they rest on.
//!
//! "Covered by a barrier" is the rule of `rcu_barrier()`, which "Waiting for kfree_rcu()" applies to
//! every barrier it discusses: a barrier waits for what was queued by calls that had *returned* when
//! the barrier was called. Probes see a queueing call entered, not returned. So an object whose call
//! began before the barrier is taken as covered when the question is whether the race exists, and the
//! kernel is accused of breaking a promise only where the return is proved: by an event that says so,
//! or by program order, when the task that queued the object is the one that called the barrier.

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

/// What an approach owes, by the names of the promises.
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
    /// What is queued is freed some time, though nobody calls anything more.
    DeferredFreeComes,
    /// All of this with two callers at once, and with one who joins another's operation.
    ConcurrentCallers,
    /// None of this holds only because nothing happens.
    SomethingHappens,
}

/// In what sense a promise holds.
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

    /// In what sense it holds.
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

    /// What it says, and where "Waiting for kfree_rcu()" or the kernel says it.
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

/// A promise that was broken, once for each promise and cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// The cache that it is about, where there is one.
    pub cache: Option<CacheId>,
    /// Its address.
    pub address: Option<CacheAddress>,
    /// The first object that shows it, where one does.
    pub object: Option<ObjectAddress>,
    /// When what was broken began: a barrier was entered, an object was queued.
    pub begin: Time,
    /// When it was broken.
    pub at: Time,
    /// Objects that show it.
    pub objects: u64,
    /// When the oldest of them was queued.
    pub oldest: Time,
}

impl Gap {
    /// Whether it may be this loss that makes something look broken which was queued, or begun, at `since`:
    /// about a cache, and by the grace periods where that needs them.
    pub(crate) fn may_explain(&self, cache: Option<CacheAddress>, needs_grace: bool, since: Time) -> bool {
        let is_about = match self.scope {
            Scope::Everything | Scope::Freeing | Scope::Barriers => true,
            Scope::Cache(address) => cache.is_none_or(|cache| cache == address),
            Scope::Grace => needs_grace,
            // Accused is what was seen to be queued, and not what was not.
            Scope::Queueing => false,
        };
        is_about && self.until >= since
    }
}
