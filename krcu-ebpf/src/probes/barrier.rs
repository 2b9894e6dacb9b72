//! Barrier: entered and returned; and the barrier inside the destroy, which shows by the works that it
//! flushes.

use aya_ebpf::{
    helpers::bpf_get_current_comm,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use krcu_common::{
    BarrierKind, Kind,
    wire::{Barrier, COMM_BYTES, FLUSHES_UNKNOWN},
};

use super::{Hot, argument, first, nested};
use crate::{
    maps::DESTROYING,
    ring::{Wake, emit, task},
    site::site,
};

/// Entry of `rcu_barrier()`.
#[fentry]
pub fn rcu_barrier_begin(context: FEntryContext) -> i32 {
    begin(&context, BarrierKind::Rcu, 0)
}

/// Return of `rcu_barrier()`.
#[fexit]
pub fn rcu_barrier_end(_context: FExitContext) -> i32 {
    end(BarrierKind::Rcu, 0)
}

/// Entry of `kvfree_rcu_barrier()`.
#[fentry]
pub fn kvfree_barrier_begin(context: FEntryContext) -> i32 {
    begin(&context, BarrierKind::Kvfree, 0)
}

/// Return of `kvfree_rcu_barrier()`.
#[fexit]
pub fn kvfree_barrier_end(_context: FExitContext) -> i32 {
    end(BarrierKind::Kvfree, 0)
}

/// Entry of `kvfree_rcu_barrier_on_cache(cache)`.
#[fentry]
pub fn kvfree_on_cache_begin(context: FEntryContext) -> i32 {
    begin(&context, BarrierKind::KvfreeOnCache, argument(&context, 0))
}

/// Return of `kvfree_rcu_barrier_on_cache()`.
#[fexit]
pub fn kvfree_on_cache_end(context: FExitContext) -> i32 {
    end(BarrierKind::KvfreeOnCache, argument(&context, 0))
}

/// Who calls it decides for whom it counts: barriers are rare, so each has its stack.
#[inline(always)]
fn begin(context: &FEntryContext, barrier: BarrierKind, cache: u64) -> i32 {
    let comm = bpf_get_current_comm().unwrap_or_default();
    told(Kind::BarrierBegin, barrier, cache, site(context, Kind::BarrierBegin), comm)
}

#[inline(always)]
fn end(barrier: BarrierKind, cache: u64) -> i32 {
    told(Kind::BarrierEnd, barrier, cache, 0, [0; COMM_BYTES])
}

#[inline(always)]
fn told(kind: Kind, barrier: BarrierKind, cache: u64, site: u32, comm: [u8; COMM_BYTES]) -> i32 {
    // SAFETY: only this task changes its entry, and the value is copied at once.
    let flushed = unsafe { DESTROYING.get(task()) }.copied().unwrap_or(0);
    let rcu_works_flushed = if flushed == FLUSHES_UNKNOWN { 0 } else { flushed };
    emit::<Barrier>(kind, Wake::Now, |body| {
        body.write(Barrier { cache, barrier: barrier as u32, rcu_works_flushed, site, reserved: 0, comm });
    });
    0
}

/// Entry of `flush_rcu_work()`. Newer kernels inline the barrier into the destroy. All that is left to see of
/// it is that it calls this function twice for every possible CPU.
#[fentry]
pub fn rcu_work_flushed(context: FEntryContext) -> i32 {
    first(Hot::RcuWorkFlushed, &context, work_flushed)
}

/// The second copy of `rcu_work_flushed`.
#[fentry]
pub fn rcu_work_flushed_nested(context: FEntryContext) -> i32 {
    nested(Hot::RcuWorkFlushed, Kind::ShutdownBegin, &context, work_flushed)
}

#[inline(always)]
fn work_flushed() {
    let task = task();
    // SAFETY: only this task changes its entry, and the value is copied at once.
    if let Some(flushed) = unsafe { DESTROYING.get(task) }.copied()
        && flushed != FLUSHES_UNKNOWN
    {
        let _ = DESTROYING.insert(task, flushed + 1, 0);
    }
}
