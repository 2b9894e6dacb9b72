//! Verdict: what follows from a destroy, or for whoever broke a promise.
//!
//! `decide` chooses the word, with the rules of `failed` and `emptied`; `loss` says what hangs on what went unseen, and
//! `accuse` what the kernel broke. What they give is a [`Decision`], a value; `gather` adds the [`Evidence`].

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
