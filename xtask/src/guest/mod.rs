//! A test machine: what it boots into, how it is started, and how its output comes back.
//!
//! The shell files run inside the machine. `peer.rs` does as well: it is no module of this crate, but compiled by itself.

mod cpio;
mod initramfs;
pub(crate) mod monitor;
pub(crate) mod qemu;
mod stream;
pub(crate) mod vm;
