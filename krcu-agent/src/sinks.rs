//! Sinks: write the events as text, as a trace, or both.

use std::{collections::BTreeMap, path::Path};

use krcu_model::{
    Event,
    event::{FunctionAddress, LossReason, Site, Time, What},
};
use krcu_trace::{Accounted, Writer};

use crate::{
    events_file::{CutShort, EventsFile},
    losses::Reading,
    modules,
};

/// The places, besides the state, that get the events.
#[derive(Debug, Default)]
pub struct Sinks {
    /// As text, one line each.
    pub events: Option<EventsFile>,
    /// As a trace.
    pub trace: Option<Writer>,
    /// The newest account. It is written together with the next one, when all events before it are written.
    pub account: Option<Accounted>,
    /// The names that a later trace needs. They are kept only if traces follow each other.
    pub names: Option<Names>,
    /// What was counted before this trace began.
    pub base: Accounted,
}

/// Names of stacks and functions. The probes send each name once.
#[derive(Debug, Default)]
pub struct Names {
    sites: BTreeMap<Site, Event>,
    functions: BTreeMap<FunctionAddress, Event>,
}

/// How many functions are kept: as many as the probes remember, and as many of earlier modules.
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

/// How often an account is written, in nanoseconds.
const ACCOUNT_EVERY_NS: u64 = 1_000_000_000;

/// The files of the events, at the end of a run.
#[derive(Debug)]
pub struct Kept {
    /// Why the file of text is incomplete, if it is.
    pub cut_short: Option<CutShort>,
    /// The trace. It still has to be closed, with the report of the run.
    pub trace: Option<Writer>,
}

impl Sinks {
    /// Writes the next event.
    pub fn event(&mut self, event: &Event) {
        if let Some(names) = &mut self.names {
            names.see(event);
        }
        if let Some(events) = &mut self.events {
            events.event(event);
        }
        if let Some(trace) = &mut self.trace {
            trace.event(event);
            if let What::ModuleLoaded { name } = &event.what
                && let Some(module) = modules::version(Path::new(modules::FOLDER), name, Some(event.time))
            {
                trace.module(module);
            }
        }
    }

    /// Tells the trace the time.
    pub fn tick(&mut self, now: Time) {
        if let Some(trace) = &mut self.trace {
            trace.tick(now);
        }
    }

    /// Whether it is time for an account.
    #[must_use]
    pub fn wants_account(&self, now: Time) -> bool {
        self.trace.is_some() && self.account.is_none_or(|before| now.since(before.at) >= ACCOUNT_EVERY_NS)
    }

    /// Takes an account of the counters, and writes the one before it. The ring has been emptied many times since
    /// that one, so every event before it was taken.
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

    /// Begins another trace. It gets the names that were sent before, and then the later events.
    pub fn begin(&mut self, mut trace: Writer, now: Time, counted: &Reading) {
        let names = self.names.iter();
        let known = names.flat_map(|names| names.sites.values().chain(names.functions.values()));
        known.for_each(|event| trace.event(&Event { time: now, ..event.clone() }));
        self.base = accounted(now, counted);
        self.account = None;
        self.trace = Some(trace);
    }

    /// Takes the trace, which has to be closed.
    pub fn end(&mut self) -> Option<Writer> {
        self.trace.take()
    }

    /// Ends the sinks. There are no more events.
    #[must_use]
    pub fn finish(self) -> Kept {
        let cut_short = self.events.and_then(|events| events.finish().err());
        Kept { cut_short, trace: self.trace }
    }
}

/// An account of the counters at one moment.
#[must_use]
pub fn accounted(at: Time, reading: &Reading) -> Accounted {
    Accounted {
        at,
        missed: reading.to_tell(LossReason::ProbeMissed),
        lost: reading.to_tell(LossReason::RingFull),
        map_full: reading.to_tell(LossReason::MapFull),
    }
}
