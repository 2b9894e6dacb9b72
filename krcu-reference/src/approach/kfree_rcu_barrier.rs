//! `kfree_rcu_barrier()` as the document designs it: a callback head in each bulk page.
//!
//! The caller walks the lists of in-flight pages and passes each to `call_rcu()`, with a callback that
//! frees what is on it, then calls `rcu_barrier()`. Callers meet at a mutex, and one whose turn comes
//! after a whole operation of another need not do it again.
//!
//! Two things have to be read into that, or it is wrong; a row each shows how:
//!
//! - A page that a worker or a monitor has taken off its list and is freeing is in flight and on no
//!   list. The walk misses it, and so the plain row waits for these workers as well
//!   (`flush_rcu_work()`, as upstream did in the end).
//! - A page that waits in a batch must stay there. A batch whose pages are passed on looks empty while
//!   its work still waits for the grace period that they were to have. What is queued next goes into
//!   that batch, and is freed after a grace period that began before it was queued.
//!
//! The mutex is for riding on another's operation; the row without it breaks nothing. The struck-out
//! paragraph waits by SRCU for callers of `kfree_rcu_mightsleep()` that found no memory. By the covering
//! rule that is not needed: the row with it keeps no promise that the plain one breaks.

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
    /// Callers do not even wait for one another.
    NoMutex,
    /// The struck-out paragraph.
    Srcu,
    /// The pages of batches are passed on too.
    BatchesToo,
    /// What a worker has taken off is not waited for.
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
                    "a batch that was emptied is filled again while its old grace period runs",
                ),
                (
                    Promise::MemoryOutlivesObjects,
                    "a reader may still hold what was freed so, when its slab goes",
                ),
            ],
            Choice::ListsOnly => &[
                (Promise::BarrierCovers, "a page that a worker is freeing is on no list"),
                (Promise::MemoryOutlivesObjects, "so the destroy finds its objects"),
                (Promise::NoFalseSplat, "and reports them"),
                (Promise::DestroyCompletes, "a cache that was given up stays for ever"),
            ],
            _ => &[],
        }
    }

    fn api_changes(&self) -> &'static str {
        "kfree_rcu_barrier() at exit"
    }
}
