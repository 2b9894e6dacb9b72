//! Patched: numbers of the configuration that the agent puts into the instructions of the programs that run most. Reading them
//! from read-only data would take two instructions.

use core::arch::asm;

use krcu_common::config::{PLAIN_BYTES_MARK, PLAIN_MARK};

/// A number of [`CONFIG`](crate::kernel::CONFIG), by one instruction: the agent puts the number in the place of `mark`. The
/// verifier removes code that the number makes unreachable.
#[inline(always)]
pub fn patched<const MARK: u32>() -> u64 {
    let number;
    // This is not "pure": loading the number again is as short as keeping it, and saves no register.
    // SAFETY: sets a register.
    unsafe {
        asm!("{number} = {mark}", number = out(reg) number, mark = const MARK, options(nomem, nostack))
    };
    number
}

/// Shifts a number to the right by a number of [`CONFIG`](crate::kernel::CONFIG), by one instruction.
#[inline(always)]
pub fn shifted<const MARK: u32>(mut number: u64) -> u64 {
    // SAFETY: arithmetic; the agent puts a number below 64 in the place of the mark.
    unsafe {
        asm!("{number} >>= {mark}", number = inout(reg) number, mark = const MARK, options(pure, nomem, nostack))
    };
    number
}

/// The same, bringing in the highest bit.
#[inline(always)]
pub fn shifted_signed<const MARK: u32>(mut number: u64) -> u64 {
    // SAFETY: as above.
    unsafe {
        asm!("{number} s>>= {mark}", number = inout(reg) number, mark = const MARK, options(pure, nomem, nostack))
    };
    number
}

/// Whether a callback is surely a function of the kernel's own and no callback of `queue_rcu_work()`. Most are, and
/// this is the shortest question that tells. All text is in the upper 2 GiB, so the lower half of its address is enough.
///
/// The agent puts numbers in the place of both marks, in the sum and in the comparison.
#[inline(always)]
pub fn is_plain(function: u64) -> bool {
    (function as u32).wrapping_add(PLAIN_MARK) < PLAIN_BYTES_MARK
}
