//! A trace: one run of krcu in a folder `NAME.krcu/`, to be read after the recorder and the kernel are gone.
//!
//! The events are in Arrow IPC streams, `events-00000.arrows` and so on, in the order in which the model took
//! them, including losses. [`Reader::events`] returns them, and the same step gives the same verdicts. Each
//! stream has an index, `events-00000.index`, with a line for each batch. The line has a checksum of the
//! batch's bytes, and is written after the batch was given to the system. A batch without a line was cut off;
//! a batch that does not match its line is not read. `meta.json` says what was recorded, where, and how the
//! recording ended. A recorder that was killed never wrote the end, so its trace counts as one without a
//! goodbye.
//!
//! Only [`schema`] knows the columns; `docs/trace-format.md` is made from it.
//!
//! What is absent here: clocks, threads, the meaning of events, polars and aya.

mod accounted;
mod cells;
mod column;
mod decode;
pub mod dictionary;
pub mod disk;
mod encode;
pub mod error;
mod guard;
mod index;
mod layout;
pub mod meta;
mod packed;
pub mod private;
mod reader;
mod salvage;
pub mod schema;
mod segment;
pub mod stream;
mod writer;

pub use accounted::Accounted;
pub use error::{Place, Reason, TraceError};
pub use meta::{End, How, Meta};
pub use reader::{Events, Reader};
pub use salvage::{Part, Salvage};
pub use writer::{CutShort, Limits, Writer};

/// Version of the folder's layout and of the columns. It changes when a reader of the previous version would
/// misread what is written.
pub const FORMAT: u32 = 1;

/// The oldest version of the probes' events ([`krcu_common::ABI_VERSION`]) that is read. Before version 4 a barrier does not
/// say who called it, and only callbacks with a head in an object are told.
pub const OLDEST_ABI: u32 = 3;

/// Whether events of this version of the probes are read.
fn is_readable(abi: &str) -> bool {
    abi.parse().is_ok_and(|abi: u32| (OLDEST_ABI..=krcu_common::ABI_VERSION).contains(&abi))
}
