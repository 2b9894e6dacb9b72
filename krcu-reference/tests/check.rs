//! The foundations of the checker, each compared with something simpler; and walks.

mod sound;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    thread,
};

use krcu_model::promise::Promise;
use krcu_reference::{
    approach::{self, Approach, row_name},
    check::{
        essence::essence,
        world::{Step, World, Worlds},
    },
    machine::{
        CacheIndex, CacheSetup, Disturbances, ObjectIndex, ObjectSetup, Setup, TaskIndex, TaskSetup,
        facts::{Generation, Sizes},
        op::Op,
    },
};
use stateright::{Checker, Model};

/// One CPU, one object, and tasks.
fn tiny<const N: usize>(generation: Generation, programs: [(&'static str, Vec<Op>); N]) -> Arc<Setup> {
    let cache = CacheIndex(0);
    Arc::new(Setup {
        generation,
        sizes: Sizes::SMALL,
        cpus: 1,
        caches: vec![CacheSetup { name: "c".to_owned(), type_safe: false, users: 1, slab_objects: 4 }],
        objects: vec![ObjectSetup { cache: Some(cache), owner: Some(cache), slab: 0 }],
        tasks: programs.map(|(name, program)| TaskSetup { name, program, cpu: None }).into(),
        disturbances: Disturbances::default(),
        fault: None,
    })
}

fn count(setup: Arc<Setup>) -> usize {
    Worlds::new(setup).checker().threads(1).spawn_bfs().join().unique_state_count()
}

#[test]
fn states_that_can_be_listed_by_hand_are_counted() {
    let object = ObjectIndex(0);
    // One deferred free, step by step: 1 allocated, 2 on the list with the monitor armed, 3 in a batch whose callback
    // waits, 4 in the grace period, 5 after it (the callback has put the work on its queue), 6 taken off by the worker,
    // 7 freed, 8 and nothing more.
    let queue = ("queue", vec![Op::Queue(object)]);
    assert_eq!(count(tiny(Generation::BATCHES, [queue.clone()])), 8);
    // With cookies, the monitor would free what is ready. But no other task starts a grace period, so nothing
    // ever is ready.
    assert_eq!(count(tiny(Generation::COOKIES, [queue.clone()])), 8);
    // In a sheaf that is never full: 1 allocated, 2 in the sheaf, 3 and nothing more.
    assert_eq!(count(tiny(Generation::SHEAVES, [queue])), 3);
    // A callback: 1 allocated, 2 queued, 3 in the grace period, 4 after it, 5 freed, 6 and nothing more.
    let callback = ("callback", vec![Op::CallRcu(object)]);
    assert_eq!(count(tiny(Generation::COOKIES, [callback.clone()])), 6);
    // A reader beside it. The reader has not come (n), is inside with the object (i), or has left (b); if it
    // finds the object gone, it has left at once. The states: allocated: n, i, b. Queued: n, i, b. In a grace
    // period that began with the reader inside: i, and b once it has left; in one that began without it: n,
    // b; the two with b are one state, so 3. After the grace period, which cannot end with i: n, b. Freed: n,
    // b. Nothing more, only after everything: b. The sum is 3 + 3 + 3 + 2 + 2 + 1.
    let reader = ("reader", vec![Op::ReadLock(object), Op::ReadUnlock]);
    assert_eq!(count(tiny(Generation::COOKIES, [callback, reader])), 14);
}

/// What a plain search finds.
struct Naive {
    /// The number of worlds that can be reached, distinguished by everything in them.
    worlds: usize,
    essences: usize,
    broken: BTreeSet<&'static str>,
}

/// Searches without symmetry and without the checker.
fn naively(setup: &Arc<Setup>, has_whole_steps: bool) -> Naive {
    let digest = |world: &World| {
        let mut hasher = DefaultHasher::new();
        format!("{world:?}").hash(&mut hasher);
        hasher.finish()
    };
    let first = World { has_whole_steps, ..World::new(setup) };
    let mut known = HashSet::from([digest(&first)]);
    let mut waiting = VecDeque::from([first]);
    let mut follow = BTreeMap::<Vec<u8>, BTreeSet<Vec<u8>>>::new();
    let mut broken = BTreeSet::new();
    while let Some(world) = waiting.pop_front() {
        broken.extend(Promise::ALL.into_iter().filter(|promise| world.breaks(*promise)).map(Promise::name));
        let mut steps = Vec::<Step>::new();
        world.steps(&mut steps);
        let mut next = BTreeSet::new();
        for step in steps {
            let mut after = world.clone();
            after.take(step);
            next.insert(essence(&after));
            if known.insert(digest(&after)) {
                waiting.push_back(after);
            }
        }
        // Two worlds with the same essence must be alike: the same must follow from both.
        let before = follow.entry(essence(&world)).or_insert_with(|| next.clone());
        assert_eq!(*before, next, "two worlds of one essence differ");
    }
    Naive { worlds: known.len(), essences: follow.len(), broken }
}

/// Two CPUs, and two objects of one cache. A module queues one of them and exits; another task queues the
/// other, and the module waits for it.
fn small(row: &dyn Approach) -> Arc<Setup> {
    let (cache, first, second) = (CacheIndex(0), ObjectIndex(0), ObjectIndex(1));
    let mut exit = vec![row.free(first), Op::Join(TaskIndex(1))];
    exit.extend(row.exit(cache));
    exit.push(Op::Unload(cache));
    let alone = tiny(row.generation(), [("exit", exit), ("helper", vec![row.free(second)])]);
    let object = alone.objects[0];
    Arc::new(Setup { cpus: 2, objects: vec![object, object], ..Setup::clone(&alone) })
}

#[test]
fn worlds_of_one_essence_have_one_future_and_none_is_missed() {
    for name in
        ["status-quo", "destroy-rcu (the plain destroy is called)", "upstream (6.12)", "upstream (7.x)"]
    {
        let row = approach::all().into_iter().find(|row| row_name(row.as_ref()) == name).unwrap();
        let setup = small(row.as_ref());
        let Naive { worlds, essences, broken } = naively(&setup, true);
        let checker = Worlds::new(setup).checker().threads(1).spawn_bfs().join();
        assert_eq!(checker.unique_state_count(), essences, "{name}");
        assert_eq!(checker.discoveries().into_keys().collect::<BTreeSet<_>>(), broken, "{name}");
        // The essence really reduces the worlds: two equal CPUs turn almost two worlds into one.
        assert!(worlds * 10 > essences * 15, "{name}: {worlds} worlds, {essences} essences");
        eprintln!("{name}: {worlds} worlds, {essences} essences");
    }
}

#[test]
fn whole_steps_hide_nothing_that_single_moves_show() {
    let compare = |name: &str| {
        let row = approach::all().into_iter().find(|row| row_name(row.as_ref()) == name).unwrap();
        let setup = small(row.as_ref());
        let (whole, single) = (naively(&setup, true), naively(&setup, false));
        assert_eq!(whole.broken, single.broken, "{name}");
        assert!(single.essences >= whole.essences, "{name}");
    };
    thread::scope(|scope| {
        for name in [
            "status-quo (misuse: no rcu_barrier())",
            "kfree-rcu-barrier (workers not waited for)",
            "destroy-rcu (the plain destroy is called)",
            "upstream (6.12)",
        ] {
            scope.spawn(move || compare(name));
        }
    });
}
