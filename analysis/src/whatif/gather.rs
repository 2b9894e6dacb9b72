//! Gather: what the kernel of a trace was asked to do, and how long that took, noted while it is replayed.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::{BarrierKind, Flavour, FreePath, QueueForm};
use krcu_model::{
    Event, State,
    event::{CacheAddress, Cpu, DeferredBy, ObjectAddress, Task, Time, What},
    state::{CacheId, Destroy, DestroyId, Freer},
};
use krcu_reference::simulate::Wait;

use super::{
    WhatIfError,
    delays::Delays,
    stretch::{Asked, Deferred, Destroyed, Names, Stretches},
};
use crate::tables::TablesError;

/// Leaked objects that are simulated, all together.
const MOST_LEAKED: u64 = 1 << 20;

/// Notes of one replay.
pub struct Gather {
    stretches: Stretches,
    names: Names,
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

impl Gather {
    /// Nothing seen yet; so many deferred frees are to be simulated together.
    ///
    /// # Errors
    /// When there is no room for notes.
    pub fn new(together: u64) -> Result<Gather, TablesError> {
        Ok(Gather {
            stretches: Stretches::new(together)?,
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
        })
    }

    /// Whether a note could not be written: what follows is in vain.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.stretches.has_failed()
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
            About::Queued(cache, form) => self.note(state, (time, cpu), cache, form.into()),
            About::CallbackQueued(cache) => self.note(state, (time, cpu), cache, DeferredBy::Callback),
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
                let exit = state
                    .open_destroy_of(task)
                    .and_then(place_of)
                    .and_then(|place| self.exits.get_mut(place));
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

    fn note(&mut self, state: &State, (at, cpu): (Time, Cpu), cache: CacheAddress, by: DeferredBy) {
        let Some(cache) = state.cache_at(cache) else { return };
        let id = cache.life.id;
        self.last_queued.insert(id, at);
        self.names.entry(id).or_insert_with(|| (cache.life.facts.name.clone(), cache.life.facts.object_size));
        self.stretches.push(Deferred { at, cache: id, cpu, by }, state);
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
            _ => {}
        }
    }

    /// What the machine is asked, at the end of the replay.
    ///
    /// # Errors
    /// When there is nothing to simulate, or too much.
    pub fn finish(self, state: &State) -> Result<Asked, WhatIfError> {
        let attached = state.watch().attached;
        let begin = self.first.unwrap_or(attached).min(attached);
        let simulated = simulated(state);
        if simulated.is_empty() {
            return Err(WhatIfError::NoDestroy);
        }
        let cpus = self.cpus(state);
        let mut names = self.names;
        let verdicts = krcu_model::verdicts(state);
        let callers: BTreeSet<Task> = state.destroys().map(|destroy| destroy.caller.task).collect();
        let mut destroys = Vec::new();
        for (place, destroy) in simulated {
            names.insert(destroy.life.id, (destroy.life.facts.name.clone(), destroy.life.facts.object_size));
            let leaked = verdicts.get(place).and_then(|verdict| verdict.decision.left.leaked).unwrap_or(0);
            if leaked > MOST_LEAKED {
                return Err(WhatIfError::TooMany {
                    what: "leaked objects",
                    found: leaked,
                    limit: MOST_LEAKED,
                });
            }
            let exit = self.exits.get(place).copied().unwrap_or_default();
            let last_queued = self.last_queued.get(&destroy.life.id).copied().unwrap_or_default();
            // The exit path begins with its own barrier, when that comes after all that it is for.
            let entered = destroy.begin.time;
            let own = exit.own_barrier.filter(|barrier| barrier.begin >= last_queued);
            let own = own.unwrap_or(Span { begin: entered, end: entered });
            let look = destroy.look.filter(|_| destroy.coverage.inside);
            let wait = look.map(|look| Wait {
                destroy: 0,
                wait_ns: own.end.since(own.begin) + look.time.since(entered),
                after_last_free_ns: own.end.since(exit.last_freed.max(own.begin))
                    + look.time.since(exit.last_freed.max(entered)),
            });
            destroys.push(Destroyed {
                at: own.begin,
                place,
                cache: destroy.life.id,
                task: destroy.caller.task,
                cpu: self.destroy_cpus.get(place).copied().unwrap_or_default(),
                leaked,
                wait,
            });
        }
        destroys.sort_by_key(|destroy| destroy.at);
        let barriers = self.rcu_barriers.into_iter().filter(|(_, task, _)| !callers.contains(task));
        let barriers = barriers.map(|(time, _, cpu)| (time, cpu)).collect();
        let upstream = match self.seen {
            _ if destroys.iter().all(|destroy| destroy.wait.is_none()) => "upstream (before 6.12)",
            Seen { sheaves: true, rcu_barrier: true, .. } => "upstream (7.x)",
            Seen { sheaves: true, .. } => "upstream (6.18)",
            // No call, sheaf or array is seen where nothing was outstanding. 6.18 has sheaves for two caches of its own
            // alone: what others queue goes the way of 6.12.
            Seen { called: false, arrays: false, rcu_barrier: true, .. } => "upstream (7.x)",
            _ => "upstream (6.12)",
        };
        let measured = self.delays.measured(begin);
        let kept = self.stretches.finish()?;
        Ok(Asked { kept, cpus, begin, names, destroys, barriers, measured, upstream })
    }

    fn cpus(&self, state: &State) -> u16 {
        let used = u32::from(self.last_cpu) + 1;
        u16::try_from(state.watch().possible_cpus.max(used)).unwrap_or(u16::MAX)
    }
}

/// The place of a destroy among all, of which a replay forgets none.
fn place_of(id: DestroyId) -> Option<usize> {
    usize::try_from(id.0).ok()
}

/// The destroys that a machine can do, each with its place among all: those that looked at their slabs, and those that dropped a reference before.
fn simulated(state: &State) -> Vec<(usize, &Destroy)> {
    let destroys: Vec<&Destroy> = state.destroys().collect();
    let places = destroys.iter().enumerate().filter(|(place, destroy)| {
        destroy.look.is_some()
            || (destroy.life.facts.refcount > 1
                && destroys[*place + 1..]
                    .iter()
                    .any(|later| later.life.id == destroy.life.id && later.look.is_some()))
    });
    // A second look at a cache that a failed destroy left is none that an approach would have.
    let mut looked = BTreeSet::new();
    places
        .filter(|(_, destroy)| destroy.look.is_none() || looked.insert(destroy.life.id))
        .map(|(place, destroy)| (place, *destroy))
        .collect()
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
            What::CallbackQueued { cache, domain, .. } if domain.flavour == Flavour::Rcu => {
                About::CallbackQueued(*cache)
            }
            What::CallbackRuns { object, cache } => {
                queued(object, cache).map_or(About::Else, About::CallbackRuns)
            }
            What::Freed { object, cache, path } => About::Freed(*path, queued(object, cache)),
            What::DestroyBegin { .. } => About::DestroyBegin,
            What::ShutdownBegin { .. } => About::Look,
            What::BarrierBegin { barrier, .. } if barrier.is_for_frees() => About::BarrierBegin(*barrier),
            What::BarrierEnd { barrier, .. } if barrier.is_for_frees() => About::BarrierEnd(*barrier),
            What::GraceBegin { expedited: false } => About::GraceBegin,
            What::GraceEnd { expedited: false } => About::GraceEnd,
            _ => About::Else,
        };
        Some(Glance { time: event.time, task: event.task, cpu: event.cpu, what })
    }
}
