//! How long a what-if takes: ten million events (or as many as are asked for) under one row of each approach, and
//! under all rows, on as many threads as there are CPUs.
//!
//! The workload is that of `krcu-trace`'s `generate`: one cache after the other gets ten arrays of 507 objects, from
//! two CPUs in turn, and is destroyed while the last array is outstanding. Reading a trace is not included. For
//! comparison, a fiftieth of the workload is simulated with a judge who is told every event, as each simulation was
//! before the machine's own truth counted.
//!
//! A benchmark, not a test; `cargo xtask bench whatif` runs it.

use std::{
    env,
    error::Error,
    fs,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use krcu_model::event::Cpu;
use krcu_reference::{
    approach::{self, Approach},
    simulate::{
        Action, Budget, CacheSpec, Caller, Input, Measured, Prepared, Scenario, Workload, distinct,
        simulate_judged,
    },
};

/// Objects that one CPU queues in a row.
const ARRAY: u64 = 507;
/// Arrays of a cache.
const ARRAYS: u64 = 10;
/// Nanoseconds from one event to the next, in the mean.
const STEP_NS: u64 = 1000;
/// Deferred frees that are simulated together, as an analysis does.
const TOGETHER: u64 = 1 << 21;
/// What part of the workload is judged, for comparison.
const JUDGED: u64 = 50;

/// A workload of this many objects: each makes two events, and lives in a cache of `ARRAY * ARRAYS`.
fn workload(objects: u64) -> Workload {
    let mut workload = Workload::new(2);
    let (mut at, mut left, mut number) = (0, objects, 0_u32);
    while left > 0 {
        let spec = CacheSpec {
            name: format!("cache_{number}"),
            object_bytes: 128,
            type_safe: false,
            slab_objects: 32,
            other_users: 0,
        };
        let cache = workload.cache(spec);
        for array in 0..ARRAYS {
            let cpu = Cpu(u16::from(array % 2 == 1));
            for _ in 0..ARRAY.min(left) {
                at += STEP_NS;
                workload.at(at, Action::Queue { cache: Some(cache), cpu });
            }
            left = left.saturating_sub(ARRAY);
            // The frees of the array before.
            at += ARRAY * STEP_NS;
        }
        workload.at(at, Action::Destroy { cache, caller: Caller(0), cpu: Cpu(1) });
        at += ARRAY * STEP_NS;
        number += 1;
    }
    workload
}

fn measured() -> Measured {
    Measured {
        worker_delay: Input::assumed(50_000, "this benchmark"),
        softirq_delay: Input::assumed(20_000, "this benchmark"),
        ..Measured::assuming(
            Input::assumed(1_000_000, "this benchmark"),
            Input::assumed(1_000, "this benchmark"),
        )
    }
}

/// Simulates the stretches under each of these approaches, on so many threads.
fn run(
    stretches: &[Prepared<'_>],
    approaches: &[&dyn Approach],
    threads: usize,
) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    let work: Vec<_> = stretches
        .iter()
        .flat_map(|stretch| approaches.iter().map(move |approach| (stretch, *approach)))
        .collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((stretch, approach)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stretch.simulate(*approach).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if failed.load(Ordering::Relaxed) > 0 {
        return Err("a simulation gave up".into());
    }
    Ok(begin.elapsed())
}

/// Processor time of this process so far, from `/proc/self/stat`, whose unit is a hundredth of a second.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).map_or(Ok(0.0), |field| field.parse::<f64>());
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let events: u64 = env::args().nth(1).map_or(Ok(10_000_000), |events| events.parse())?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let measured = measured();
    let objects = events / 2;
    let workloads: Vec<Workload> = (0..objects.div_ceil(TOGETHER))
        .map(|number| workload(TOGETHER.min(objects - number * TOGETHER)))
        .collect();
    let budget = Budget::events(u64::MAX);
    let begin = Instant::now();
    let stretches: Vec<Prepared<'_>> = workloads
        .iter()
        .map(|workload| Prepared::new(Scenario { workload, measured: &measured, seed: 1, budget }))
        .collect::<Result<_, _>>()?;
    let prepared = begin.elapsed();
    let all = approach::all();
    let rows: Vec<&dyn Approach> = all.iter().map(AsRef::as_ref).collect();
    let mut firsts: Vec<&dyn Approach> = Vec::new();
    for row in &rows {
        if firsts.last().is_none_or(|first| first.id() != row.id()) {
            firsts.push(*row);
        }
    }
    let groups = distinct(&all, false);
    let heads: Vec<&dyn Approach> =
        groups.iter().filter_map(|group| rows.get(*group.first()?).copied()).collect();

    println!(
        "{events} events, {objects} objects, {threads} threads; laid out in {:.1} s",
        prepared.as_secs_f64()
    );
    #[expect(clippy::cast_precision_loss, reason = "figures of a benchmark")]
    let ns_an_object = |seconds: f64, rows: usize| seconds * 1e9 / rows as f64 / objects as f64;
    for (name, simulated) in [
        (format!("{} approaches, one row each", firsts.len()), &firsts),
        (format!("{} rows, of which {} differ", rows.len(), heads.len()), &heads),
    ] {
        let before = processor_seconds()?;
        let wall = run(&stretches, simulated, threads)?;
        let processors = processor_seconds()? - before;
        println!(
            "{name}: {:.1} s, {processors:.1} s of processors, {:.0} ns of them an object and row",
            wall.as_secs_f64(),
            ns_an_object(processors, simulated.len())
        );
    }
    let small = workload((objects / JUDGED).max(1));
    let scenario = Scenario { workload: &small, measured: &measured, seed: 1, budget };
    let begin = Instant::now();
    for approach in &firsts {
        simulate_judged(*approach, &scenario)?;
    }
    let judged = begin.elapsed();
    let one = [Prepared::new(scenario)?];
    let truth = run(&one, &firsts, 1)?;
    println!(
        "a {JUDGED}th with a judge of every event: {:.2} s, with the machine's own truth {:.2} s: {:.1} times as long, on one core",
        judged.as_secs_f64(),
        truth.as_secs_f64(),
        judged.as_secs_f64() / truth.as_secs_f64()
    );
    Ok(())
}
