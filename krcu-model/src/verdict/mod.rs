//! Verdict: what follows from a destroy, or for whoever broke a promise, and the evidence that comes with it.
//!
//! `decide` chooses the word, `evidence` gathers the rest.

pub mod accuse;
mod advice;
mod decide;
mod evidence;
pub(crate) mod kind;
mod line;
mod loss;
pub mod reason;

pub use self::{
    decide::{of_destroy, verdicts},
    kind::{KernelResult, Ordering, VerdictKind},
    line::{CallbackCount, CpuCount, DestroyedBy, SiteCount, Verdict},
};
pub use crate::state::freed_by::FreedBy;
