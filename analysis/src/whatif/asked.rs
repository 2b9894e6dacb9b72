//! Asked: what the kernel of a trace was asked to do, and how long that took, as the machine takes it.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, State,
    event::{CacheAddress, Cpu, ObjectAddress, Task, Time, What},
    machine::CacheIndex,
    simulate::{Action, CacheSpec, Caller, Measured, Wait, Workload},
    state::{CacheId, Freer},
};

use super::{WhatIfError, delays::Delays};

/// Bytes of a slab, to say how many objects share one: slabs are larger for large objects, which no event tells.
const SLAB_BYTES: u32 = 4096;
/// Leaked objects that are simulated, all together.
const MOST_LEAKED: u64 = 1 << 20;

/// What one object's free was deferred by.
#[derive(Clone, Copy, Debug)]
enum Deferred {
    Head,
    Headless,
    Callback,
}

/// Notes of one replay.
#[derive(Debug)]
pub struct Gather {
    queued: Vec<(Time, CacheId, Cpu, Deferred)>,
    most: u64,
    unnoted: u64,
    names: BTreeMap<CacheId, (String, u32)>,
    destroy_cpus: Vec<Cpu>,
    /// Of each destroy, when its task entered the barrier that it had called just before, and when the last free before
    /// its look began.
    exits: Vec<Exit>,
    /// The last barrier for `kfree_rcu()` that a task has called since its last destroy.
    own_barriers: BTreeMap<Task, Span>,
    last_queued: BTreeMap<CacheId, Time>,
    last_freed: Time,
    rcu_barriers: Vec<(Time, Task, Cpu)>,
    /// How the barriers inside destroys showed.
    seen: Seen,
    delays: Delays,
    first: Option<Time>,
    last_cpu: u16,
}

/// What is noted of an exit path.
#[derive(Clone, Copy, Debug, Default)]
struct Exit {
    own_barrier: Option<Span>,
    last_freed: Time,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Time,
    end: Time,
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

/// What the machine is asked.
#[derive(Debug)]
pub struct Asked {
    pub(super) workload: Workload,
    pub(super) measured: Measured,
    /// The waits of destroys that have a barrier inside.
    pub(super) waits: Vec<Wait>,
    /// The row of `upstream` that this kernel is.
    pub(super) upstream: &'static str,
    /// Places of the destroys in the trace, in the order of the workload.
    pub(super) destroys: Vec<usize>,
}

impl Gather {
    /// Nothing seen yet; so many objects at the most are noted.
    #[must_use]
    pub fn new(most: u64) -> Gather {
        Gather {
            queued: Vec::new(),
            most,
            unnoted: 0,
            names: BTreeMap::new(),
            destroy_cpus: Vec::new(),
            exits: Vec::new(),
            own_barriers: BTreeMap::new(),
            last_queued: BTreeMap::new(),
            last_freed: Time(0),
            rcu_barriers: Vec::new(),
            seen: Seen::default(),
            delays: Delays::default(),
            first: None,
            last_cpu: 0,
        }
    }

    /// Notes an event, which the state has taken.
    pub fn see(&mut self, glance: &Glance, state: &State) {
        let Glance { time, task, cpu, what } = *glance;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last_cpu = self.last_cpu.max(cpu.0);
        let freer = Freer::of(task, cpu);
        if !matches!(what, About::Freed(..)) {
            self.delays.frees_no_more(freer);
        }
        match what {
            About::Queued(cache, form) => self.is_queued(state, (time, cpu), cache, form),
            About::CallbackQueued(cache) => self.note(state, (time, cpu), cache, Deferred::Callback),
            About::CallbackRuns(queued) => self.delays.callback_runs(cpu, time, queued),
            About::Freed(path, queued) => {
                self.seen.sheaves |= path == FreePath::Sheaf;
                self.seen.arrays |= path == FreePath::Bulk && queued.is_some();
                if queued.is_some() {
                    self.last_freed = self.last_freed.max(time);
                }
                self.delays.is_freed(freer, path, time, queued);
            }
            About::DestroyBegin => {
                self.destroy_cpus.push(cpu);
                self.exits.push(Exit { own_barrier: self.own_barriers.remove(&task), ..Exit::default() });
                self.delays.flush_begins(task, time, state.outstanding());
            }
            About::Look => {
                self.delays.flush_ends(task);
                // The state has just taken the look: the destroy is still open.
                let exit = state.open_destroy_of(task).and_then(|place| self.exits.get_mut(place));
                if let Some(exit) = exit {
                    exit.last_freed = self.last_freed;
                }
            }
            About::BarrierBegin(kind) => self.barrier_begins(state, (time, task, cpu), kind),
            About::BarrierEnd(BarrierKind::Rcu) => {}
            About::BarrierEnd(_) => {
                self.delays.flush_ends(task);
                if let Some(span) = self.own_barriers.get_mut(&task) {
                    span.end = time;
                }
            }
            About::GraceBegin => self.delays.grace_begins(time),
            About::GraceEnd => self.delays.grace_ends(time),
            About::Else => {}
        }
    }

    fn is_queued(&mut self, state: &State, at: (Time, Cpu), cache: CacheAddress, form: QueueForm) {
        let deferred = if form == QueueForm::Headless { Deferred::Headless } else { Deferred::Head };
        self.note(state, at, cache, deferred);
    }

    fn note(&mut self, state: &State, (time, cpu): (Time, Cpu), cache: CacheAddress, deferred: Deferred) {
        if self.queued.len() as u64 >= self.most {
            self.unnoted += 1;
            return;
        }
        let Some(cache) = state.cache_at(cache) else { return };
        self.last_queued.insert(cache.id, time);
        self.names.entry(cache.id).or_insert_with(|| (cache.facts.name.clone(), cache.facts.object_size));
        self.queued.push((time, cache.id, cpu, deferred));
    }

    fn barrier_begins(&mut self, state: &State, (time, task, cpu): (Time, Task, Cpu), kind: BarrierKind) {
        let inside = state.open_destroy_of(task).is_some();
        if kind != BarrierKind::Rcu && !inside {
            self.own_barriers.insert(task, Span { begin: time, end: time });
            self.delays.flush_begins(task, time, state.outstanding());
        }
        if kind == BarrierKind::Kvfree && inside {
            self.delays.asks(time, state.outstanding());
        }
        match kind {
            BarrierKind::Rcu if inside => self.seen.rcu_barrier = true,
            BarrierKind::Rcu => self.rcu_barriers.push((time, task, cpu)),
            BarrierKind::Kvfree => self.seen.called |= inside,
            BarrierKind::KvfreeOnCache => self.seen.sheaves = true,
        }
    }

    /// What the machine is asked, at the end of the replay.
    ///
    /// # Errors
    /// When there is nothing to simulate, or too much.
    pub fn finish(self, state: &State) -> Result<Asked, WhatIfError> {
        if self.unnoted > 0 {
            let found = self.queued.len() as u64 + self.unnoted;
            return Err(WhatIfError::TooMany { what: "deferred frees", found, limit: self.most });
        }
        let attached = state.watch().attached;
        let begin = self.first.unwrap_or(attached).min(attached);
        let destroys = simulated(state);
        if destroys.is_empty() {
            return Err(WhatIfError::NoDestroy);
        }
        let cpus = self.cpus(state);
        let mut asking =
            Asking { workload: Workload::new(cpus), begin, caches: BTreeMap::new(), names: self.names };
        for (time, cache, cpu, deferred) in self.queued {
            let cache = Some(asking.cache(cache)?);
            let action = match deferred {
                Deferred::Head => Action::Queue { cache, cpu },
                Deferred::Headless => Action::QueueHeadless { cache, cpu },
                Deferred::Callback => Action::CallRcu { cache, cpu },
            };
            asking.at(time, action);
        }
        let verdicts = krcu_model::verdicts(state);
        let callers: BTreeSet<Task> = state.destroys().iter().map(|destroy| destroy.task).collect();
        let mut waits = Vec::new();
        for (number, place) in destroys.iter().enumerate() {
            let destroy = &state.destroys()[*place];
            asking.names.insert(destroy.cache, (destroy.facts.name.clone(), destroy.facts.object_size));
            let cache = asking.cache(destroy.cache)?;
            let leaked = verdicts.get(*place).and_then(|verdict| verdict.leaked).unwrap_or(0);
            if leaked > MOST_LEAKED {
                return Err(WhatIfError::TooMany {
                    what: "leaked objects",
                    found: leaked,
                    limit: MOST_LEAKED,
                });
            }
            (0..leaked).for_each(|_| asking.at(begin, Action::Leak { cache }));
            let cpu = self.destroy_cpus.get(*place).copied().unwrap_or_default();
            let exit = self.exits.get(*place).copied().unwrap_or_default();
            let last_queued = self.last_queued.get(&destroy.cache).copied().unwrap_or_default();
            // The exit path begins with its own barrier, when that comes after all that it is for.
            let entered = destroy.begin.time;
            let own = exit.own_barrier.filter(|barrier| barrier.begin >= last_queued);
            let own = own.unwrap_or(Span { begin: entered, end: entered });
            asking.at(own.begin, Action::Destroy { cache, caller: Caller(destroy.task.0), cpu });
            if let (true, Some(look)) = (destroy.barrier_inside, destroy.look) {
                waits.push(Wait {
                    destroy: number,
                    wait_ns: own.end.since(own.begin) + look.time.since(entered),
                    after_last_free_ns: own.end.since(exit.last_freed.max(own.begin))
                        + look.time.since(exit.last_freed.max(entered)),
                });
            }
        }
        for (time, _, cpu) in self.rcu_barriers.iter().filter(|(_, task, _)| !callers.contains(task)) {
            asking.at(*time, Action::RcuBarrier { cpu: *cpu });
        }
        let upstream = match self.seen {
            _ if waits.is_empty() => "upstream (before 6.12)",
            Seen { sheaves: true, rcu_barrier: true, .. } => "upstream (7.x)",
            Seen { sheaves: true, .. } => "upstream (6.18)",
            // No call, sheaf or array is seen where nothing was outstanding. 6.18 has sheaves for two caches of its own
            // alone: what others queue goes the way of 6.12.
            Seen { called: false, arrays: false, rcu_barrier: true, .. } => "upstream (7.x)",
            _ => "upstream (6.12)",
        };
        let workload = asking.workload;
        let measured = self.delays.measured(begin);
        Ok(Asked { workload, measured, waits, upstream, destroys })
    }

    fn cpus(&self, state: &State) -> u16 {
        let used = u32::from(self.last_cpu) + 1;
        u16::try_from(state.watch().possible_cpus.max(used)).unwrap_or(u16::MAX)
    }
}

/// The destroys that a machine can do: those that looked at their slabs, and those that dropped a reference before.
fn simulated(state: &State) -> Vec<usize> {
    let destroys = state.destroys();
    let places = destroys.iter().enumerate().filter(|(place, destroy)| {
        destroy.look.is_some()
            || (destroy.facts.refcount > 1
                && destroys[*place + 1..]
                    .iter()
                    .any(|later| later.cache == destroy.cache && later.look.is_some()))
    });
    // A second look at a cache that a failed destroy left is none that an approach would have.
    let mut looked = BTreeSet::new();
    places
        .filter(|(_, destroy)| destroy.look.is_none() || looked.insert(destroy.cache))
        .map(|(place, _)| place)
        .collect()
}

/// A workload that is being written down.
struct Asking {
    workload: Workload,
    begin: Time,
    caches: BTreeMap<CacheId, CacheIndex>,
    names: BTreeMap<CacheId, (String, u32)>,
}

impl Asking {
    fn cache(&mut self, id: CacheId) -> Result<CacheIndex, WhatIfError> {
        if let Some(index) = self.caches.get(&id) {
            return Ok(*index);
        }
        let limit = u64::from(u16::MAX);
        if self.caches.len() as u64 >= limit {
            return Err(WhatIfError::TooMany { what: "caches", found: self.caches.len() as u64 + 1, limit });
        }
        let (name, bytes) = self.names.get(&id).cloned().unwrap_or_default();
        let object_bytes = bytes.max(8);
        let slab_objects = (SLAB_BYTES / object_bytes).max(1);
        let index = self.workload.cache(CacheSpec { name, object_bytes, type_safe: false, slab_objects });
        self.caches.insert(id, index);
        Ok(index)
    }

    fn at(&mut self, time: Time, action: Action) {
        self.workload.at(time.since(self.begin), action);
    }
}

/// What [`Gather`] needs of an event, copied before the state takes it.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    time: Time,
    task: Task,
    cpu: Cpu,
    what: About,
}

#[derive(Clone, Copy, Debug)]
enum About {
    Queued(CacheAddress, QueueForm),
    CallbackQueued(CacheAddress),
    /// What was queued then.
    CallbackRuns(Time),
    /// What was queued then, if that was seen.
    Freed(FreePath, Option<Time>),
    DestroyBegin,
    Look,
    BarrierBegin(BarrierKind),
    BarrierEnd(BarrierKind),
    GraceBegin,
    GraceEnd,
    Else,
}

impl Glance {
    /// At an event that the state is about to take; none at what is no event of the kernel.
    #[must_use]
    pub fn at(event: &Event, state: &State) -> Option<Glance> {
        let queued = |object: &ObjectAddress, cache: &CacheAddress| {
            let queued = state.cache_at(*cache)?.outstanding.get(*object)?;
            Some(queued.queued.time)
        };
        let what = match &event.what {
            What::Gap(_) => return None,
            What::Queued { cache, form, .. } => About::Queued(*cache, *form),
            What::CallbackQueued { cache, .. } => About::CallbackQueued(*cache),
            What::CallbackRuns { object, cache } => {
                queued(object, cache).map_or(About::Else, About::CallbackRuns)
            }
            What::Freed { object, cache, path } => About::Freed(*path, queued(object, cache)),
            What::DestroyBegin { .. } => About::DestroyBegin,
            What::ShutdownBegin { .. } => About::Look,
            What::BarrierBegin { barrier, .. } => About::BarrierBegin(*barrier),
            What::BarrierEnd { barrier, .. } => About::BarrierEnd(*barrier),
            What::GraceBegin { expedited: false } => About::GraceBegin,
            What::GraceEnd { expedited: false } => About::GraceEnd,
            _ => About::Else,
        };
        Some(Glance { time: event.time, task: event.task, cpu: event.cpu, what })
    }
}
