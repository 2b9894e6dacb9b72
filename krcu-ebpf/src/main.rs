//! krcu's probes: what the kernel says of caches, of the deferred frees of their objects, and of the
//! barriers that wait for them.
//!
//! One file under `probes/` for each word of the life that is watched; `kernel` has every read of
//! kernel memory, `ring` the one way out and the account of what found no room, `maps` every map with
//! the reason for its size, `site` the stacks.
//!
//! What is absent here: any decision about what an event means, and any number of one kernel.

#![no_std]
#![no_main]
#![feature(core_intrinsics, asm_experimental_arch)]
#![allow(internal_features)]

mod kernel;
mod maps;
mod probes;
mod ring;
mod site;

/// The programs call helpers that the kernel gives only to code under its own licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Reached by no program: the verifier refuses one that could.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
