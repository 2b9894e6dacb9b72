//! Histories: rates from reports, however many of them were missed.

use krcu_model::verdict::FreedBy;
use krcu_report::{CachePhase, CacheRow, Events, ProbeRow, ProbeState, Report};

use krcu_tui::state::{Histories, Of, SAMPLES, Span};

fn report(at_ns: u64, queue: u64) -> Report {
    Report { at_ns, events: Events { queue, ..Events::default() }, outstanding: queue, ..Report::default() }
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
    let samples: Vec<f64> =
        histories.cache(2).into_iter().flat_map(|of| of.samples.iter()).map(|of| of.queued).collect();
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
    assert!(histories.all.len() <= SAMPLES);
    // One a millisecond, all the time: 999 ms in ten slices of 100 ms.
    let slices = histories.slices(10);
    assert_eq!((slices.each_ns, slices.end_ns), (100_000_000, 1_000_000_000));
    let sliced = histories.all.sliced(slices, Of::Mean, |sample| sample.rates[1]);
    assert!(sliced.iter().all(|rate| (rate.unwrap_or_default() - 1000.0).abs() < 1e-6), "{sliced:?}");
    histories.span = Span::Minute;
    assert_eq!(histories.slices(10), slices, "no more than there is");
}
