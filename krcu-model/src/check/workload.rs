//! Workload: who does what in a world that is checked.
//!
//! Two CPUs, two caches, three objects of them. Two modules queue objects and go, each by the
//! approach's own exit path, at the same time; somebody queues without a head, a reader reads what he
//! can find, a CPU may go offline at any time, and memory may be short in the beginning. Beside that
//! world there is one in which an object is leaked, and one in which both modules share one cache.

use std::sync::Arc;

use crate::{
    approach::Approach,
    machine::{
        CacheIndex, CacheSetup, Disturbances, ObjectIndex, ObjectSetup, Setup, TaskIndex, TaskSetup,
        facts::Sizes, fault::Fault, op::Op,
    },
};

/// How large the worlds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Within what continuous integration has time for.
    Bounded,
    /// One more object, and one more disturbance at a time.
    Deep,
}

/// The first module's cache.
pub(super) const A: CacheIndex = CacheIndex(0);
/// The second module's.
pub(super) const B: CacheIndex = CacheIndex(1);
const SLEEPER: TaskIndex = TaskIndex(2);

/// What distinguishes the worlds of one row.
#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Plain,
    Pressure,
    Offline,
    Leak,
    Merged,
}

/// The worlds of a row.
#[must_use]
pub fn worlds(approach: &dyn Approach, depth: Depth, fault: Option<Fault>) -> Vec<Arc<Setup>> {
    let mut variants = vec![Variant::Plain, Variant::Pressure, Variant::Offline, Variant::Leak];
    if !approach.has_type_safe_cache() {
        variants.push(Variant::Merged);
    }
    if let Ok(v) = std::env::var("V") { variants = vec![variants[v.parse::<usize>().unwrap()]]; }
    variants.into_iter().map(|variant| Arc::new(world(approach, depth, variant, fault))).collect()
}

fn world(approach: &dyn Approach, depth: Depth, variant: Variant, fault: Option<Fault>) -> Setup {
    let is_merged = variant == Variant::Merged;
    let second_cache = if is_merged { A } else { B };
    let (o1, o2, o3, o4) = (ObjectIndex(0), ObjectIndex(1), ObjectIndex(2), ObjectIndex(3));
    let type_safe = approach.has_type_safe_cache();
    // Where frees are callbacks, the document allows kfree_rcu_mightsleep() for kmalloc() memory only.
    let by_callback = matches!(approach.free(o1), Op::CallRcu(_));
    let cache = |name: &str, users, type_safe| CacheSetup {
        name: name.to_owned(),
        type_safe,
        users,
        slab_objects: 4,
    };
    let mut first = vec![approach.free(o1)];
    if by_callback && variant != Variant::Leak {
        first.push(approach.free(o2));
    }
    if depth == Depth::Deep {
        first.push(approach.free(ObjectIndex(4)));
    }
    let sleeper = match variant {
        Variant::Leak => vec![],
        _ if by_callback => vec![Op::QueueHeadless(o4)],
        _ => vec![Op::QueueHeadless(o2)],
    };
    first.push(Op::Join(SLEEPER));
    first.extend(approach.exit(A));
    first.push(Op::Unload(A));
    let mut second = vec![if type_safe { Op::Free(o3) } else { approach.free(o3) }];
    second.extend(approach.second(second_cache));
    if !is_merged {
        second.push(Op::Unload(B));
    }
    let read = if type_safe { o3 } else { o1 };
    let task = |name, program| TaskSetup { name, program, cpu: None };
    let object = |cache: CacheIndex| ObjectSetup { cache: Some(cache), slab: u32::from(cache.0) };
    let mut objects = vec![object(A), object(A), object(second_cache), ObjectSetup { cache: None, slab: 9 }];
    if depth == Depth::Deep {
        objects.push(object(A));
    }
    Setup {
        generation: approach.generation(),
        sizes: Sizes::SMALL,
        cpus: 2,
        caches: vec![cache("cache-a", if is_merged { 2 } else { 1 }, false), cache("cache-b", 1, type_safe)],
        objects,
        tasks: vec![
            task("exit-a", first),
            task("exit-b", second),
            task("sleeper", sleeper),
            task("reader", vec![Op::ReadLock(read), Op::ReadUnlock]),
        ],
        disturbances: Disturbances {
            offline: u8::from(depth == Depth::Deep || variant == Variant::Offline),
            pressure: variant == Variant::Pressure,
            pressure_ends: depth == Depth::Deep,
            shrinks: u8::from(approach.has_shrinker()),
        },
        fault,
    }
}
