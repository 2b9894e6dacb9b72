//! Budget: when a simulation gives up.
//!
//! A workload comes from a trace, and a trace may be damaged or written by an enemy. A simulation of it must
//! end. This crate has no clock, so the caller says when the time is over.

use std::fmt;

/// What a simulation may use up. It ends with [`GaveUp`] if that is not enough.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// The most things that may become due.
    pub events: u64,
    /// Whether to end now: the time is over, or nobody waits for the answer any more. The simulation asks
    /// this often, so it must be cheap.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
}

/// The simulation asks once for this many events whether its time is over.
const ASKED_EVERY: u64 = 64;

/// Why a simulation ended before its workload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// It has used up its events.
    Events,
    /// The caller said so.
    Over,
    /// Its clock is at the greatest number: something takes as long as a clock can count.
    Clock,
}

impl Budget<'static> {
    /// So many events, in any time.
    #[must_use]
    pub const fn events(events: u64) -> Budget<'static> {
        Budget { events, is_over: &|| false }
    }
}

impl Budget<'_> {
    /// Whether a simulation has to give up that has done so many events, and whose clock says this.
    pub(super) fn ends(&self, done: u64, now_ns: u64) -> Option<GaveUp> {
        if now_ns == u64::MAX {
            Some(GaveUp::Clock)
        } else if done >= self.events {
            Some(GaveUp::Events)
        } else {
            (done.is_multiple_of(ASKED_EVERY) && (self.is_over)()).then_some(GaveUp::Over)
        }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("events", &self.events).finish_non_exhaustive()
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GaveUp::Events => "it may not take more events",
            GaveUp::Over => "it may not take more time",
            GaveUp::Clock => "something takes longer than its clock can count",
        })
    }
}
