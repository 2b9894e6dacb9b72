//! How fast the simulation is: a workload of 100,000 deferred frees and 100 destroys under each approach,
//! by the machine's own truth and with a judge who
//! is told every event.
//!
//! A benchmark, not a test; `cargo xtask bench` runs it. The rate on one computer is only good for comparing
//! two builds. The ratio says what the simulation's clock and lists cost, compared with the judgement.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use krcu_model::{
    Event, State, Watch,
    event::{Cpu, Time},
};
use krcu_reference::{
    approach::{self, Approach, row_name},
    simulate::{
        Action, Budget, CacheSpec, Caller, Input, Measured, Scenario, Workload, simulate, simulate_judged,
        simulate_watched,
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
    black_box(simulate(approach, scenario)?);
    let simulated = begin.elapsed();
    let begin = Instant::now();
    black_box(simulate_judged(approach, scenario)?);
    let judged = begin.elapsed();
    let mut state =
        State::new(Watch { attached: Time(0), possible_cpus: u32::from(CPUS), ..Watch::default() });
    let count = events.len();
    let begin = Instant::now();
    events.drain(..).for_each(|event| state.step(event));
    let stepped = begin.elapsed();
    black_box(&state);
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let ns_an_object = |span: Duration| span.as_nanos() as f64 / OBJECTS as f64;
    println!(
        "{:<52}  {count:>9}  {:>9.0}  {:>9.0}  {:>9.0}  {:>7.1}",
        row_name(approach),
        ns_an_object(simulated),
        ns_an_object(judged),
        ns_an_object(stepped),
        judged.as_secs_f64() / simulated.as_secs_f64(),
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
        "{OBJECTS} objects queued, {DESTROYS} destroys, {CPUS} CPUs, one core; nanoseconds an object, by the machine's own \
         truth, with a judge who is told every event, and for State::step alone on these events"
    );
    println!(
        "{:<52}  {:>9}  {:>9}  {:>9}  {:>9}  {:>7}",
        "approach", "events", "truth", "judged", "step", "ratio"
    );
    for approach in approach::all() {
        line(approach.as_ref(), &scenario)?;
    }
    Ok(())
}
