//! Reporter: sees each event before the state takes it, and makes reports of the state.

use crate::{
    barriers::Waits,
    caches::{self, Oldest},
    hello::{Bounds, SCHEMA},
    question::Question,
    rows::{LossRow, Outside, Report},
    tally::{EventWord, Events},
    verdicts::{VerdictRow, Verdicts},
    why::Graces,
    workload::Recent,
};
use krcu_model::{
    event::{Event, Gap, LossReason, Time, What},
    state::{DestroyId, State},
};

/// The data that reports need and the state does not keep. It has bounds, except for a number for each cache
/// with outstanding objects.
///
/// ```
/// use krcu_model::{State, Watch, event::{Cpu, Event, Task, Time, What}};
/// use krcu_report::{Bounds, Outside, Reporter};
///
/// let (mut state, mut reporter) = (State::new(Watch::default()), Reporter::default());
/// let event = Event { time: Time(7), task: Task(1), cpu: Cpu(0), what: What::GraceBegin { expedited: false } };
/// reporter.see(&event, &state);
/// state.step(event);
/// let report = reporter.report(&state, Time(9), Outside::default(), Bounds::OVERVIEW);
/// assert_eq!((report.at_ns, report.events.grace), (9, 1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    seq: u64,
    events: Events,
    /// The losses as the gaps count them.
    losses: LossRow,
    oldest: Oldest,
    waits: Waits,
    graces: Graces,
    recent: Recent,
    verdicts: Verdicts,
}

impl Reporter {
    /// Sees an event that the state takes next. Call it before each [`State::step`], with the state before
    /// that step.
    pub fn see(&mut self, event: &Event, state: &State) {
        if let What::Gap(gap) = &event.what {
            self.see_gap(gap, state);
            self.recent.see(event, state);
            return;
        }
        let Some(word) = EventWord::of(&event.what) else { return };
        self.events.count(word);
        match word {
            EventWord::Cache | EventWord::Barrier => self.waits.see(event, state),
            EventWord::Grace => self.graces.see(event),
            EventWord::Queue | EventWord::Free | EventWord::Batch | EventWord::Other => {}
        }
        self.recent.see(event, state);
    }

    #[cold]
    fn see_gap(&mut self, gap: &Gap, state: &State) {
        match gap.reason {
            LossReason::RingFull => add(&mut self.losses.counted.ring_full, gap),
            LossReason::ProbeMissed => add(&mut self.losses.counted.probe_missed, gap),
            LossReason::MapFull => add(&mut self.losses.counted.map_full, gap),
            LossReason::NotInTrace => self.losses.not_in_trace = true,
        }
        // A gap without an end counts as noticed at the current time.
        let noticed = if gap.until == Time(u64::MAX) { state.now() } else { gap.until };
        self.losses.last_at_ns = self.losses.last_at_ns.max(Some(noticed.since(state.watch().attached)));
        self.waits.see_gap(gap);
        self.graces.see_gap(gap);
    }

    /// Makes a report of the current state. A search for the oldest object looks at each outstanding object
    /// at most once.
    pub fn report(&mut self, state: &State, now: Time, outside: Outside, bounds: Bounds) -> Report {
        self.oldest.update(state);
        self.verdicts.update(state);
        let seq = self.seq;
        self.seq += 1;
        let losses = LossRow { counted: outside.losses.unwrap_or(self.losses.counted), ..self.losses };
        Report {
            schema: SCHEMA,
            seq,
            at_ns: now.since(state.watch().attached),
            events: self.events,
            accounts: outside.accounts,
            losses,
            ring: outside.ring,
            outstanding: state.outstanding(),
            outstanding_bytes: Some(caches::outstanding_bytes(state)),
            grace: self.graces.row(now),
            callbacks_waiting: state
                .sees_callbacks_run()
                .then_some(state.view().ledger.callbacks.len() as u64),
            oldest_age_ns: self.oldest.of_all().map(|queued| now.since(queued)),
            without_site: outside.without_site,
            probes: outside.probes,
            caches: caches::rows(state, &self.oldest, now, bounds.caches),
            caches_total: state.view().caches.len() as u64,
            barriers_running: self.waits.running((state, now), &self.graces, bounds.barriers),
            barriers_finished: self.waits.finished(bounds.barriers),
            waits: self.waits.histograms(),
            verdict_counts: self.verdicts.counts().clone(),
            verdicts: self.verdicts.rows(bounds.verdicts),
            sinks: outside.sinks,
        }
    }

    /// Every verdict that may still change, as of the last report, the newest first.
    #[must_use]
    pub fn verdicts(&self) -> &[VerdictRow] {
        self.verdicts.all()
    }

    /// Makes the state forget what is finally decided. A program that watches for long calls it after
    /// [`Reporter::report`].
    pub fn forget(&mut self, state: &mut State) {
        self.verdicts.forget(state);
    }

    /// The data to simulate the destroy with this number; none if there is no such destroy, or if it never
    /// looked at its slabs.
    #[must_use]
    pub fn question(&self, state: &State, destroy: u64) -> Option<Question> {
        self.recent.question(state, DestroyId(destroy))
    }
}

/// Adds the events of a gap. A trace may say any number.
fn add(count: &mut u64, gap: &Gap) {
    *count = count.saturating_add(gap.events);
}
