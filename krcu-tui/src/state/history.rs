//! History: rates from two reports, and the last of them for sparklines.

use std::collections::{BTreeMap, VecDeque};

use krcu_model::report::{EventWord, Report};

/// Samples that are kept of everything.
pub const SAMPLES: usize = 240;
/// Caches of which samples are kept: of more, those that the last report does not list are forgotten.
const MOST_CACHES: usize = 512;
/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// What one report and the one before it say together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Events a second, in the order of [`EventWord::ALL`].
    pub rates: [f64; EventWord::ALL.len()],
    /// Outstanding deferred frees, with callbacks.
    pub outstanding: u64,
    /// Lost a second.
    pub lost: f64,
}

/// What there was of one cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheHistory {
    /// What was outstanding.
    pub outstanding: VecDeque<u64>,
    /// Queued a second.
    pub queued: VecDeque<f64>,
    /// Freed a second.
    pub freed: VecDeque<f64>,
    /// Totals at the last report.
    last: (u64, u64),
}

/// What one probe costs now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProbeCost {
    /// Runs a second.
    pub runs: f64,
    /// Of one CPU, the part that it takes: 1 is all of it.
    pub share: f64,
    /// Totals at the last report.
    last: (u64, u64),
}

/// The totals that rates are taken from.
#[derive(Clone, Copy, Debug)]
struct Totals {
    at_ns: u64,
    events: [u64; EventWord::ALL.len()],
    lost: u64,
}

/// What was so far.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    /// All together, the oldest first.
    pub all: VecDeque<Sample>,
    caches: BTreeMap<u32, CacheHistory>,
    probes: BTreeMap<String, ProbeCost>,
    last: Option<Totals>,
}

impl Histories {
    /// One more report. One from the past (a replay went back) begins anew; one of the same moment changes nothing.
    pub fn take(&mut self, report: &Report) {
        let totals = Totals {
            at_ns: report.at_ns,
            events: EventWord::ALL.map(|word| report.events.of(word)),
            lost: report.losses.total(),
        };
        if self.last.is_some_and(|last| totals.at_ns < last.at_ns || totals.events[1] < last.events[1]) {
            *self = Histories::default();
        }
        let Some(last) = self.last.replace(totals) else {
            for row in &report.caches {
                self.caches.entry(row.id).or_default().last = (row.queued + row.callbacks, row.freed);
            }
            for row in &report.probes {
                let last = (row.runs.unwrap_or(0), row.run_time_ns.unwrap_or(0));
                self.probes.insert(row.program.clone(), ProbeCost { last, ..ProbeCost::default() });
            }
            return;
        };
        if totals.at_ns == last.at_ns {
            return;
        }
        let seconds = number(totals.at_ns - last.at_ns) / SECOND_NS;
        let rate = |now: u64, before: u64| number(now.saturating_sub(before)) / seconds;
        let mut rates = [0.0; EventWord::ALL.len()];
        for (place, value) in rates.iter_mut().enumerate() {
            *value = rate(totals.events[place], last.events[place]);
        }
        let outstanding = report.outstanding + report.callbacks_waiting.unwrap_or(0);
        push(&mut self.all, Sample { rates, outstanding, lost: rate(totals.lost, last.lost) });
        for row in &report.caches {
            let queued = row.queued + row.callbacks;
            let is_new = !self.caches.contains_key(&row.id);
            let history = self.caches.entry(row.id).or_default();
            // Of one that is listed for the first time it is not known since when.
            let before =
                if is_new && !row.created_while_watched { (queued, row.freed) } else { history.last };
            push(&mut history.outstanding, row.deferred());
            push(&mut history.queued, rate(queued, before.0));
            push(&mut history.freed, rate(row.freed, before.1));
            history.last = (queued, row.freed);
        }
        for row in &report.probes {
            let (Some(runs), Some(run_time_ns)) = (row.runs, row.run_time_ns) else { continue };
            let known = self.probes.get(&row.program).map_or((runs, run_time_ns), |cost| cost.last);
            let cost = ProbeCost {
                runs: rate(runs, known.0),
                share: rate(run_time_ns, known.1) / SECOND_NS,
                last: (runs, run_time_ns),
            };
            self.probes.insert(row.program.clone(), cost);
        }
        if self.caches.len() > MOST_CACHES {
            self.caches.retain(|id, _| report.caches.iter().any(|row| row.id == *id));
        }
    }

    /// What there was of a cache.
    #[must_use]
    pub fn cache(&self, id: u32) -> Option<&CacheHistory> {
        self.caches.get(&id)
    }

    /// Queued and freed a second, of a cache, by the last two reports.
    #[must_use]
    pub fn rates_of(&self, id: u32) -> (f64, f64) {
        let last = |samples: &VecDeque<f64>| samples.back().copied().unwrap_or(0.0);
        self.caches.get(&id).map_or((0.0, 0.0), |history| (last(&history.queued), last(&history.freed)))
    }

    /// What a probe costs, by the last two reports.
    #[must_use]
    pub fn probe(&self, program: &str) -> ProbeCost {
        self.probes.get(program).copied().unwrap_or_default()
    }

    /// The newest sample.
    #[must_use]
    pub fn newest(&self) -> Sample {
        self.all.back().copied().unwrap_or_default()
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// A count as a number to divide by: exact as far as a screen shows it.
#[expect(clippy::cast_precision_loss, reason = "a screen shows four digits")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use krcu_model::report::Events;

    use super::*;

    fn report(at_ns: u64, queue: u64) -> Report {
        Report {
            at_ns,
            events: Events { queue, ..Events::default() },
            outstanding: queue,
            ..Report::default()
        }
    }

    fn queue_rates(histories: &Histories) -> Vec<f64> {
        histories.all.iter().map(|sample| sample.rates[1]).collect()
    }

    #[test]
    fn a_rate_is_of_two_reports_however_many_were_missed() {
        let mut histories = Histories::default();
        for (at_ns, queue) in [(0, 0), (500_000_000, 50), (2_500_000_000, 250)] {
            histories.take(&report(at_ns, queue));
        }
        assert_eq!(queue_rates(&histories), [100.0, 100.0]);
        assert_eq!(histories.newest().outstanding, 250);
    }

    #[test]
    fn what_goes_back_begins_anew_and_what_stands_still_adds_nothing() {
        let mut histories = Histories::default();
        for at_ns in [1_000_000_000, 2_000_000_000, 2_000_000_000] {
            histories.take(&report(at_ns, 10));
        }
        assert_eq!(queue_rates(&histories), [0.0]);
        histories.take(&report(1_500_000_000, 5));
        assert_eq!(queue_rates(&histories), [] as [f64; 0]);
        histories.take(&report(2_500_000_000, 6));
        assert_eq!(queue_rates(&histories), [1.0]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut histories = Histories::default();
        for at in 0..1000 {
            histories.take(&report(at * 1_000_000, at));
        }
        assert_eq!(histories.all.len(), SAMPLES);
    }
}
