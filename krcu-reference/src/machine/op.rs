//! Op: the steps that tasks are made of, each of which one lock or one wait makes indivisible.
//!
//! An approach is a list of these: what a module's exit path calls, and what the functions that it
//! calls do. A mutant is the same list without one of them.

use super::{CacheIndex, ObjectIndex, TaskIndex};
use krcu_model::promise::Promise;

/// A mutex that callers of a barrier meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lock {
    /// `rcu_state.barrier_mutex`.
    RcuBarrier,
    /// The mutex of the document's `kfree_rcu_barrier()`.
    KfreeRcuBarrier,
}

/// What a destroy does when it looks at its slabs and finds objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// Reports them at once and gives the cache up.
    Report,
    /// Returns, and gives the memory back when the last of them has been freed.
    Linger(Linger),
}

/// How a lingering destroy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Linger {
    /// Whether what is left after 21 s is reported.
    pub reports_late: bool,
    /// Whether the workers of `kfree_rcu()` look at the cache after each batch; else only the timer does.
    pub early_checks: bool,
    /// Whether a reader may hold a grace period up for longer than the 21 s: an RCU CPU stall.
    pub may_stall: bool,
    /// Whether a type-safe cache lingers for an `rcu_barrier()` as well.
    pub for_rcu_barrier: Option<Batching>,
}

/// How the lingering destroys of type-safe caches wait for `rcu_barrier()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Batching {
    /// One work item for all that have come meanwhile (657dc2f97220).
    Batched,
    /// Each destroy by itself.
    Each,
}

/// A call that is seen from outside to begin and to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `rcu_barrier()`.
    RcuBarrier,
    /// `kfree_rcu_barrier()`, `kvfree_rcu_barrier()`.
    KfreeRcuBarrier,
    /// `kvfree_rcu_barrier_on_cache()`, `kmem_cache_free_barrier()`.
    FreeBarrier(CacheIndex),
}

/// One step of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `kfree_rcu(object, rcu)`.
    Queue(ObjectIndex),
    /// `kfree_rcu_mightsleep(object)`: two steps when there is no memory for it.
    QueueHeadless(ObjectIndex),
    /// `call_rcu(&object->rcu, callback)`; the callback lies in the module and frees the object.
    CallRcu(ObjectIndex),
    /// `kmem_cache_free(cache, object)`.
    Free(ObjectIndex),
    /// `rcu_read_lock()`, and a look at this object if a reader can still find it.
    ReadLock(ObjectIndex),
    /// `rcu_read_unlock()`.
    ReadUnlock,
    /// Waits until another task has done all it had to do.
    Join(TaskIndex),
    /// The exit function returns, and the text of the module that this cache belongs to is gone.
    Unload(CacheIndex),
    /// A call begins.
    Enter(Call),
    /// It returns.
    Leave(Call),
    /// `rcu_barrier()` takes its snapshot of the sequence.
    Snap(Lock),
    /// Takes the mutex, or has nothing to do since a whole operation passed meanwhile: then it goes on
    /// after the next [`Op::Finish`] of the same lock.
    Take(Lock),
    /// Takes the mutex and never rides on another's operation.
    TakeAlways(Lock),
    /// `rcu_barrier()` counts its callbacks from zero (`barrier_cpu_count`), whoever else was counting.
    CountFromZero,
    /// Puts a callback behind the last one of each CPU that has any, one CPU at a time.
    Entrain,
    /// Waits for these callbacks.
    AwaitCallbacks,
    /// Ends the operation and gives the mutex back.
    Finish(Lock),
    /// `kvfree_rcu_queue_batch()` on every possible CPU with something queued, waiting where both of
    /// its batches are full.
    Offload,
    /// The same, only so that a wait that follows takes less than the monitor's five seconds.
    Hurry,
    /// For every possible CPU: `cancel_delayed_work_sync()` of its monitor, then `flush_rcu_work()` of
    /// its batches.
    Drain,
    /// `flush_rcu_work()` of the batches of every possible CPU; the monitors go on.
    FlushWorks,
    /// Waits until no monitor is freeing what it found ready.
    AwaitMonitors,
    /// The document's step, one CPU at a time: every bulk page that is on a list, and every object of the
    /// fallback list, is passed to `call_rcu()`.
    PassPagesToCallRcu {
        /// Those of batches that wait for a grace period as well.
        of_batches: bool,
    },
    /// `synchronize_srcu()` against the callers of `kfree_rcu_mightsleep()` that found no memory.
    SynchronizeSrcu,
    /// `cpus_read_lock()`.
    CpusReadLock,
    /// `cpus_read_unlock()`.
    CpusReadUnlock,
    /// `flush_rcu_sheaf()` on every online CPU, one at a time: the sheaves of this cache, or of all.
    FlushSheaves(Option<CacheIndex>),
    /// Takes note of what is queued of this cache.
    Note(CacheIndex),
    /// Waits until what was noted is free.
    AwaitNoted,
    /// Nothing queued of this cache: leaves out the next so many steps.
    SkipUnlessQueued(CacheIndex, u8),
    /// `kmem_cache_destroy()` is entered.
    DestroyEnter(CacheIndex),
    /// Under `slab_mutex`: one user less. If others stay, goes on after the next [`Op::Release`].
    DropReference(CacheIndex),
    /// `__kmem_cache_shutdown()` begins: this cache's sheaves are flushed on every CPU.
    ShutdownFlush(CacheIndex),
    /// It looks at its slabs. If objects are left, goes on after the next [`Op::Release`].
    Look(CacheIndex, Found),
    /// `slab_kmem_cache_release()`: nothing is left of the cache.
    Release(CacheIndex),
    /// A work item releases the cache after an `rcu_barrier()` of its own (6.1, for type-safe caches).
    ReleaseLater(CacheIndex),
    /// Waits until every cache that was passed to a lingering destroy before is gone, or reported.
    AwaitLingering,
    /// The same for one cache.
    AwaitDestroyed(CacheIndex),
    /// `kmem_cache_destroy_barrier()` returns, for all caches or for one.
    DestructionAwaited(Option<CacheIndex>),
}

impl Op {
    /// What it is in words, and the promise that is broken without it; `None` where it is no wait, lock
    /// or check.
    #[must_use]
    pub fn guard(self) -> Option<(&'static str, Promise)> {
        Some(match self {
            Op::Take(Lock::RcuBarrier) => ("the mutex of rcu_barrier()", Promise::BarrierCovers),
            Op::Entrain => ("a callback behind the last one of each CPU", Promise::BarrierCovers),
            Op::AwaitCallbacks => ("the wait for those callbacks", Promise::BarrierCovers),
            Op::Offload => ("queueing what the lists hold", Promise::BarrierCovers),
            Op::Drain => ("the wait for monitors and batches", Promise::BarrierCovers),
            Op::FlushWorks => ("the wait for batches", Promise::BarrierCovers),
            Op::AwaitMonitors => ("the wait for monitors", Promise::BarrierCovers),
            Op::PassPagesToCallRcu { .. } => ("passing the pages to call_rcu()", Promise::BarrierCovers),
            Op::CpusReadLock => ("holding CPU hotplug off", Promise::BarrierCovers),
            Op::FlushSheaves(_) => ("flushing the sheaves", Promise::BarrierCovers),
            Op::AwaitNoted => ("the wait for the cache's objects", Promise::BarrierCovers),
            Op::DropReference(_) => ("the look for other users of the cache", Promise::MemoryOutlivesObjects),
            Op::AwaitLingering | Op::AwaitDestroyed(_) => {
                ("the wait for the destruction", Promise::BarrierCovers)
            }
            Op::ReleaseLater(_) => ("the work item that releases", Promise::DestroyCompletes),
            _ => return None,
        })
    }
}
