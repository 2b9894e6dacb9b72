//! A trace: one run of krcu in a folder `NAME.krcu/`, which outlives the recorder and the kernel.
//!
//! The events lie in Arrow IPC streams, `events-00000.arrows` and on, in the very order in which the model
//! took them, gaps included: [`Reader::events`] gives them back, and the same step comes to the same verdicts.
//! Beside each stream lies its index, `events-00000.index`: a line for each batch, written when the batch is
//! on its way to the disk, with a checksum of its bytes. What has no line was cut off; what does not match
//! its line is not read. `meta.json` says what was recorded where, and how it ended; a recorder that
//! was killed never wrote that, and so its trace says that it ends without a goodbye.
//!
//! [`schema`] is the one place that knows the columns; `docs/trace-format.md` is made from it.
//!
//! What is absent here: a clock, a thread, an opinion on what an event means, polars and aya.

mod accounted;
mod column;
mod decode;
pub mod dictionary;
mod encode;
pub mod error;
mod guard;
mod index;
mod layout;
pub mod meta;
mod reader;
pub mod schema;
mod segment;
mod writer;

pub use accounted::Accounted;
pub use decode::Batch;
pub use error::{Place, Reason, TraceError};
pub use meta::{End, How, Meta};
pub use reader::{Batches, Events, Reader};
pub use writer::{CutShort, Limits, Writer};

/// Version of the folder's layout and of the columns. It changes when what is written would be misread by
/// a reader of the version before.
pub const FORMAT: u32 = 1;

/// The oldest version of the probes' events ([`krcu_common::ABI_VERSION`]) that is read. Before version 4 a barrier does not
/// say who called it, and only callbacks with a head in an object are told.
pub const OLDEST_ABI: u32 = 3;

/// Whether events of this version of the probes are read.
fn is_readable(abi: &str) -> bool {
    abi.parse().is_ok_and(|abi: u32| (OLDEST_ABI..=krcu_common::ABI_VERSION).contains(&abi))
}
