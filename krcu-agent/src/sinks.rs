//! Sinks: where events go besides the model, as text, as a trace, or both, and how that went.

use std::collections::BTreeMap;

use krcu_model::{
    Event,
    event::{FunctionAddress, LossReason, Site, Time, What},
};
use krcu_trace::{Accounted, Writer};

use crate::{
    events_file::{CutShort, EventsFile},
    losses::Reading,
};

/// Where events go besides the model.
#[derive(Debug, Default)]
pub struct Sinks {
    /// As text, one line each.
    pub events: Option<EventsFile>,
    /// As a trace.
    pub trace: Option<Writer>,
    /// An account that was taken, and is written when all events before it are: with the next one.
    pub account: Option<Accounted>,
    /// What a trace that begins later has to know of before; kept where traces follow each other.
    pub names: Option<Names>,
    /// What was counted before this trace began.
    pub base: Accounted,
}

/// Names that were sent once, and are not sent again.
#[derive(Debug, Default)]
pub struct Names {
    sites: BTreeMap<Site, Event>,
    functions: BTreeMap<FunctionAddress, Event>,
}

/// Functions that are kept: as many as the probes remember, and those that other modules had there before.
const MOST_FUNCTIONS: usize = 8192;

impl Names {
    fn see(&mut self, event: &Event) {
        match &event.what {
            What::Site { site, .. } => {
                self.sites.insert(*site, event.clone());
            }
            What::Function { function, .. } => {
                if self.functions.len() >= MOST_FUNCTIONS {
                    self.functions.clear();
                }
                self.functions.insert(*function, event.clone());
            }
            _ => {}
        }
    }
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
        if let Some(names) = &mut self.names {
            names.see(event);
        }
        if let Some(events) = &mut self.events {
            events.event(event);
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
            let base = &self.base;
            trace.account(Accounted {
                at: before.at,
                missed: before.missed.saturating_sub(base.missed),
                lost: before.lost.saturating_sub(base.lost),
                map_full: before.map_full.saturating_sub(base.map_full),
            });
        }
    }

    /// Another trace begins, in which only what follows is: the names that were sent before are told first.
    pub fn begin(&mut self, mut trace: Writer, now: Time, counted: &Reading) {
        let names = self.names.iter();
        let known = names.flat_map(|names| names.sites.values().chain(names.functions.values()));
        known.for_each(|event| trace.event(&Event { time: now, ..event.clone() }));
        self.base = accounted(now, counted);
        self.account = None;
        self.trace = Some(trace);
    }

    /// The trace is to be closed.
    pub fn end(&mut self) -> Option<Writer> {
        self.trace.take()
    }

    /// There are no more events.
    #[must_use]
    pub fn finish(self) -> Kept {
        let cut_short = self.events.and_then(|events| events.finish().err());
        Kept { cut_short, trace: self.trace }
    }
}

/// What the counters say at one moment.
#[must_use]
pub fn accounted(at: Time, reading: &Reading) -> Accounted {
    Accounted {
        at,
        missed: reading.to_tell(LossReason::ProbeMissed),
        lost: reading.to_tell(LossReason::RingFull),
        map_full: reading.to_tell(LossReason::MapFull),
    }
}
