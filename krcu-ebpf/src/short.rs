//! Short: the way of the hottest programs to an object's cache. A call that is not streamed is counted and over after some
//! fifty instructions, so this file counts each.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{EbpfContext, bindings::bpf_func_id::BPF_FUNC_get_stackid, programs::FEntryContext};
use krcu_common::config::{READ_ONLY_CAST_MARK, SHORT_WAY_MARK};

use crate::{
    config,
    kernel::{IS_KMALLOC, IS_STREAMED, MEMORY, Place, SHORT_WAY, by_line, head_of, remembered_bits},
    maps::STACKS,
    patched::patched,
    ring::count_one_and_end,
    site::StackTaken,
};

/// What a program keeps in registers that calls may change: its context, and the address of [`MEMORY`].
///
/// Registers that no call may change would cost more: a program that uses one saves first what it found there. The
/// kernel knows that its function for [`READ_ONLY_CAST_MARK`] leaves these alone, and takes the stores before the call and
/// the loads after it out of the program (`bpf_fastcall`, Linux 6.12 and later).
///
/// The compiler does not know of these places on the stack. So such a program must have nothing else there, and a test of
/// the agent holds it to that. The kernel wants what is nearest to the call in the lowest place that the program has, and
/// every call has as many places, so that the program needs none for the kernel but those of [`Kept::stack`].
pub struct Kept {
    context: *mut c_void,
    memory: *const Place,
}

/// The type that words are read as, where there is a short way.
#[derive(Clone, Copy)]
pub struct Words(u64);

impl Words {
    /// Loads it once more: that is as short as keeping it, and needs no register.
    #[inline(always)]
    pub fn again() -> Words {
        Words(patched::<SHORT_WAY_MARK>())
    }
}

impl Kept {
    #[inline(always)]
    pub fn of(context: &FEntryContext) -> Kept {
        let (kept, memory): (*mut c_void, *const Place);
        // The compiler would put these there as late as it can, and the first then moves twice.
        // SAFETY: a copy, and the address of a static.
        unsafe {
            asm!(
                "r3 = r1",
                "r5 = {memory} ll",
                in("r1") context.as_ptr(),
                memory = sym MEMORY,
                out("r3") kept,
                out("r5") memory,
                options(pure, readonly, nostack),
            )
        };
        Kept { context: kept, memory }
    }

    #[inline(always)]
    pub fn as_ptr(&self) -> *mut c_void {
        self.context
    }

    /// The context, for reading arguments from it.
    #[inline(always)]
    pub fn context(&self) -> FEntryContext {
        FEntryContext::new(self.context)
    }

    /// The `n`th argument in this context, as [`argument`](crate::probes::argument) gives it. `context` is the same one.
    #[inline(always)]
    pub fn argument(&mut self, words: Words, context: *mut c_void, n: usize) -> u64 {
        self.word(words, context as u64, n)
    }

    /// The word of this number at a kernel address; 0 if it cannot be read.
    #[inline(always)]
    fn word(&mut self, words: Words, address: u64, number: usize) -> u64 {
        let place: *const u64;
        // SAFETY: the agent has put the kernel's function in the place of the mark. The function returns the address.
        unsafe {
            asm!(
                "*(u64 *)(r10 - 24) = r5",
                "*(u64 *)(r10 - 32) = r3",
                "call {mark}",
                "r3 = *(u64 *)(r10 - 32)",
                "r5 = *(u64 *)(r10 - 24)",
                mark = const READ_ONLY_CAST_MARK,
                inout("r1") address => _,
                inout("r2") words.0 => _,
                inout("r3") self.context,
                inout("r5") self.memory,
                out("r0") place,
                out("r4") _,
            );
        }
        // SAFETY: the kernel checks the address and catches a fault.
        unsafe { place.add(number).read_volatile() }
    }

    /// The number of the current stack, and the context and another number as they were before. This is taken here and not
    /// in a sub-program, which would be one more frame on the stack: the kernel needs some 800 instructions for each.
    #[inline(always)]
    pub fn stack(self, number: u64) -> (StackTaken, *mut c_void, u64) {
        let (taken, context, kept);
        // SAFETY: the helper reads the stack only, and the compiler has nothing in these places of it.
        unsafe {
            asm!(
                "*(u64 *)(r10 - 8) = r3",
                "*(u64 *)(r10 - 16) = r4",
                "r1 = r3",
                "r2 = {stacks} ll",
                "r3 = 0",
                "call {stack}",
                "r1 = *(u64 *)(r10 - 8)",
                "r3 = *(u64 *)(r10 - 16)",
                stacks = sym STACKS,
                stack = const BPF_FUNC_get_stackid,
                out("r0") taken,
                out("r1") context,
                out("r2") _,
                inout("r3") self.context => kept,
                inout("r4") number => _,
                out("r5") _,
            );
        }
        (StackTaken(taken), context, kept)
    }
}

/// The type that words are read as, or what `long` answers if there is no short way. Where there is one, the verifier never
/// comes to this call, and takes the question out of the program.
#[inline(always)]
pub fn words_or(long: impl FnOnce() -> i32) -> Result<Words, i32> {
    match Words::again() {
        Words(0) => {
            long();
            let answer;
            // Something that is done here only. Otherwise the compiler may jump from here to another call that does the same.
            // SAFETY: sets a register.
            unsafe { asm!("{answer} = 0", answer = out(reg) answer, options(nomem, nostack)) };
            Err(answer)
        }
        words => Ok(words),
    }
}

/// The cache of an object, if it is known as a streamed one. If it is known as a kmalloc cache, the call is counted in the
/// word `WORD` of this CPU's line, and *the program ends here*. `None` means nothing.
///
/// For an object outside of the direct map, or before the way is known, this reads some other memory, or
/// none. If that memory happens to hold the address of a kmalloc cache, the object is counted as one of that
/// cache and not streamed, which is right. If it holds the address of a streamed cache, the caller that
/// streams the object must ask [`is_in_direct_map`](crate::kernel::is_in_direct_map).
#[inline(always)]
pub fn streamed_or_counted<const WORD: usize>(
    kept: &mut Kept,
    words: Words,
    object: impl Fn(&FEntryContext) -> u64,
) -> Option<u64> {
    let lead_at = |kept: &Kept| by_line(object(&kept.context())).wrapping_add(kept.way());
    let at = lead_at(kept);
    let lead = kept.word(words, at, 0);
    if let Some(cache) = kept.asked::<WORD>(lead) {
        return Some(cache);
    }
    // The lead lies a few bytes into its page. If a mask gives the head, that does not matter: the mask
    // clears these bits.
    let head = head_of(lead_at(kept), lead)?;
    let cache = kept.word(Words::again(), head + u64::from(config!(slab_cache_offset)), 0);
    kept.asked::<WORD>(cache)
}

impl Kept {
    /// The number of [`SHORT_WAY`].
    #[inline(always)]
    fn way(&self) -> u64 {
        // SAFETY: a word of the first place.
        unsafe { self.memory.cast::<u64>().add(SHORT_WAY).read_volatile() }
    }

    /// The cache at this address, if it is known as a streamed one. If it is known as a kmalloc cache, the program ends.
    #[inline(always)]
    fn asked<const WORD: usize>(&self, cache: u64) -> Option<u64> {
        // SAFETY: the address of the memory.
        let bits = unsafe { remembered_bits(self.memory, cache) };
        const { assert!(IS_KMALLOC == 1) };
        count_one_and_end::<WORD>(bits);
        (bits == IS_STREAMED).then_some(cache)
    }
}
