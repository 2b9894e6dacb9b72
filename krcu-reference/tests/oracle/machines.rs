//! Machines: random runs of the machine, by any approach, with any of its faults.

use std::sync::Arc;

use krcu_model::{
    Event, Watch,
    event::{Cpu, Time},
};
use krcu_reference::{
    approach::{self, Approach},
    machine::{
        CacheIndex, CacheSetup, Disturbances, Life, Machine, ObjectIndex, ObjectSetup, Setup, TaskIndex,
        TaskSetup, facts::Sizes, fault::Fault, op::Op,
    },
};

use crate::random::Random;

/// A run is stopped after this many moves.
const MOVES: usize = 150;

/// What a run showed.
pub(crate) struct Run {
    pub(crate) watch: Watch,
    pub(crate) events: Vec<Event>,
    /// For some numbers of events: how many objects of each cache were queued in the machine after these
    /// events.
    pub(crate) truth: Vec<(usize, Vec<u64>)>,
}

/// A run of some machine to its end.
pub(crate) fn run(seed: u64) -> Run {
    let mut random = Random::new(seed);
    let rows = approach::all();
    let row = random.choose(&rows);
    let setup = Arc::new(setup(&mut random, row.as_ref()));
    let caches = setup.caches.len();
    let watch = Watch { attached: Time(0), possible_cpus: u32::from(setup.cpus), ..Watch::default() };
    let mut machine = Machine::new(setup);
    let mut events = machine.introduction();
    let mut truth = vec![(events.len(), queued(&machine, caches))];
    let mut moves = Vec::new();
    for _ in 0..MOVES {
        moves.clear();
        machine.moves(&mut moves);
        if moves.is_empty() {
            break;
        }
        let before = events.len();
        machine.apply(*random.choose(&moves), &mut events);
        if events.len() > before {
            truth.push((events.len(), queued(&machine, caches)));
        }
    }
    for (time, event) in (1..).zip(&mut events) {
        event.time = Time(time * 1000);
    }
    Run { watch, events, truth }
}

/// Queued objects by cache; the last number is for objects of no cache.
fn queued(machine: &Machine, caches: usize) -> Vec<u64> {
    let mut counts = vec![0; caches + 1];
    for (setup, life) in machine.setup().objects.iter().zip(machine.objects()) {
        if *life == Life::Queued {
            counts[setup.cache.map_or(caches, |cache| usize::from(cache.0))] += 1;
        }
    }
    counts
}

fn setup(random: &mut Random, row: &dyn Approach) -> Setup {
    let cpus = u16::try_from(1 + random.below(4)).unwrap();
    let caches: Vec<CacheSetup> = (0..=random.below(3))
        .map(|number| CacheSetup {
            name: format!("cache-{number}"),
            type_safe: random.percent(if row.has_type_safe_cache() { 50 } else { 10 }),
            users: if random.percent(20) { 2 } else { 1 },
            slab_objects: 4,
        })
        .collect();
    let indices: Vec<CacheIndex> = (0..u16::try_from(caches.len()).unwrap()).map(CacheIndex).collect();
    let objects: Vec<ObjectSetup> = (0..=u32::try_from(random.below(12)).unwrap())
        .map(|number| {
            let cache = (!random.percent(10)).then(|| *random.choose(&indices));
            ObjectSetup { cache, owner: cache, slab: number / 4 }
        })
        .collect();
    let mut programs: Vec<Vec<Op>> = Vec::new();
    // Each user of a cache has a task that frees some of its objects and destroys it at the end.
    for (place, index) in caches.iter().zip(&indices) {
        for user in 0..place.users {
            let exit = if user == 0 { row.exit(*index) } else { row.second(*index) };
            programs.push(if random.percent(85) { exit } else { row.bystander() });
        }
    }
    let destroyers = programs.len();
    programs
        .extend((0..random.below(3)).map(|_| if random.percent(40) { row.bystander() } else { Vec::new() }));
    let mut before: Vec<Vec<Op>> = vec![Vec::new(); programs.len()];
    for (number, object) in (0u32..).zip(&objects) {
        let index = ObjectIndex(number);
        let op = match random.below(10) {
            0 => continue,
            1 if object.cache.is_some() => Op::Free(index),
            2 | 3 => Op::QueueHeadless(index),
            // The memory of vmalloc() has no cache whose callback could free it.
            _ if object.cache.is_none() => Op::Queue(index),
            4 => Op::CallRcu(index),
            _ => row.free(index),
        };
        let task = random.index(before.len());
        before[task].push(op);
    }
    for (task, ops) in before.iter_mut().enumerate() {
        let others: Vec<usize> = (destroyers..programs.len()).filter(|other| *other != task).collect();
        if task < destroyers && !others.is_empty() && random.percent(40) {
            ops.push(Op::Join(TaskIndex(u16::try_from(*random.choose(&others)).unwrap())));
        }
    }
    let names = ["task-0", "task-1", "task-2", "task-3", "task-4", "task-5", "task-6", "task-7"];
    let mut tasks: Vec<TaskSetup> = names
        .into_iter()
        .zip(before.into_iter().zip(programs))
        .map(|(name, (mut program, exit))| {
            program.extend(exit);
            let cpu = random.percent(30).then(|| Cpu(u16::try_from(random.below(u64::from(cpus))).unwrap()));
            TaskSetup { name, program, cpu }
        })
        .collect();
    for _ in 0..random.below(3) {
        let read = ObjectIndex(u32::try_from(random.index(objects.len())).unwrap());
        tasks.push(TaskSetup {
            name: "reader",
            program: vec![Op::ReadLock(read), Op::ReadUnlock],
            cpu: None,
        });
    }
    let pressure = random.percent(40);
    // If a cache is given back too early, its queued objects are gone too, for a watcher.
    let faults: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| *fault != Fault::LingerEndsEarly).collect();
    let fault = random.percent(50).then(|| *random.choose(&faults));
    Setup {
        generation: row.generation(),
        sizes: Sizes {
            bulk_entries: 1 + random.index(3),
            cached_pages: u16::try_from(random.below(3)).unwrap(),
            sheaf_capacity: 1 + random.index(3),
        },
        cpus,
        caches,
        objects,
        tasks,
        disturbances: Disturbances {
            offline: u8::try_from(random.below(2)).unwrap(),
            pressure,
            pressure_ends: random.percent(50),
            others_graces: fault.is_none(),
            shrinks: u8::from(row.has_shrinker() || random.percent(20)),
        },
        fault,
    }
}
