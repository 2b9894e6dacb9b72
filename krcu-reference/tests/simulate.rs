//! What each approach costs, in cases that are computed by hand.
//!
//! Unless a case says otherwise, a grace period takes 10 ms, the free of an object 1 us, a worker begins 50
//! us after its work was queued, and a softirq 20 us after its callbacks may run. Page caches are empty at
//! the beginning, so objects that are queued at once go to the fallback list, and are freed one by one.

use std::ops::Deref;

use krcu_model::{
    event::{CacheAddress, Cpu},
    promise::{Promise, Violation},
};
use krcu_reference::{
    approach::{self, Approach, row_name},
    machine::CacheIndex,
    simulate::{
        Action, Budget, CacheSpec, Caller, Input, InputKind, Measured, Origin, Outcome, Pair, Scenario,
        Splat, Wait, Workload, WorkloadError, back_test, simulate, simulate_judged,
    },
};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;
const A: CacheIndex = CacheIndex(0);
const B: CacheIndex = CacheIndex(1);
const BYTES: u32 = 64;
const SLAB: u32 = 4;
const MOST: Budget<'static> = Budget::events(1 << 24);

fn constants() -> Measured {
    Measured {
        worker_delay: Input::assumed(50 * US, "this test"),
        softirq_delay: Input::assumed(20 * US, "this test"),
        ..Measured::assuming(Input::assumed(10 * MS, "this test"), Input::assumed(US, "this test"))
    }
}

#[expect(clippy::panic, reason = "a case without its approach tests nothing")]
fn row_of(name: &str) -> Box<dyn Approach> {
    let found = approach::all().into_iter().find(|approach| row_name(approach.as_ref()) == name);
    found.unwrap_or_else(|| panic!("no approach is called {name}"))
}

fn run_with(name: &str, workload: &Workload, measured: &Measured) -> Judged {
    judged(row_of(name).as_ref(), &Scenario { workload, measured, seed: 1, budget: MOST })
}

/// A run, and what the judge of real kernels says of it.
struct Judged {
    outcome: Outcome,
    violations: Vec<Violation>,
}

impl Deref for Judged {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

/// Runs a scenario with the machine's own truth, and again with a judge who is told every event: both say the
/// same of each row.
#[expect(clippy::unwrap_used, reason = "a case whose workload is refused tests nothing")]
fn judged(approach: &dyn Approach, scenario: &Scenario<'_>) -> Judged {
    let outcome = simulate(approach, scenario).unwrap();
    let (watched, violations) = simulate_judged(approach, scenario).unwrap();
    let name = row_name(approach);
    assert_eq!(outcome, watched, "{name}");
    for row in outcome.rows.iter().filter(|row| row.destroyed_at_ns.is_some() && !row.is_alias) {
        let address = CacheAddress(u64::from(row.cache.0) + 1);
        let breaks = |promise| {
            violations.iter().any(|broken| broken.promise == promise && broken.address == Some(address))
        };
        assert_eq!(row.is_unsafe, breaks(Promise::MemoryOutlivesObjects), "{name}: {row:?}");
        assert_eq!(row.splat == Splat::False, breaks(Promise::NoFalseSplat), "{name}: {row:?}");
    }
    Judged { outcome, violations }
}

fn run(name: &str, workload: &Workload) -> Judged {
    run_with(name, workload, &constants())
}

fn caches(workload: &mut Workload) {
    for name in ["cache-a", "cache-b"] {
        workload.cache(CacheSpec {
            name: name.to_owned(),
            object_bytes: BYTES,
            type_safe: false,
            slab_objects: SLAB,
            other_users: 0,
        });
    }
}

fn queue(workload: &mut Workload, cache: CacheIndex, cpu: u16, at_ns: u64, objects: u32) {
    for _ in 0..objects {
        workload.at(at_ns, Action::Queue { cache: Some(cache), cpu: Cpu(cpu) });
    }
}

const DESTROY_A: Action = Action::Destroy { cache: A, caller: Caller(0), cpu: Cpu(0) };

/// Objects of the destroyed cache are queued on CPU 0, and objects of another cache on CPU 1, at the
/// beginning. The destroy comes after 1 ms.
fn own_and_others(own: u32, others: u32) -> Workload {
    let mut workload = Workload::new(2);
    caches(&mut workload);
    queue(&mut workload, A, 0, 0, own);
    queue(&mut workload, B, 1, 0, others);
    workload.at(MS, DESTROY_A);
    workload
}

fn with_leak() -> Workload {
    let mut workload = own_and_others(1, 0);
    workload.at(0, Action::Leak { cache: A });
    workload
}

/// What a case expects of its only destroy.
#[derive(Debug, PartialEq)]
struct Cost {
    wait_ns: Option<u64>,
    linger_ns: Option<u64>,
    own: u64,
    other: u64,
    forced: u64,
    splat: Splat,
    is_unsafe: bool,
}

/// A destroy that gives everything back when it returns.
const AT_ONCE: Cost = Cost {
    wait_ns: Some(0),
    linger_ns: Some(0),
    own: 0,
    other: 0,
    forced: 0,
    splat: Splat::None,
    is_unsafe: false,
};
/// A destroy that finds queued objects and reports them as a leak.
const FALSE: Cost = Cost { linger_ns: None, splat: Splat::False, is_unsafe: true, ..AT_ONCE };

#[expect(clippy::panic, reason = "a case says what its one destroy costs")]
fn cost(outcome: &Outcome) -> Cost {
    let [row] = outcome.rows.as_slice() else { panic!("{:#?}", outcome.rows) };
    Cost {
        wait_ns: row.caller_wait_ns,
        linger_ns: row.linger_ns,
        own: row.waited_for_own,
        other: row.waited_for_other,
        forced: row.grace_periods_forced,
        splat: row.splat,
        is_unsafe: row.is_unsafe,
    }
}

#[test]
fn status_quo_waits_until_the_grace_period_of_its_callbacks_is_over() {
    // call_rcu() at 0: the grace period is 0 to 10 ms, the callback runs from 10.020 to 10.021 ms, and
    // rcu_barrier()'s own right after it. rcu_barrier() was called at 1 ms. The grace period would have come
    // anyway.
    let outcome = run("status-quo", &own_and_others(1, 0));
    assert_eq!(cost(&outcome), Cost { wait_ns: Some(9 * MS + 21 * US), own: 1, ..AT_ONCE });
    assert_eq!(outcome.rows[0].retained_bytes_ns, 0);
    assert_eq!((outcome.sum.grace_periods, outcome.sum.rcu_barriers), (1, 1));
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
}

#[test]
fn status_quo_waits_for_the_callbacks_of_others_as_well() {
    // Cache b stays, and its callbacks are on CPU 1: 5 callbacks from 10.020 to 10.025 ms.
    let mut workload = own_and_others(1, 0);
    (0..5).for_each(|_| {
        workload.at(0, Action::CallRcu { cache: Some(B), cpu: Cpu(1) });
    });
    let expected = Cost { wait_ns: Some(9 * MS + 25 * US), own: 1, other: 5, ..AT_ONCE };
    assert_eq!(cost(&run("status-quo", &workload)), expected);
}

#[test]
fn misuse_and_a_destroy_that_waits_for_nobody_are_unsafe_with_a_false_splat() {
    for name in [
        "status-quo (misuse: kfree_rcu())",
        "status-quo (misuse: no rcu_barrier())",
        "upstream (before 6.12)",
        "destroy-rcu (the plain destroy is called)",
    ] {
        let outcome = run(name, &own_and_others(3, 0));
        assert_eq!(cost(&outcome), FALSE, "{name}");
        // Three objects in one slab of four, which stays for ever.
        assert_eq!(outcome.rows[0].kept_bytes, u64::from(SLAB * BYTES), "{name}");
        assert_eq!(outcome.rows[0].splat_after_ns, Some(0), "{name}");
        assert_eq!((outcome.sum.unsafe_destroys, outcome.sum.false_splats), (1, 1), "{name}");
    }
}

#[test]
fn upstream_waits_a_grace_period_a_worker_and_the_frees_of_everybody() {
    // At 1 ms both CPUs' lists become batches: grace period 1 to 11 ms, softirqs 11.020, workers 11.070;
    // CPU 0 has freed its 3 at 11.073, CPU 1 its 5 at 11.075, when the destroy looks.
    let outcome = run("upstream (6.12)", &own_and_others(3, 5));
    let expected = Cost { wait_ns: Some(10 * MS + 75 * US), own: 3, other: 5, forced: 1, ..AT_ONCE };
    assert_eq!(cost(&outcome), expected);
    // The destroyed cache's objects were free at 11.071, 11.072 and 11.073, their slab at 11.075.
    assert_eq!(outcome.rows[0].retained_bytes_ns, u128::from((4 + 3 + 2) * US) * u128::from(BYTES));
    assert_eq!(outcome.rows[0].kept_bytes, 0);
    assert_eq!(outcome.rows[0].api_changes, "none");
    // The other rows of this generation cost the same here.
    for name in ["upstream (6.12, the shrinker runs)", "upstream (6.12, beside a cache that stays)"] {
        assert_eq!(cost(&run(name, &own_and_others(3, 5))), expected, "{name}");
    }
}

#[test]
fn upstream_with_sheaves_waits_for_the_own_ones() {
    // Its 3 objects are in a sheaf of CPU 0, which the barrier hands to call_rcu() at 1 ms: grace period to
    // 11 ms, softirq 11.020, three frees 11.023. The other cache's sheaf is not full, and nobody waits for
    // it.
    for name in
        ["upstream (6.18)", "upstream (6.19)", "upstream (7.x)", "upstream (7.x, beside an idle cache)"]
    {
        let outcome = run(name, &own_and_others(3, 5));
        let expected = Cost { wait_ns: Some(10 * MS + 23 * US), own: 3, forced: 1, ..AT_ONCE };
        assert_eq!(cost(&outcome), expected, "{name}");
        // The barrier of 6.18 forgets the callbacks; the shutdown after it waits for them.
        let forgets = outcome.violations.iter().any(|violation| violation.promise == Promise::BarrierCovers);
        assert_eq!(forgets, name == "upstream (6.18)", "{name}");
    }
}

#[test]
fn upstream_pays_where_nothing_is_queued_of_the_cache_and_a_count_saves_it() {
    // CPU 1 frees its 5 at 11.075 ms, as above.
    let expected = Cost { wait_ns: Some(10 * MS + 75 * US), other: 5, forced: 1, ..AT_ONCE };
    assert_eq!(cost(&run("upstream (6.12)", &own_and_others(0, 5))), expected);
    let outcome = run("counted", &own_and_others(0, 5));
    assert_eq!(cost(&outcome), AT_ONCE);
    // The other cache's batch has its own grace period later, from its monitor on.
    assert_eq!((outcome.sum.grace_periods, outcome.sum.simulated_ns), (1, 5 * S + 10 * MS + 75 * US));
}

#[test]
fn what_waits_for_one_cache_waits_for_its_own_only() {
    // Like upstream, but only until the 3 objects of CPU 0 are free: 11.073 ms.
    for name in ["free-barrier", "destroy-wait", "counted"] {
        let outcome = run(name, &own_and_others(3, 5));
        let expected = Cost { wait_ns: Some(10 * MS + 73 * US), own: 3, forced: 1, ..AT_ONCE };
        assert_eq!(cost(&outcome), expected, "{name}");
        assert_eq!(outcome.rows[0].retained_bytes_ns, u128::from(3 * US) * u128::from(BYTES), "{name}");
    }
}

#[test]
fn the_documents_barrier_waits_for_everybody_by_callbacks() {
    // At 1 ms each object of the lists becomes a callback: grace period to 11 ms, softirqs 11.020, the 3 of
    // CPU 0 are free at 11.023, the 5 of CPU 1 at 11.025, each followed by rcu_barrier()'s.
    let expected = Cost { wait_ns: Some(10 * MS + 25 * US), own: 3, other: 5, forced: 1, ..AT_ONCE };
    for name in [
        "kfree-rcu-barrier",
        "kfree-rcu-barrier (no riding)",
        "kfree-rcu-barrier (with the struck-out SRCU)",
        "kfree-rcu-barrier (no mutex)",
        "kfree-rcu-barrier (batches emptied too)",
        "kfree-rcu-barrier (workers not waited for)",
        "rcu-barrier-waits",
    ] {
        assert_eq!(cost(&run(name, &own_and_others(3, 5))), expected, "{name}");
    }
}

#[test]
fn what_lingers_waits_for_nobody_and_lingers_for_the_monitor() {
    // The monitor runs at 5 s, 5 s after the first object. Its batch has its own grace period, since none
    // began for cookies that are only polled: 5.010, softirq 5.010020, worker 5.010070, 3 frees.
    let lingers = 5 * S + 10 * MS + 73 * US - MS;
    for name in ["destroy-lingers", "destroy-lingers (no timeout)", "destroy-rcu", "destroy-once-fully-freed"]
    {
        let expected = Cost { linger_ns: Some(lingers), ..AT_ONCE };
        assert_eq!(cost(&run(name, &own_and_others(3, 5))), expected, "{name}");
    }
    // With only the timer, this is noticed at 21.001 s.
    let timer = run("destroy-lingers (timer checks only)", &own_and_others(3, 5));
    assert_eq!(cost(&timer), Cost { linger_ns: Some(21 * S), ..AT_ONCE });
    assert_eq!(timer.rows[0].retained_bytes_ns, {
        let free_ns = [71, 72, 73].map(|us| 5 * S + 10 * MS + us * US);
        free_ns.iter().map(|at| u128::from(21 * S + MS - at) * u128::from(BYTES)).sum::<u128>()
    });
}

#[test]
fn others_grace_periods_spare_those_who_poll_one_of_their_own() {
    // A grace period ends every 20 ms, so at 5 s the monitor finds the list ready, and frees its 3 objects at
    // once.
    let measured = Measured { between_grace: Input::observed(vec![10 * MS], "this test"), ..constants() };
    let outcome = run_with("destroy-lingers", &own_and_others(3, 0), &measured);
    assert_eq!(cost(&outcome), Cost { linger_ns: Some(5 * S + 3 * US - MS), ..AT_ONCE });
    // Nobody needs the next one, at 5.010 s, any more.
    assert_eq!(outcome.sum.simulated_ns, 5 * S + 3 * US);
    let uses = |kind| outcome.rows[0].inputs.iter().find(|used| used.input == kind).unwrap();
    assert_eq!(uses(InputKind::BetweenGrace).origin, Origin::Observed);
    assert_eq!((uses(InputKind::Drain).origin, uses(InputKind::Drain).draws), (Origin::Assumed, 1));
    assert_eq!(uses(InputKind::Free).draws, 3);
}

#[test]
fn barriers_behind_a_lingering_destroy_wait_as_long_as_it_lingers() {
    let lingers = 5 * S + 10 * MS + 73 * US - MS;
    for name in ["destroy-rcu-barrier", "destroy-rcu-cookie"] {
        let expected = Cost { wait_ns: Some(lingers), linger_ns: Some(lingers), own: 3, ..AT_ONCE };
        assert_eq!(cost(&run(name, &own_and_others(3, 5))), expected, "{name}");
    }
}

#[test]
fn a_leak_is_reported_at_once_or_after_21_s_or_never() {
    let at_once =
        ["status-quo", "upstream (6.12)", "upstream (7.x)", "free-barrier", "destroy-wait", "counted"];
    for name in at_once {
        let outcome = run(name, &with_leak());
        assert_eq!((outcome.rows[0].splat, outcome.rows[0].is_unsafe), (Splat::TrueLeak, false), "{name}");
        assert_eq!(outcome.rows[0].splat_after_ns, outcome.rows[0].caller_wait_ns, "{name}");
        assert_eq!(outcome.rows[0].kept_bytes, u64::from(SLAB * BYTES), "{name}");
    }
    for name in ["destroy-lingers", "destroy-lingers (timer checks only)", "destroy-rcu"] {
        let outcome = run(name, &with_leak());
        assert_eq!(cost(&outcome), Cost { linger_ns: None, splat: Splat::TrueLeak, ..AT_ONCE }, "{name}");
        assert_eq!(outcome.rows[0].splat_after_ns, Some(21 * S), "{name}");
    }
    // The barrier waits for the report of the leak, and then returns.
    for name in ["destroy-rcu-barrier", "destroy-rcu-cookie"] {
        let outcome = run(name, &with_leak());
        assert_eq!(
            (outcome.rows[0].caller_wait_ns, outcome.rows[0].waited_for_own),
            (Some(21 * S), 1),
            "{name}"
        );
    }
    for name in ["destroy-once-fully-freed", "destroy-lingers (no timeout)"] {
        let outcome = run(name, &with_leak());
        assert_eq!(cost(&outcome), Cost { linger_ns: None, ..AT_ONCE }, "{name}");
        assert!(
            outcome.violations.iter().any(|violation| violation.promise == Promise::LeakIsReported),
            "{name}"
        );
    }
    let silent = run("destroy-rcu-barrier (the barrier hangs in silence)", &with_leak());
    assert_eq!(
        (silent.rows[0].caller_wait_ns, silent.sum.hung, silent.rows[0].splat),
        (None, 1, Splat::None)
    );
}

#[test]
fn a_grace_period_as_long_as_the_timeout_makes_its_report_false() {
    // Queued by call_rcu(), since 5 s pass before a list's grace period begins: 0 to 30 s, reported at 21.001.
    let measured = Measured { grace: Input::assumed(30 * S, "a stall"), ..constants() };
    let mut workload = Workload::new(1);
    caches(&mut workload);
    workload.at(0, Action::CallRcu { cache: Some(A), cpu: Cpu(0) }).at(MS, DESTROY_A);
    let outcome = run_with("destroy-lingers (a reader stalls RCU for 21 s)", &workload, &measured);
    let lingers = 30 * S + 21 * US - MS;
    // The report gives nothing back, so nothing is unsafe.
    assert_eq!(cost(&outcome), Cost { linger_ns: Some(lingers), splat: Splat::False, ..AT_ONCE });
}

#[test]
fn only_a_barrier_that_waits_for_kfree_rcu_is_charged_to_bystanders() {
    // One object is on CPU 0's list, and an unrelated task calls rcu_barrier() on CPU 1 at 1 ms. The plain
    // one finds no callback. The other one passes the object to call_rcu(): grace period to 11 ms, free
    // 11.021.
    let mut workload = Workload::new(2);
    caches(&mut workload);
    queue(&mut workload, B, 0, 0, 1);
    workload.at(MS, Action::RcuBarrier { cpu: Cpu(1) });
    for approach in approach::all() {
        let name = row_name(approach.as_ref());
        let outcome = run(&name, &workload);
        let expected = if name == "rcu-barrier-waits" { 10 * MS + 21 * US } else { 0 };
        assert_eq!(outcome.sum.bystander_wait_ns, expected, "{name}");
        assert_eq!(outcome.bystander_waits_ns, [Some(expected)], "{name}");
        assert_eq!(outcome.sum.destroys, 0, "{name}");
    }
}

/// This many type-safe caches without objects; the same caller destroys one each time this many nanoseconds
/// pass.
fn memory_cgroups(destroys: u16, every_ns: u64) -> Workload {
    let mut workload = Workload::new(1);
    for number in 0..destroys {
        let spec = CacheSpec {
            name: format!("memcg-{number}"),
            object_bytes: BYTES,
            type_safe: true,
            slab_objects: SLAB,
            other_users: 0,
        };
        let cache = workload.cache(spec);
        let destroy = Action::Destroy { cache, caller: Caller(0), cpu: Cpu(0) };
        workload.at(u64::from(number) * every_ns, destroy);
    }
    workload
}

/// Barriers, grace periods, how long callers waited, how long caches lingered.
fn counts(outcome: &Judged) -> (u64, u64, u64, u64) {
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let sum = &outcome.sum;
    (sum.rcu_barriers, sum.grace_periods, sum.caller_wait_ns, sum.linger_ns)
}

#[test]
fn one_barrier_each_costs_memory_cgroups_what_batching_saves() {
    let measured = Measured::assuming(Input::assumed(10 * MS, "this test"), Input::assumed(US, "this test"));
    let counts = |name: &str, workload: &Workload| counts(&run_with(name, workload, &measured));
    let (batched, each) = ("destroy-lingers-typesafe", "destroy-lingers-typesafe (one rcu_barrier() each)");
    // 2000 at once: all slabs wait for the grace period from 0 to 10 ms; one work item takes all of them.
    let at_once = memory_cgroups(2000, 0);
    assert_eq!(counts(batched, &at_once), (1, 1, 0, 2000 * 10 * MS));
    assert_eq!(counts(each, &at_once), (2000, 1, 0, 2000 * 10 * MS));
    // In 6.12 and later, the destroy calls rcu_barrier() itself: each waits for its own grace period.
    assert_eq!(counts("upstream (6.12)", &at_once), (2000, 2000, 2000 * 10 * MS, 0));
    // 101, one each ms from 0 to 100 ms: grace periods follow one another, 0 to 10, ..., 100 to 110 ms. The
    // work item takes the first at 0, then at 10, 20, ..., 100 ms the ten that have come meanwhile. The
    // first lingers 10 ms; of each ten, the one of ms 1 until 20, ..., that of ms 10 until 20: 19+...+10 = 145.
    let one_each_ms = memory_cgroups(101, MS);
    assert_eq!(counts(batched, &one_each_ms), (11, 11, 0, (10 + 10 * 145) * MS));
    assert_eq!(counts(each, &one_each_ms), (101, 11, 0, (10 + 10 * 145) * MS));
}

#[test]
fn a_type_safe_cache_gives_its_slabs_back_after_another_grace_period() {
    // Status quo: freed at 10.021 ms, and then the slabs go to call_rcu(): grace period to 20.021, softirq
    // 20.041; the work item's barrier comes after it. The destroy has returned at 10.021. In 6.12: free at
    // 11.073, grace period to 21.073, softirq 21.093, and the destroy waits for it.
    let mut workload = own_and_others(3, 0);
    workload.caches[0].type_safe = true;
    let outcome = run("status-quo", &workload);
    let linger_ns = Some(10 * MS + 20 * US);
    let expected = Cost { wait_ns: Some(9 * MS + 23 * US), linger_ns, own: 3, forced: 1, ..AT_ONCE };
    assert_eq!(cost(&outcome), expected);
    let outcome = run("upstream (6.12)", &workload);
    let expected = Cost { wait_ns: Some(20 * MS + 93 * US), own: 3, forced: 2, ..AT_ONCE };
    assert_eq!(cost(&outcome), expected);
    assert_eq!(outcome.rows[0].look_after_ns, Some(10 * MS + 73 * US));
}

#[test]
fn callers_ride_on_one_another_and_an_alias_pays_for_nothing() {
    // Cache a is destroyed twice, so it is merged: the first pays the barrier and drops a reference. Both
    // begin at 1 ms; the barrier of 6.12 has no mutex: both wait for the frees at 11.073.
    let mut workload = own_and_others(3, 0);
    workload.at(MS, Action::Destroy { cache: A, caller: Caller(1), cpu: Cpu(1) });
    let outcome = run("upstream (6.12)", &workload);
    let of = |row: usize| {
        let row = &outcome.rows[row];
        (row.is_alias, row.caller_wait_ns, row.linger_ns, row.waited_for_own)
    };
    assert_eq!(of(0), (true, Some(10 * MS + 73 * US), None, 3));
    assert_eq!(of(1), (false, Some(10 * MS + 73 * US), Some(0), 3));
    // One grace period for both, and it counts once.
    assert_eq!((outcome.sum.grace_periods, outcome.sum.grace_periods_forced), (1, 1));
}

#[test]
fn a_caller_destroys_one_cache_after_the_other() {
    // Both at 1 ms by one caller: the first waits until 11.073, when nothing is queued any more.
    let mut workload = own_and_others(3, 0);
    workload.at(MS, Action::Destroy { cache: B, caller: Caller(0), cpu: Cpu(0) });
    let outcome = run("upstream (6.12)", &workload);
    let waits: Vec<_> = outcome.rows.iter().map(|row| (row.destroyed_at_ns, row.caller_wait_ns)).collect();
    assert_eq!(waits, [(Some(MS), Some(10 * MS + 73 * US)), (Some(11 * MS + 73 * US), Some(0))]);
    // A barrier that hangs in silence keeps its caller from its second destroy.
    let mut leaking = with_leak();
    leaking.at(MS, Action::Destroy { cache: B, caller: Caller(0), cpu: Cpu(0) });
    let hung = run("destroy-rcu-barrier (the barrier hangs in silence)", &leaking);
    assert_eq!((hung.rows[1].destroyed_at_ns, hung.sum.hung), (None, 2));
}

#[test]
fn a_call_without_memory_waits_within_itself() {
    // Its grace period is 0 to 10 ms, and it frees as it returns; the destroy at 1 ms lingers for that.
    let mut workload = Workload::new(1);
    caches(&mut workload);
    workload
        .at(0, Action::Pressure { is_short: true })
        .at(0, Action::QueueHeadless { cache: Some(A), cpu: Cpu(0) })
        .at(MS, DESTROY_A)
        .at(2 * MS, Action::Pressure { is_short: false });
    assert_eq!(cost(&run("destroy-lingers", &workload)), Cost { linger_ns: Some(9 * MS), ..AT_ONCE });
    // No barrier covers it: its call has not returned.
    assert_eq!(cost(&run("upstream (6.12)", &workload)), FALSE);
    // The status quo has a callback instead: 10.020 to 10.021 ms.
    let status_quo = cost(&run("status-quo", &workload));
    assert_eq!(status_quo, Cost { wait_ns: Some(9 * MS + 21 * US), own: 1, ..AT_ONCE });
}

#[test]
fn what_the_shrinker_took_off_the_lists_is_nobodys_to_wait_for() {
    // A callback of cache b at 1 ms begins the grace period 1 to 11 ms, after which the list of cache a is
    // ready; the shrinker takes it off at 20 ms and frees until 20.003. The destroy comes at 20.0005.
    let mut workload = Workload::new(1);
    caches(&mut workload);
    queue(&mut workload, A, 0, 0, 3);
    workload
        .at(MS, Action::CallRcu { cache: Some(B), cpu: Cpu(0) })
        .at(20 * MS, Action::Shrink)
        .at(20 * MS + 500, DESTROY_A);
    assert_eq!(cost(&run("upstream (6.12, the shrinker runs)", &workload)), FALSE);
    let waits = cost(&run("free-barrier", &workload));
    assert_eq!(waits, Cost { wait_ns: Some(2_500), own: 3, ..AT_ONCE });
}

#[test]
fn full_pages_make_the_monitor_come_after_a_jiffy() {
    // The first object goes to the list and lets five pages be fetched at 50 us; at 1 ms 506 more make the
    // 507 that call the monitor to 5 ms, one jiffy later: batch, grace period to 15 ms, softirq 15.020,
    // worker 15.070, a page of 506 in one call until 15.576 and the list's one until 15.577.
    let mut workload = Workload::new(1);
    caches(&mut workload);
    queue(&mut workload, A, 0, 0, 1);
    queue(&mut workload, A, 0, MS, 506);
    workload.at(2 * MS, DESTROY_A);
    let lingers = 15 * MS + 577 * US - 2 * MS;
    assert_eq!(cost(&run("destroy-lingers", &workload)), Cost { linger_ns: Some(lingers), ..AT_ONCE });
}

/// Different samples, so that the order in which they are drawn shows.
#[expect(clippy::unwrap_used, reason = "there are samples")]
fn scattered() -> Measured {
    let samples = |from: u64, step: u64| (0..40).map(|n| from + n * n * step).collect::<Vec<u64>>();
    Measured {
        grace: Input::observed(samples(5 * MS, 10 * US), "this test").unwrap(),
        between_grace: Input::observed(samples(MS, 20 * US), "this test"),
        free: Input::observed(samples(100, 3), "this test").unwrap(),
        worker_delay: Input::observed(samples(5 * US, US), "this test").unwrap(),
        softirq_delay: Input::observed(samples(2 * US, 700), "this test").unwrap(),
        ..constants()
    }
}

fn busy() -> Workload {
    let mut workload = Workload::new(3);
    caches(&mut workload);
    for number in 0..600_u64 {
        let cache = if number % 3 == 0 { A } else { B };
        queue(&mut workload, cache, (number % 3) as u16, number * 7 * US, 1);
        if number % 50 == 0 {
            workload.at(number * 7 * US, Action::RcuBarrier { cpu: Cpu(1) });
            workload.at(number * 7 * US, Action::QueueHeadless { cache: None, cpu: Cpu(2) });
        }
    }
    workload.at(4 * MS + 300 * US, DESTROY_A);
    workload.at(5 * MS, Action::Destroy { cache: B, caller: Caller(1), cpu: Cpu(1) });
    workload
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
    let (workload, measured) = (busy(), scattered());
    for approach in approach::all() {
        let outcome = |seed| {
            simulate(
                approach.as_ref(),
                &Scenario { workload: &workload, measured: &measured, seed, budget: MOST },
            )
            .unwrap()
        };
        let name = row_name(approach.as_ref());
        assert_eq!(outcome(7), outcome(7), "{name}");
        assert_ne!(outcome(7).sum, outcome(8).sum, "{name}");
    }
}

#[test]
fn what_no_approach_breaks_for_the_checker_no_run_breaks() {
    let (workload, measured) = (busy(), scattered());
    for approach in approach::all() {
        let name = row_name(approach.as_ref());
        for seed in 0..5 {
            let scenario = Scenario { workload: &workload, measured: &measured, seed, budget: MOST };
            let outcome = judged(approach.as_ref(), &scenario);
            for violation in &outcome.violations {
                let is_known = approach.breaks().iter().any(|(promise, _)| *promise == violation.promise);
                // Queued objects of a built-in cache stay in a sheaf until it is full.
                let in_sheaf =
                    approach.generation().has_sheaves && violation.promise == Promise::DeferredFreeComes;
                assert!(is_known || in_sheaf, "{name}: {violation:?}");
            }
            assert_eq!(outcome.rows.len(), 2, "{name}");
        }
    }
}

#[test]
fn a_back_test_puts_the_simulated_wait_beside_the_measured_one() {
    let outcome = run("upstream (6.12)", &own_and_others(3, 5));
    // Simulated: 10.075 ms.
    let waits = [
        Wait { destroy: 0, wait_ns: 8 * MS, after_last_free_ns: 3 * MS, is_given: false },
        Wait { destroy: 1, wait_ns: 5, after_last_free_ns: 5, is_given: false },
    ];
    let test = back_test(&outcome, &waits);
    let pair = Pair {
        destroy: 0,
        name: "cache-a".to_owned(),
        simulated_ns: 10 * MS + 75 * US,
        measured_ns: 8 * MS,
        after_last_free_ns: 3 * MS,
        is_given: false,
    };
    assert_eq!(pair.off_ns(), i128::from(2 * MS + 75 * US));
    assert_eq!((test.pairs.as_slice(), test.unmatched), ([pair].as_slice(), 1));
    // 10075 / 8000 = 1.259.
    assert_eq!((test.per_mille(), test.median_off_ns()), (Some(1259), Some(u128::from(2 * MS + 75 * US))));
    // 10075 / 5000 = 2.015.
    assert_eq!(test.per_mille_until_last_free(), Some(2015));
    assert_eq!(back_test(&outcome, &[]).per_mille(), None);
}

#[test]
fn a_cache_with_other_users_is_not_given_back_by_its_destroy() {
    let mut workload = own_and_others(3, 0);
    workload.caches[usize::from(A.0)].other_users = 1;
    let outcome = run("upstream (6.12)", &workload);
    let [row] = outcome.rows.as_slice() else { panic!("{:#?}", outcome.rows) };
    // The barrier comes before the reference is dropped: grace period 1 to 11 ms, worker 11.070, three frees.
    assert_eq!((row.is_alias, row.caller_wait_ns), (true, Some(10 * MS + 73 * US)));
    assert_eq!((row.linger_ns, row.kept_bytes), (None, 0));
    // Owners free by a callback if they will destroy the cache later.
    let outcome = run("status-quo", &workload);
    assert_eq!((outcome.sum.rcu_barriers, outcome.rows[0].waited_for_own), (1, 3));
}

#[test]
fn a_hundred_thousand_objects_and_a_hundred_destroys_are_no_more_work_each() {
    // All on one list at 0. The destroys come at 1 ms, of caches 1 to 100 with a thousand objects each.
    let mut workload = Workload::new(1);
    for number in 0..100_u16 {
        let name = format!("cache-{number}");
        let cache = workload.cache(CacheSpec {
            name,
            object_bytes: BYTES,
            type_safe: false,
            slab_objects: SLAB,
            other_users: 0,
        });
        queue(&mut workload, cache, 0, 0, 1000);
        let caller = Caller(u32::from(number));
        workload.at(MS, Action::Destroy { cache, caller, cpu: Cpu(0) });
    }
    // Callbacks from 10.020 ms on, a microsecond each, and rcu_barrier()'s after the last at 110.020. All
    // callers have taken their snapshot before the first of them takes the mutex, so its operation is enough
    // for all.
    let outcome = run("status-quo", &workload);
    assert_eq!(outcome.sum.caller_wait_ns, 100 * (109 * MS + 20 * US));
    assert_eq!((outcome.sum.waited_for_own, outcome.sum.waited_for_other), (100_000, 9_900_000));
    assert_eq!((outcome.sum.rcu_barriers, outcome.sum.grace_periods), (1, 1));
    // One batch for all: grace period 1 to 11 ms, worker 11.070, the last object first. The nth cache from
    // the end is free after n ms.
    let outcome = run("free-barrier", &workload);
    assert_eq!(outcome.sum.caller_wait_ns, 100 * (10 * MS + 70 * US) + (1..=100).sum::<u64>() * MS);
    assert_eq!((outcome.sum.waited_for_own, outcome.sum.waited_for_other), (100_000, 0));
    assert_eq!((outcome.sum.grace_periods_forced, outcome.sum.longest_wait_ns), (1, 110 * MS + 70 * US));
}

#[test]
fn a_workload_that_names_what_it_does_not_have_is_refused() {
    let refused = |workload: &Workload| {
        let (approach, measured) = (row_of("counted"), constants());
        simulate(approach.as_ref(), &Scenario { workload, measured: &measured, seed: 0, budget: MOST })
            .unwrap_err()
    };
    assert_eq!(refused(&Workload::new(0)), WorkloadError::NoCpu);
    let mut workload = Workload::new(1);
    workload.at(0, Action::RcuBarrier { cpu: Cpu(1) });
    assert_eq!(refused(&workload).to_string(), "the workload has no CPU 1");
    let mut workload = Workload::new(1);
    workload.at(0, Action::Leak { cache: B });
    assert_eq!(refused(&workload), WorkloadError::UnknownCache(B));
    assert!(Input::observed(Vec::new(), "nothing").is_none());
}

#[test]
fn every_approach_has_a_case() {
    let ids: std::collections::BTreeSet<&str> =
        approach::all().iter().map(|approach| approach.id()).collect();
    let here = include_str!("simulate.rs");
    for id in ids {
        assert!(here.contains(&format!("\"{id}")), "{id}");
    }
}
