//! Plan: a world of a walk, drawn from a seed: which tasks do what, on how large a machine.
//!
//! A world has up to six modules. Each queues objects of its cache from several tasks, waits for these tasks, and
//! destroys the cache. Two modules may share a cache. A module may free by callbacks, and then calls `rcu_barrier()`
//! first; it may have a type-safe cache; it may leak. Beside them are tasks that queue objects of a cache that
//! stays, callers of barriers, and readers. No module does anything wrong but leak. So whatever breaks a promise
//! is the kernel's doing.

use std::sync::Arc;

use krcu_model::event::Cpu;

use super::{
    kernel::{Kernel, Known},
    random::Random,
};
use crate::{
    approach::rcu_barrier,
    machine::{
        CacheIndex, CacheSetup, Disturbances, ObjectIndex, ObjectSetup, Setup, TaskIndex, TaskSetup,
        facts::{
            Generation, KVFREE_BULK_MAX_ENTR, KVFREE_BULK_MAX_ENTR_PLAIN, RCU_MIN_CACHED_OBJS, Sizes,
            sheaf_capacity,
        },
        fault::Fault,
        op::Op,
    },
};

/// Objects in a slab.
const SLAB_OBJECTS: u32 = 32;
const EXITS: [&str; 6] = ["exit-a", "exit-b", "exit-c", "exit-d", "exit-e", "exit-f"];
const CACHES: [&str; 6] = ["cache-a", "cache-b", "cache-c", "cache-d", "cache-e", "cache-f"];
const HELPERS: [[&str; 3]; 6] = [
    ["helper-a1", "helper-a2", "helper-a3"],
    ["helper-b1", "helper-b2", "helper-b3"],
    ["helper-c1", "helper-c2", "helper-c3"],
    ["helper-d1", "helper-d2", "helper-d3"],
    ["helper-e1", "helper-e2", "helper-e3"],
    ["helper-f1", "helper-f2", "helper-f3"],
];
const NEIGHBOURS: [&str; 3] = ["neighbour-1", "neighbour-2", "neighbour-3"];
const CALLERS: [&str; 3] = ["caller-1", "caller-2", "caller-3"];
const READERS: [&str; 8] =
    ["reader-1", "reader-2", "reader-3", "reader-4", "reader-5", "reader-6", "reader-7", "reader-8"];

/// When a piece of a program may be left out, so that the module is still a correct one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// At any time.
    Free,
    /// Only together with its whole task.
    WithTask,
    /// When the task that it waits for does nothing.
    WithoutTask(TaskIndex),
    /// When this module queues no callback: the `rcu_barrier()` of its exit.
    WithoutCallbacks(CacheIndex),
}

/// Ops of a task that belong together: a call, or a read-side critical section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) ops: Vec<Op>,
    pub(super) need: Need,
}

impl Piece {
    fn free(ops: Vec<Op>) -> Piece {
        Piece { ops, need: Need::Free }
    }

    fn with_task(ops: Vec<Op>) -> Piece {
        Piece { ops, need: Need::WithTask }
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actor {
    pub(super) name: &'static str,
    pub(super) cpu: Option<Cpu>,
    pub(super) pieces: Vec<Piece>,
}

impl Actor {
    /// The piece that the op at this place belongs to.
    pub(super) fn piece_at(&self, mut op: usize) -> Option<usize> {
        self.pieces.iter().position(|piece| {
            let is_here = op < piece.ops.len();
            op = op.saturating_sub(piece.ops.len());
            is_here
        })
    }
}

/// A world before its first move.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) generation: Generation,
    pub(super) sizes: Sizes,
    pub(super) cpus: u16,
    pub(super) caches: Vec<CacheSetup>,
    pub(super) objects: Vec<ObjectSetup>,
    /// Objects that their module forgets.
    pub(super) leaked: Vec<ObjectIndex>,
    pub(super) actors: Vec<Actor>,
    pub(super) disturbances: Disturbances,
    pub(super) fault: Option<Fault>,
}

/// The object that an op frees, now or later.
pub(super) fn freed(op: Op) -> Option<ObjectIndex> {
    match op {
        Op::Queue(object) | Op::QueueHeadless(object) | Op::CallRcu(object) | Op::Free(object) => {
            Some(object)
        }
        _ => None,
    }
}

impl Plan {
    /// All ops of all tasks.
    pub(super) fn ops(&self) -> impl Iterator<Item = Op> + '_ {
        self.actors.iter().flat_map(|actor| &actor.pieces).flat_map(|piece| &piece.ops).copied()
    }

    /// For each object, whether a task frees it or its module forgets it. Nobody has allocated any other.
    pub(super) fn present(&self) -> Vec<bool> {
        let mut present = vec![false; self.objects.len()];
        for object in self.ops().filter_map(freed).chain(self.leaked.iter().copied()) {
            present[object.0 as usize] = true;
        }
        present
    }

    /// Whether a module queues callbacks.
    pub(super) fn has_callbacks(&self, module: CacheIndex) -> bool {
        self.ops().any(|op| match op {
            Op::CallRcu(object) => self.objects[object.0 as usize].owner == Some(module),
            _ => false,
        })
    }

    /// The machine of this world.
    pub(super) fn setup(&self) -> Arc<Setup> {
        let nobodys = ObjectSetup { cache: None, owner: None, slab: u32::MAX };
        let objects = self.present().into_iter().zip(&self.objects);
        let tasks = self.actors.iter().map(|actor| TaskSetup {
            name: actor.name,
            program: actor.pieces.iter().flat_map(|piece| piece.ops.iter().copied()).collect(),
            cpu: actor.cpu,
        });
        Arc::new(Setup {
            generation: self.generation,
            sizes: self.sizes,
            cpus: self.cpus,
            caches: self.caches.clone(),
            objects: objects.map(|(is_present, object)| if is_present { *object } else { nobodys }).collect(),
            tasks: tasks.collect(),
            disturbances: self.disturbances,
            fault: self.fault,
        })
    }

    /// The world of a seed, with all known faults of its kernel repaired but these.
    pub(super) fn draw(kernel: Kernel, on: &[Known], fault: Option<Fault>, random: &mut Random) -> Plan {
        let cpus = [2, 4, 8, 8, 16][random.index(5)];
        let entries =
            if kernel == Kernel::Before612 { KVFREE_BULK_MAX_ENTR_PLAIN } else { KVFREE_BULK_MAX_ENTR };
        let object_bytes = [64, 192, 512, 2048, 4096][random.index(5)];
        let plan = Plan {
            generation: kernel.generation(on),
            sizes: Sizes {
                bulk_entries: entries,
                cached_pages: RCU_MIN_CACHED_OBJS,
                sheaf_capacity: sheaf_capacity(object_bytes),
            },
            cpus,
            caches: Vec::new(),
            objects: Vec::new(),
            leaked: Vec::new(),
            actors: Vec::new(),
            disturbances: disturbances(cpus, random),
            fault,
        };
        // Half as many worlds of twice the size: a walk takes as many steps in small worlds as in large ones.
        let base = 8 << random.next().trailing_zeros().min(9);
        let objects = base + random.below(base);
        let mut drawing = Drawing { kernel, on, objects, shareable: Vec::new(), plan, random };
        drawing.draw();
        drawing.plan
    }
}

fn disturbances(cpus: u16, random: &mut Random) -> Disturbances {
    let mut times = |percent, end| {
        let times = if random.percent(percent) { random.below(end) } else { 0 };
        u8::try_from(times).unwrap_or(u8::MAX)
    };
    let offline = times(60, 2 * u64::from(cpus));
    Disturbances {
        offline,
        online: if offline > 0 { times(80, u64::from(offline) + 1) } else { 0 },
        shortages: times(70, 8),
        shrinks: times(80, 200),
        pressure: random.percent(50),
        pressure_ends: true,
        others_graces: random.percent(50),
    }
}

/// A plan that is being drawn.
struct Drawing<'a> {
    kernel: Kernel,
    on: &'a [Known],
    /// How many objects there are to be, roughly.
    objects: u64,
    /// Caches that another module may share.
    shareable: Vec<CacheIndex>,
    plan: Plan,
    random: &'a mut Random,
}

impl Drawing<'_> {
    fn draw(&mut self) {
        let modules = 1 + self.random.index(EXITS.len());
        let share = self.objects / (modules as u64 + 1);
        for module in 0..modules {
            self.module(module, share);
        }
        self.neighbours(share);
        for name in CALLERS.iter().take(self.random.index(CALLERS.len() + 1)) {
            let pieces = (0..=self.random.below(4)).map(|_| self.barrier()).collect();
            self.actor(name, pieces);
        }
        let readers = READERS.iter().take(self.random.index(READERS.len() + 1));
        readers.for_each(|name| self.reader(name));
    }

    fn actor(&mut self, name: &'static str, pieces: Vec<Piece>) {
        let cpu = self.random.percent(40).then(|| self.random.below(u64::from(self.plan.cpus)));
        let cpu = cpu.and_then(|cpu| u16::try_from(cpu).ok()).map(Cpu);
        self.plan.actors.push(Actor { name, cpu, pieces });
    }

    fn cache(&mut self, name: &str, type_safe: bool) -> CacheIndex {
        let index = CacheIndex(u16::try_from(self.plan.caches.len()).unwrap_or(u16::MAX));
        let name = name.to_owned();
        self.plan.caches.push(CacheSetup { name, type_safe, users: 1, slab_objects: SLAB_OBJECTS });
        index
    }

    fn object(&mut self, cache: Option<CacheIndex>, owner: Option<CacheIndex>) -> ObjectIndex {
        let place = u32::try_from(self.plan.objects.len()).unwrap_or(u32::MAX);
        self.plan.objects.push(ObjectSetup { cache, owner, slab: place / SLAB_OBJECTS });
        ObjectIndex(place)
    }

    /// `rcu_barrier()` or `kvfree_rcu_barrier()`, of somebody who need not call it.
    fn barrier(&mut self) -> Piece {
        Piece::free(if self.random.percent(50) { rcu_barrier() } else { self.kernel.barrier() })
    }

    /// A module, from its first object to the end of its exit.
    fn module(&mut self, place: usize, share: u64) {
        // A shared cache is the first user's. The second has a cache of its own name, with nothing in it.
        let is_shared = self.random.percent(20) && !self.shareable.is_empty();
        let shared = is_shared.then(|| self.shareable[self.random.index(self.shareable.len())]);
        let type_safe = !is_shared && self.random.percent(25);
        let own = self.cache(CACHES[place], type_safe);
        let cache = shared.unwrap_or(own);
        if is_shared {
            self.plan.caches[usize::from(cache.0)].users += 1;
        } else if !type_safe {
            self.shareable.push(own);
        }
        let of_callbacks = if self.random.percent(40) { 3 + self.random.below(60) } else { 3 };
        let only_frees = type_safe && self.random.percent(50);
        // One module in a hundred queues more than a page holds.
        let share = if self.random.percent(1) { share.max(600) } else { share };
        let helpers = self.random.index(HELPERS[place].len() + 1);
        let mut pieces = vec![Vec::new(); helpers + 1];
        for _ in 0..=self.random.below(2 * share + 1) {
            let object = self.object(Some(cache), Some(own));
            let op = match self.random.below(100) {
                _ if only_frees => Op::Free(object),
                0..3 => Op::QueueHeadless(object),
                draw if draw < of_callbacks => Op::CallRcu(object),
                80..100 if type_safe => Op::Free(object),
                _ => Op::Queue(object),
            };
            pieces[self.random.index(helpers + 1)].push(Piece::free(vec![op]));
        }
        if self.random.percent(8) {
            let object = self.object(Some(cache), Some(own));
            self.plan.leaked.push(object);
        }
        let first = self.plan.actors.len();
        let mut exit = pieces.pop().unwrap_or_default();
        for (name, pieces) in HELPERS[place].iter().zip(pieces) {
            self.actor(name, pieces);
        }
        let joined = (first..first + helpers).map(|task| TaskIndex(u16::try_from(task).unwrap_or(u16::MAX)));
        exit.extend(joined.map(|task| Piece { ops: vec![Op::Join(task)], need: Need::WithoutTask(task) }));
        if of_callbacks > 3 {
            exit.push(Piece { ops: rcu_barrier(), need: Need::WithoutCallbacks(own) });
        }
        if self.random.percent(15) {
            exit.push(Piece::free(self.kernel.barrier()));
        }
        let mut destroy = self.kernel.destroy(self.on, cache, type_safe);
        destroy.push(Op::Unload(own));
        exit.push(Piece::with_task(destroy));
        self.actor(EXITS[place], exit);
    }

    /// Tasks that use a cache that stays, and memory of no cache.
    fn neighbours(&mut self, share: u64) {
        let cache = self.cache("cache-that-stays", false);
        let names = 1 + self.random.index(NEIGHBOURS.len());
        let of_no_cache = self.random.below(100);
        for name in NEIGHBOURS.iter().take(names) {
            let mut pieces = Vec::new();
            for _ in 0..=self.random.below(2 * share / names as u64 + 1) {
                let cache = (!self.random.percent(of_no_cache)).then_some(cache);
                let object = self.object(cache, cache);
                let is_headless = self.random.percent(5);
                let op = if is_headless { Op::QueueHeadless(object) } else { Op::Queue(object) };
                pieces.push(Piece::free(vec![op]));
            }
            // Some queue more than two pages hold.
            let burst = if self.random.percent(2) { 1100 } else { 0 };
            for _ in 0..burst {
                let object = self.object(None, None);
                pieces.push(Piece::free(vec![Op::Queue(object)]));
            }
            for _ in 0..self.random.below(3) {
                let place = self.random.index(pieces.len() + 1);
                pieces.insert(place, self.barrier());
            }
            self.actor(name, pieces);
        }
    }

    /// Readers find any object that is not queued, except those that their module has forgotten.
    fn reader(&mut self, name: &'static str) {
        let reads = 1 + self.random.below(32);
        let mut pieces = Vec::new();
        for _ in 0..reads {
            let place = u32::try_from(self.random.index(self.plan.objects.len())).unwrap_or(0);
            let object = ObjectIndex(place);
            if !self.plan.leaked.contains(&object) {
                pieces.push(Piece::free(vec![Op::ReadLock(object), Op::ReadUnlock]));
            }
        }
        self.actor(name, pieces);
    }
}
