//! Probes: random events as a kernel's probes could send them.
//!
//! A small kernel knows what every object is and what every task is doing. It never does what no kernel can
//! do (free what is not allocated, return from what was not entered). But it need not be correct: how often
//! it waits as it should is drawn for each workload. Events that the watch is blind for are not sent. Where
//! events get lost, a gap says so some time later.

mod threads;

use krcu_common::{BarrierKind, FreePath};
use krcu_model::{
    Event, Watch,
    event::{CacheAddress, CacheFacts, Cpu, Gap, LossReason, ObjectAddress, Scope, Task, Time, What},
    state::Blind,
};

use crate::random::Random;

const SLOTS: u64 = 3;
const OBJECT_BYTES: u64 = 64;
const OBJECTS: u64 = 10;
const TASKS: u32 = 4;
const WORKERS: [u32; 3] = [20, 21, 22];
const SOFTIRQ: u32 = 30;

/// A cache as the kernel knows it, by the place of its address.
#[derive(Clone, Default)]
struct Cache {
    users: i32,
    /// It has no slabs any more, but its address is still taken.
    emptied: bool,
    being_destroyed: bool,
    /// Its objects are counted, not streamed.
    counted: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Free,
    Allocated,
    /// A call that has not returned is freeing it.
    InCall,
    Queued {
        since: usize,
    },
    Callback {
        since: usize,
    },
    /// Its callback has begun and not returned yet.
    InCallback,
    BeingFreed,
}

#[derive(Clone, Copy)]
struct Object {
    slot: usize,
    life: Life,
    /// Queued before the probes were attached.
    hidden: bool,
}

/// What a task is doing.
#[derive(Clone)]
enum Doing {
    Nothing,
    Queueing(usize),
    QueueingHeadless(usize),
    Frees(Vec<usize>, FreePath),
    FreesOwn(FreePath),
    /// It is in a destroy that has not looked yet.
    Enters(usize),
    Looks(usize),
    Releases(usize),
}

struct Thread {
    number: u32,
    cpu: u16,
    doing: Doing,
    barriers: Vec<(BarrierKind, usize, usize)>,
    flushed: u32,
}

/// A workload that is being generated.
struct Kernel {
    random: Random,
    watch: Watch,
    tells_all: bool,
    /// Whether it reports allocations, and frees that were not deferred.
    has_allocations: bool,
    /// How often it waits as it should, in percent.
    correct: u64,
    lossy: bool,
    begins_nothing: bool,
    caches: Vec<Option<Cache>>,
    objects: Vec<Object>,
    /// Objects that were queued in a cache that is gone, and whose address is used again.
    ghosts: Vec<usize>,
    threads: Vec<Thread>,
    grace_begun: Option<usize>,
    /// Everything queued before this place has had a grace period.
    grace_reached: usize,
    now: u64,
    /// The number of events, sent or not.
    happened: usize,
    events: Vec<Event>,
    lost: Vec<Gap>,
    /// The object of the callback that runs.
    in_callback: Option<usize>,
    /// Heads of callbacks whose object was freed by other code, each with its cache.
    ghost_runs: Vec<(ObjectAddress, usize)>,
}

/// A watch, and the events that it is sent.
pub(crate) fn workload(seed: u64) -> (Watch, Vec<Event>) {
    let mut random = Random::new(seed);
    let blind: &[Blind] = match random.below(16) {
        0..3 => &[],
        3..7 => &[Blind::Inside],
        7 => &[Blind::Frees, Blind::Inside],
        8..10 => &[Blind::CallbackRuns],
        10 => &[Blind::CallbackRuns, Blind::Grace],
        11 => &[Blind::CallbackRuns, Blind::Frees],
        12 => &[Blind::CallbackRuns, Blind::KvfreeBarrier],
        13 => &[Blind::CallbackRuns, Blind::RcuBarrier],
        14 => &[Blind::RcuBarrier, Blind::Inside],
        _ => &[Blind::CallbackRuns, Blind::Callbacks],
    };
    let possible_cpus = *random.choose(&[0, 2, 2, 2]);
    let attached = Time(random.below(3) * 500);
    let watch = Watch { attached, possible_cpus, blind: blind.to_vec(), ..Watch::default() };
    let correct = *random.choose(&[0, 60, 90, 100, 100]);
    let lossy = random.percent(20);
    let mut kernel = Kernel {
        tells_all: watch.blind.is_empty(),
        has_allocations: watch.blind.contains(&Blind::Inside) && random.percent(40),
        random,
        watch,
        correct,
        lossy,
        begins_nothing: false,
        caches: vec![None; usize::try_from(SLOTS).unwrap()],
        objects: vec![Object { slot: 0, life: Life::Free, hidden: false }; usize::try_from(OBJECTS).unwrap()],
        ghosts: Vec::new(),
        threads: Vec::new(),
        grace_begun: None,
        grace_reached: 0,
        now: attached.0,
        happened: 0,
        events: Vec::new(),
        lost: Vec::new(),
        in_callback: None,
        ghost_runs: Vec::new(),
    };
    let numbers = (1..=TASKS).chain(WORKERS);
    kernel.threads.extend(numbers.map(|number| Thread {
        number,
        cpu: u16::from(number % 2 == 1),
        doing: Doing::Nothing,
        barriers: Vec::new(),
        flushed: 0,
    }));
    kernel.is_older_than_the_probes();
    let length = 20 + kernel.random.below(110);
    for _ in 0..length {
        kernel.goes_on();
    }
    // In most workloads, everything that has begun ends.
    kernel.begins_nothing = true;
    for _ in 0..*kernel.random.choose(&[0, 80, 80]) {
        kernel.goes_on();
    }
    kernel.tells_of_loss();
    (kernel.watch, kernel.events)
}

fn facts(slot: usize, refcount: i32) -> CacheFacts {
    CacheFacts { name: format!("cache-{slot}"), object_size: 64, refcount }
}

fn address(slot: usize) -> CacheAddress {
    CacheAddress(0x1000 * (slot as u64 + 1))
}

fn object(index: usize) -> ObjectAddress {
    ObjectAddress(0x10000 + index as u64 * OBJECT_BYTES)
}

impl Kernel {
    /// Whether it sends what a live watch sees if nothing is hidden.
    fn is_live(&self) -> bool {
        self.watch.blind.contains(&Blind::Inside)
    }

    /// The head of an object's callback. A kernel that reports everything names objects instead.
    fn head(&self, index: usize) -> ObjectAddress {
        ObjectAddress(object(index).0 + if self.tells_all { 0 } else { 16 })
    }

    /// Some caches, with queued objects, are older than the watch.
    fn is_older_than_the_probes(&mut self) {
        for slot in 0..self.caches.len() {
            if self.random.percent(30) {
                let users = if self.random.percent(20) { 2 } else { 1 };
                let counted = self.random.percent(10);
                self.caches[slot] = Some(Cache { users, counted, ..Cache::default() });
                for index in 0..self.objects.len() {
                    if self.random.percent(25) && self.objects[index].life == Life::Free {
                        let is_callback = self.random.percent(30);
                        let since = 0;
                        let life =
                            if is_callback { Life::Callback { since } } else { Life::Queued { since } };
                        self.objects[index] = Object { slot, life, hidden: true };
                    }
                }
            }
        }
    }

    fn say(&mut self, task: u32, cpu: u16, what: What) {
        self.happened += 1;
        self.now += self.random.below(900);
        let blind = &self.watch.blind;
        let is_hidden = match &what {
            What::QueueReturned { .. } | What::CallbackRan { .. } => !self.tells_all,
            What::Allocated { .. } => !self.tells_all && !self.has_allocations,
            What::FreedAtOnce { .. } => !self.has_allocations,
            What::CallbackRuns { .. } | What::BatchFreed { path: FreePath::Callback } => {
                !blind.contains(&Blind::Inside)
            }
            What::GraceBegin { .. } | What::GraceEnd { .. } => blind.contains(&Blind::Grace),
            What::Freed { path: FreePath::Sheaf, .. } | What::BatchFreed { path: FreePath::Sheaf } => {
                blind.contains(&Blind::Frees)
            }
            What::CallbackQueued { .. } => blind.contains(&Blind::Callbacks),
            What::BarrierBegin { barrier, .. } | What::BarrierEnd { barrier, .. } => match barrier {
                BarrierKind::Rcu => blind.contains(&Blind::RcuBarrier),
                _ => blind.contains(&Blind::KvfreeBarrier),
            },
            _ => false,
        };
        if is_hidden {
            return;
        }
        if self.lossy && self.random.percent(4) {
            self.loses(&what);
            return;
        }
        self.events.push(Event { time: Time(self.now), task: Task(task), cpu: Cpu(cpu), what });
        if !self.lost.is_empty() && self.random.percent(20) {
            self.tells_of_loss();
        }
    }

    /// For some losses it is known what they were about.
    fn loses(&mut self, what: &What) {
        let first = self.events.last().map_or(self.watch.attached, |event| event.time);
        let scope = match what {
            What::Queued { cache, .. }
            | What::Freed { cache, .. }
            | What::CallbackQueued { cache, .. }
            | What::CallbackRuns { cache, .. } => Scope::Cache(*cache),
            What::GraceBegin { .. } | What::GraceEnd { .. } => Scope::Grace,
            _ => Scope::Everything,
        };
        let is_call = matches!(what, What::Queued { .. } | What::CallbackQueued { .. });
        let scope = match self.random.below(10) {
            0..=2 if is_call => Scope::Queueing,
            0..=5 => scope,
            _ => Scope::Everything,
        };
        let until = Time(self.now);
        if let Some(lost) = self.lost.iter_mut().find(|lost| lost.scope == scope) {
            lost.events += 1;
            lost.until = until;
        } else {
            let reasons = [LossReason::RingFull, LossReason::ProbeMissed, LossReason::MapFull];
            let reason = *self.random.choose(&reasons);
            let reason = if scope == Scope::Queueing { LossReason::ProbeMissed } else { reason };
            self.lost.push(Gap { reason, events: 1, from: first, until, scope, programs: Vec::new() });
        }
    }

    fn tells_of_loss(&mut self) {
        for gap in std::mem::take(&mut self.lost) {
            self.events.push(Event {
                time: Time(self.now),
                task: Task(0),
                cpu: Cpu(0),
                what: What::Gap(gap),
            });
        }
    }

    fn is_correct(&mut self) -> bool {
        let correct = self.correct;
        self.random.percent(correct)
    }

    fn slots(&self, wanted: impl Fn(&Cache) -> bool) -> Vec<usize> {
        let is_wanted = |slot: &usize| self.caches[*slot].as_ref().is_some_and(&wanted);
        (0..self.caches.len()).filter(is_wanted).collect()
    }

    fn objects(&self, wanted: impl Fn(&Object) -> bool) -> Vec<usize> {
        (0..self.objects.len()).filter(|index| wanted(&self.objects[*index])).collect()
    }

    fn is_counted(&self, index: usize) -> bool {
        self.caches.get(self.objects[index].slot).and_then(Option::as_ref).is_some_and(|cache| cache.counted)
    }

    fn goes_on(&mut self) {
        match self.random.below(10) {
            0 => self.grace(),
            1 => self.softirq(),
            _ => {
                let thread = self.random.index(self.threads.len());
                self.thread_goes_on(thread);
            }
        }
    }

    fn grace(&mut self) {
        let now = self.happened;
        if self.random.percent(10) {
            let what = if self.random.percent(50) {
                What::GraceBegin { expedited: true }
            } else {
                What::GraceEnd { expedited: true }
            };
            self.grace_reached = now;
            self.say(25, 0, what);
        } else if let Some(begun) = self.grace_begun.take() {
            self.grace_reached = self.grace_reached.max(begun);
            self.say(25, 0, What::GraceEnd { expedited: false });
        } else {
            self.grace_begun = Some(now);
            self.say(25, 0, What::GraceBegin { expedited: false });
        }
    }

    /// A callback runs.
    fn softirq(&mut self) {
        if let Some(index) = self.in_callback.take() {
            // It returns before the next one runs.
            if self.objects[index].life == Life::InCallback {
                self.objects[index].life = Life::Free;
                let cache = address(self.objects[index].slot);
                self.say(SOFTIRQ, 0, What::FreedAtOnce { object: object(index), cache });
            }
            return self.say(SOFTIRQ, 0, What::BatchFreed { path: FreePath::Callback });
        }
        if !self.ghost_runs.is_empty() && self.random.percent(30) {
            let place = self.random.index(self.ghost_runs.len());
            let (object, slot) = self.ghost_runs.swap_remove(place);
            return self.say(SOFTIRQ, 0, What::CallbackRuns { object, cache: address(slot) });
        }
        let careful = self.is_correct();
        let reached = self.grace_reached;
        let ready = self.objects(|object| {
            let Life::Callback { since } = object.life else { return false };
            !careful || object.hidden || since < reached
        });
        if ready.is_empty() {
            return;
        }
        let index = *self.random.choose(&ready);
        if self.tells_all {
            self.say(SOFTIRQ, 0, What::CallbackRan { object: self.head(index), text: None });
            self.objects[index].life = Life::Free;
        } else {
            let cache = address(self.objects[index].slot);
            self.say(SOFTIRQ, 0, What::CallbackRuns { object: self.head(index), cache });
            // It may have freed its object already, or may be about to.
            self.objects[index].life = if self.random.percent(50) { Life::Free } else { Life::InCallback };
            if self.objects[index].life == Life::Free {
                self.say(SOFTIRQ, 0, What::FreedAtOnce { object: object(index), cache });
            }
            self.in_callback = Some(index);
        }
    }
}
