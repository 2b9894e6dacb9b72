//! Salvage: the events of a trace up to the first damage, then gaps for what is not known.
//!
//! Every reader of a trace reads it so: a damaged end takes nothing from what was written before it. The gaps
//! leave open what depends on the rest, and the reader says what is damaged.

use std::vec;

use krcu_model::{
    Event,
    event::{Cpu, Gap, LossReason, Run, Scope, Task, Time, What, sum},
};

use crate::{Accounted, Events, How, Reader, TraceError, accounted::Found, reader::Next};

/// What comes next in a trace.
#[derive(Debug)]
pub enum Part<'a> {
    /// An event.
    Event(Event),
    /// Events that differ in their times and objects alone.
    Run(Run<'a>),
}

/// The events of a trace, as far as they can be read. If the trace ends before its run does, or is damaged, gaps
/// for what is unknown come at the end.
#[derive(Debug)]
pub struct Salvage<'a> {
    reader: &'a Reader,
    events: Events<'a>,
    /// The first event, which was read to see whether there is anything to salvage.
    first: Option<Event>,
    /// The gaps among its events.
    told: Vec<Gap>,
    /// What was read so far.
    found: Found,
    /// The account that vouches for it, once it is known.
    accounted: Option<Accounted>,
    /// The gaps after all events, once they are known.
    behind: Option<vec::IntoIter<Event>>,
    damage: Option<TraceError>,
}

impl Reader {
    /// Every event that can be read, in order, then the gaps.
    ///
    /// # Errors
    /// When not even the first event can be read.
    pub fn salvage(&self) -> Result<Salvage<'_>, TraceError> {
        let mut events = self.events();
        Ok(Salvage {
            first: events.next().transpose()?,
            reader: self,
            events,
            told: Vec::new(),
            found: Found { rows: 0, last: Time(self.meta().watch.attached_ns) },
            accounted: None,
            behind: None,
            damage: None,
        })
    }
}

impl Salvage<'_> {
    /// What cannot be read, if that is known by now.
    #[must_use]
    pub fn damage(&self) -> Option<&TraceError> {
        self.damage.as_ref()
    }

    /// The same, at the end.
    #[must_use]
    pub fn into_damage(self) -> Option<TraceError> {
        self.damage
    }

    /// The time of the last event; the attach if there was none.
    #[must_use]
    pub fn last_time(&self) -> Time {
        self.found.last
    }

    /// The account up to which a trace without an end is whole; known at the end.
    #[must_use]
    pub fn accounted(&self) -> Option<Accounted> {
        self.accounted
    }

    /// Bytes of streams read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.events.bytes()
    }

    /// The gaps of a trace that ends before its run did, or that cannot be read to its end.
    fn unaccounted(&mut self) -> Vec<Gap> {
        let attached = Time(self.reader.meta().watch.attached_ns);
        let mut gaps = Vec::new();
        // A gap may be written after the time that it is about. If not all gaps were written, a missing one
        // may be about any time.
        let mut from = attached;
        match self.reader.meta().ended.as_ref().filter(|end| end.how != How::CutShort) {
            Some(end) => {
                let lost = end.run.lost;
                let all = [lost.ring_full, lost.probe_missed, lost.map_full];
                if sum(self.told.iter().map(|gap| gap.events)) >= sum(all) {
                    from = self.found.last;
                }
            }
            None => {
                let (accounted, damage) = self.reader.accounted(self.found);
                self.accounted = accounted;
                gaps = lost(accounted, attached, &self.told);
                self.damage = self.damage.take().or(damage);
                from = self.found.last;
            }
        }
        if self.damage.is_some() {
            gaps.push(gap(LossReason::NotInTrace, 0, from, Time(u64::MAX)));
        }
        gaps
    }
}

impl Salvage<'_> {
    /// The next events: as many as are a run, or one. [`State::step_run`](krcu_model::State::step_run) takes a run.
    pub fn next_part(&mut self) -> Option<Part<'_>> {
        if self.behind.is_none() {
            let next = match self.first.take() {
                Some(event) => Ok(Some(Next::Event(event))),
                None => self.events.advance(),
            };
            match next {
                Ok(Some(Next::Event(event))) => return Some(Part::Event(self.found(event))),
                Ok(Some(Next::Run(run))) => {
                    let run = self.events.run(run);
                    self.found.rows += run.len() as u64;
                    let times = run.times_ns.iter().map(|time_ns| Time(*time_ns));
                    self.found.last = times.fold(self.found.last, Time::max);
                    return Some(Part::Run(run));
                }
                Ok(None) => {}
                Err(error) => self.damage = Some(error),
            }
        }
        self.next_behind().map(Part::Event)
    }

    fn found(&mut self, event: Event) -> Event {
        if let What::Gap(gap) = &event.what {
            self.told.push(gap.clone());
        }
        self.found.rows += 1;
        self.found.last = self.found.last.max(event.time);
        event
    }

    /// The next gap after all events.
    fn next_behind(&mut self) -> Option<Event> {
        if self.behind.is_none() {
            let gaps = self.unaccounted().into_iter();
            let time = self.found.last;
            let event = |gap| Event { time, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) };
            self.behind = Some(gaps.map(event).collect::<Vec<_>>().into_iter());
        }
        self.behind.as_mut().and_then(Iterator::next)
    }
}

impl Iterator for Salvage<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.behind.is_none() {
            match self.first.take().map(Ok).or_else(|| self.events.next()) {
                Some(Ok(event)) => return Some(self.found(event)),
                Some(Err(error)) => self.damage = Some(error),
                None => {}
            }
        }
        self.next_behind()
    }
}

/// What a trace that ends before its run does not know: the losses before the last account that none of its own
/// gaps (`told`) covers, and everything after that account.
fn lost(accounted: Option<Accounted>, attached: Time, told: &[Gap]) -> Vec<Gap> {
    let accounted = accounted.unwrap_or(Accounted { at: attached, ..Accounted::default() });
    let in_gaps = |reason| sum(told.iter().filter(|gap| gap.reason == reason).map(|gap| gap.events));
    let counts = [
        (LossReason::RingFull, accounted.lost),
        (LossReason::ProbeMissed, accounted.missed),
        (LossReason::MapFull, accounted.map_full),
    ];
    let before =
        counts.map(|(reason, all)| gap(reason, all.saturating_sub(in_gaps(reason)), attached, accounted.at));
    let mut gaps: Vec<Gap> = before.into_iter().filter(|gap| gap.events > 0).collect();
    gaps.push(gap(LossReason::NotInTrace, 0, accounted.at, Time(u64::MAX)));
    gaps
}

fn gap(reason: LossReason, events: u64, from: Time, until: Time) -> Gap {
    Gap { reason, events, from, until, scope: Scope::Everything, programs: Vec::new() }
}
