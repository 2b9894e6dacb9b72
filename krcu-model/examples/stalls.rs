//! How long the judge stalls at the events that ask about everything outstanding: a barrier's end, a destroy's begin, and
//! the begin and the end of its look. The live agent reads nothing meanwhile.
//!
//! A benchmark, not a test. `cargo xtask bench` runs it.

use std::time::Instant;

use krcu_common::{BarrierKind, QueueForm};
use krcu_model::{
    Event, State, Watch,
    event::{CacheAddress, CacheFacts, Cpu, ObjectAddress, Site, Task, Time, What},
};

/// CPUs, on each of which one task queues, from one stack of four.
const CPUS: u64 = 4;
/// Times that each figure is measured.
const RUNS: usize = 9;
/// The cache of all objects.
const CACHE: CacheAddress = CacheAddress(0xffff_8881_0000_0000);
/// The task that calls the barrier and the destroy.
const CALLER: Task = Task(1);

/// What is measured.
const ASKED: [&str; 4] = ["barrier's end", "destroy's begin", "begin of its look", "end of its look"];

/// A state with so many objects outstanding.
fn filled(outstanding: u64) -> State {
    let mut state = State::new(Watch { possible_cpus: 4, ..Watch::default() });
    for turn in 0..outstanding {
        let number = turn % CPUS;
        let cpu = Cpu(u16::try_from(number).unwrap_or(0));
        let task = Task(100 + u32::from(cpu.0));
        let object = ObjectAddress(0xffff_8880_0000_0000 + turn * 128);
        let site = Site(1 + u32::from(cpu.0));
        let what = What::Queued { object, cache: CACHE, site, form: QueueForm::Head };
        state.step(Event { time: Time(turn), task, cpu, what });
    }
    state
}

/// Nanoseconds of each of the events that are asked for.
fn stalls(state: &mut State) -> [u128; ASKED.len()] {
    let facts = CacheFacts { name: "a_cache".to_owned(), object_size: 128, refcount: 1 };
    let comm = || "rmmod".to_owned();
    let barrier = BarrierKind::Kvfree;
    let begin = What::BarrierBegin { barrier, rcu_works_flushed: 0, site: Site(0), comm: comm() };
    let destroy = What::DestroyBegin { cache: CACHE, facts, site: Site(0), comm: comm(), counted: false };
    let mut took = |what| {
        let event = Event { time: Time(u64::MAX / 2), task: CALLER, cpu: Cpu(0), what };
        let began = Instant::now();
        state.step(event);
        began.elapsed().as_nanos()
    };
    took(begin);
    [
        took(What::BarrierEnd { barrier, cache: None, of: 0 }),
        took(destroy),
        took(What::ShutdownBegin { cache: CACHE, rcu_works_flushed: 0 }),
        took(What::ShutdownEnd { empty: Some(false), left: None }),
    ]
}

fn main() {
    println!("microseconds that one event takes, best and median of {RUNS}");
    println!("outstanding  {}", ASKED.map(|name| format!("{name:>22}")).concat());
    for outstanding in [10_000, 100_000, 1_000_000, 10_000_000] {
        let mut state = filled(outstanding);
        let mut runs: Vec<_> = (0..RUNS).map(|_| stalls(&mut state)).collect();
        let mut line = format!("{outstanding:>11}  ");
        for place in 0..ASKED.len() {
            runs.sort_unstable_by_key(|run| run[place]);
            let us = |run: &[u128; ASKED.len()]| format!("{}.{}", run[place] / 1000, run[place] % 1000 / 100);
            line += &format!("{:>22}", format!("{}, {}", us(&runs[0]), us(&runs[RUNS / 2])));
        }
        println!("{line}");
    }
}
