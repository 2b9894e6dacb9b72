//! The voice: what krcu shows to people, what goes over the socket, and the sentences of a verdict
//! ([`words`]).
//!
//! A server writes lines of JSON, each of them a [`Line`]: first a [`Hello`], then [`Report`]s. It writes the
//! newest report whenever the client has room for one, and at least one report in each
//! [`Hello::interval_ms`], so that silence means trouble. A client writes one line, an [`Ask`], of at most
//! [`MOST_ASK_BYTES`] bytes. It may write another one later; the last one is valid.
//!
//! A report has totals and ages, never rates: a client computes rates from two reports, so a report that it
//! did not get loses nothing. Everything in a report has a bound ([`Bounds`]), and what was left out is
//! counted.
//!
//! [`Reporter`] sees each event before [`State::step`](krcu_model::State::step) takes it and makes reports of
//! the state. The agent has one beside its state, and so has a replay of a trace, so both show the same. Its
//! memory has a bound.
//!
//! What is absent here: files, sockets and clocks. The caller gives it what only an agent knows
//! ([`Outside`]).

#![forbid(unsafe_code)]

mod barriers;
mod caches;
mod flat;
pub mod gather;
mod hello;
mod histogram;
mod question;
mod reporter;
mod rows;
mod tally;
mod verdicts;
mod why;
pub mod words;
mod workload;

pub use barriers::{BarrierCall, BarrierRow, FinishedBarrier, WaitKind};
pub use caches::{CachePhase, CacheRow};
pub use flat::{FlatVerdict, verdicts};
pub use hello::{Ask, Bounds, Detail, Hello, Line, MOST_ASK_BYTES, Refused, SCHEMA, Version};
pub use histogram::{BOUNDS_NS, Histogram};
pub use question::{
    AskedCache, AskedDestroy, Bystander, DeferredFree, KernelBarrier, LeftOut, Question, Took, TookGrace,
    Unseen,
};
pub use reporter::Reporter;
pub use rows::{Accounts, LossRow, Outside, ProbeRow, ProbeState, Report, Ring, SinkRow, SinkState};
pub use tally::{EventWord, Events};
pub use verdicts::VerdictRow;
pub use why::{GraceRow, Held, Holder, OldestRow, WaitsFor};
