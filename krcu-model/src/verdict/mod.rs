//! Verdict: the result about a destroy, or about a broken promise.
//!
//! `decide` chooses the word, with the rules of `failed` and `emptied`. `loss` says which verdicts depend on
//! unseen events, and `accuse` says what the kernel broke. Their result is a [`Decision`], a value, and
//! `gather` adds the [`Evidence`].

pub mod accuse;
mod case;
mod decide;
pub(crate) mod decision;
mod emptied;
mod evidence;
mod failed;
mod gather;
pub(crate) mod kind;
mod loss;
mod note;
pub mod reason;
mod unload;

pub use self::{
    decide::{of_destroy, verdicts},
    decision::{About, Decision, Left, Verdict, Waited},
    evidence::{
        AboutCache, CallbackCount, CpuCount, DeferredFrees, Destroyed, DestroyedBy, Evidence, KernelSaid,
        LateFrees, LuckyBarrier, SiteCount,
    },
    kind::{KernelResult, Ordering, VerdictKind},
    note::{Note, OfLeft, Unseen},
    unload::{of_abandoned, of_unload},
};
pub use crate::state::freed_by::FreedBy;
