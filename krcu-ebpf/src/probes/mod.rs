//! The programs, one file for each word of the life that is watched.

mod barrier;
mod cache;
mod callback;
mod free;
mod grace;
mod module;
mod queue;

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_func_arg};
use krcu_common::{Fate, Kind};

use crate::{maps::RUNNING, ring::count};

/// Programs that a CPU may have to run while it is running them.
///
/// The kernel does not run a program on a CPU that is running it already. That CPU may be interrupted, or,
/// where the kernel can be preempted, be given to another task: what hits such a run would go unseen. Each of
/// these is attached twice: the second copy does the work where the first one is running, and nothing
/// elsewhere, at a return as at an entry. What hits a run of the second as well, or the few instructions
/// in which the first is not yet, or not any more, marked as running, is missed, and the kernel counts it.
///
/// Not here are programs that meet themselves nowhere (under `slab_mutex`, in the one thread of the grace
/// periods, in softirqs alone), and short ones that only tasks run: they would have to lose the CPU within a
/// microsecond to a task that does the same.
#[derive(Clone, Copy)]
pub enum Hot {
    /// `queued`
    Queued = 0,
    /// `callback_queued`
    CallbackQueued = 1,
    /// `freed_single`
    FreedSingle = 2,
    /// `callback_runs`
    CallbackRuns = 3,
    /// `queued_nolock`, in any context
    QueuedNolock = 4,
    /// `callback_queued_hurry`
    CallbackQueuedHurry = 5,
    /// `freed_bulk`, which goes over thousands of objects
    FreedBulk = 6,
    /// `freed_array`, as long, on a function that interrupts call for caches of their own
    FreedArray = 7,
    /// `freed_array_end`
    FreedArrayEnd = 8,
    /// `cache_created`, which may have a stack to put into words
    CacheCreated = 9,
    /// `destroy_begin`, likewise
    DestroyBegin = 10,
    /// `shutdown_end`, which walks slabs, on a function that everyone calls
    ShutdownEnd = 11,
    /// `rcu_work_flushed`: one call missed, and a destroy seems not to have waited
    RcuWorkFlushed = 12,
}

/// How many there are.
pub const HOTS: u32 = 13;

/// A run of a first copy.
#[inline(always)]
pub fn first(hot: Hot, work: impl FnOnce()) -> i32 {
    let Some(running) = RUNNING.get_ptr_mut(hot as u32) else { return 0 };
    // SAFETY: the map's value; volatile, so that an interrupt sees the store where it stands.
    unsafe { running.write_volatile(1) };
    work();
    // SAFETY: as above.
    unsafe { running.write_volatile(0) };
    0
}

/// A run of a second copy.
#[inline(always)]
pub fn nested(hot: Hot, kind: Kind, work: impl FnOnce()) -> i32 {
    // SAFETY: the map's value, copied at once.
    if RUNNING.get_ptr(hot as u32).is_some_and(|running| unsafe { running.read_volatile() } != 0) {
        count(kind, Fate::Nested);
        work();
    }
    0
}

/// The `n`th argument of the traced function, as a number.
///
/// By the helper and not from the context: the verifier gives a typed pointer there, on which it
/// refuses arithmetic, and refuses to read at all an argument that is a pointer to a function.
#[inline(always)]
pub fn argument<Context: EbpfContext>(context: &Context, n: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the helper writes eight bytes to `value`, or nothing.
    unsafe { bpf_get_func_arg(context.as_ptr(), n, &raw mut value) };
    value
}
