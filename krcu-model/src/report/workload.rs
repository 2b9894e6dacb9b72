//! Workload: the newest deferred frees and how long things took, kept for the question what else a destroy would cost.

use std::collections::VecDeque;

use super::{Question, barriers::Waits};
use crate::{
    decide,
    event::{CacheAddress, Cpu, Event, Gap, Scope, Task, Time, What},
    machine::CacheIndex,
    simulate::{Action, CacheSpec, Caller, DeferredBy, Input, Measured, Workload},
    state::{Born, Destroy, State},
};

/// Deferred frees that are kept: one and a half megabytes of them.
const MOST_OBJECTS: usize = 1 << 16;
/// Of these, at most so many are simulated: the newest before the destroy.
const MOST_SIMULATED: usize = 1 << 13;
/// Others' objects that were queued so long before a destroy count: what is older has been freed, since a batch waits
/// five seconds and a grace period.
const BEFORE_NS: u64 = 10_000_000_000;
/// Tasks that destroyed other caches shortly before.
const MOST_CALLERS: usize = 16;
/// Samples that are kept of each kind.
const MOST_SAMPLES: usize = 256;
/// Bytes of a slab, which the events do not tell: one page.
const SLAB_BYTES: u32 = 4096;
/// An object of unknown size.
const UNKNOWN_BYTES: u32 = 64;
/// A grace period where none was seen, and the free of an object: what the golden traces' kernels took, about.
const GRACE_NS: u64 = 20_000_000;
const FREE_NS: u64 = 500;

#[derive(Clone, Copy, Debug)]
struct Deferred {
    at: Time,
    cache: CacheAddress,
    cpu: Cpu,
    by: DeferredBy,
}

/// Objects that one task frees in a row.
#[derive(Clone, Copy, Debug)]
struct Row {
    task: Task,
    begin: Time,
    objects: u64,
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    deferred: VecDeque<Deferred>,
    /// Whether older ones were forgotten.
    is_cut: bool,
    grace_ns: VecDeque<u64>,
    between_ns: VecDeque<u64>,
    free_ns: VecDeque<u64>,
    grace_began: Option<Time>,
    grace_ended: Option<Time>,
    freeing: Option<Row>,
}

impl Recent {
    pub(super) fn see(&mut self, event: &Event) {
        let Event { time, task, cpu, what } = event;
        match what {
            What::Queued { cache, form, .. } => {
                self.keep(Deferred { at: *time, cache: *cache, cpu: *cpu, by: (*form).into() });
            }
            What::CallbackQueued { cache, .. } => {
                self.keep(Deferred { at: *time, cache: *cache, cpu: *cpu, by: DeferredBy::Callback });
            }
            What::Freed { .. } => match &mut self.freeing {
                Some(row) if row.task == *task => row.objects += 1,
                row => *row = Some(Row { task: *task, begin: *time, objects: 1 }),
            },
            What::BatchFreed { .. } => {
                if let Some(row) = self.freeing.take().filter(|row| row.task == *task) {
                    sample(&mut self.free_ns, time.since(row.begin) / row.objects);
                }
            }
            What::GraceBegin { expedited: false } => {
                if let Some(ended) = self.grace_ended.take() {
                    sample(&mut self.between_ns, time.since(ended));
                }
                self.grace_began = Some(*time);
            }
            What::GraceEnd { expedited: false } => {
                if let Some(began) = self.grace_began.take() {
                    sample(&mut self.grace_ns, time.since(began));
                }
                self.grace_ended = Some(*time);
            }
            _ => {}
        }
    }

    /// What one end is missing of was no grace period of that length.
    pub(super) fn see_gap(&mut self, gap: &Gap) {
        if matches!(gap.scope, Scope::Everything | Scope::Grace) {
            (self.grace_began, self.grace_ended) = (None, None);
        }
    }

    fn keep(&mut self, deferred: Deferred) {
        if self.deferred.len() == MOST_OBJECTS {
            self.deferred.pop_front();
            self.is_cut = true;
        }
        self.deferred.push_back(deferred);
    }

    /// Everything that the simulation of a destroy needs; nothing where there is no such destroy, or where it only
    /// dropped a reference.
    pub(super) fn question(&self, state: &State, waits: &Waits, place: u64) -> Option<Question> {
        let found = state.destroys.binary_search_by_key(&place, |destroy| destroy.number).ok()?;
        let destroy = state.destroys.get(found)?;
        let look = destroy.look?.time;
        let born = match &destroy.born {
            Born::Watched { at, .. } => at.time,
            Born::BeforeAttach => Time(0),
        };
        let others_from = Time(destroy.begin.time.0.saturating_sub(BEFORE_NS));
        let is_own = |one: &&Deferred| one.cache == destroy.address && one.at >= born;
        let is_meant = |one: &&Deferred| {
            one.at < look && (is_own(one) || (one.cache != destroy.address && one.at >= others_from))
        };
        let mut newest: Vec<&Deferred> =
            self.deferred.iter().rev().filter(is_meant).take(MOST_SIMULATED).collect();
        newest.reverse();
        let own_objects = newest.iter().filter(|one| is_own(one)).count() as u64;
        let verdict = decide::of_destroy(state, destroy);
        let zero = newest.first().map_or(destroy.begin.time, |first| first.at.min(destroy.begin.time));
        let mut workload = Workload::new(cpus(state, &newest));
        let caches = caches(state, destroy, &newest, &mut workload);
        let index = |address: CacheAddress| {
            caches.iter().position(|known| *known == address).and_then(|place| u16::try_from(place).ok())
        };
        for one in &newest {
            let (cache, cpu) = (index(one.cache).map(CacheIndex), one.cpu);
            workload.at(one.at.since(zero), Action::deferred(one.by, cache, cpu));
        }
        let leaked = verdict.leaked.unwrap_or(0).min(MOST_SIMULATED as u64);
        for _ in 0..leaked {
            workload.at(0, Action::Leak { cache: CacheIndex(0) });
        }
        let attached = state.watch.attached;
        let span = (zero.since(attached), look.since(attached));
        for began_ns in waits.bystanders(span.0, span.1) {
            workload.at(began_ns - span.0, Action::RcuBarrier { cpu: Cpu(0) });
        }
        let row = earlier(state, destroy, zero, &caches, &mut workload);
        let exit = Action::Destroy { cache: CacheIndex(0), caller: Caller(0), cpu: Cpu(0) };
        workload.at(destroy.begin.time.since(zero), exit);
        Some(Question {
            row,
            destroy: place,
            cache: destroy.facts.name.clone(),
            own_objects,
            other_objects: newest.len() as u64 - own_objects,
            own_left_out: (destroy.queued + destroy.callbacks).saturating_sub(own_objects),
            others_left_out: newest.len() == MOST_SIMULATED || self.is_cut_since(others_from),
            measured_wait_ns: look.since(destroy.begin.time),
            workload,
            measured: self.measured(),
        })
    }

    fn is_cut_since(&self, from: Time) -> bool {
        self.is_cut && self.deferred.front().is_some_and(|oldest| oldest.at > from)
    }

    fn measured(&self) -> Measured {
        let observed =
            |samples: &VecDeque<u64>, source| Input::observed(samples.iter().copied().collect(), source);
        let grace = observed(&self.grace_ns, "the last grace periods that were seen");
        let free = observed(&self.free_ns, "the last calls that freed");
        Measured {
            between_grace: observed(&self.between_ns, "the last grace periods that were seen"),
            ..Measured::assuming(
                grace.unwrap_or_else(|| Input::assumed(GRACE_NS, "20 ms: none was seen")),
                free.unwrap_or_else(|| Input::assumed(FREE_NS, "500 ns: none was seen")),
            )
        }
    }
}

fn sample(samples: &mut VecDeque<u64>, ns: u64) {
    if samples.len() == MOST_SAMPLES {
        samples.pop_front();
    }
    samples.push_back(ns);
}

fn cpus(state: &State, deferred: &[&Deferred]) -> u16 {
    let used = deferred.iter().map(|one| one.cpu.0.saturating_add(1)).max().unwrap_or(1);
    used.max(u16::try_from(state.watch.possible_cpus).unwrap_or(u16::MAX)).max(1)
}

/// The destroys of other caches before this one, which may have waited for what this one would wait for; how many.
fn earlier(
    state: &State,
    destroy: &Destroy,
    zero: Time,
    caches: &[CacheAddress],
    workload: &mut Workload,
) -> usize {
    let mut callers: Vec<Task> = vec![destroy.task];
    let mut gone: Vec<CacheAddress> = vec![destroy.address];
    let before = state.destroys.iter().rev().filter(|other| other.begin < destroy.begin);
    for other in before.take_while(|other| other.begin.time >= zero).filter(|other| other.look.is_some()) {
        let Some(place) = caches.iter().position(|known| *known == other.address) else { continue };
        if gone.contains(&other.address) || callers.len() > MOST_CALLERS {
            continue;
        }
        gone.push(other.address);
        let caller = callers.iter().position(|task| *task == other.task).unwrap_or_else(|| {
            callers.push(other.task);
            callers.len() - 1
        });
        let (Ok(place), Ok(caller)) = (u16::try_from(place), u32::try_from(caller)) else { continue };
        let action = Action::Destroy { cache: CacheIndex(place), caller: Caller(caller), cpu: Cpu(0) };
        workload.at(other.begin.time.since(zero), action);
    }
    gone.len() - 1
}

/// The caches of a workload, that of the destroy first; by their addresses.
fn caches(
    state: &State,
    destroy: &Destroy,
    deferred: &[&Deferred],
    workload: &mut Workload,
) -> Vec<CacheAddress> {
    let mut caches = vec![destroy.address];
    let spec = |name: &str, object_size: u32| {
        let object_bytes = if object_size == 0 { UNKNOWN_BYTES } else { object_size };
        let slab_objects = (SLAB_BYTES / object_bytes).max(1);
        CacheSpec { name: name.to_owned(), object_bytes, type_safe: false, slab_objects, other_users: 0 }
    };
    workload.cache(spec(&destroy.facts.name, destroy.facts.object_size));
    for one in deferred {
        if !caches.contains(&one.cache) && caches.len() < usize::from(u16::MAX) {
            let facts = state.caches.get(&one.cache).map(|cache| &cache.facts);
            workload.cache(facts.map_or_else(|| spec("", 0), |facts| spec(&facts.name, facts.object_size)));
            caches.push(one.cache);
        }
    }
    caches
}
