//! The programs, one file for each word of the life that is watched.

mod barrier;
mod cache;
mod free;
mod module;
mod queue;

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_func_arg};

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
