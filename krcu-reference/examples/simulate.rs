//! How fast the simulation is: a workload of 100,000 deferred frees and 100 destroys under each approach,
//! compared with the same events stepped through a bare `State`.
//!
//! A benchmark, not a test; `cargo xtask bench` runs it. The rate on one computer is only good for comparing
//! two builds. The ratio says what the simulation's clock and lists cost, compared with the judgement.

use std::{hint::black_box, time::Instant};

use krcu_model::{
    Event, State, Watch,
    event::{Cpu, Time},
};
use krcu_reference::{
    approach::{self, Approach, row_name},
    simulate::{
        Action, Budget, CacheSpec, Caller, Input, Measured, Scenario, Workload, simulate, simulate_watched,
    },
};

const OBJECTS: u64 = 100_000;
const DESTROYS: u16 = 100;
const CPUS: u16 = 4;
/// An object is queued every this many nanoseconds.
const EVERY_NS: u64 = 5_000;

/// Half of the objects belong to a cache that stays. The others belong to caches that are destroyed one after
/// the other, each right after its last object was queued.
fn workload() -> Workload {
    let mut workload = Workload::new(CPUS);
    let spec = |name: String| CacheSpec {
        name,
        object_bytes: 128,
        type_safe: false,
        slab_objects: 32,
        other_users: 0,
    };
    let stays = workload.cache(spec("stays".to_owned()));
    let caches: Vec<_> =
        (0..DESTROYS).map(|number| workload.cache(spec(format!("cache-{number}")))).collect();
    let each = OBJECTS / u64::from(DESTROYS);
    let cpu = |number: u64| Cpu(u16::try_from(number % u64::from(CPUS)).unwrap_or(0));
    for (turn, cache) in (0..).zip(caches) {
        for number in turn * each..(turn + 1) * each {
            let of = if number % 2 == 0 { stays } else { cache };
            workload.at(number * EVERY_NS, Action::Queue { cache: Some(of), cpu: cpu(number / 2) });
        }
        let caller = Caller(u32::try_from(turn).unwrap_or(0));
        workload.at((turn + 1) * each * EVERY_NS, Action::Destroy { cache, caller, cpu: cpu(turn) });
        workload.at((turn + 1) * each * EVERY_NS, Action::RcuBarrier { cpu: cpu(turn + 1) });
    }
    workload
}

fn line(approach: &dyn Approach, scenario: &Scenario<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let mut events: Vec<Event> = Vec::new();
    simulate_watched(approach, scenario, &mut |event| events.push(event.clone()))?;
    let begin = Instant::now();
    let outcome = black_box(simulate(approach, scenario)?);
    let simulated = begin.elapsed();
    let mut state =
        State::new(Watch { attached: Time(0), possible_cpus: u32::from(CPUS), ..Watch::default() });
    let begin = Instant::now();
    events.drain(..).for_each(|event| state.step(event));
    let stepped = begin.elapsed();
    black_box(&state);
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let count = outcome.sum.events as f64;
    println!(
        "{:<52}  {:>9}  {:>7.2} M/s  {:>7.2} M/s  {:>11.2}  {:>6.2} s",
        row_name(approach),
        outcome.sum.events,
        count / simulated.as_secs_f64() / 1e6,
        count / stepped.as_secs_f64() / 1e6,
        stepped.as_secs_f64() / simulated.as_secs_f64(),
        simulated.as_secs_f64(),
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workload = workload();
    let measured = Measured {
        worker_delay: Input::assumed(50_000, "this benchmark"),
        softirq_delay: Input::assumed(20_000, "this benchmark"),
        ..Measured::assuming(
            Input::assumed(10_000_000, "this benchmark"),
            Input::assumed(200, "this benchmark"),
        )
    };
    let scenario =
        Scenario { workload: &workload, measured: &measured, seed: 1, budget: Budget::events(u64::MAX) };
    println!(
        "{OBJECTS} objects queued, {DESTROYS} destroys, {CPUS} CPUs, one core; peer: the same events through State::step"
    );
    println!(
        "{:<52}  {:>9}  {:>11}  {:>11}  {:>11}  {:>8}",
        "approach", "events", "simulated", "peer", "of the peer", "time"
    );
    for approach in approach::all() {
        line(approach.as_ref(), &scenario)?;
    }
    Ok(())
}
