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

#[cfg(test)]
mod tests {
    use krcu_model::verdict::FreedBy;
    use krcu_report::{Events, ProbeRow, ProbeState};

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

    /// A cache that was created while it was watched, with so many queued and freed.
    fn cache(id: u32, queued: u64, freed: u64) -> CacheRow {
        CacheRow {
            id,
            name: String::new(),
            module: None,
            object_bytes: 0,
            phase: CachePhase::Live,
            created_while_watched: true,
            counted: false,
            queued,
            callbacks: 0,
            freed,
            freed_by: FreedBy::default(),
            outstanding: queued - freed,
            being_freed: 0,
            callbacks_waiting: 0,
            oldest_age_ns: None,
            last_activity_ns: 0,
            destroy: None,
        }
    }

    #[test]
    fn a_cache_that_is_not_in_every_report_has_its_own_interval() {
        let mut histories = Histories::default();
        // At which second, how many caches there are, which are listed; then the rates of the second cache.
        for (second, caches_total, caches, expected) in [
            (0, 2, vec![cache(1, 0, 0), cache(2, 100, 0)], None),
            // It is not among the first: its last rates stay.
            (1, 2, vec![cache(1, 5, 0)], None),
            (2, 2, vec![cache(1, 5, 0)], None),
            // 400 in four seconds, not in one or two.
            (4, 2, vec![cache(1, 5, 0), cache(2, 500, 40)], Some((100.0, 10.0))),
            // The same moment again adds nothing.
            (4, 2, vec![cache(2, 500, 40)], Some((100.0, 10.0))),
            (5, 2, vec![cache(1, 5, 0), cache(2, 501, 40)], Some((1.0, 0.0))),
        ] {
            let at_ns = second * 1_000_000_000;
            histories.take(&Report { at_ns, caches, caches_total, ..Report::default() });
            assert_eq!(histories.rates_of(2), expected, "at {second} s");
        }
        let samples: Vec<f64> = histories.cache(2).into_iter().flat_map(|of| &of.queued).copied().collect();
        assert_eq!(samples, [100.0, 1.0]);
    }

    #[test]
    fn a_cache_that_is_new_counts_from_nothing_and_one_that_was_not_listed_from_nowhere() {
        for (caches_total, expected) in [(1, Some((30.0, 6.0))), (9, None)] {
            let mut histories = Histories::default();
            // One is listed: of one it is all, of nine the others are not known.
            let first = vec![cache(1, 0, 0)];
            histories.take(&Report { caches: first, caches_total, ..Report::default() });
            let caches = vec![cache(1, 0, 0), cache(7, 60, 12)];
            histories.take(&Report { at_ns: 2_000_000_000, caches, caches_total, ..Report::default() });
            assert_eq!(histories.rates_of(7), expected, "of {caches_total}");
        }
    }

    #[test]
    fn what_a_probe_costs_is_of_the_time_in_which_somebody_counted() {
        let mut histories = Histories::default();
        // Seconds, runs as far as they are counted, and runs a second.
        for (second, runs, expected) in [
            (0, None, 0.0),
            (1, Some(5_000), 0.0),
            (3, Some(5_200), 100.0),
            (4, None, 0.0),
            (9, Some(6_000), 0.0),
        ] {
            let row = ProbeRow {
                program: "queued".to_owned(),
                function: String::new(),
                way: String::new(),
                state: ProbeState::Attached,
                why: None,
                runs,
                run_time_ns: runs.map(|runs| runs * 100),
                missed: 0,
            };
            let at_ns = second * 1_000_000_000;
            histories.take(&Report { at_ns, probes: vec![row], ..Report::default() });
            assert_eq!(histories.probe("queued").runs, expected, "at {second} s");
        }
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
