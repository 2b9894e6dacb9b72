//! Op: the steps of a task. One lock or one wait makes each of them indivisible.
//!
//! An approach is a list of ops: the calls of a module's exit path, and what the called functions do. A
//! mutant is the same list without one of them.

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

/// What a destroy does if it finds objects in its slabs.
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
    /// Whether objects that are left after 21 s are reported.
    pub reports_late: bool,
    /// Whether the workers of `kfree_rcu()` look at the cache after each batch; otherwise only the timer
    /// does.
    pub early_checks: bool,
    /// Whether a reader may delay a grace period for longer than the 21 s: an RCU CPU stall.
    pub may_stall: bool,
    /// Whether a type-safe cache also lingers for an `rcu_barrier()`.
    pub for_rcu_barrier: Option<Batching>,
}

/// How the lingering destroys of type-safe caches wait for `rcu_barrier()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Batching {
    /// One work item for all caches that have come meanwhile (657dc2f97220).
    Batched,
    /// Each destroy by itself.
    Each,
}

/// A call whose beginning and end a watcher sees.
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
    /// `kfree_rcu_mightsleep(object)`: two steps if there is no memory for it.
    QueueHeadless(ObjectIndex),
    /// `call_rcu(&object->rcu, callback)`; the callback lies in the module and frees the object.
    CallRcu(ObjectIndex),
    /// `kmem_cache_free(cache, object)`.
    Free(ObjectIndex),
    /// `rcu_read_lock()`, and a look at this object if a reader can still find it.
    ReadLock(ObjectIndex),
    /// `rcu_read_unlock()`.
    ReadUnlock,
    /// Waits until another task has finished its program.
    Join(TaskIndex),
    /// The exit function returns, and the text of this cache's module is gone.
    Unload(CacheIndex),
    /// A call begins.
    Enter(Call),
    /// It returns.
    Leave(Call),
    /// `rcu_barrier()` takes its snapshot of the sequence.
    Snap(Lock),
    /// Takes the mutex. If another caller has done a whole operation meanwhile, goes on after the next
    /// [`Op::Finish`] of the same lock instead.
    Take(Lock),
    /// Takes the mutex and never rides on another's operation.
    TakeAlways(Lock),
    /// `rcu_barrier()` counts its callbacks from zero (`barrier_cpu_count`), even if another caller was
    /// counting.
    CountFromZero,
    /// Puts a callback behind the last one of each CPU that has callbacks, one CPU at a time.
    Entrain,
    /// Waits for these callbacks.
    AwaitCallbacks,
    /// Ends the operation and gives the mutex back.
    Finish(Lock),
    /// `kvfree_rcu_queue_batch()` on every possible CPU that has something queued. Waits while both batches
    /// of a CPU are full.
    Offload,
    /// The same, but only to make a later wait shorter than the monitor's five seconds.
    Hurry,
    /// For every possible CPU: `cancel_delayed_work_sync()` of its monitor, then `flush_rcu_work()` of
    /// its batches.
    Drain,
    /// `flush_rcu_work()` of the batches of every possible CPU; the monitors continue.
    FlushWorks,
    /// Waits until no monitor is freeing what it found ready.
    AwaitMonitors,
    /// Waits until the shrinker is not freeing what it found ready. No kernel does so.
    AwaitShrinker,
    /// Arms the monitor of every CPU that has something queued, where it was cancelled. No kernel does so.
    Rearm,
    /// A step of the document, one CPU at a time: passes every bulk page that is on a list, and every object
    /// of the fallback list, to `call_rcu()`.
    PassPagesToCallRcu {
        /// Whether pages of batches that wait for a grace period are passed on too.
        of_batches: bool,
    },
    /// `synchronize_srcu()`, to wait for callers of `kfree_rcu_mightsleep()` that found no memory.
    SynchronizeSrcu,
    /// `cpus_read_lock()`.
    CpusReadLock,
    /// `cpus_read_unlock()`.
    CpusReadUnlock,
    /// `flush_rcu_sheaf()` on every online CPU, one at a time: the sheaves of this cache, or of all.
    FlushSheaves(Option<CacheIndex>),
    /// Notes which objects of this cache are queued.
    Note(CacheIndex),
    /// Waits until the noted objects are free.
    AwaitNoted,
    /// Skips this many steps if no object of this cache is queued.
    SkipUnlessQueued(CacheIndex, u8),
    /// `kmem_cache_destroy()` is entered.
    DestroyEnter(CacheIndex),
    /// Under `slab_mutex`: drops one user. If others stay, goes on after the next [`Op::Release`].
    DropReference(CacheIndex),
    /// `__kmem_cache_shutdown()` begins: this cache's sheaves are flushed on every CPU.
    ShutdownFlush(CacheIndex),
    /// Looks at its slabs. If objects are left, goes on after the next [`Op::Release`].
    Look(CacheIndex, Found),
    /// `slab_kmem_cache_release()`: nothing is left of the cache.
    Release(CacheIndex),
    /// A work item releases the cache after its own `rcu_barrier()` (6.1, for type-safe caches).
    ReleaseLater(CacheIndex),
    /// Waits until every cache that was passed to a lingering destroy before is gone or reported.
    AwaitLingering,
    /// The same for one cache.
    AwaitDestroyed(CacheIndex),
    /// `kmem_cache_destroy_barrier()` returns, for all caches or for one.
    DestructionAwaited(Option<CacheIndex>),
}

impl Op {
    /// The words for it, and the promise that breaks without it; `None` if it is not a wait, a lock or a
    /// check.
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
