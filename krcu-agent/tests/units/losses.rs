//! Counts of a made-up kernel → gaps.

use std::collections::BTreeMap;

use krcu_agent::losses::{LossTracker, Misses, Reading};
use krcu_common::{
    Fate, Kind,
    count::{COUNTERS, counter, loss_key},
};
use krcu_model::event::{CacheAddress, Gap, LossReason, Scope, Time};

const CACHE: u64 = 0xff3a_02d4_c270_1c00;
const OTHER: u64 = 0xff3a_02d4_c270_1d00;

/// Counters of one CPU.
fn cpu(counts: &[(Kind, Fate, u64)]) -> Vec<u64> {
    let mut cpu = vec![0; COUNTERS as usize];
    for (kind, fate, count) in counts {
        cpu[counter(*kind, *fate) as usize] = *count;
    }
    cpu
}

fn reading(counters: Vec<Vec<u64>>, lost: &[(u64, Fate, u64)]) -> Reading {
    let lost = lost.iter().map(|(cache, fate, events)| (loss_key(*cache, *fate), *events)).collect();
    Reading { counters, lost, misses: None }
}

fn of(cache: u64) -> Scope {
    Scope::Cache(CacheAddress(cache))
}

fn gap(reason: LossReason, scope: Scope, events: u64, from: u64, until: u64) -> Gap {
    Gap { reason, events, from: Time(from), until: Time(until), scope, programs: Vec::new() }
}

#[test]
fn a_full_ring_is_told_of_each_cache_of_grace_periods_and_of_the_rest() {
    let mut tracker = LossTracker::new(Time(100));
    let counters = vec![
        cpu(&[(Kind::Queued, Fate::LostRing, 5), (Kind::GraceBegin, Fate::LostRing, 2)]),
        cpu(&[(Kind::Freed, Fate::LostRing, 4), (Kind::BarrierEnd, Fate::LostRing, 1)]),
    ];
    // Of the nine events of objects, one found the map of the caches full.
    let reading = reading(counters, &[(CACHE, Fate::LostRing, 6), (OTHER, Fate::LostRing, 2)]);
    let gaps = tracker.take(&reading, Time(200), Time(210));
    let ring = LossReason::RingFull;
    assert_eq!(
        gaps,
        [
            gap(ring, Scope::Everything, 2, 100, 210),
            gap(ring, of(CACHE), 6, 100, 210),
            gap(ring, of(OTHER), 2, 100, 210),
            gap(ring, Scope::Grace, 2, 100, 210),
        ]
    );
    assert_eq!(gaps.iter().map(|gap| gap.events).sum::<u64>(), reading.losses().ring_full);
}

#[test]
fn what_was_told_is_not_told_again_and_a_gap_begins_where_all_was_well() {
    let mut tracker = LossTracker::new(Time(0));
    let lost = |events| {
        reading(vec![cpu(&[(Kind::Queued, Fate::LostRing, events)])], &[(CACHE, Fate::LostRing, events)])
    };
    let ring = LossReason::RingFull;
    assert_eq!(tracker.take(&lost(3), Time(10), Time(11)), [gap(ring, of(CACHE), 3, 0, 11)]);
    tracker.nothing_until(Time(20));
    tracker.nothing_until(Time(30));
    tracker.nothing_until(Time(40));
    // A loss of just before 40 may not have been counted then: the gap begins one reading earlier.
    assert_eq!(tracker.take(&lost(8), Time(50), Time(51)), [gap(ring, of(CACHE), 5, 30, 51)]);
    assert_eq!(tracker.take(&lost(8), Time(60), Time(61)), []);
}

#[test]
fn a_loss_during_a_reading_is_told_once() {
    let mut tracker = LossTracker::new(Time(0));
    // A probe counts a loss for its cache first and in the counters after: these were read in between.
    let early = reading(vec![cpu(&[])], &[(CACHE, Fate::LostRing, 1)]);
    let late = reading(vec![cpu(&[(Kind::Queued, Fate::LostRing, 1)])], &[(CACHE, Fate::LostRing, 1)]);
    let ring = LossReason::RingFull;
    assert_eq!(tracker.take(&early, Time(10), Time(11)), [gap(ring, of(CACHE), 1, 0, 11)]);
    assert_eq!(tracker.take(&late, Time(20), Time(21)), []);
}

#[test]
fn a_full_map_is_a_reason_of_its_own() {
    let mut tracker = LossTracker::new(Time(0));
    let counters = vec![cpu(&[
        (Kind::BatchFreed, Fate::MapFull, 2),
        (Kind::DestroyBegin, Fate::MapFull, 1),
        (Kind::Freed, Fate::LostRing, 4),
    ])];
    let reading = reading(counters, &[(CACHE, Fate::MapFull, 1), (CACHE, Fate::LostRing, 4)]);
    assert_eq!(
        tracker.take(&reading, Time(5), Time(6)),
        [
            gap(LossReason::RingFull, of(CACHE), 4, 0, 6),
            gap(LossReason::MapFull, Scope::Everything, 2, 0, 6),
            gap(LossReason::MapFull, of(CACHE), 1, 0, 6),
        ]
    );
    let losses = reading.losses();
    assert_eq!((losses.ring_full, losses.map_full, losses.destroys, losses.total()), (4, 3, 0, 7));
}

#[test]
fn a_stack_without_room_and_a_name_to_be_sent_again_are_no_gap() {
    let mut tracker = LossTracker::new(Time(0));
    let counters = vec![cpu(&[
        (Kind::Queued, Fate::NoSite, 7),
        (Kind::Site, Fate::LostRing, 2),
        (Kind::Function, Fate::LostRing, 1),
    ])];
    let reading = reading(counters, &[]);
    assert_eq!(tracker.take(&reading, Time(5), Time(6)), []);
    assert_eq!((reading.all(Fate::NoSite), reading.losses().total()), (7, 3));
}

#[test]
fn skipped_runs_are_told_for_the_time_since_they_were_read_last() {
    let mut tracker = LossTracker::new(Time(0));
    let with = |misses: Option<Misses>| Reading { misses, ..reading(vec![cpu(&[])], &[]) };
    let misses = |grace, queued| with(Some(vec![("grace_end", Some(grace)), ("queued", Some(queued))]));
    let missed = LossReason::ProbeMissed;
    let of = |programs: &[&str]| programs.iter().map(|&program| program.to_owned()).collect::<Vec<_>>();
    assert_eq!(tracker.take(&misses(0, 0), Time(1_000), Time(1_001)), []);
    // The counters are read more often: that says nothing of skipped runs.
    assert_eq!(tracker.take(&with(None), Time(1_500), Time(1_501)), []);
    assert_eq!(
        tracker.take(&misses(2, 1), Time(2_000), Time(2_001)),
        [
            Gap { programs: of(&["grace_end"]), ..gap(missed, Scope::Grace, 2, 1_000, 2_001) },
            Gap { programs: of(&["queued"]), ..gap(missed, Scope::Queueing, 1, 1_000, 2_001) },
        ]
    );
    assert_eq!(tracker.take(&misses(2, 1), Time(3_000), Time(3_001)), []);
    assert_eq!(misses(2, 1).losses().probe_missed, 3);
    // What was skipped before is not what is skipped now.
    assert_eq!(
        tracker.take(&misses(2, 4), Time(4_000), Time(4_001)),
        [Gap { programs: of(&["queued"]), ..gap(missed, Scope::Queueing, 3, 3_000, 4_001) }]
    );
}

#[test]
fn a_skipped_run_concerns_what_its_event_would_have_changed() {
    let scope = |program| {
        let reading = Reading { misses: Some(vec![(program, Some(1))]), ..Reading::default() };
        let gaps = LossTracker::new(Time(0)).take(&reading, Time(1), Time(2));
        let [gap] = gaps.as_slice() else { panic!("{program}: {gaps:?}") };
        assert_eq!(gap.programs, [program]);
        gap.scope
    };
    for program in ["freed_bulk", "freed_list_end", "freed_sheaf_end", "callback_runs", "callback_runs_end"] {
        assert_eq!(scope(program), Scope::Freeing, "{program}");
    }
    for program in ["rcu_barrier_begin", "kvfree_barrier_end", "kvfree_on_cache_begin"] {
        assert_eq!(scope(program), Scope::Barriers, "{program}");
    }
    for program in ["rcu_work_flushed", "destroy_begin", "cache_created", "freed_at_once", "allocated"] {
        assert_eq!(scope(program), Scope::Everything, "{program}");
    }
}

#[test]
fn what_a_second_copy_saw_was_not_missed() {
    let misses = vec![
        ("callback_runs", Some(4)),
        ("callback_runs_nested", Some(9)),
        ("freed_bulk", Some(2)),
        ("freed_bulk_nested", Some(1)),
        ("freed_single", Some(1)),
        ("module_freed", Some(1)),
        ("destroy_begin", None),
    ];
    // Of the frees, which have several programs, all but one were seen.
    let counters = vec![cpu(&[(Kind::CallbackRuns, Fate::Nested, 3), (Kind::Freed, Fate::Nested, 2)])];
    let reading = Reading { counters, misses: Some(misses), ..Reading::default() };
    assert_eq!(reading.missed(), BTreeMap::from([(Kind::Freed, 1), (Kind::CallbackRuns, 1)]));
    assert_eq!(reading.losses().destroys, 0);
}

#[test]
fn a_program_whose_second_copy_saw_all_is_not_named() {
    let counters = vec![cpu(&[(Kind::CacheCreated, Fate::Nested, 2), (Kind::DestroyBegin, Fate::Nested, 1)])];
    let misses = vec![("cache_created", Some(2)), ("destroy_begin", Some(2))];
    let reading = Reading { counters, misses: Some(misses), ..Reading::default() };
    let programs = vec!["destroy_begin".to_owned()];
    assert_eq!(
        LossTracker::new(Time(0)).take(&reading, Time(1), Time(2)),
        [Gap { programs, ..gap(LossReason::ProbeMissed, Scope::Everything, 1, 0, 2) }]
    );
}
