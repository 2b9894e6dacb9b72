//! Limits: machines of many CPUs, and simulations that would not end.

use std::sync::atomic::{AtomicU64, Ordering};

use krcu_model::event::Cpu;
use krcu_reference::{
    approach::{self, row_name},
    machine::CacheIndex,
    simulate::{
        Action, Budget, CacheSpec, Caller, GaveUp, Input, Measured, Outcome, RecordedGrace, Scenario,
        Workload, WorkloadError, simulate,
    },
};

const MS: u64 = 1_000_000;
const CACHE: CacheIndex = CacheIndex(0);
const MOST: Budget<'static> = Budget::events(1 << 20);

/// One object on CPU 0 and one on another; the cache is destroyed from there, and somebody calls
/// `rcu_barrier()`.
fn workload(cpus: u16, other: u16) -> Workload {
    let mut workload = Workload::new(cpus);
    workload.cache(CacheSpec {
        name: "cache".to_owned(),
        object_bytes: 64,
        type_safe: false,
        slab_objects: 4,
        other_users: 0,
    });
    for cpu in [0, other] {
        workload.at(0, Action::Queue { cache: Some(CACHE), cpu: Cpu(cpu) });
        workload.at(0, Action::CallRcu { cache: Some(CACHE), cpu: Cpu(cpu) });
    }
    workload.at(MS, Action::Destroy { cache: CACHE, caller: Caller(0), cpu: Cpu(other) });
    workload.at(2 * MS, Action::RcuBarrier { cpu: Cpu(other) });
    workload
}

fn measured() -> Measured {
    Measured::assuming(Input::assumed(10 * MS, "this test"), Input::assumed(1000, "this test"))
}

fn run_all(
    workload: &Workload,
    measured: &Measured,
    budget: Budget<'_>,
) -> Vec<Result<Outcome, WorkloadError>> {
    let scenario = Scenario { workload, measured, seed: 1, budget };
    approach::all().iter().map(|approach| simulate(approach.as_ref(), &scenario)).collect()
}

#[test]
fn a_cpu_that_has_nothing_queued_costs_no_approach_anything() {
    // So a machine of any size comes to what a machine of two CPUs comes to.
    let small = run_all(&workload(2, 1), &measured(), MOST);
    assert!(small.iter().all(Result::is_ok));
    for cpus in [64, 65, 128, 129, 256] {
        let large = run_all(&workload(cpus, cpus - 1), &measured(), MOST);
        assert_eq!(large, small, "{cpus} CPUs");
    }
    // All on one CPU: no result to compare with, but there is one.
    for outcome in run_all(&workload(1, 0), &measured(), MOST) {
        assert!(outcome.unwrap().rows[0].caller_wait_ns.is_some());
    }
    // A few rows are enough for the largest: each looks at every CPU at every event.
    let (workload, measured) = (workload(1024, 1023), measured());
    let scenario = Scenario { workload: &workload, measured: &measured, seed: 1, budget: MOST };
    let rows = approach::all().into_iter().zip(small);
    for (approach, small) in
        rows.filter(|(row, _)| ["status-quo", "upstream (6.12)"].contains(&row_name(row.as_ref()).as_str()))
    {
        assert_eq!(simulate(approach.as_ref(), &scenario), small);
    }
}

#[test]
fn a_call_without_memory_finds_a_task_on_every_cpu_of_a_large_machine() {
    let mut workload = workload(1024, 1023);
    for cpu in 0..1024 {
        for _ in 0..80 {
            workload.at(0, Action::QueueHeadless { cache: None, cpu: Cpu(cpu) });
        }
    }
    let measured = measured();
    // The workload is accepted; what it costs is another test's.
    let scenario = Scenario { workload: &workload, measured: &measured, seed: 1, budget: Budget::events(0) };
    let refused = simulate(approach::all()[0].as_ref(), &scenario).unwrap_err();
    assert_eq!(refused, WorkloadError::GaveUp { events: 0, simulated_ns: 0, why: GaveUp::Events });
}

#[test]
fn a_machine_larger_than_the_kernel_knows_is_refused() {
    for outcome in run_all(&workload(u16::MAX, 0), &measured(), MOST) {
        assert_eq!(outcome, Err(WorkloadError::TooLarge));
    }
}

#[test]
fn a_grace_period_that_ends_with_the_clock_makes_every_approach_end() {
    let last = RecordedGrace { begin_ns: 0, end_ns: u64::MAX };
    let measured = Measured { recorded: vec![last], ..measured() };
    for outcome in run_all(&workload(2, 1), &measured, MOST) {
        // The timer ends every 21 s until then, which takes more events than it has.
        let Err(WorkloadError::GaveUp { why, .. }) = outcome else { unreachable!("{outcome:?}") };
        assert!(matches!(why, GaveUp::Clock | GaveUp::Events), "{why:?}");
    }
}

#[test]
fn who_gives_up_says_after_what() {
    let measured = measured();
    let asked = AtomicU64::new(0);
    let is_over = || asked.fetch_add(1, Ordering::Relaxed) == 1;
    for outcome in run_all(&workload(129, 128), &measured, Budget { events: u64::MAX, is_over: &is_over }) {
        asked.store(0, Ordering::Relaxed);
        let Err(WorkloadError::GaveUp { events, why, .. }) = outcome else {
            // It needs no more events than come before the second question.
            continue;
        };
        assert_eq!((events, why), (64, GaveUp::Over));
    }
    let error = WorkloadError::GaveUp { events: 4096, simulated_ns: 12_034 * MS, why: GaveUp::Events };
    assert_eq!(
        error.to_string(),
        "gave up after 4096 events, 12.034 s into the simulated run: it may not take more events"
    );
}
