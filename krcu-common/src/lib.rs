//! What the probes and the agent share: the layout of an event, the way to read one, and the configuration
//! that the agent gives to the probes.
//!
//! Both sides use the same definition. `zerocopy` refuses to compile a wire structure with padding, [`wire`]
//! asserts each size, and [`ABI_VERSION`] changes with any of them.
//!
//! What is absent here: anything that allocates, anything that knows aya, anything that decides.

#![no_std]
#![forbid(unsafe_code)]

pub mod check;
pub mod config;
pub mod count;
pub mod decode;
mod kind;
pub mod wire;

pub use config::Config;
pub use count::Fate;
pub use decode::{DecodeError, decode};
pub use kind::{Concern, Kind};
pub use wire::{BarrierKind, Flavour, FreePath, QueueForm};

/// Version of the event layout and of [`Config`]; the agent refuses a probe object of another one.
pub const ABI_VERSION: u32 = 5;
