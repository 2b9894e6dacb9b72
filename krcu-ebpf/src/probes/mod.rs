//! The programs, one file for each word of the life that is watched.

mod allocate;
mod barrier;
mod cache;
mod callback;
mod free;
mod grace;
mod module;
mod queue;

use core::arch::asm;

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_func_arg};
use krcu_common::{Fate, Kind};

use crate::{
    maps::{DONE, DONE_HERE, DONE_HERE_PLACES, DONE_PLACES},
    ring::count,
};

/// Programs that a CPU may have to run while it is running them.
///
/// The kernel does not run a program on a CPU that is running it already. That CPU may be interrupted, or,
/// where the kernel can be preempted, be given to another task: what hits such a run would go unseen. Each of
/// these is attached twice: the first copy, which runs before, leaves word that it has done the work, and the
/// second does it where it finds none, at a return as at an entry. What hits a run of either copy,
/// one of each, is missed, and the kernel counts it. So is a call that finds an old word of its own place,
/// which stays where the first copy ran and the second was skipped.
///
/// Not here are programs that meet themselves nowhere (under `slab_mutex`, in the one thread of the grace
/// periods, in softirqs alone), and short ones that only tasks run: they would have to lose the CPU within a
/// microsecond to a task that does the same.
///
/// Nor the programs of the queue. What a call queued that went unseen shows when it is freed, or by being
/// left (`krcu_model`, `Scope::Queueing`); and a second copy would cost each of these calls as much again.
#[derive(Clone, Copy)]
pub enum Hot {
    /// `freed_single`
    FreedSingle = 0,
    /// `callback_runs`
    CallbackRuns = 1,
    /// `freed_bulk`, which goes over thousands of objects
    FreedBulk = 2,
    /// `freed_array`, as long, on a function that interrupts call for caches of their own
    FreedArray = 3,
    /// `freed_array_end`
    FreedArrayEnd = 4,
    /// `cache_created`, which may have a stack to put into words
    CacheCreated = 5,
    /// `destroy_begin`, likewise
    DestroyBegin = 6,
    /// `shutdown_end`, which walks slabs, on a function that everyone calls
    ShutdownEnd = 7,
    /// `rcu_work_flushed`: one call missed, and a destroy seems not to have waited
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

/// A call, as the first copy leaves word of it and the second looks for it.
struct Call {
    /// What tells it from all others under way: the trampoline's frame, whose address both copies are given,
    /// and the program.
    number: u64,
    here: *mut u64,
    anywhere: *mut u64,
}

impl Call {
    #[inline(always)]
    fn of<Context: EbpfContext>(hot: Hot, context: &Context) -> Option<Call> {
        // A difference of two pointers, since the verifier lets nothing else be made of one.
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
        // SAFETY: values of maps; volatile, so that they are there when the program ends.
        unsafe {
            self.here.write_volatile(self.number);
            self.anywhere.write_volatile(self.number);
        }
    }

    /// Whether the first copy has left word, which is taken away.
    #[inline(always)]
    fn was_done(&self) -> bool {
        // SAFETY: values of maps, as above.
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
    // At the end, lest what comes in between takes the place.
    if let Some(call) = Call::of(hot, context) {
        call.done();
    }
    0
}

/// A run of a second copy. Whoever comes in between has another frame, and so another number.
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

/// The `n`th argument of the traced function, a pointer to something that the verifier knows, as a number.
#[inline(always)]
pub fn address_argument<Context: EbpfContext>(context: &Context, n: usize) -> u64 {
    let mut value = untyped_argument(context, n);
    // Of a typed pointer the verifier lets nothing be made but its negative, of which it then knows nothing.
    // SAFETY: arithmetic.
    unsafe {
        asm!("{value} = -{value}", "{value} = -{value}", value = inout(reg) value, options(pure, nomem, nostack))
    };
    value
}
