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

use crate::ring::Row;

/// A run of the first copy of a program on a function that interrupts call as well.
///
/// The kernel does not run a program on a CPU that is running it already, so a call in an interrupt that
/// hits such a run would go unseen. Each of these is attached twice: the second copy does the work where
/// the first one is running, and nothing elsewhere. They tell each other by a word in the row of their kind.
#[inline(always)]
pub fn first(kind: Kind, work: impl FnOnce(&Row)) -> i32 {
    let Some(row) = Row::of(kind) else { return 0 };
    // SAFETY: the row's word; volatile, so that an interrupt sees the store where it stands.
    unsafe { row.running().write_volatile(1) };
    work(&row);
    // SAFETY: as above.
    unsafe { row.running().write_volatile(0) };
    0
}

/// A run of a second copy.
#[inline(always)]
pub fn nested(kind: Kind, work: impl FnOnce(&Row)) -> i32 {
    let Some(row) = Row::of(kind) else { return 0 };
    // SAFETY: the row's word.
    if unsafe { row.running().read_volatile() } != 0 {
        row.count(Fate::Nested);
        work(&row);
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

/// The `n`th argument of the traced function, one that has no type the verifier would know: `void *` or a number.
#[inline(always)]
pub fn untyped_argument<Context: EbpfContext>(context: &Context, n: usize) -> u64 {
    // SAFETY: the context is an array of the arguments; the verifier knows how many there are.
    unsafe { context.as_ptr().cast::<u64>().add(n).read_volatile() }
}
