//! Short: the way of the hottest programs to an object's cache. A call that is not streamed is counted and over after some
//! fifty instructions, so this file counts each.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{EbpfContext, programs::FEntryContext};
use krcu_common::config::{READ_ONLY_CAST_MARK, SHORT_WAY_MARK};

use crate::{
    config,
    kernel::{IS_KMALLOC, IS_STREAMED, SHORT_WAY, by_line, head_of, remembered_bits},
    patched::patched,
    ring::count_one_and_end,
};

/// The context of a program, in a register that calls may change.
///
/// A register that no call may change would cost more: a program that uses one saves first what it found there. The
/// kernel knows that its function for [`READ_ONLY_CAST_MARK`] leaves the third register alone, and takes the store before
/// the call and the load after it out of the program (`bpf_fastcall`, Linux 6.12 and later).
///
/// The compiler does not know of that place on the stack. So such a program must have nothing else there, and a test of
/// the agent holds it to that. The kernel wants what is nearest to the call in the lowest place that the program has.
pub struct Context(*mut c_void);

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

impl Context {
    #[inline(always)]
    pub fn of(context: &FEntryContext) -> Context {
        let kept: *mut c_void;
        // The compiler would put it there as late as it can, and then move it twice.
        // SAFETY: a copy.
        unsafe {
            asm!("r3 = r1", in("r1") context.as_ptr(), out("r3") kept, options(pure, readonly, nostack))
        };
        Context(kept)
    }

    #[inline(always)]
    pub fn as_ptr(&self) -> *mut c_void {
        self.0
    }

    /// The `n`th argument in this context, as [`argument`](crate::probes::argument) gives it.
    #[inline(always)]
    pub fn argument(&mut self, words: Words, context: &FEntryContext, n: usize) -> u64 {
        self.word(words, context.as_ptr() as u64, n)
    }

    /// The word of this number at a kernel address; 0 if it cannot be read.
    #[inline(always)]
    fn word(&mut self, words: Words, address: u64, number: usize) -> u64 {
        let place: *const u64;
        // SAFETY: the agent has put the kernel's function in the place of the mark. The function returns the address.
        unsafe {
            asm!(
                "*(u64 *)(r10 - 16) = r3",
                "call {mark}",
                "r3 = *(u64 *)(r10 - 16)",
                mark = const READ_ONLY_CAST_MARK,
                inout("r1") address => _,
                inout("r2") words.0 => _,
                inout("r3") self.0,
                out("r0") place,
                out("r4") _,
                out("r5") _,
            );
        }
        // SAFETY: the kernel checks the address and catches a fault.
        unsafe { place.add(number).read_volatile() }
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
    context: &mut Context,
    words: Words,
    object: impl Fn(&FEntryContext) -> u64,
) -> Option<u64> {
    let lead_at =
        |context: &Context| by_line(object(&FEntryContext::new(context.as_ptr()))).wrapping_add(way());
    let at = lead_at(context);
    let lead = context.word(words, at, 0);
    if let Some(cache) = asked::<WORD>(lead) {
        return Some(cache);
    }
    // The lead lies a few bytes into its page. If a mask gives the head, that does not matter: the mask
    // clears these bits.
    let head = head_of(lead_at(context), lead)?;
    asked::<WORD>(context.word(Words::again(), head + u64::from(config!(slab_cache_offset)), 0))
}

/// Reads [`SHORT_WAY`]. The compiler would keep its address for the second time, in a register that has to be saved.
#[inline(always)]
fn way() -> u64 {
    let place: *const u64;
    // SAFETY: the address of a static.
    unsafe {
        asm!("{place} = {way} ll", place = out(reg) place, way = sym SHORT_WAY, options(nomem, nostack))
    };
    // SAFETY: as above.
    unsafe { place.read_volatile() }
}

/// The cache at this address, if it is known as a streamed one. If it is known as a kmalloc cache, the program ends.
#[inline(always)]
fn asked<const WORD: usize>(cache: u64) -> Option<u64> {
    let bits = remembered_bits(cache);
    const { assert!(IS_KMALLOC == 1) };
    count_one_and_end::<WORD>(bits);
    (bits == IS_STREAMED).then_some(cache)
}
