//! Sinks: where events go besides the model, as text, as a trace, or both, and how that went.

use krcu_model::{Event, event::Time};
use krcu_trace::{Accounted, Writer};

use crate::recording::{CutShort, Recording};

/// Where events go besides the model.
#[derive(Debug, Default)]
pub struct Sinks {
    /// As text, one line each.
    pub recording: Option<Recording>,
    /// As a trace.
    pub trace: Option<Writer>,
    /// An account that was taken, and is written when all events before it are: with the next one.
    pub account: Option<Accounted>,
}

/// How often what was lost is written down, in nanoseconds.
const ACCOUNT_EVERY_NS: u64 = 1_000_000_000;

/// What became of the events that were to be kept.
#[derive(Debug)]
pub struct Kept {
    /// Why they are not all in their file of text.
    pub cut_short: Option<CutShort>,
    /// The trace, which is still to be closed with what the run reports.
    pub trace: Option<Writer>,
}

impl Sinks {
    /// The next event.
    pub fn event(&mut self, event: &Event) {
        if let Some(recording) = &mut self.recording {
            recording.event(event);
        }
        if let Some(trace) = &mut self.trace {
            trace.event(event);
        }
    }

    /// It is this late.
    pub fn tick(&mut self, now: Time) {
        if let Some(trace) = &mut self.trace {
            trace.tick(now);
        }
    }

    /// Whether it is time to say what was lost.
    #[must_use]
    pub fn wants_account(&self, now: Time) -> bool {
        self.trace.is_some() && self.account.is_none_or(|before| now.since(before.at) >= ACCOUNT_EVERY_NS)
    }

    /// What the counters say now. The ring has been emptied many times since the account before this one, so
    /// every event that is older than that was taken.
    pub fn account(&mut self, now: Accounted) {
        if let (Some(trace), Some(before)) = (&mut self.trace, self.account.replace(now)) {
            trace.account(before);
        }
    }

    /// There are no more events.
    #[must_use]
    pub fn finish(self) -> Kept {
        let cut_short = self.recording.and_then(|recording| recording.finish().err());
        Kept { cut_short, trace: self.trace }
    }
}
