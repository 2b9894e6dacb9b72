//! `kfree_rcu_barrier()` as the document designs it: a callback head in each bulk page.
//!
//! The caller walks the lists of in-flight pages and passes each page to `call_rcu()`, with a callback that
//! frees the objects of the page. Then it calls `rcu_barrier()`. Callers meet at a mutex. If another caller
//! has done a whole operation while one waited for the mutex, that one need not do it again.
//!
//! The document leaves two things open, and without them the barrier is wrong. A row for each shows how:
//!
//! - A page that a worker or a monitor has taken off its list to free it is in flight, but on no list, so the
//!   walk misses it. The plain row therefore also waits for these workers (`flush_rcu_work()`, as upstream
//!   did in the end).
//! - A page that waits in a batch must stay there. If the pages of a batch are passed on, the batch looks
//!   empty while its work still waits for the grace period that was meant for them. The next queued objects
//!   then go into that batch, and are freed after a grace period that began before they were queued.
//!
//! The mutex is there so that a caller can ride on another's operation; the row without it breaks nothing.
//! The struck-out paragraph of the document uses SRCU to wait for callers of `kfree_rcu_mightsleep()` that
//! found no memory. The covering rule does not need that: the row with it keeps no promise that the plain row
//! breaks.

use super::{
    Approach,
    steps::{chain, plain_destroy, rcu_barrier},
};
use crate::machine::{
    CacheIndex,
    op::{Call, Lock, Op},
};
use krcu_model::promise::Promise;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Choice {
    Plain,
    /// No caller rides on another's operation.
    MutexOnly,
    /// Callers do not even wait for each other.
    NoMutex,
    /// The struck-out paragraph.
    Srcu,
    /// The pages of batches are also passed on.
    BatchesToo,
    /// The barrier does not wait for pages that a worker has taken off.
    ListsOnly,
}

struct KfreeRcuBarrier(Choice);

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [Choice::Plain, Choice::MutexOnly, Choice::NoMutex, Choice::Srcu, Choice::BatchesToo, Choice::ListsOnly]
        .map(|choice| Box::new(KfreeRcuBarrier(choice)) as _)
        .into()
}

/// The document's function.
pub(super) fn document(choice: Choice) -> Vec<Op> {
    let lock = Lock::KfreeRcuBarrier;
    let (take, finish) = match choice {
        Choice::NoMutex => (vec![], vec![]),
        Choice::MutexOnly => (vec![Op::TakeAlways(lock)], vec![Op::Finish(lock)]),
        _ => (vec![Op::Snap(lock), Op::Take(lock)], vec![Op::Finish(lock)]),
    };
    let pass = Op::PassPagesToCallRcu { of_batches: choice == Choice::BatchesToo };
    let workers = match choice {
        Choice::ListsOnly => vec![],
        _ => vec![Op::AwaitMonitors, Op::FlushWorks],
    };
    let srcu = if choice == Choice::Srcu { vec![Op::SynchronizeSrcu] } else { vec![] };
    chain([
        vec![Op::Enter(Call::KfreeRcuBarrier)],
        take,
        vec![pass],
        workers,
        srcu,
        rcu_barrier(),
        finish,
        vec![Op::Leave(Call::KfreeRcuBarrier)],
    ])
}

impl Approach for KfreeRcuBarrier {
    fn id(&self) -> &'static str {
        "kfree-rcu-barrier"
    }

    fn option(&self) -> &'static str {
        match self.0 {
            Choice::Plain => "",
            Choice::MutexOnly => "no riding",
            Choice::NoMutex => "no mutex",
            Choice::Srcu => "with the struck-out SRCU",
            Choice::BatchesToo => "batches emptied too",
            Choice::ListsOnly => "workers not waited for",
        }
    }

    fn section(&self) -> &'static str {
        "Add a new kfree_rcu_barrier() function"
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        chain([document(self.0), plain_destroy(cache)])
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        match self.0 {
            Choice::BatchesToo => &[
                (
                    Promise::GracePeriodKept,
                    "an emptied batch is filled again while its old grace period still runs",
                ),
                (
                    Promise::MemoryOutlivesObjects,
                    "a reader may still hold an object that was freed in this way when its slab goes",
                ),
            ],
            Choice::ListsOnly => &[
                (Promise::BarrierCovers, "a page that a worker is freeing is on no list"),
                (Promise::MemoryOutlivesObjects, "so the destroy finds its objects"),
                (Promise::NoFalseSplat, "and reports them"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ],
            _ => &[],
        }
    }

    fn api_changes(&self) -> &'static str {
        "kfree_rcu_barrier() at exit"
    }
}
