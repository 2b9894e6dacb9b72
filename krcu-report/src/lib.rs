//! The voice: what a person who watches is shown, what goes over the socket, and the sentences of a verdict ([`words`]).
//!
//! A server writes lines of JSON, each a [`Line`]: first a [`Hello`], then [`Report`]s, the newest whenever the client
//! has room for one, and at least one each [`Hello::interval_ms`], so that silence means trouble. A client writes one
//! line, an [`Ask`], of at most [`MOST_ASK_BYTES`] bytes; it may write another one later, and the last one holds.
//!
//! A report has totals and ages, never rates: a client takes those from two reports, so that one which it never got
//! loses nothing. Everything in it is bounded ([`Bounds`]), and what was left out is counted.
//!
//! [`Reporter`] sees each event before [`State::step`](krcu_model::State::step) takes it and makes reports of the state. The
//! agent has one beside its state, and so has whoever replays a trace: both show the same. It keeps bounded memory.
//!
//! What is absent here: files, sockets and clocks. What only an agent knows ([`Outside`]) is handed in.

#![forbid(unsafe_code)]

mod barriers;
mod caches;
mod flat;
mod hello;
mod histogram;
mod question;
mod reporter;
mod rows;
mod tally;
mod verdicts;
pub mod words;
mod workload;

pub use barriers::{BarrierRow, FinishedBarrier, WaitKind};
pub use caches::{CachePhase, CacheRow};
pub use flat::{FlatVerdict, verdicts};
pub use hello::{Ask, Bounds, Detail, Hello, Line, MOST_ASK_BYTES, Refused, SCHEMA, Version};
pub use histogram::{BOUNDS_NS, Histogram};
pub use question::{AskedCache, AskedDestroy, DeferredFree, Question};
pub use reporter::Reporter;
pub use rows::{Accounts, Losses, Outside, ProbeRow, ProbeState, Report, Ring, SinkRow, SinkState};
pub use tally::{EventWord, Events};
pub use verdicts::VerdictRow;
