//! Workload: which tasks do what in a world that is checked.
//!
//! A world has two CPUs, two caches and three objects of them. Two modules queue objects and exit at the same
//! time, each by the approach's own exit path, and a third task calls `kfree_rcu_mightsleep()`. Other worlds
//! differ in one thing: one is short of memory, with a reader and the headless caller as tasks of their own;
//! one has a CPU that goes offline; one has a leak; and in one, both modules share a cache. A deep check has
//! the reader and the headless caller as tasks in each world, lets each task queue on any CPU, lets a
//! shortage end, and has grace periods that others have started.

use std::sync::Arc;

use crate::{
    approach::Approach,
    machine::{
        CacheIndex, CacheSetup, Disturbances, ObjectIndex, ObjectSetup, Setup, TaskIndex, TaskSetup,
        facts::Sizes, fault::Fault, op::Op,
    },
};
use krcu_model::event::Cpu;

/// How large the worlds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Small enough for the time that continuous integration has.
    Bounded,
    /// Larger: hours, and for the larger rows tens of gigabytes.
    Deep,
}

/// The first module's cache.
pub(super) const A: CacheIndex = CacheIndex(0);
/// The second module's cache.
pub(super) const B: CacheIndex = CacheIndex(1);
const SLEEPER: TaskIndex = TaskIndex(2);

/// The difference between the worlds of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// An object is leaked.
    Leak,
    /// Memory is short. A reader and a caller without a head are tasks of their own.
    Pressure,
    /// Memory is plentiful. Each task may queue on any CPU.
    Plenty,
    /// Both modules share one cache.
    Merged,
    /// A CPU goes offline at any time.
    Offline,
}

impl Variant {
    /// All of them, the smallest worlds first.
    pub const ALL: [Variant; 5] =
        [Variant::Leak, Variant::Pressure, Variant::Plenty, Variant::Merged, Variant::Offline];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Variant::Leak => "a leak",
            Variant::Pressure => "short of memory",
            Variant::Plenty => "plenty of memory",
            Variant::Merged => "a shared cache",
            Variant::Offline => "a CPU goes",
        }
    }
}

/// The world of a row; none if the row has no such world, since a type-safe cache is never shared.
#[must_use]
pub fn world(
    approach: &dyn Approach,
    depth: Depth,
    variant: Variant,
    fault: Option<Fault>,
) -> Option<Arc<Setup>> {
    let is_shared = variant == Variant::Merged;
    (!(is_shared && approach.has_type_safe_cache())).then(|| Arc::new(setup(approach, depth, variant, fault)))
}

fn setup(approach: &dyn Approach, depth: Depth, variant: Variant, fault: Option<Fault>) -> Setup {
    let is_shared = variant == Variant::Merged;
    let is_deep = depth == Depth::Deep;
    let type_safe = approach.has_type_safe_cache();
    let cache = |name: &str, users, type_safe| CacheSetup {
        name: name.to_owned(),
        type_safe,
        users,
        slab_objects: 4,
    };
    let object = |cache: CacheIndex, owner| ObjectSetup {
        cache: Some(cache),
        owner: Some(owner),
        slab: u32::from(cache.0),
    };
    let kmalloc = ObjectSetup { cache: None, owner: None, slab: u32::MAX };
    Setup {
        generation: approach.generation(),
        sizes: Sizes::SMALL,
        cpus: 2,
        caches: vec![cache("cache-a", if is_shared { 2 } else { 1 }, false), cache("cache-b", 1, type_safe)],
        objects: vec![object(A, A), object(A, A), object(if is_shared { A } else { B }, B), kmalloc],
        tasks: tasks(approach, depth, variant),
        disturbances: Disturbances {
            offline: u8::from(variant == Variant::Offline),
            pressure: variant == Variant::Pressure,
            pressure_ends: is_deep,
            others_graces: is_deep,
            shrinks: u8::from(approach.has_shrinker()),
            ..Disturbances::default()
        },
        fault,
    }
}

/// The two modules that exit, the caller without a head, and the reader.
fn tasks(approach: &dyn Approach, depth: Depth, variant: Variant) -> Vec<TaskSetup> {
    let (o1, o2, o3, o4) = (ObjectIndex(0), ObjectIndex(1), ObjectIndex(2), ObjectIndex(3));
    let type_safe = approach.has_type_safe_cache();
    let is_leak = variant == Variant::Leak;
    let has_others = variant == Variant::Pressure || depth == Depth::Deep;
    // If frees are callbacks, the document allows kfree_rcu_mightsleep() for kmalloc() memory only.
    let by_callback = matches!(approach.free(o1), Op::CallRcu(_));
    let headless = Op::QueueHeadless(if by_callback || is_leak { o4 } else { o2 });
    let mut first = vec![approach.free(o1)];
    first.extend((by_callback && !is_leak).then(|| approach.free(o2)));
    first.extend((!has_others && !is_leak).then_some(headless));
    first.push(Op::Join(SLEEPER));
    first.extend(approach.exit(A));
    first.push(Op::Unload(A));
    let mut second = vec![if type_safe { Op::Free(o3) } else { approach.free(o3) }];
    second.extend(approach.second(if variant == Variant::Merged { A } else { B }));
    second.push(Op::Unload(B));
    let read = vec![Op::ReadLock(if type_safe { o3 } else { o1 }), Op::ReadUnlock];
    let (sleeper, reader) = if has_others { (vec![headless], read) } else { (vec![], vec![]) };
    // If a CPU may go away, it is fixed where each task queues: one on each CPU.
    let is_settled = variant == Variant::Offline && depth == Depth::Bounded;
    let task = |name, program, cpu: Option<u16>| TaskSetup {
        name,
        program,
        cpu: cpu.filter(|_| is_settled).map(Cpu),
    };
    vec![
        task("exit-a", first, Some(0)),
        task("exit-b", second, Some(1)),
        task("sleeper", sleeper, None),
        task("reader", reader, None),
    ]
}
