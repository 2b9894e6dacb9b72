//! Ship: the traces of a host, brought to the folder of a fleet.
//!
//! [`layout`] says where a trace lies in a fleet, and [`done`] when it is whole. [`sender`] brings finished traces there, to a
//! folder ([`folder`]) or to an object store (`store`, with the feature `s3`). It needs no privilege but to read the traces.
//!
//! What is absent here: opinions on events, polars, and anything that changes a trace or deletes it.

#![forbid(unsafe_code)]

pub mod cli;
pub mod destination;
pub mod done;
pub mod folder;
pub mod layout;
pub mod metrics;
pub mod sender;
#[cfg(feature = "s3")]
pub mod store;
