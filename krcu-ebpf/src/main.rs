//! krcu's probes: they report caches, the deferred frees of their objects, and the barriers that wait for
//! these frees.
//!
//! `probes/` has one file for each word of an object's life. `kernel` has every read of kernel memory. `ring`
//! is the only way out, and counts what found no room. `maps` has every map, with the reason for its size.
//! `site` has the stacks.
//!
//! Absent here: any decision about the meaning of an event, and any number of one kernel.

#![no_std]
#![no_main]
#![feature(core_intrinsics, asm_experimental_arch)]
#![allow(internal_features)]

mod cell;
mod followed;
mod kernel;
mod leftover;
mod maps;
mod patched;
mod probes;
mod ring;
mod short;
mod site;

/// The programs call helpers that the kernel gives only to code under its own licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// No program can reach this: the verifier refuses a program that could.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
