//! History: rates, computed from two reports, and the last of them for sparklines.

use std::collections::{BTreeMap, VecDeque};

use krcu_report::{CachePhase, CacheRow, EventWord, Report};

/// The number of samples that are kept for each history.
pub const SAMPLES: usize = 240;
/// The number of caches whose samples are kept. If there are more, those that the last report does not list
/// are forgotten.
const MOST_CACHES: usize = 512;
/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// What follows from one report and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Events a second, in the order of [`EventWord::ALL`].
    pub rates: [f64; EventWord::ALL.len()],
    /// Outstanding deferred frees, with callbacks.
    pub outstanding: u64,
    /// Lost events a second.
    pub lost: f64,
}

/// The history of one cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheHistory {
    /// Outstanding deferred frees.
    pub outstanding: VecDeque<u64>,
    /// Queued objects a second.
    pub queued: VecDeque<f64>,
    /// Freed objects a second.
    pub freed: VecDeque<f64>,
    /// Queued and freed objects a second, from the last two reports that list the cache; absent before there
    /// are two.
    rates: Option<(f64, f64)>,
    /// The totals of the last report that lists the cache, and its time.
    last: (u64, u64),
    at_ns: u64,
}

/// What one probe costs now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProbeCost {
    /// Runs a second.
    pub runs: f64,
    /// The part of one CPU that it takes: 1 is a whole CPU.
    pub share: f64,
    /// The totals of the last report that has them, and its time.
    last: (u64, u64),
    at_ns: u64,
}

/// The totals that rates are computed from.
#[derive(Clone, Copy, Debug)]
struct Totals {
    at_ns: u64,
    events: [u64; EventWord::ALL.len()],
    lost: u64,
    /// Whether every cache is listed: then a cache that is listed for the first time is new.
    lists_all: bool,
}

/// All histories.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    /// The samples of everything together, the oldest first.
    pub all: VecDeque<Sample>,
    caches: BTreeMap<u32, CacheHistory>,
    probes: BTreeMap<String, ProbeCost>,
    last: Option<Totals>,
}

impl Histories {
    /// Takes one more report. A report from the past (a replay went back) starts the history again; a report
    /// of the same moment changes nothing.
    pub fn take(&mut self, report: &Report) {
        let totals = Totals {
            at_ns: report.at_ns,
            events: EventWord::ALL.map(|word| report.events.of(word)),
            lost: report.losses.counted.total(),
            lists_all: lists_all(report),
        };
        if self.last.is_some_and(|last| totals.at_ns < last.at_ns || totals.events[1] < last.events[1]) {
            *self = Histories::default();
        }
        let before = self.last.replace(totals);
        for row in &report.caches {
            self.take_cache(row, report.at_ns, before);
        }
        if self.caches.len() > MOST_CACHES {
            self.caches.retain(|id, _| report.caches.iter().any(|row| row.id == *id));
        }
        self.take_probes(report);
        let Some(last) = before.filter(|last| last.at_ns != totals.at_ns) else { return };
        let rate = |now: u64, before: u64| a_second(now, before, totals.at_ns - last.at_ns);
        let mut rates = [0.0; EventWord::ALL.len()];
        for (place, value) in rates.iter_mut().enumerate() {
            *value = rate(totals.events[place], last.events[place]);
        }
        let outstanding = report.outstanding + report.callbacks_waiting.unwrap_or(0);
        push(&mut self.all, Sample { rates, outstanding, lost: rate(totals.lost, last.lost) });
    }

    /// Takes one more row of a cache. Not every report lists each cache, so the counts are since the last
    /// report that did.
    fn take_cache(&mut self, row: &CacheRow, at_ns: u64, before: Option<Totals>) {
        let totals = (row.queued + row.callbacks, row.freed);
        let since = match (self.caches.get(&row.id), before) {
            (Some(known), _) => Some((known.last, known.at_ns)),
            // The cache did not exist when the report before was made.
            (None, Some(before)) if before.lists_all && row.created_while_watched => {
                Some(((0, 0), before.at_ns))
            }
            (None, _) => None,
        };
        let history = self.caches.entry(row.id).or_default();
        if since.is_some_and(|(_, since_ns)| since_ns == at_ns) {
            return;
        }
        if let Some((before, since_ns)) = since {
            let rate = |now, before| a_second(now, before, at_ns - since_ns);
            let rates = (rate(totals.0, before.0), rate(totals.1, before.1));
            push(&mut history.outstanding, row.deferred());
            push(&mut history.queued, rates.0);
            push(&mut history.freed, rates.1);
            history.rates = Some(rates);
        }
        (history.last, history.at_ns) = (totals, at_ns);
    }

    /// What each probe has cost since the last report with its counts. A probe without counts in this report
    /// is forgotten.
    fn take_probes(&mut self, report: &Report) {
        for row in &report.probes {
            let (Some(runs), Some(run_time_ns)) = (row.runs, row.run_time_ns) else {
                self.probes.remove(&row.program);
                continue;
            };
            let (last, at_ns) = ((runs, run_time_ns), report.at_ns);
            let first = ProbeCost { last, at_ns, ..ProbeCost::default() };
            let cost = self.probes.entry(row.program.clone()).or_insert(first);
            if cost.at_ns != at_ns {
                let rate = |now, before| a_second(now, before, at_ns - cost.at_ns);
                let (runs, share) = (rate(runs, cost.last.0), rate(run_time_ns, cost.last.1) / SECOND_NS);
                *cost = ProbeCost { runs, share, last, at_ns };
            }
        }
    }

    /// The history of a cache.
    #[must_use]
    pub fn cache(&self, id: u32) -> Option<&CacheHistory> {
        self.caches.get(&id)
    }

    /// Queued and freed objects a second of a cache, from the last two reports that list it; absent before
    /// there are two.
    #[must_use]
    pub fn rates_of(&self, id: u32) -> Option<(f64, f64)> {
        self.caches.get(&id)?.rates
    }

    /// What a probe costs, from the last two reports.
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

/// Whether a report lists every cache.
fn lists_all(report: &Report) -> bool {
    let listed = report.caches.iter().filter(|row| row.phase != CachePhase::Released).count() as u64;
    listed >= report.caches_total
}

/// By how much a total has risen in a second.
fn a_second(now: u64, before: u64, interval_ns: u64) -> f64 {
    number(now.saturating_sub(before)) * SECOND_NS / number(interval_ns.max(1))
}

fn push<T>(samples: &mut VecDeque<T>, sample: T) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// A count as a number to divide by; its rounding does not show on a screen.
#[expect(clippy::cast_precision_loss, reason = "a screen shows four digits")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
