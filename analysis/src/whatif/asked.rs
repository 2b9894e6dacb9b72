//! Asked: what the kernel of a trace was asked to do, and how long that took, as the machine takes it.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, State,
    event::{CacheAddress, Cpu, Task, Time, What},
    machine::CacheIndex,
    simulate::{Action, CacheSpec, Caller, Input, Measured, Wait, Workload},
    state::{CacheId, Freer},
};

use super::{WhatIfError, samples::Samples};

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
    rcu_barriers: Vec<(Time, Task, Cpu)>,
    /// How the barriers inside destroys showed.
    seen: Seen,
    grace: Samples,
    between_grace: Samples,
    free: Samples,
    worker_delay: Samples,
    softirq_delay: Samples,
    grace_begun: Option<Time>,
    grace_ended: Option<Time>,
    freeing: BTreeMap<Freer, (FreePath, Time)>,
    first: Option<Time>,
    last_cpu: u16,
}

/// How the barriers inside destroys showed: which generation of the kernel it is.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    called: bool,
    sheaves: bool,
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
            rcu_barriers: Vec::new(),
            seen: Seen::default(),
            grace: Samples::default(),
            between_grace: Samples::default(),
            free: Samples::default(),
            worker_delay: Samples::default(),
            softirq_delay: Samples::default(),
            grace_begun: None,
            grace_ended: None,
            freeing: BTreeMap::new(),
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
        if !matches!(what, About::Freed(_)) && !self.freeing.is_empty() {
            self.freeing.remove(&freer);
        }
        match what {
            About::Queued(cache, form) => self.is_queued(state, (time, cpu), cache, form),
            About::CallbackQueued(cache) => self.note(state, (time, cpu), cache, Deferred::Callback),
            About::Freed(path) => self.is_freed(freer, path, time),
            About::DestroyBegin => self.destroy_cpus.push(cpu),
            About::BarrierBegin(kind) => self.barrier_begins(state, (time, task, cpu), kind),
            About::GraceBegin => {
                if let Some(ended) = self.grace_ended {
                    self.between_grace.push(time.since(ended));
                }
                self.grace_begun = Some(time);
            }
            About::GraceEnd => {
                if let Some(begun) = self.grace_begun.take() {
                    self.grace.push(time.since(begun));
                }
                self.grace_ended = Some(time);
            }
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
        self.names.entry(cache.id).or_insert_with(|| (cache.facts.name.clone(), cache.facts.object_size));
        self.queued.push((time, cache.id, cpu, deferred));
    }

    fn is_freed(&mut self, freer: Freer, path: FreePath, time: Time) {
        match self.freeing.insert(freer, (path, time)) {
            Some((before, last)) if before == path => self.free.push(time.since(last)),
            _ => {
                let Some(ended) = self.grace_ended else { return };
                match path {
                    FreePath::Bulk => self.worker_delay.push(time.since(ended)),
                    FreePath::Sheaf => {
                        self.seen.sheaves = true;
                        self.softirq_delay.push(time.since(ended));
                    }
                    FreePath::Single | FreePath::Callback => {}
                }
            }
        }
    }

    fn barrier_begins(&mut self, state: &State, (time, task, cpu): (Time, Task, Cpu), kind: BarrierKind) {
        let inside = state.open_destroy_of(task).is_some();
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
            asking.at(destroy.begin.time, Action::Destroy { cache, caller: Caller(destroy.task.0), cpu });
            if let (true, Some(look)) = (destroy.barrier_inside, destroy.look) {
                waits.push(Wait { destroy: number, wait_ns: look.time.since(destroy.begin.time) });
            }
        }
        for (time, _, cpu) in self.rcu_barriers.iter().filter(|(_, task, _)| !callers.contains(task)) {
            asking.at(*time, Action::RcuBarrier { cpu: *cpu });
        }
        let upstream = match self.seen {
            _ if waits.is_empty() => "upstream (before 6.12)",
            Seen { sheaves: true, rcu_barrier: true, .. } => "upstream (7.x)",
            Seen { sheaves: true, .. } => "upstream (6.18)",
            // Neither a call nor a sheaf is seen where nothing was outstanding.
            Seen { called: false, rcu_barrier: true, .. } => "upstream (7.x)",
            _ => "upstream (6.12)",
        };
        let workload = asking.workload;
        let delays = (self.worker_delay, self.softirq_delay);
        let measured = measured((self.grace, self.between_grace), self.free, delays);
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

fn measured(
    (grace, between): (Samples, Samples),
    free: Samples,
    (worker, softirq): (Samples, Samples),
) -> Measured {
    let or = |samples: Samples, source: &str, assumed: Input| {
        Input::observed(samples.into_vec(), source).unwrap_or(assumed)
    };
    let grace = or(
        grace,
        "grace periods of this trace",
        Input::assumed(10_000_000, "10 ms: no grace period was seen in this trace"),
    );
    let free = or(
        free,
        "from one free to the next of a call in this trace, the probe's own time included",
        Input::assumed(1_000, "1 µs: no two frees of one call were seen in this trace"),
    );
    let assuming = Measured::assuming(grace, free);
    Measured {
        between_grace: Input::observed(
            between.into_vec(),
            "from one grace period to the next in this trace, whoever needed them",
        ),
        worker_delay: or(
            worker,
            "from the end of a grace period to the first free of an array in this trace: softirq and worker together",
            assuming.worker_delay.clone(),
        ),
        softirq_delay: or(
            softirq,
            "from the end of a grace period to the first free of a sheaf in this trace",
            assuming.softirq_delay.clone(),
        ),
        ..assuming
    }
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
    Freed(FreePath),
    DestroyBegin,
    BarrierBegin(BarrierKind),
    GraceBegin,
    GraceEnd,
    Else,
}

impl Glance {
    /// At an event; none at what is no event of the kernel.
    #[must_use]
    pub fn at(event: &Event) -> Option<Glance> {
        let what = match &event.what {
            What::Gap(_) => return None,
            What::Queued { cache, form, .. } => About::Queued(*cache, *form),
            What::CallbackQueued { cache, .. } => About::CallbackQueued(*cache),
            What::Freed { path, .. } => About::Freed(*path),
            What::DestroyBegin { .. } => About::DestroyBegin,
            What::BarrierBegin { barrier, .. } => About::BarrierBegin(*barrier),
            What::GraceBegin { expedited: false } => About::GraceBegin,
            What::GraceEnd { expedited: false } => About::GraceEnd,
            _ => About::Else,
        };
        Some(Glance { time: event.time, task: event.task, cpu: event.cpu, what })
    }
}
