//! Barrier: entered and returned; and the barrier inside the destroy, which shows by the works that it
//! flushes.

use aya_ebpf::{
    helpers::bpf_get_current_comm,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use krcu_common::{
    BarrierKind, Flavour, Kind,
    wire::{Barrier, COMM_BYTES, FLUSHES_UNKNOWN},
};

use super::{
    Hot, argument, first, nested,
    queue::{srcu_flavour, work_waits},
};
use crate::{
    config, kernel,
    maps::{DESTROYING, WORKS},
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

/// Entry of `srcu_barrier(domain)`.
#[fentry]
pub fn srcu_barrier_begin(context: FEntryContext) -> i32 {
    let domain = argument(&context, 0);
    begin(&context, srcu_kind(domain), domain)
}

/// Return of `srcu_barrier()`.
#[fexit]
pub fn srcu_barrier_end(context: FExitContext) -> i32 {
    let domain = argument(&context, 0);
    let kind = srcu_kind(domain);
    end(kind, if kind == BarrierKind::Srcu { domain } else { 0 })
}

#[inline(always)]
fn srcu_kind(domain: u64) -> BarrierKind {
    if srcu_flavour(domain) == Flavour::Srcu { BarrierKind::Srcu } else { BarrierKind::TasksTrace }
}

/// Entry of `rcu_barrier_tasks_generic(tasks)`, or of `rcu_barrier_tasks()` where that is the only one and does it itself.
#[fentry]
pub fn tasks_barrier_begin(context: FEntryContext) -> i32 {
    begin(&context, tasks_kind(argument(&context, 0)), 0)
}

/// Return of the same.
#[fexit]
pub fn tasks_barrier_end(context: FExitContext) -> i32 {
    end(tasks_kind(argument(&context, 0)), 0)
}

#[inline(always)]
fn tasks_kind(tasks: u64) -> BarrierKind {
    match tasks {
        0 => BarrierKind::Tasks,
        rude if rude == config!(rcu_tasks_rude_address) => BarrierKind::TasksRude,
        trace if trace == config!(rcu_tasks_trace_address) => BarrierKind::TasksTrace,
        _ => BarrierKind::Tasks,
    }
}

/// Entry of `__flush_work(work, from_cancel)`, by which `cancel_work_sync()` waits, and `flush_work()` where that calls it. Only
/// works of modules are told of.
#[fentry]
pub fn work_flush_begin(context: FEntryContext) -> i32 {
    flush_begin(&context)
}

/// Return of `__flush_work()`.
#[fexit]
pub fn work_flush_end(context: FExitContext) -> i32 {
    flush_end(&context)
}

/// Entry of `flush_work(work)`. Some kernels have a copy of `__flush_work()` in it; where it calls that one, the flush is told
/// twice, the one inside the other.
#[fentry]
pub fn flush_work_begin(context: FEntryContext) -> i32 {
    flush_begin(&context)
}

/// Return of `flush_work()`.
#[fexit]
pub fn flush_work_end(context: FExitContext) -> i32 {
    flush_end(&context)
}

#[inline(always)]
fn flush_begin(context: &FEntryContext) -> i32 {
    let work = argument(context, 0);
    if !kernel::is_module_work(work) {
        return 0;
    }
    begin(context, BarrierKind::Work, told_as(work))
}

#[inline(always)]
fn flush_end(context: &FExitContext) -> i32 {
    let work = argument(context, 0);
    if !kernel::is_module_work(work) {
        return 0;
    }
    end(BarrierKind::Work, told_as(work))
}

/// The address by which a work was told that has not run, which of one of `queue_rcu_work()` is that of its head.
#[inline(always)]
fn told_as(work: u64) -> u64 {
    // SAFETY: the value is copied at once.
    unsafe { WORKS.get(work) }.copied().unwrap_or(work)
}

/// Entry of `__flush_workqueue(queue)`, which `flush_workqueue()`, `drain_workqueue()` and `destroy_workqueue()` call.
#[fentry]
pub fn workqueue_flush_begin(context: FEntryContext) -> i32 {
    begin(&context, BarrierKind::Workqueue, argument(&context, 0))
}

/// Return of `__flush_workqueue()`.
#[fexit]
pub fn workqueue_flush_end(context: FExitContext) -> i32 {
    end(BarrierKind::Workqueue, argument(&context, 0))
}

/// Return of `flush_rcu_work(rwork)`.
#[fexit]
pub fn rcu_work_flush_end(context: FExitContext) -> i32 {
    let work = argument(&context, 0);
    if !kernel::is_module_work(work) {
        return 0;
    }
    end(BarrierKind::RcuWork, work + u64::from(config!(rcu_work_head_offset)))
}

/// Who calls it decides for whom it counts: barriers are rare, so each has its stack.
#[inline(always)]
fn begin(context: &FEntryContext, barrier: BarrierKind, of: u64) -> i32 {
    work_waits();
    let comm = bpf_get_current_comm().unwrap_or_default();
    told(Kind::BarrierBegin, barrier, of, site(context, Kind::BarrierBegin), comm)
}

#[inline(always)]
fn end(barrier: BarrierKind, of: u64) -> i32 {
    told(Kind::BarrierEnd, barrier, of, 0, [0; COMM_BYTES])
}

#[inline(always)]
fn told(kind: Kind, barrier: BarrierKind, of: u64, site: u32, comm: [u8; COMM_BYTES]) -> i32 {
    // SAFETY: only this task changes its entry, and the value is copied at once.
    let flushed = unsafe { DESTROYING.get(task()) }.copied().unwrap_or(0);
    let rcu_works_flushed = if flushed == FLUSHES_UNKNOWN { 0 } else { flushed };
    emit::<Barrier>(kind, Wake::Now, |body| {
        body.write(Barrier { of, barrier: barrier as u32, rcu_works_flushed, site, reserved: 0, comm });
    });
    0
}

/// Entry of `flush_rcu_work(rwork)`. Newer kernels inline the barrier into the destroy. All that is left to see of
/// it is that it calls this function twice for every possible CPU.
#[fentry]
pub fn rcu_work_flushed(context: FEntryContext) -> i32 {
    first(Hot::RcuWorkFlushed, &context, || work_flushed(&context))
}

/// The second copy of `rcu_work_flushed`.
#[fentry]
pub fn rcu_work_flushed_nested(context: FEntryContext) -> i32 {
    nested(Hot::RcuWorkFlushed, Kind::ShutdownBegin, &context, || work_flushed(&context))
}

#[inline(always)]
fn work_flushed(context: &FEntryContext) {
    let work = argument(context, 0);
    if kernel::is_module_work(work) {
        begin(context, BarrierKind::RcuWork, work + u64::from(config!(rcu_work_head_offset)));
    }
    let task = task();
    // SAFETY: only this task changes its entry, and the value is copied at once.
    if let Some(flushed) = unsafe { DESTROYING.get(task) }.copied()
        && flushed != FLUSHES_UNKNOWN
    {
        let _ = DESTROYING.insert(task, flushed + 1, 0);
    }
}
