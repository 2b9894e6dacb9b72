//! Steps that several approaches are made of.

use crate::machine::{
    CacheIndex,
    op::{Call, Found, Linger, Lock, Op},
};

/// `rcu_barrier()`.
#[must_use]
pub fn rcu_barrier() -> Vec<Op> {
    vec![
        Op::Enter(Call::RcuBarrier),
        Op::Snap(Lock::RcuBarrier),
        Op::Take(Lock::RcuBarrier),
        Op::CountFromZero,
        Op::Entrain,
        Op::AwaitCallbacks,
        Op::Finish(Lock::RcuBarrier),
        Op::Leave(Call::RcuBarrier),
    ]
}

/// `kmem_cache_destroy()`, with these steps before it looks at its slabs.
pub(crate) fn destroy_after(before: Vec<Op>, cache: CacheIndex, found: Found) -> Vec<Op> {
    let mut ops = vec![Op::DestroyEnter(cache)];
    ops.extend(before);
    ops.extend([Op::DropReference(cache), Op::Look(cache, found), Op::Release(cache)]);
    ops
}

/// `kmem_cache_destroy()` of the time before it waited for anything.
pub(crate) fn plain_destroy(cache: CacheIndex) -> Vec<Op> {
    destroy_after(Vec::new(), cache, Found::Report)
}

/// A destroy that lingers.
pub(crate) fn lingering_destroy(cache: CacheIndex, linger: Linger) -> Vec<Op> {
    destroy_after(Vec::new(), cache, Found::Linger(linger))
}

/// A wait for the queued objects of one cache: note them, hurry the lists of the CPUs, wait for the noted
/// objects.
pub(crate) fn free_barrier(cache: CacheIndex) -> Vec<Op> {
    vec![
        Op::Enter(Call::FreeBarrier(cache)),
        Op::Note(cache),
        Op::Hurry,
        Op::AwaitNoted,
        Op::Leave(Call::FreeBarrier(cache)),
    ]
}

/// A lingering destroy that looks after each batch, and reports what is left after 21 s.
pub(crate) const LINGER: Linger =
    Linger { reports_late: true, early_checks: true, may_stall: false, for_rcu_barrier: None };

/// Joins lists of steps into one.
pub(crate) fn chain<const N: usize>(parts: [Vec<Op>; N]) -> Vec<Op> {
    parts.into_iter().flatten().collect()
}
