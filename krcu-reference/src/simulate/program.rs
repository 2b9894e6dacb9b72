//! Program: a workload and an approach, as the tasks of a machine and the times of their steps.
//!
//! A [`Base`] is what all approaches have in common: the objects, and the order of the actions. What is queued
//! by calls that never wait is a lane of each CPU, which the simulation takes without a task. If somebody
//! watches, each CPU has a task instead that makes these calls. Some other tasks make the calls without a head,
//! each of which may have to wait. Each caller has a task for its exit paths, and so has each unrelated caller
//! of `rcu_barrier()`.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use super::{
    agenda::Due,
    workload::{Action, Caller, Timed, Workload, WorkloadError},
};
use crate::{
    approach::Approach,
    machine::{
        CacheIndex, CacheSetup, Disturbances, ObjectIndex, ObjectSetup, Setup, TaskIndex, TaskSetup, op::Op,
    },
};
use krcu_model::event::{Cpu, Time};

/// The calls without a head that may wait on one CPU at the same time.
const SLEEPERS: usize = 256;
/// The same on all CPUs together: machines with many CPUs have fewer on each, since a machine can number
/// 65,536 tasks.
const ALL_SLEEPERS: usize = 1 << 15;
/// The most CPUs that the kernel can have (`NR_CPUS` of x86-64).
const MOST_CPUS: u16 = 8192;
/// The most pairs of a CPU and a cache: each takes some 32 bytes.
const MOST_SHEAVES: usize = 1 << 24;

/// A step of a task that must not come before its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) op: u32,
    pub(super) at: Time,
    /// The number of its action.
    pub(super) position: u64,
}

/// The exit path of a cache, within the program of its caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) cache: CacheIndex,
    pub(super) task: TaskIndex,
    /// The op at which the destroy has dropped its reference and looks at its slabs.
    pub(super) looks: u32,
    /// The op at which the destroy has returned.
    pub(super) returned: u32,
    pub(super) end: u32,
    pub(super) scope: Scope,
}

/// What an exit path waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Everything that `kfree_rcu()` has on lists and in batches.
    pub(super) lists: bool,
    /// Everything that callbacks free.
    pub(super) callbacks: bool,
    /// Everything in sheaves of this cache.
    pub(super) sheaves: bool,
    /// Everything that is queued of this cache, in any place.
    pub(super) own: bool,
    /// Everything that is queued of lingering caches.
    pub(super) lingering: bool,
}

impl Exit {
    /// Of ops that lie at these places.
    fn of(cache: CacheIndex, task: TaskIndex, ops: &[Op], place: Range<u32>) -> Exit {
        let behind = |wanted: fn(&Op) -> bool| {
            let ops = ops.iter().position(wanted).and_then(|op| u32::try_from(op + 1).ok());
            ops.map_or(place.end, |ops| place.start + ops)
        };
        let looks = behind(|op| matches!(op, Op::DropReference(_)));
        let returned = behind(|op| matches!(op, Op::Release(_) | Op::ReleaseLater(_)));
        Exit { cache, task, looks, returned, end: place.end, scope: Scope::of(ops) }
    }
}

impl Scope {
    fn of(ops: &[Op]) -> Scope {
        let has = |wanted: fn(&Op) -> bool| ops.iter().any(wanted);
        let callbacks = has(|op| *op == Op::AwaitCallbacks);
        Scope {
            lists: has(|op| matches!(op, Op::Drain | Op::FlushWorks | Op::PassPagesToCallRcu { .. })),
            callbacks,
            sheaves: callbacks && has(|op| matches!(op, Op::FlushSheaves(_) | Op::ShutdownFlush(_))),
            own: has(|op| matches!(op, Op::AwaitNoted | Op::AwaitDestroyed(_) | Op::AwaitLingering)),
            lingering: has(|op| *op == Op::AwaitLingering),
        }
    }
}

/// An object that is queued by a call that never waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queueing {
    pub(super) at: Time,
    /// The number of its action.
    pub(super) position: u32,
    pub(super) object: ObjectIndex,
    /// Whether it is queued by `call_rcu()` under every approach.
    pub(super) by_callback: bool,
    /// Whether its cache is destroyed, so that the approach chooses.
    pub(super) is_destroyed: bool,
}

/// What all approaches have in common.
#[derive(Debug)]
pub(super) struct Base {
    /// The actions in their order; without those of the lanes, if there are lanes.
    actions: Vec<Placed>,
    /// How many there are with those of the lanes.
    all_actions: u64,
    /// For each CPU, what is queued there by calls that never wait.
    lanes: Vec<Vec<Queueing>>,
    users: BTreeMap<CacheIndex, u16>,
    objects: Vec<ObjectSetup>,
    objects_of: Vec<Vec<ObjectIndex>>,
}

/// An action, its number, and its object if it has one.
#[derive(Clone, Copy, Debug)]
struct Placed {
    timed: Timed,
    position: u64,
    object: Option<ObjectIndex>,
}

/// A workload under an approach.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) lanes: &'a [Vec<Queueing>],
    pub(super) frees_by_callback: bool,
    pub(super) setup: Arc<Setup>,
    /// For each task, its steps that wait for their time.
    pub(super) starts: Vec<VecDeque<Start>>,
    /// Whether a task only queues, and never waits.
    pub(super) queuers: Vec<bool>,
    /// The exit paths, in the order of their actions.
    pub(super) exits: Vec<Exit>,
    /// The tasks that call `rcu_barrier()` for other reasons, in the order of their actions.
    pub(super) bystanders: Vec<TaskIndex>,
    pub(super) others: Vec<(Time, u64, Due)>,
    pub(super) objects_of: Vec<Vec<ObjectIndex>>,
    pub(super) actions: u64,
}

/// The tasks, while they are being built.
#[derive(Default)]
struct Tasks {
    setups: Vec<TaskSetup>,
    starts: Vec<VecDeque<Start>>,
    queuers: Vec<bool>,
    /// The one that queues on each CPU.
    of_cpus: BTreeMap<Cpu, TaskIndex>,
    /// Those of each CPU that take calls without a head, the one that was asked longest ago first.
    sleepers: BTreeMap<Cpu, VecDeque<TaskIndex>>,
    /// How many of them a CPU has at the most.
    most_sleepers: usize,
    callers: BTreeMap<Caller, TaskIndex>,
}

impl Tasks {
    fn add(&mut self, name: &'static str, cpu: Cpu, is_queuer: bool) -> Result<TaskIndex, WorkloadError> {
        let index = u16::try_from(self.setups.len()).map_err(|_| WorkloadError::TooMany)?;
        self.setups.push(TaskSetup { name, program: Vec::new(), cpu: Some(cpu) });
        self.starts.push(VecDeque::new());
        self.queuers.push(is_queuer);
        Ok(TaskIndex(index))
    }

    fn queuer(&mut self, cpu: Cpu) -> Result<TaskIndex, WorkloadError> {
        if let Some(task) = self.of_cpus.get(&cpu) {
            return Ok(*task);
        }
        let task = self.add("queuer", cpu, true)?;
        self.of_cpus.insert(cpu, task);
        Ok(task)
    }

    fn sleeper(&mut self, cpu: Cpu) -> Result<TaskIndex, WorkloadError> {
        let lane = self.sleepers.entry(cpu).or_default();
        let next = if lane.len() < self.most_sleepers { None } else { lane.pop_front() };
        let task = next.map_or_else(|| self.add("sleeper", cpu, false), Ok)?;
        self.sleepers.entry(cpu).or_default().push_back(task);
        Ok(task)
    }

    fn caller(&mut self, caller: Caller, cpu: Cpu) -> Result<TaskIndex, WorkloadError> {
        if let Some(task) = self.callers.get(&caller) {
            return Ok(*task);
        }
        let task = self.add("exit", cpu, false)?;
        self.callers.insert(caller, task);
        Ok(task)
    }

    /// Adds ops that begin at a time. Returns their places.
    fn extend(
        &mut self,
        task: TaskIndex,
        when: (Time, u64),
        ops: &[Op],
    ) -> Result<Range<u32>, WorkloadError> {
        let program = &mut self.setups[usize::from(task.0)].program;
        let place = |program: &Vec<Op>| u32::try_from(program.len()).map_err(|_| WorkloadError::TooMany);
        let begin = place(program)?;
        program.extend_from_slice(ops);
        let end = place(program)?;
        self.starts[usize::from(task.0)].push_back(Start { op: begin, at: when.0, position: when.1 });
        Ok(begin..end)
    }
}

impl Base {
    /// Of a workload; with tasks instead of lanes, for a watcher.
    pub(super) fn new(workload: &Workload, has_lanes: bool) -> Result<Base, WorkloadError> {
        check(workload)?;
        let mut sorted = workload.actions.clone();
        sorted.sort_by_key(|timed| timed.at);
        let users = users(workload);
        let is_destroyed: Vec<bool> = (0..)
            .map(CacheIndex)
            .zip(&workload.caches)
            .map(|(cache, spec)| users.contains_key(&cache) || spec.other_users > 0)
            .collect();
        let mut objects = Objects { all: Vec::new(), of: vec![Vec::new(); workload.caches.len()] };
        let mut lanes = vec![Vec::new(); usize::from(workload.cpus)];
        let mut actions = Vec::new();
        for (position, timed) in (0u64..).zip(&sorted) {
            let object = if timed.action.has_object() {
                Some(objects.add(timed.action.cache(), workload)?)
            } else {
                None
            };
            match (timed.action, object) {
                (Action::Queue { cache, cpu } | Action::CallRcu { cache, cpu }, Some(object))
                    if has_lanes =>
                {
                    let position = u32::try_from(position).map_err(|_| WorkloadError::TooMany)?;
                    lanes[usize::from(cpu.0)].push(Queueing {
                        at: timed.at,
                        position,
                        object,
                        by_callback: matches!(timed.action, Action::CallRcu { .. }),
                        is_destroyed: cache.is_some_and(|cache| is_destroyed[usize::from(cache.0)]),
                    });
                }
                _ => actions.push(Placed { timed: *timed, position, object }),
            }
        }
        let all_actions = sorted.len() as u64;
        Ok(Base { actions, all_actions, lanes, users, objects: objects.all, objects_of: objects.of })
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        approach: &dyn Approach,
        workload: &Workload,
        base: &'a Base,
        bystander: &[Op],
    ) -> Result<Plan<'a>, WorkloadError> {
        let most_sleepers = SLEEPERS.min(ALL_SLEEPERS / usize::from(workload.cpus)).max(1);
        let mut tasks = Tasks { most_sleepers, ..Tasks::default() };
        let (mut exits, mut bystanders, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for Placed { timed, position, object } in &base.actions {
            let (when, object) = ((timed.at, *position), object.unwrap_or(ObjectIndex(0)));
            let is_destroyed = timed.action.cache().is_some_and(|cache| {
                base.users.contains_key(&cache) || workload.caches[usize::from(cache.0)].other_users > 0
            });
            let freed = if is_destroyed { approach.free(object) } else { Op::Queue(object) };
            match timed.action {
                Action::Queue { cpu, .. }
                | Action::CallRcu { cpu, .. }
                | Action::QueueHeadless { cpu, .. } => {
                    let op = queueing(timed.action, object, freed);
                    let may_sleep = matches!(op, Op::QueueHeadless(_));
                    let task = if may_sleep { tasks.sleeper(cpu)? } else { tasks.queuer(cpu)? };
                    tasks.extend(task, when, &[op])?;
                }
                Action::Leak { .. } => {}
                Action::Destroy { cache, caller, cpu } => {
                    let task = tasks.caller(caller, cpu)?;
                    let ops = exit(approach, cache, workload.caches[usize::from(cache.0)].type_safe);
                    let place = tasks.extend(task, when, &ops)?;
                    exits.push(Exit::of(cache, task, &ops, place));
                }
                Action::RcuBarrier { cpu } => {
                    let task = tasks.add("bystander", cpu, false)?;
                    tasks.extend(task, when, bystander)?;
                    bystanders.push(task);
                }
                Action::UnseenCallback { cpu, grace } => {
                    others.push((timed.at, *position, Due::Unseen(cpu, grace)));
                }
                Action::Pressure { is_short } => others.push((timed.at, *position, Due::Pressure(is_short))),
                Action::Drain => others.push((timed.at, *position, Due::Drain)),
                Action::Shrink => others.push((timed.at, *position, Due::Shrink(Cpu(0)))),
            }
        }
        let setup = Setup {
            generation: approach.generation(),
            sizes: workload.sizes,
            cpus: workload.cpus,
            caches: caches(workload, &base.users),
            objects: base.objects.clone(),
            tasks: tasks.setups,
            disturbances: Disturbances::default(),
            fault: None,
        };
        Ok(Plan {
            lanes: &base.lanes,
            frees_by_callback: matches!(approach.free(ObjectIndex(0)), Op::CallRcu(_)),
            setup: Arc::new(setup),
            starts: tasks.starts,
            queuers: tasks.queuers,
            exits,
            bystanders,
            others,
            objects_of: base.objects_of.clone(),
            actions: base.all_actions,
        })
    }
}

/// What an action does that queues an object, where the approach frees it by `freed`.
fn queueing(action: Action, object: ObjectIndex, freed: Op) -> Op {
    match action {
        Action::CallRcu { .. } => Op::CallRcu(object),
        Action::QueueHeadless { .. } if matches!(freed, Op::Queue(_)) => Op::QueueHeadless(object),
        _ => freed,
    }
}

fn caches(workload: &Workload, users: &BTreeMap<CacheIndex, u16>) -> Vec<CacheSetup> {
    let caches = (0..).map(CacheIndex).zip(&workload.caches);
    let setups = caches.map(|(index, spec)| CacheSetup {
        name: spec.name.clone(),
        type_safe: spec.type_safe,
        users: users.get(&index).copied().unwrap_or(0).saturating_add(spec.other_users).max(1),
        slab_objects: spec.slab_objects,
    });
    setups.collect()
}

/// How many destroy each cache.
fn users(workload: &Workload) -> BTreeMap<CacheIndex, u16> {
    let mut users = BTreeMap::new();
    for timed in &workload.actions {
        if let Action::Destroy { cache, .. } = timed.action {
            *users.entry(cache).or_default() += 1;
        }
    }
    users
}

/// Objects as they come into being.
struct Objects {
    all: Vec<ObjectSetup>,
    /// Those of each cache.
    of: Vec<Vec<ObjectIndex>>,
}

impl Objects {
    fn add(&mut self, cache: Option<CacheIndex>, workload: &Workload) -> Result<ObjectIndex, WorkloadError> {
        let object = u32::try_from(self.all.len()).map(ObjectIndex).map_err(|_| WorkloadError::TooMany)?;
        let slab = cache.map_or(0, |cache| {
            let place = usize::from(cache.0);
            let before = u32::try_from(self.of[place].len()).unwrap_or(u32::MAX);
            self.of[place].push(object);
            before / workload.caches[place].slab_objects.max(1)
        });
        self.all.push(ObjectSetup { cache, owner: cache, slab });
        Ok(object)
    }
}

/// The approach's exit path for this cache.
fn exit(approach: &dyn Approach, cache: CacheIndex, type_safe: bool) -> Vec<Op> {
    let ops = approach.exit(cache).into_iter();
    ops.flat_map(|op| match op {
        Op::Release(released) if type_safe => approach.release_type_safe(released),
        op => vec![op],
    })
    .collect()
}

fn check(workload: &Workload) -> Result<(), WorkloadError> {
    if workload.cpus == 0 {
        return Err(WorkloadError::NoCpu);
    }
    if workload.caches.len() > usize::from(u16::MAX) {
        return Err(WorkloadError::TooMany);
    }
    if workload.cpus > MOST_CPUS || workload.caches.len() * usize::from(workload.cpus) > MOST_SHEAVES {
        return Err(WorkloadError::TooLarge);
    }
    for timed in &workload.actions {
        if let Some(cpu) = timed.action.cpu().filter(|cpu| cpu.0 >= workload.cpus) {
            return Err(WorkloadError::UnknownCpu(cpu));
        }
        let is_unknown = |cache: &CacheIndex| usize::from(cache.0) >= workload.caches.len();
        if let Some(cache) = timed.action.cache().filter(is_unknown) {
            return Err(WorkloadError::UnknownCache(cache));
        }
    }
    Ok(())
}
