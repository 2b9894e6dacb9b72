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

/// Programs on functions that interrupts call as well.
///
/// The kernel does not run a program on a CPU that is running it already, so a call in an interrupt that
/// hits such a run would go unseen. Each of these is attached twice: the second copy does the work where
/// the first one is running, and nothing elsewhere.
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
}

/// How many there are.
pub const HOTS: u32 = 4;

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
