//! History: rates, computed from two reports, and what they were before.

use std::collections::BTreeMap;

use krcu_report::{CachePhase, CacheRow, EventWord, Report};

use super::series::{Merge, Series, Slices};

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

impl Merge for Sample {
    fn merge(self, ns: u64, later: Sample, later_ns: u64) -> Sample {
        let mut rates = self.rates;
        for (rate, later) in rates.iter_mut().zip(later.rates) {
            *rate = mean((*rate, ns), (later, later_ns));
        }
        let outstanding = self.outstanding.max(later.outstanding);
        Sample { rates, outstanding, lost: mean((self.lost, ns), (later.lost, later_ns)) }
    }
}

/// What follows from two reports that list a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheSample {
    /// Outstanding deferred frees.
    pub outstanding: u64,
    /// Queued objects a second.
    pub queued: f64,
    /// Freed objects a second.
    pub freed: f64,
}

impl Merge for CacheSample {
    fn merge(self, ns: u64, later: CacheSample, later_ns: u64) -> CacheSample {
        CacheSample {
            outstanding: self.outstanding.max(later.outstanding),
            queued: mean((self.queued, ns), (later.queued, later_ns)),
            freed: mean((self.freed, ns), (later.freed, later_ns)),
        }
    }
}

/// How much of the past the histories show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// All of it.
    #[default]
    All,
    /// The last minute.
    Minute,
    /// The last ten minutes.
    TenMinutes,
    /// The last hour.
    Hour,
}

impl Span {
    /// The next one, for a key.
    #[must_use]
    pub fn next(self) -> Span {
        match self {
            Span::All => Span::Minute,
            Span::Minute => Span::TenMinutes,
            Span::TenMinutes => Span::Hour,
            Span::Hour => Span::All,
        }
    }

    /// Its time; none of all.
    fn ns(self) -> Option<u64> {
        const MINUTE_NS: u64 = 60_000_000_000;
        match self {
            Span::All => None,
            Span::Minute => Some(MINUTE_NS),
            Span::TenMinutes => Some(10 * MINUTE_NS),
            Span::Hour => Some(60 * MINUTE_NS),
        }
    }
}

/// The history of one cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheHistory {
    /// The samples.
    pub samples: Series<CacheSample>,
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
    /// The samples of everything together.
    pub all: Series<Sample>,
    /// How much of them is shown.
    pub span: Span,
    caches: BTreeMap<u32, CacheHistory>,
    probes: BTreeMap<String, ProbeCost>,
    last: Option<Totals>,
}

impl Histories {
    /// Forgets what was. What is to be shown stays.
    pub(super) fn forget(&mut self) {
        *self = Histories { span: self.span, ..Histories::default() };
    }

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
            self.forget();
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
        let sample = Sample { rates, outstanding, lost: rate(totals.lost, last.lost) };
        self.all.push(last.at_ns, totals.at_ns, sample);
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
            let (queued, freed) = rates;
            let sample = CacheSample { outstanding: row.deferred(), queued, freed };
            history.samples.push(since_ns, at_ns, sample);
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
        self.all.newest().copied().unwrap_or_default()
    }

    /// How much of the past is shown, in nanoseconds: no more than there is.
    #[must_use]
    pub fn shown_ns(&self) -> u64 {
        let now_ns = self.last.map_or(0, |last| last.at_ns);
        let all_ns = now_ns.saturating_sub(self.all.began_ns().unwrap_or(now_ns));
        self.span.ns().map_or(all_ns, |most| most.min(all_ns))
    }

    /// So many slices of it, up to the last report.
    #[must_use]
    pub fn slices(&self, number: usize) -> Slices {
        Slices::of(number, self.last.map_or(0, |last| last.at_ns), self.shown_ns())
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

/// The mean of two numbers, each with its weight.
fn mean((one, weight): (f64, u64), (other, other_weight): (f64, u64)) -> f64 {
    let sum = one * number(weight) + other * number(other_weight);
    sum / number((weight + other_weight).max(1))
}

/// A count as a number to divide by; its rounding does not show on a screen.
#[expect(clippy::cast_precision_loss, reason = "a screen shows four digits")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
