//! Gather: notes of what a kernel was asked to do, and how long that took, for a [`Question`].
//!
//! An agent has a gather beside its state, with small bounds, and so has the replay of a trace. Both note the
//! same, so a question about the same run is the same.

mod delays;
mod part;
mod samples;

pub use part::{Deferred, Destroyed, Part};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use krcu_common::{BarrierKind, Flavour, FreePath};
use krcu_model::{
    event::{CacheAddress, Cpu, DeferredBy, Event, Gap, ObjectAddress, Scope, Task, Time, What},
    of_destroy,
    state::{Destroy, DestroyId, Freer, State},
};

use crate::{
    hello::SCHEMA,
    question::{AskedDestroy, KernelBarrier, Question},
};
use delays::Delays;
use part::Hidden;

/// How much a gather keeps. Older notes are forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Grace periods.
    pub graces: usize,
    /// Samples of each kind.
    pub samples: usize,
    /// Exit paths, and tasks that called a barrier by themselves.
    pub exits: usize,
    /// Calls of `rcu_barrier()`.
    pub barriers: usize,
}

impl Kept {
    /// For an agent: some 200 kilobytes.
    pub const AGENT: Kept = Kept { graces: 1 << 12, samples: 1 << 10, exits: 1 << 10, barriers: 1 << 10 };
    /// For a trace: some 100 megabytes at the most.
    pub const TRACE: Kept = Kept { graces: 1 << 22, samples: 1 << 16, exits: 1 << 20, barriers: 1 << 20 };
}

/// The notes.
#[derive(Clone, Debug)]
pub struct Gather {
    kept: Kept,
    /// Destroys that were entered.
    destroys_begun: u64,
    exits: BTreeMap<DestroyId, Exit>,
    /// The last barrier for `kfree_rcu()` that a task has called since its last destroy.
    own_barriers: BTreeMap<Task, Span>,
    last_freed: Time,
    /// When the last object was freed, whoever had deferred it.
    last_of_all: Time,
    rcu_barriers: VecDeque<(Time, Task, Cpu)>,
    seen: Seen,
    delays: Delays,
    first: Option<Time>,
    last_cpu: u16,
}

/// What is noted of an exit path.
#[derive(Clone, Copy, Debug, Default)]
struct Exit {
    cpu: Cpu,
    /// The barrier that its task had called just before.
    own_barrier: Option<Span>,
    /// When the last free before its look began.
    last_freed: Time,
    /// Whether a barrier has begun inside.
    has_barrier: bool,
    /// Whether it has looked: what it waits for after that is not of the measured wait.
    has_looked: bool,
    unseen: Hidden,
    /// When the last `rcu_barrier()` inside began, if it does not belong to a flush.
    rcu_barrier: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Time,
    end: Time,
    /// Whether it found something on the lists, so that it called `rcu_barrier()`, and the end of the grace period
    /// that this waited for.
    found: Option<Option<Time>>,
}

/// How the barriers inside destroys showed: which generation of the kernel it is.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    called: bool,
    sheaves: bool,
    /// Objects of a cache that may be destroyed were freed in arrays.
    arrays: bool,
    rcu_barrier: bool,
}

impl Gather {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(kept: Kept) -> Gather {
        Gather {
            kept,
            destroys_begun: 0,
            exits: BTreeMap::new(),
            own_barriers: BTreeMap::new(),
            last_freed: Time(0),
            last_of_all: Time(0),
            rcu_barriers: VecDeque::new(),
            seen: Seen::default(),
            delays: Delays::new(kept.graces, kept.samples),
            first: None,
            last_cpu: 0,
        }
    }

    /// Notes an event that the state takes next. Returns the deferred free, if it is one.
    pub fn see(&mut self, event: &Event, state: &State) -> Option<Deferred<CacheAddress>> {
        let Event { time, task, cpu, what } = event;
        let (at, task, cpu) = (*time, *task, *cpu);
        if let What::Gap(gap) = what {
            self.see_gap(gap);
            return None;
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last_cpu = self.last_cpu.max(cpu.0);
        let freer = Freer::of(task, cpu);
        if !matches!(what, What::Freed { .. }) {
            self.delays.frees_no_more(freer);
        }
        match what {
            What::Queued { cache, form, .. } => {
                return Some(Deferred { at, cache: *cache, cpu, by: (*form).into() });
            }
            What::CallbackQueued { cache, domain, .. } if domain.flavour == Flavour::Rcu => {
                return Some(Deferred { at, cache: *cache, cpu, by: DeferredBy::Callback });
            }
            What::CallbackRuns { object, cache } => {
                if let Some(queued) = queued_at(state, *object, *cache) {
                    self.delays.callback_runs(cpu, at, queued);
                }
            }
            What::Freed { object, cache, path } => {
                self.is_freed(state, (freer, at), (*object, *cache), *path);
            }
            What::DestroyBegin { .. } => {
                let drained = (state.outstanding() == 0).then_some(self.last_of_all);
                let unseen = Hidden { drained, ..Hidden::default() };
                let own_barrier = self.own_barriers.remove(&task);
                let exit = Exit { cpu, own_barrier, unseen, ..Exit::default() };
                self.exits.insert(DestroyId(self.destroys_begun), exit);
                self.destroys_begun += 1;
                if self.exits.len() > self.kept.exits {
                    self.exits.pop_first();
                }
                self.delays.flush_begins(task, at, state.outstanding());
            }
            What::ShutdownBegin { .. } => {
                self.delays.flush_ends(task);
                let last_freed = self.last_freed;
                if let Some(exit) = self.exit_of(state, task) {
                    (exit.last_freed, exit.has_looked) = (last_freed, true);
                }
            }
            What::BarrierBegin { barrier, rcu_works_flushed, .. } if barrier.is_for_frees() => {
                self.barrier_begins(state, (at, task, cpu), (*barrier, *rcu_works_flushed));
                self.inner_barrier_begins(state, (at, task), (*barrier, *rcu_works_flushed));
            }
            What::BarrierEnd { barrier: BarrierKind::Rcu, .. } => self.rcu_barrier_ends(state, (at, task)),
            What::BarrierEnd { barrier, .. } if barrier.is_for_frees() => {
                self.delays.flush_ends(task);
                if let Some(span) = self.own_barriers.get_mut(&task) {
                    span.end = at;
                }
            }
            What::GraceBegin { expedited: false } => self.delays.grace_begins(at),
            What::GraceEnd { expedited: false } => self.delays.grace_ends(at),
            _ => {}
        }
        None
    }

    /// The exit path of a task that is in a destroy and has not looked.
    fn exit_of(&mut self, state: &State, task: Task) -> Option<&mut Exit> {
        let exit = state.open_destroy_of(task).and_then(|id| self.exits.get_mut(&id));
        exit.filter(|exit| !exit.has_looked)
    }

    /// A loss: if one end of a grace period is lost, its length is not known.
    fn see_gap(&mut self, gap: &Gap) {
        if matches!(gap.scope, Scope::Everything | Scope::Grace) {
            self.delays.grace_is_lost();
        }
    }

    /// An object is freed. When it was queued is looked up only if that says something: an agent sees millions.
    fn is_freed(
        &mut self,
        state: &State,
        (freer, at): (Freer, Time),
        (object, cache): (ObjectAddress, CacheAddress),
        path: FreePath,
    ) {
        self.seen.sheaves |= path == FreePath::Sheaf;
        self.last_of_all = at;
        let is_asked = path != FreePath::Bulk || !self.seen.arrays || self.delays.is_flushing();
        let queued = is_asked.then(|| queued_at(state, object, cache)).flatten();
        self.seen.arrays |= path == FreePath::Bulk && queued.is_some();
        if queued.is_some() {
            self.last_freed = self.last_freed.max(at);
        }
        self.delays.is_freed(freer, path, at, queued);
    }

    /// A barrier for frees begins, which may be in a destroy.
    fn inner_barrier_begins(
        &mut self,
        state: &State,
        (at, task): (Time, Task),
        (kind, flushed): (BarrierKind, u32),
    ) {
        let destroy = state.open_destroy_of(task).and_then(|id| state.destroy(id));
        let (Some(destroy), Some(exit)) = (destroy, self.exit_of(state, task)) else { return };
        let is_first = !std::mem::replace(&mut exit.has_barrier, true);
        if kind == BarrierKind::Rcu {
            exit.rcu_barrier_begins(at, flushed, is_first);
        }
        if is_first {
            self.delays.first_barrier(destroy.begin.time, at);
        }
    }

    /// An `rcu_barrier()` has returned: its own, its caller's, or one that a flush called.
    fn rcu_barrier_ends(&mut self, state: &State, (at, task): (Time, Task)) {
        let mut open = state.view().open_barriers.get(&task).into_iter().flatten();
        if let Some(open) = open.rfind(|open| open.barrier == BarrierKind::Rcu) {
            self.delays.barrier_ends(open.begin.time, at);
            let ended = self.delays.last_ended(open.begin.time);
            let span = self.own_barriers.get_mut(&task).filter(|_| is_in_flush(state, task));
            if let Some(found) = span.and_then(|span| span.found.as_mut()) {
                *found = ended.or(*found);
            }
        }
        let since = self.exit_of(state, task).and_then(|exit| exit.rcu_barrier.take());
        let ended = since.and_then(|since| self.delays.last_ended(since));
        if let (Some(ended), Some(exit)) = (ended, self.exit_of(state, task)) {
            exit.unseen.callback = Some(ended);
        }
    }

    fn barrier_begins(
        &mut self,
        state: &State,
        (at, task, cpu): (Time, Task, Cpu),
        (kind, flushed): (BarrierKind, u32),
    ) {
        let inside = state.open_destroy_of(task).is_some();
        if kind != BarrierKind::Rcu && !inside {
            if self.own_barriers.len() == self.kept.exits {
                self.own_barriers.pop_first();
            }
            self.own_barriers.insert(task, Span { begin: at, end: at, found: None });
            self.delays.flush_begins(task, at, state.outstanding());
        }
        if kind == BarrierKind::Kvfree && inside {
            self.delays.asks(at, state.outstanding());
        }
        match kind {
            // One that `flush_rcu_work()` calls is of every kernel.
            BarrierKind::Rcu if inside => self.seen.rcu_barrier |= flushed == 0,
            BarrierKind::Rcu if is_in_flush(state, task) => {
                self.own_barriers.entry(task).and_modify(|span| span.found = Some(None));
            }
            BarrierKind::Rcu => {
                if self.rcu_barriers.len() == self.kept.barriers {
                    self.rcu_barriers.pop_front();
                }
                self.rcu_barriers.push_back((at, task, cpu));
            }
            BarrierKind::Kvfree => self.seen.called |= inside,
            BarrierKind::KvfreeOnCache => self.seen.sheaves = true,
            _ => {}
        }
    }

    /// When the run began: at the attach, or with an event before it.
    #[must_use]
    pub fn begin(&self, state: &State) -> Time {
        let attached = state.watch().attached;
        self.first.unwrap_or(attached).min(attached)
    }

    /// CPUs of the machine.
    #[must_use]
    pub fn cpus(&self, state: &State) -> u16 {
        let used = u32::from(self.last_cpu) + 1;
        u16::try_from(state.watch().possible_cpus.max(used)).unwrap_or(u16::MAX)
    }

    /// Calls of `rcu_barrier()` by tasks that destroy nothing, in their order.
    pub fn bystanders(&self, state: &State) -> impl Iterator<Item = (Time, Cpu)> {
        let callers: BTreeSet<Task> = state.destroys().map(|destroy| destroy.caller.task).collect();
        let others = self.rcu_barriers.iter().filter(move |(_, task, _)| !callers.contains(task));
        others.map(|(time, _, cpu)| (*time, *cpu))
    }

    /// The destroys that can be simulated, in the order in which their exit paths began.
    #[must_use]
    pub fn destroys(&self, state: &State) -> Vec<Destroyed> {
        let mut destroys: Vec<Destroyed> =
            simulated(state).into_iter().map(|destroy| self.destroyed(state, destroy)).collect();
        destroys.sort_by_key(|destroy| destroy.at);
        destroys
    }

    fn destroyed(&self, state: &State, destroy: &Destroy) -> Destroyed {
        let exit = self.exits.get(&destroy.id).copied().unwrap_or_default();
        let entered = destroy.begin.time;
        // The exit path begins with its own barrier, if that barrier comes after all that it is for.
        let past = &destroy.at_begin.past;
        let last_queued = past.frees.last.max(past.callbacks.last).map_or(Time(0), |last| last.time);
        let own = exit.own_barrier.filter(|barrier| barrier.begin >= last_queued);
        let own = own.unwrap_or(Span { begin: entered, end: entered, found: None });
        let measured_ns = destroy.look.map(|look| own.end.since(own.begin) + look.time.since(entered));
        let after_last_free_ns = destroy.look.map_or(0, |look| {
            own.end.since(exit.last_freed.max(own.begin)) + look.time.since(exit.last_freed.max(entered))
        });
        let asked = AskedDestroy {
            number: destroy.id.0,
            at_ns: 0,
            cache: 0,
            caller: destroy.caller.task.0,
            cpu: exit.cpu.0,
            leaked: of_destroy(state, destroy).decision.left.leaked.unwrap_or(0),
            measured_ns,
            has_barrier: destroy.look.is_some() && destroy.coverage.inside,
            is_given: own.found.flatten().or(exit.unseen.callback).is_some(),
            after_last_free_ns,
        };
        let list = exit.unseen.list.or(own.found.map(|_| exit.cpu));
        let callback = own.found.flatten().or(exit.unseen.callback);
        let unseen = Hidden { list, callback, ..exit.unseen };
        Destroyed { at: own.begin, life: destroy.life.id, asked, unseen }
    }

    fn kernel(&self, destroys: &[Destroyed]) -> KernelBarrier {
        match self.seen {
            _ if destroys.iter().all(|destroy| !destroy.asked.has_barrier) => KernelBarrier::None,
            Seen { sheaves: true, rcu_barrier: true, .. } => KernelBarrier::SheavesAwaited,
            Seen { sheaves: true, .. } => KernelBarrier::Sheaves,
            // No call, sheaf or array is seen where nothing was outstanding. 6.18 has sheaves for two caches of
            // its own alone: what others queue goes the way of 6.12.
            Seen { called: false, arrays: false, rcu_barrier: true, .. } => KernelBarrier::SheavesAwaited,
            _ => KernelBarrier::Lists,
        }
    }

    /// A question without a workload: how the kernel waits, and how long things took. It is the same for each
    /// part of the run, but for the begin of the part.
    #[must_use]
    pub fn frame(&self, state: &State, destroys: &[Destroyed]) -> Question {
        Question {
            schema: SCHEMA,
            cpus: self.cpus(state),
            kernel: self.kernel(destroys),
            took: self.delays.took(self.begin(state)),
            ..Question::default()
        }
    }
}

impl Exit {
    /// An `rcu_barrier()` begins inside, after so many calls of `flush_rcu_work()`.
    fn rcu_barrier_begins(&mut self, at: Time, flushed: u32, is_first: bool) {
        match flushed.checked_sub(1) {
            // It flushes both batches of each CPU in turn, and calls a barrier only for one that is pending.
            Some(before) => {
                let cpu = u16::try_from(before / 2).unwrap_or(0);
                self.unseen.list.get_or_insert(Cpu(cpu));
                self.rcu_barrier = Some(at);
            }
            // The one after the flush of the sheaves. A task that has dropped a reference may call others later.
            None if is_first => self.rcu_barrier = Some(at),
            None => {}
        }
    }
}

/// Whether a task is inside of a barrier for `kfree_rcu()`.
fn is_in_flush(state: &State, task: Task) -> bool {
    let open = state.view().open_barriers.get(&task);
    open.is_some_and(|open| {
        open.iter().any(|open| matches!(open.barrier, BarrierKind::Kvfree | BarrierKind::KvfreeOnCache))
    })
}

/// When an object was queued, or a callback, if that was seen.
fn queued_at(state: &State, object: ObjectAddress, cache: CacheAddress) -> Option<Time> {
    let outstanding = state.cache_at(cache).and_then(|cache| cache.outstanding.get(object));
    let callback = || state.view().ledger.callbacks.get(&object).map(|waiting| waiting.queued.time);
    outstanding.map(|outstanding| outstanding.queued.time).or_else(callback)
}

/// The destroys that a machine can do: those that looked at their slabs, and those that dropped a reference
/// before that.
fn simulated(state: &State) -> Vec<&Destroy> {
    let mut last_look = BTreeMap::new();
    for destroy in state.destroys().filter(|destroy| destroy.look.is_some()) {
        last_look.insert(destroy.life.id, destroy.id);
    }
    // A second look at a cache that a failed destroy left is none that an approach would have.
    let mut looked = BTreeSet::new();
    let can_be = |destroy: &&Destroy| {
        let is_looked_at_later = || last_look.get(&destroy.life.id).is_some_and(|look| *look > destroy.id);
        destroy.look.is_some() || (destroy.life.facts.refcount > 1 && is_looked_at_later())
    };
    let destroys = state.destroys().filter(can_be);
    destroys.filter(|destroy| destroy.look.is_none() || looked.insert(destroy.life.id)).collect()
}
