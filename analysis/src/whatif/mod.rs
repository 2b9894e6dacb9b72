//! What-if: what each approach would have cost the recorded workload.
//!
//! [`Gather`] watches the replay and notes who queued and destroyed what and when, and how long grace periods, frees and
//! workers took. Of each stretch of the trace it makes a [`krcu_report::Question`], as an agent does. The reference machine
//! answers it under each approach.

mod frame;
mod gather;
mod run;
mod stretch;
pub mod words;

pub use frame::{below, for_a_person, frame, inputs_of, rows_of};
pub(crate) use frame::{named, no_rows};
pub use gather::Gather;
pub use run::{Answer, Question, ask};
pub use stretch::Asked;

/// Why a trace cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    /// No destroy looked at its slabs.
    #[error(
        "no cache was destroyed in this trace: there is nothing that an approach would have done otherwise"
    )]
    NoDestroy,
    /// There are more caches or CPUs than a machine can number, or more than was allowed.
    #[error("{what}: {found}, and at most {limit} can be simulated")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The deferred frees cannot be kept, or read again.
    #[error("the deferred frees of this trace cannot be kept")]
    Tables(#[from] crate::tables::TablesError),
    /// The machine refuses the workload.
    #[error("the workload of this trace cannot be run")]
    Workload(#[from] krcu_reference::simulate::WorkloadError),
    /// No approach has such a name.
    #[error("no approach is called {0:?}: `--approach` takes a part of a name that the table prints")]
    NoApproach(String),
}
