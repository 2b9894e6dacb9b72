//! The programs, one file for each word of an object's life.

mod allocate;
mod barrier;
mod cache;
mod callback;
mod check;
mod free;
mod grace;
mod module;
mod queue;

use core::arch::asm;

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_func_arg, programs::BtfTracePointContext};
use krcu_common::{Fate, Kind};

use crate::{
    kernel::read,
    maps::{DONE, DONE_HERE, DONE_HERE_PLACES, DONE_PLACES},
    ring::count,
};

/// Programs that a CPU may have to run while it is running them already.
///
/// The kernel does not run a program on a CPU that is running it already. But that CPU may be interrupted, or
/// a preemptible kernel may give it to another task; a call from there would not be seen. So each of these
/// programs is attached twice. The first copy runs first, and leaves a mark that it has done the work. The
/// second copy does the work if it finds no mark; this holds at returns as well as at entries. A call that
/// hits a run of each copy is missed, and the kernel counts it. A call is also missed if it finds an old mark
/// in its place, which stays when the first copy ran and the second was skipped.
///
/// Two kinds of programs are not here. Some can never meet themselves (they run under `slab_mutex`, in the
/// one grace-period thread, or in softirqs only). Others are short and run in tasks only: they would have to
/// lose the CPU within a microsecond to a task that does the same.
///
/// The programs of the queue are not here either. A queueing call that was not seen shows later, when its
/// object is freed or left (`krcu_model`, `Scope::Queueing`). A second copy would double the cost of each of
/// these calls.
#[derive(Clone, Copy)]
pub enum Hot {
    /// `freed_single`
    FreedSingle = 0,
    /// `callback_runs`
    CallbackRuns = 1,
    /// `freed_bulk`, which walks thousands of objects
    FreedBulk = 2,
    /// `freed_array`, which takes as long, at a function that interrupts call for their own caches
    FreedArray = 3,
    /// `freed_array_end`
    FreedArrayEnd = 4,
    /// `cache_created`, which may have to print a stack
    CacheCreated = 5,
    /// `destroy_begin`, for the same reason
    DestroyBegin = 6,
    /// `shutdown_end`, which walks slabs, at a function that many tasks call
    ShutdownEnd = 7,
    /// `rcu_work_flushed`: if one call is missed, a destroy seems not to have waited
    RcuWorkFlushed = 8,
    /// `allocated`
    Allocated = 9,
    /// `allocated_bulk`
    AllocatedBulk = 10,
    /// `freed_at_once`
    FreedAtOnce = 11,
    /// `freed_at_once_kfree`
    FreedAtOnceKfree = 12,
    /// `freed_at_once_bulk`
    FreedAtOnceBulk = 13,
}

/// A call, as the first copy marks it and the second copy looks for it.
struct Call {
    /// Distinguishes it from all other running calls: the program, and the address of the trampoline's frame,
    /// which both copies get.
    number: u64,
    here: *mut u64,
    anywhere: *mut u64,
}

impl Call {
    #[inline(always)]
    fn of<Context: EbpfContext>(hot: Hot, context: &Context) -> Option<Call> {
        // The difference of two pointers: the verifier allows no other arithmetic on one.
        let base = DONE.get_ptr(0)?;
        let frame = (context.as_ptr() as u64).wrapping_sub(base as u64);
        let hash = (frame >> 5 ^ frame >> 15) as u32;
        Some(Call {
            number: frame << 5 | hot as u64,
            here: DONE_HERE.get_ptr_mut(hash & (DONE_HERE_PLACES - 1))?,
            anywhere: DONE.get_ptr_mut(hash & (DONE_PLACES - 1))?,
        })
    }

    #[inline(always)]
    fn done(&self) {
        // SAFETY: these are values of maps. The accesses are volatile, so they have happened when the program
        // ends.
        unsafe {
            self.here.write_volatile(self.number);
            self.anywhere.write_volatile(self.number);
        }
    }

    /// Whether the first copy has left a mark. Removes the mark.
    #[inline(always)]
    fn was_done(&self) -> bool {
        // SAFETY: these are values of maps, as above.
        unsafe {
            let here = self.here.read_volatile() == self.number;
            let anywhere = self.anywhere.read_volatile() == self.number;
            if here {
                self.here.write_volatile(0);
            }
            if anywhere {
                self.anywhere.write_volatile(0);
            }
            here || anywhere
        }
    }
}

/// A run of a first copy.
#[inline(always)]
pub fn first<Context: EbpfContext>(hot: Hot, context: &Context, work: impl FnOnce()) -> i32 {
    work();
    // This comes last, so that no call in between takes the place.
    if let Some(call) = Call::of(hot, context) {
        call.done();
    }
    0
}

/// A run of a second copy. A call that comes in between has another frame, and so another number.
#[inline(always)]
pub fn nested<Context: EbpfContext>(hot: Hot, kind: Kind, context: &Context, work: impl FnOnce()) -> i32 {
    if Call::of(hot, context).is_some_and(|call| !call.was_done()) {
        count(kind, Fate::Nested);
        work();
    }
    0
}

/// The `n`th argument of the traced function, as a number.
///
/// The helper reads it, and not a load from the context. The verifier would take such a load for a typed
/// pointer, on which it refuses arithmetic, and it refuses to load a pointer to a function at all.
#[inline(always)]
pub fn argument<Context: EbpfContext>(context: &Context, n: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the helper writes eight bytes to `value`, or nothing.
    unsafe { bpf_get_func_arg(context.as_ptr(), n, &raw mut value) };
    value
}

/// The `n`th argument of the traced function, if the verifier knows no type for it: a `void *` or a number.
#[inline(always)]
pub fn untyped_argument<Context: EbpfContext>(context: &Context, n: usize) -> u64 {
    // SAFETY: the context is an array of the arguments; the verifier knows how many there are.
    unsafe { context.as_ptr().cast::<u64>().add(n).read_volatile() }
}

/// The `n`th argument of the traced function, a pointer with a type that the verifier knows, as a number.
#[inline(always)]
pub fn address_argument<Context: EbpfContext>(context: &Context, n: usize) -> u64 {
    let mut value = untyped_argument(context, n);
    // The verifier allows hardly any arithmetic on a typed pointer. It allows to order its bytes as the processor does, and
    // forgets then that the result is a pointer. They are in that order already, so this becomes no instruction at all.
    // SAFETY: arithmetic.
    unsafe { asm!("{value} = le64 {value}", value = inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The `n`th argument of a tracepoint, as a number. It is read like any memory, since loading it from the
/// context would give a typed pointer to the verifier.
#[inline(always)]
pub fn traced(context: &BtfTracePointContext, n: u64) -> u64 {
    read(context.as_ptr() as u64 + n * 8).unwrap_or(0)
}
