//! Machine: the part of a kernel below `kfree_rcu()`, as a deterministic state machine that produces events.
//!
//! A [`Machine`] is a kernel, reduced to deferred frees: CPUs with their lists, batches, sheaves and
//! callbacks; one grace period at a time; caches; and tasks that work through a list of [`Op`]s. In each
//! state [`Machine::moves`] says what may happen next. [`Machine::apply`] makes one of these moves and tells
//! what a watcher would see of it. The checker takes every move; the simulation takes the one that is due.
//! Both give the events to [`State::step`](krcu_model::State::step), which also takes the events of a real
//! kernel.
//!
//! A move is what one lock, one atomic operation or one wait makes indivisible in the kernel. Two steps of a
//! task are one move if no other task can tell them apart (for example, a wait and the return after it, or
//! the entry of a function and its first look). No move fails: a move that is not enabled changes nothing.
//!
//! There is one file for each word: [`parts`] has the plain data of a CPU, [`queue`] the lists of a CPU and its
//! sheaves, [`batch`] monitors and batches, [`grace`] grace periods, readers and callbacks, [`free`] the calls
//! that free, [`barrier`] the waits, [`cache`] slabs and their end, [`task`] the turns of tasks, `run` the
//! effect of each op; [`hotplug`] takes a CPU away.
//!
//! Not modelled: memory ordering (all CPUs see each move at once), the pages of the page allocator,
//! `kfree_rcu_nolock()` and its irq_work, expedited grace periods, offloaded callbacks beside others, NUMA
//! nodes, and the barn of full sheaves (an object in it is free).

pub mod barrier;
pub mod batch;
pub mod cache;
mod due;
pub mod facts;
pub mod fault;
pub mod free;
pub mod grace;
pub mod hotplug;
pub mod op;
pub mod parts;
pub mod queue;
mod run;
pub mod sequence;
pub mod task;
mod telling;
mod words;

use std::{collections::VecDeque, sync::Arc};

use cache::Cache;
use facts::{Generation, Sizes};
use fault::Fault;
use krcu_model::event::{CacheAddress, Cpu, Event, ObjectAddress, Site, Task, What};
use op::Op;
use parts::{Callback, Krc, Sheaf, Taken};
use sequence::Sequence;
use task::Thread;
pub(crate) use telling::Telling;

/// An object, by its place in [`Setup::objects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectIndex(pub u32);

/// A cache, by its place in [`Setup::caches`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheIndex(pub u16);

/// A task, by its place in [`Setup::tasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u16);

/// The fixed properties of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectSetup {
    /// Its cache; `None` for `vmalloc()` memory.
    pub cache: Option<CacheIndex>,
    /// The cache whose module uses the object; this is another cache if caches are merged.
    pub owner: Option<CacheIndex>,
    /// The number of its slab.
    pub slab: u32,
}

/// The fixed properties of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSetup {
    /// Its name, which is also the name of its module.
    pub name: String,
    /// Whether it is `SLAB_TYPESAFE_BY_RCU`.
    pub type_safe: bool,
    /// How many users have created it: more than one if it is merged.
    pub users: u16,
    /// Objects that a slab holds.
    pub slab_objects: u32,
}

/// A task and its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSetup {
    /// Its name.
    pub name: &'static str,
    /// Its ops.
    pub program: Vec<Op>,
    /// The CPU that it queues on; `None` means any.
    pub cpu: Option<Cpu>,
}

/// What may disturb a run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disturbances {
    /// CPUs that go offline.
    pub offline: u8,
    /// How often one of these comes back.
    pub online: u8,
    /// Whether memory is short at the beginning.
    pub pressure: bool,
    /// Whether the shortage may end.
    pub pressure_ends: bool,
    /// How often memory becomes short once more.
    pub shortages: u8,
    /// Whether other code may start a grace period that the tasks only poll for.
    pub others_graces: bool,
    /// How often the shrinker may run while memory is short; it calls a monitor directly.
    pub shrinks: u8,
}

/// Everything that does not change while a machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The kernel's generation.
    pub generation: Generation,
    /// The sizes of its parts.
    pub sizes: Sizes,
    /// How many CPUs there are.
    pub cpus: u16,
    /// The caches.
    pub caches: Vec<CacheSetup>,
    /// The objects; all are allocated at the beginning.
    pub objects: Vec<ObjectSetup>,
    /// The tasks.
    pub tasks: Vec<TaskSetup>,
    /// What may disturb the run.
    pub disturbances: Disturbances,
    /// The fault of the machine, for mutants.
    pub fault: Option<Fault>,
}

/// The stages of an object's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// Allocated; in use, or lost.
    Allocated,
    /// Its free is deferred.
    Queued,
    /// Free.
    Free,
}

/// One processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Whether it is offline.
    pub offline: bool,
    /// Its `struct kfree_rcu_cpu`.
    pub krc: Krc,
    /// Its callbacks, oldest first (`rdp->cblist`).
    pub callbacks: VecDeque<Callback>,
    /// For each cache, the sheaf that `kfree_rcu()` fills (`pcs->rcu_free`).
    pub sheaves: Vec<Sheaf>,
}

/// A kernel, reduced to deferred frees.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) setup: Arc<Setup>,
    pub(crate) grace: Sequence,
    /// Tasks in a read-side critical section that the grace period in flight waits for.
    pub(crate) blocking_readers: Vec<TaskIndex>,
    /// Machines share a processor until it changes: a checker copies a machine for each move.
    pub(crate) cpus: Vec<Arc<Processor>>,
    pub(crate) caches: Vec<Cache>,
    pub(crate) objects: Vec<Life>,
    pub(crate) tasks: Vec<Thread>,
    /// What the shrinker has found ready and is freeing, with the CPU whose monitor it called.
    pub(crate) shrinker: Option<(Cpu, Taken)>,
    pub(crate) rcu_barrier: Sequence,
    pub(crate) kfree_rcu_barrier: Sequence,
    /// Callbacks of the `rcu_barrier()` in flight that have not run (`barrier_cpu_count`).
    pub(crate) barrier_callbacks: u16,
    pub(crate) lock_owners: [Option<TaskIndex>; 2],
    /// The CPU that is going offline, under `cpus_write_lock()`.
    pub(crate) going_offline: Option<Cpu>,
    pub(crate) cpus_readers: u16,
    pub(crate) pressure: bool,
    pub(crate) offline_left: u8,
    pub(crate) online_left: u8,
    pub(crate) shortages_left: u8,
    pub(crate) shrinks_left: u8,
    /// What it tells beside events.
    pub(crate) telling: Telling,
    /// The objects of each cache.
    of_caches: Arc<[Vec<ObjectIndex>]>,
}

/// A move: something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// A task takes its next step, on this CPU.
    Task(TaskIndex, Cpu),
    /// A grace period begins.
    GraceBegin,
    /// It ends.
    GraceEnd,
    /// The monitor of a CPU runs (`kfree_rcu_monitor()`).
    Monitor(Cpu),
    /// The work of a batch of a CPU begins (`kfree_rcu_work()`).
    Work(Cpu, u8),
    /// This freer frees the next page that it took off.
    Free(Reclaimer),
    /// A CPU invokes its oldest callback.
    Callback(Cpu),
    /// The page cache of a CPU is filled (`fill_page_cache_func()`).
    FillPages(Cpu),
    /// The shrinker calls the monitor of a CPU.
    Shrink(Cpu),
    /// There is memory again.
    PressureEnds,
    /// Memory is short.
    PressureBegins,
    /// A sheaf that is not full is flushed, where that is [repaired](facts::Repairs::sheaves_age).
    SheafAges(Cpu, CacheIndex),
    /// A CPU goes offline.
    Offline(Cpu),
    /// It comes back.
    Online(Cpu),
    /// The sheaves that it left behind are flushed (`slub_cpu_dead()`).
    Dead(Cpu),
    /// A lingering cache is looked at.
    LingerCheck(CacheIndex),
    /// The 21 s of a lingering cache are over.
    LingerTimeout(CacheIndex),
    /// The work item that releases type-safe caches begins its `rcu_barrier()`.
    ReleaseWork(CacheIndex),
}

/// What frees objects that were taken off a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reclaimer {
    /// The monitor of a CPU.
    Monitor(Cpu),
    /// A batch of a CPU.
    Work(Cpu, u8),
    /// The shrinker.
    Shrinker,
}

/// Task numbers in a machine's events: its tasks count from 1, workers from here.
const WORKERS: u32 = 1000;

/// Above the number of any worker.
const MORE_TASKS: u32 = 1 << 20;

/// Above the number of any task.
const MORE_SOFTIRQS: u32 = 2 * MORE_TASKS;

/// What a move shows, in order.
pub type Seen = Vec<Event>;

impl Machine {
    /// The first state: everything is allocated, nothing is queued, every CPU is online.
    #[must_use]
    pub fn new(setup: Arc<Setup>) -> Machine {
        let processor =
            Processor { sheaves: vec![Sheaf::default(); setup.caches.len()], ..Processor::default() };
        let mut caches: Vec<Cache> = setup.caches.iter().map(|cache| Cache::new(cache.users)).collect();
        let mut of_caches = vec![Vec::new(); caches.len()];
        for (index, object) in (0..).map(ObjectIndex).zip(&setup.objects) {
            if let Some(cache) = object.cache {
                caches[usize::from(cache.0)].allocated += 1;
                of_caches[usize::from(cache.0)].push(index);
            }
        }
        Machine {
            grace: Sequence::default(),
            blocking_readers: Vec::new(),
            cpus: (0..setup.cpus).map(|_| Arc::new(processor.clone())).collect(),
            caches,
            objects: vec![Life::Allocated; setup.objects.len()],
            tasks: setup.tasks.iter().map(|task| Thread::on(task.cpu.unwrap_or_default())).collect(),
            shrinker: None,
            rcu_barrier: Sequence::default(),
            kfree_rcu_barrier: Sequence::default(),
            barrier_callbacks: 0,
            lock_owners: [None; 2],
            going_offline: None,
            cpus_readers: 0,
            pressure: setup.disturbances.pressure,
            offline_left: setup.disturbances.offline,
            online_left: setup.disturbances.online,
            shortages_left: setup.disturbances.shortages,
            shrinks_left: setup.disturbances.shrinks,
            telling: Telling::default(),
            of_caches: of_caches.into(),
            setup,
        }
    }

    /// The events that introduce the caches and their objects, before anything moves.
    #[must_use]
    pub fn introduction(&self) -> Seen {
        let mut seen = Seen::new();
        for (place, cache) in self.setup.caches.iter().enumerate() {
            let index = CacheIndex(u16::try_from(place).unwrap_or(u16::MAX));
            self.say(
                &mut seen,
                Task(0),
                Cpu(0),
                What::CacheCreated {
                    cache: self.cache_address(index),
                    facts: self.cache_facts(index),
                    asked_name: cache.name.clone(),
                    site: Site(0),
                },
            );
        }
        for (place, object) in self.setup.objects.iter().enumerate() {
            let index = ObjectIndex(u32::try_from(place).unwrap_or(u32::MAX));
            if let Some(cache) = object.cache {
                let (object, cache) = (self.object_address(index), self.cache_address(cache));
                let what = What::Allocated { object, cache, site: Site(0) };
                self.say(&mut seen, Task(0), Cpu(0), what);
            }
        }
        seen
    }

    /// Every move that may happen next, in an order that depends only on the state.
    pub fn moves(&self, moves: &mut Vec<Move>) {
        self.task_moves(moves);
        self.grace_moves(moves);
        for cpu in self.cpu_numbers() {
            self.batch_moves(cpu, moves);
            self.sheaf_moves(cpu, moves);
            let processor = self.cpu(cpu);
            if !processor.offline
                && processor.callbacks.front().is_some_and(|first| self.grace.is_done(first.cookie))
            {
                moves.push(Move::Callback(cpu));
            }
        }
        if self.shrinker.is_some() {
            moves.push(Move::Free(Reclaimer::Shrinker));
        }
        self.cache_moves(moves);
        self.hotplug_moves(moves);
        if self.pressure && self.setup.disturbances.pressure_ends {
            moves.push(Move::PressureEnds);
        }
        if !self.pressure && self.shortages_left > 0 {
            moves.push(Move::PressureBegins);
        }
    }

    /// Makes one of [`Machine::moves`]. Pushes what a watcher sees of it.
    pub fn apply(&mut self, chosen: Move, seen: &mut Seen) {
        match chosen {
            Move::Task(task, cpu) => self.task_step(task, cpu, seen),
            Move::GraceBegin => self.grace_begins(seen),
            Move::GraceEnd => self.grace_ends(seen),
            Move::Monitor(cpu) => self.monitor_runs(cpu),
            Move::Work(cpu, slot) => self.work_runs(cpu, slot),
            Move::Free(freer) => self.free_goes_on(freer, seen),
            Move::Callback(cpu) => self.invoke_callback(cpu, seen),
            Move::FillPages(cpu) => self.fill_pages(cpu),
            Move::Shrink(cpu) => self.shrink(cpu),
            Move::PressureEnds => self.pressure = false,
            Move::PressureBegins => {
                self.shortages_left -= 1;
                self.pressure = true;
            }
            Move::SheafAges(cpu, cache) => self.detach_sheaf(cpu, cache, self.callback_cpu(cpu)),
            Move::Offline(cpu) => self.goes_offline(cpu),
            Move::Online(cpu) => self.comes_back(cpu),
            Move::Dead(cpu) => self.is_dead(cpu),
            Move::LingerCheck(cache) => self.linger_check(cache, seen),
            Move::LingerTimeout(cache) => self.linger_timeout(cache, seen),
            Move::ReleaseWork(cache) => self.release_work(cache, seen),
        }
    }

    /// The fixed properties of the machine.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The stage of each object.
    #[must_use]
    pub fn objects(&self) -> &[Life] {
        &self.objects
    }

    /// The state of each cache.
    #[must_use]
    pub fn caches(&self) -> &[Cache] {
        &self.caches
    }

    /// Whether a task has finished its program.
    #[must_use]
    pub fn is_finished(&self, task: TaskIndex) -> bool {
        let program = &self.setup.tasks[usize::from(task.0)].program;
        self.tasks[usize::from(task.0)].next as usize >= program.len()
    }

    pub(crate) fn has_fault(&self, fault: Fault) -> bool {
        self.setup.fault == Some(fault)
    }

    pub(crate) fn cpu_numbers(&self) -> impl Iterator<Item = Cpu> + use<> {
        (0..self.setup.cpus).map(Cpu)
    }

    pub(crate) fn online_cpus(&self) -> impl Iterator<Item = Cpu> + '_ {
        self.cpu_numbers().filter(|cpu| !self.cpu(*cpu).offline)
    }

    pub(crate) fn cpu(&self, cpu: Cpu) -> &Processor {
        &self.cpus[usize::from(cpu.0)]
    }

    pub(crate) fn cpu_mut(&mut self, cpu: Cpu) -> &mut Processor {
        Arc::make_mut(&mut self.cpus[usize::from(cpu.0)])
    }

    pub(crate) fn object_setup(&self, object: ObjectIndex) -> ObjectSetup {
        self.setup.objects[object.0 as usize]
    }

    pub(crate) fn life(&self, object: ObjectIndex) -> Life {
        self.objects[object.0 as usize]
    }

    pub(crate) fn set_life(&mut self, object: ObjectIndex, life: Life) {
        let before = std::mem::replace(&mut self.objects[object.0 as usize], life);
        if let Some(cache) = self.object_setup(object).cache {
            self.cache_mut(cache).count(before, life);
        }
        if let (Life::Free, Some(freed)) = (life, &mut self.telling.freed) {
            freed.push(object);
        }
    }

    /// The objects of a cache, and their stages.
    pub(crate) fn objects_of(&self, cache: CacheIndex) -> impl Iterator<Item = (ObjectIndex, Life)> + '_ {
        self.of_caches[usize::from(cache.0)].iter().map(|object| (*object, self.life(*object)))
    }

    /// The address by which events name an object.
    #[must_use]
    pub fn object_address(&self, object: ObjectIndex) -> ObjectAddress {
        ObjectAddress(u64::from(object.0) + 1)
    }

    /// The address by which events name a cache; 0 for memory that belongs to no cache.
    #[must_use]
    pub fn cache_address(&self, cache: CacheIndex) -> CacheAddress {
        CacheAddress(u64::from(cache.0) + 1)
    }

    pub(crate) fn cache_address_of(&self, object: ObjectIndex) -> CacheAddress {
        self.object_setup(object).cache.map_or(CacheAddress(0), |cache| self.cache_address(cache))
    }

    /// The number by which events name a task.
    #[must_use]
    pub fn task_number(task: TaskIndex) -> Task {
        let number = u32::from(task.0) + 1;
        // A simulation may have more tasks than there are numbers below those of softirqs and workers.
        Task(if number < grace::SOFTIRQ { number } else { number + MORE_TASKS })
    }

    /// The number by which events name the softirq of a CPU.
    #[must_use]
    pub fn softirq_number(cpu: Cpu) -> Task {
        let number = grace::SOFTIRQ + u32::from(cpu.0);
        // A machine may have more CPUs than there are numbers below those of workers.
        Task(if number < WORKERS { number } else { number + MORE_SOFTIRQS })
    }

    /// The number by which events name the worker that frees.
    #[must_use]
    pub fn freer_number(freer: Reclaimer) -> Task {
        Task(match freer {
            Reclaimer::Shrinker => WORKERS,
            Reclaimer::Monitor(cpu) => WORKERS + 10 + u32::from(cpu.0) * 10,
            Reclaimer::Work(cpu, slot) => WORKERS + 11 + u32::from(cpu.0) * 10 + u32::from(slot),
        })
    }
}
