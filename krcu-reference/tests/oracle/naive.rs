//! Naive: what follows from a list of events by the definitions, with plain lists and loops over them.
//!
//! One pass writes lists of caches, deferred frees, frees, barriers, grace periods and destroys, each with
//! the places in the list of events at which it begins and ends. Every question is then a loop over these
//! lists. Nothing is summed up on the way and nothing is forgotten. This is slow, and it shares nothing with
//! the model except the events and the words.
//!
//! The sources of the definitions, by the names of the pages: the words (deferred free, covered by a barrier)
//! and the promises come from "The approaches"; the rules of truth, and the meaning of each verdict, from
//! "The design"; how an inlined barrier shows, and what an `rcu_barrier()` that `flush_rcu_work()` called is
//! worth, from `ARCHITECTURE.md`.

mod callbacks;
mod doubles;
mod evidence;
mod promises;
mod verdicts;

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, VerdictKind, Watch,
    event::{CacheAddress, Cpu, Gap, ObjectAddress, Task, Time, What},
    promise::Promise,
    reason::Reason,
    state::Blind,
    verdict::{FreedBy, Ordering},
};

use self::callbacks::{Callback, Run};

/// A place in the list of events.
pub(crate) type Place = usize;

/// One cache, from its creation until another cache has its address.
pub(crate) struct Life {
    pub(crate) address: CacheAddress,
    /// `None` if it is older than the probes.
    created: Option<Place>,
    gone: Option<Place>,
}

/// An object that was handed to `kfree_rcu()`.
pub(crate) struct Deferred {
    pub(crate) life: usize,
    pub(crate) object: ObjectAddress,
    pub(crate) queued: Place,
    headless: bool,
    /// When the call that queued it returned, if that was reported.
    returned: Option<Place>,
    /// When its free began.
    pub(crate) freed: Option<Place>,
    /// Whether the call that queued it also freed it.
    pub(crate) within_call: bool,
    /// It was queued once more, so one of its frees was not seen.
    replaced: Option<Place>,
    /// It was queued again because it found no room in the first place.
    is_fallback: bool,
}

/// A free of an object that was deferred, or may have been.
struct Free {
    life: usize,
    begin: Place,
    /// When the call returned.
    returned: Option<Place>,
    path: FreePath,
    /// Whether its queueing was not seen.
    unknown: bool,
}

/// A barrier.
pub(crate) struct Barrier {
    pub(crate) kind: BarrierKind,
    task: Task,
    pub(crate) begin: Place,
    pub(crate) end: Option<Place>,
    /// The cache that it is for.
    life: Option<usize>,
    by_chance: bool,
    /// Its caller has ended, so the barrier must have ended too.
    end_unseen: bool,
}

/// A call of `kmem_cache_destroy()`.
struct Destroy {
    life: usize,
    task: Task,
    begin: Place,
    refcount: i32,
    counted: bool,
    look: Option<Place>,
    works_flushed: u32,
    /// When the look was over.
    end: Option<Place>,
    /// When it returned and left the cache to be given back later.
    lingers: Option<Place>,
    empty: Option<bool>,
    left: Option<u64>,
    object_size: u32,
}

/// What must be said about a destroy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: VerdictKind,
    pub(crate) queued_by_kfree_rcu: u64,
    pub(crate) leaked: Option<u64>,
    pub(crate) undecided: u64,
    pub(crate) late_frees: u64,
    pub(crate) waited_for_own: u64,
    pub(crate) waited_for_other: u64,
    pub(crate) ordering: Ordering,
    pub(crate) queued_by_call_rcu: Option<u64>,
    pub(crate) waited_for_callbacks: bool,
    pub(crate) waited_for_own_callbacks: u64,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) queued_twice: u64,
    pub(crate) freed_by: FreedBy,
    pub(crate) waited_grace_periods: Option<u64>,
    pub(crate) in_sheaves: u64,
}

/// A promise that was broken for one cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accusation {
    pub(crate) promise: Promise,
    pub(crate) address: Option<CacheAddress>,
    /// When it was broken first.
    pub(crate) at: Time,
    /// When the oldest object that shows it was queued.
    pub(crate) oldest: Time,
    life: Option<usize>,
    /// Whether no loss falls between the two times.
    pub(crate) proved: bool,
}

/// All lists.
pub(crate) struct Naive<'a> {
    events: &'a [Event],
    watch: &'a Watch,
    pub(crate) lives: Vec<Life>,
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) callbacks: Vec<Callback>,
    runs: Vec<Run>,
    frees: Vec<Free>,
    pub(crate) barriers: Vec<Barrier>,
    /// Returns of barriers for `kfree_rcu()` whose beginning was not seen, each with its cache, if it was for
    /// one.
    older_barriers: Vec<(Place, Option<usize>)>,
    destroys: Vec<Destroy>,
    /// Objects that a reader held when they were freed: the cache and the place.
    torn_away: Vec<(usize, Place)>,
    /// Frees, and runs of callbacks, of objects whose queueing was not seen, in caches whose creation was
    /// seen.
    unexplained: Vec<(usize, Place)>,
}

/// Whether something that began and may have ended still lasts after the event at `now`.
fn lasts(begin: Place, end: Option<Place>, now: Place) -> bool {
    begin <= now && end.is_none_or(|end| end > now)
}

impl<'a> Naive<'a> {
    pub(crate) fn new(watch: &'a Watch, events: &'a [Event]) -> Naive<'a> {
        let mut naive = Naive {
            events,
            watch,
            lives: Vec::new(),
            deferred: Vec::new(),
            callbacks: Vec::new(),
            runs: Vec::new(),
            frees: Vec::new(),
            barriers: Vec::new(),
            older_barriers: Vec::new(),
            destroys: Vec::new(),
            torn_away: Vec::new(),
            unexplained: Vec::new(),
        };
        for place in 0..events.len() {
            naive.write_down(place);
        }
        naive
    }

    fn sees(&self, blind: Blind) -> bool {
        !self.watch.blind.contains(&blind)
    }

    /// The cache at an address; a cache whose creation was not seen is older than the probes.
    fn life_at(&mut self, address: CacheAddress) -> usize {
        let found = self.lives.iter().position(|life| life.address == address && life.gone.is_none());
        found.unwrap_or_else(|| {
            self.lives.push(Life { address, created: None, gone: None });
            self.lives.len() - 1
        })
    }

    /// The address no longer belongs to that cache.
    fn ends(&mut self, address: CacheAddress, place: Place) {
        for index in 0..self.lives.len() {
            if self.lives[index].address == address && self.lives[index].gone.is_none() {
                self.memory_is_gone(index, place);
                self.lives[index].gone = Some(place);
                // Only a cache that was emptied is released, so that is what the look found.
                let of_life = self.destroys.iter_mut().filter(|d| d.life == index && d.look.is_some());
                let looked = of_life.max_by_key(|destroy| destroy.look);
                if let Some(destroy) = looked
                    && destroy.empty.is_none()
                {
                    destroy.empty = Some(true);
                    destroy.end = destroy.end.or(Some(place));
                }
            }
        }
    }

    /// For each address, one free is expected at most: that of the last cache that was given back with it.
    fn memory_is_gone(&mut self, life: usize, place: Place) {
        let Naive { deferred, lives, destroys, .. } = self;
        if !destroys.iter().any(|destroy| destroy.life == life) {
            return;
        }
        let is_queued = |entry: &&Deferred| entry.life == life && entry.is_queued();
        let queued: Vec<ObjectAddress> =
            deferred.iter().filter(is_queued).map(|entry| entry.object).collect();
        for entry in deferred.iter_mut().filter(|entry| queued.contains(&entry.object) && entry.is_queued()) {
            if lives[entry.life].gone.is_some() {
                entry.replaced = Some(place);
            }
        }
    }

    /// The destroy to which a later event of its task belongs.
    fn running_destroy(&mut self, task: Task) -> Option<&mut Destroy> {
        let last = self.destroys.iter_mut().rfind(|destroy| destroy.task == task)?;
        (last.end.is_none() && last.lingers.is_none()).then_some(last)
    }

    fn write_down(&mut self, place: Place) {
        let Event { task, cpu, what, .. } = &self.events[place];
        let (task, cpu) = (*task, *cpu);
        // Objects that a task frees one by one are free when the task does something else. A callback
        // interrupts whatever a task does.
        let event = &self.events[place];
        if !matches!(what, What::Freed { .. } | What::BatchFreed { .. } | What::Gap(_))
            && !Naive::is_run(event)
        {
            self.call_returns(task, cpu, FreePath::Single, place);
        }
        match what {
            What::CacheCreated { cache, facts, .. } => self.created(*cache, facts.refcount, place),
            What::CacheReleased { cache } => self.ends(*cache, place),
            What::Queued { object, cache, form, .. } => {
                self.queued(*object, *cache, *form, place);
            }
            What::CallbackQueued { object, cache, .. } => self.callback_queued(*object, *cache, place),
            What::CallbackRuns { object, cache } => self.callback_runs(*object, Some(*cache), place),
            What::CallbackRan { object, .. } => self.callback_runs(*object, None, place),
            What::QueueReturned { object } => self.queue_returned(task, *object, place),
            What::Freed { object, cache, path } => self.freed(*object, *cache, *path, place),
            What::BatchFreed { path } => {
                self.run_returns(event, *path, place);
                self.call_returns(task, cpu, *path, place);
            }
            What::BarrierBegin { barrier, rcu_works_flushed, .. } => {
                let is_inside_another = self.barriers.iter().any(|b| b.task == task && b.is_open());
                self.barriers.push(Barrier {
                    kind: *barrier,
                    task,
                    begin: place,
                    end: None,
                    life: None,
                    by_chance: *barrier == BarrierKind::Rcu && (*rcu_works_flushed > 0 || is_inside_another),
                    end_unseen: false,
                });
            }
            What::BarrierEnd { barrier, cache, .. } => {
                let life = cache.map(|cache| self.life_at(cache));
                let is_it = |b: &Barrier| b.task == task && b.kind == *barrier && b.is_open();
                let Some(index) = self.barriers.iter().rposition(is_it) else {
                    let is_for_one = *barrier == BarrierKind::KvfreeOnCache;
                    if *barrier == BarrierKind::Kvfree || (is_for_one && life.is_some()) {
                        self.older_barriers.push((place, life.filter(|_| is_for_one)));
                    }
                    return;
                };
                for inner in self.barriers[index + 1..].iter_mut().filter(|b| b.task == task) {
                    inner.end_unseen = true;
                }
                self.barriers[index].end = Some(place);
                self.barriers[index].life = life;
            }
            What::DestroyBegin { cache, facts, counted, .. } => {
                let life = self.life_at(*cache);
                self.destroys.push(Destroy {
                    life,
                    task,
                    begin: place,
                    refcount: facts.refcount,
                    counted: *counted,
                    look: None,
                    works_flushed: 0,
                    end: None,
                    lingers: None,
                    empty: None,
                    left: None,
                    object_size: facts.object_size,
                });
            }
            What::ShutdownBegin { cache, rcu_works_flushed } => {
                let life = self.life_at(*cache);
                if let Some(destroy) = self.running_destroy(task).filter(|destroy| destroy.life == life) {
                    destroy.look = Some(place);
                    destroy.works_flushed = *rcu_works_flushed;
                }
            }
            What::ShutdownEnd { empty, left } => {
                if let Some(destroy) = self.running_destroy(task).filter(|destroy| destroy.look.is_some()) {
                    destroy.end = Some(place);
                    destroy.empty = *empty;
                    destroy.left = left.map(|left| left.objects);
                }
            }
            What::Lingers { .. } => {
                if let Some(destroy) = self.running_destroy(task) {
                    destroy.lingers = Some(place);
                }
            }
            _ => {}
        }
    }

    fn created(&mut self, address: CacheAddress, refcount: i32, place: Place) {
        let known = self.lives.iter().position(|life| life.address == address && life.gone.is_none());
        // A cache that a destroy has failed to empty can be found again and handed out.
        let was_given_up = known
            .is_some_and(|known| self.destroys.iter().any(|d| d.life == known && d.empty == Some(false)));
        if refcount > 1 {
            // It is merged with a cache that exists.
            self.life_at(address);
        } else if !was_given_up {
            self.ends(address, place);
            self.lives.push(Life { address, created: Some(place), gone: None });
        }
    }

    fn queued(&mut self, object: ObjectAddress, cache: CacheAddress, form: QueueForm, place: Place) {
        let life = self.life_at(cache);
        let twice = |entry: &&mut Deferred| entry.life == life && entry.object == object && entry.is_queued();
        let mut is_fallback = false;
        if let Some(before) = self.deferred.iter_mut().find(twice) {
            before.replaced = Some(place);
            let was = &self.events[before.queued].what;
            is_fallback =
                form == QueueForm::Head && matches!(was, What::Queued { form: QueueForm::Nolock, .. });
        }
        self.deferred.push(Deferred {
            life,
            object,
            queued: place,
            headless: form == QueueForm::Headless,
            returned: None,
            freed: None,
            within_call: false,
            replaced: None,
            is_fallback,
        });
    }

    /// The call that queued an object returns: the last call of this task for this object.
    fn queue_returned(&mut self, task: Task, object: ObjectAddress, place: Place) {
        let is_his = |queued: Place| self.events[queued].task == task;
        let deferred = self.deferred.iter_mut().rfind(|e| e.object == object && is_his(e.queued));
        let callback = self.callbacks.iter_mut().rfind(|c| c.object == object && is_his(c.queued));
        let returned = match (deferred, callback) {
            (Some(entry), Some(callback)) if callback.queued > entry.queued => &mut callback.returned,
            (Some(entry), _) => &mut entry.returned,
            (None, Some(callback)) => &mut callback.returned,
            (None, None) => return,
        };
        *returned = returned.or(Some(place));
    }

    fn freed(&mut self, object: ObjectAddress, cache: CacheAddress, path: FreePath, place: Place) {
        // Objects that were left in a cache that is gone come first, because they were queued before anything
        // else there.
        let lives = &self.lives;
        let is_destroyed = |life: usize| self.destroys.iter().any(|destroy| destroy.life == life);
        let is_late = |entry: &&mut Deferred| {
            entry.object == object
                && entry.is_queued()
                && lives[entry.life].gone.is_some()
                && is_destroyed(entry.life)
        };
        if let Some(late) = self.deferred.iter_mut().find(is_late) {
            late.freed = Some(place);
            return;
        }
        let life = self.life_at(cache);
        let found = self.deferred.iter().position(|e| e.life == life && e.object == object && e.is_queued());
        if let Some(found) = found {
            let entry = &mut self.deferred[found];
            let is_same = is_same_freer(&self.events[entry.queued], &self.events[place]);
            entry.freed = Some(place);
            entry.within_call = entry.headless && path == FreePath::Single && is_same;
            self.look_for_readers(life, object, place);
        } else if path == FreePath::Single || self.lives[life].created.is_some() {
            // Its deferral was not seen: the module freed it directly, or a call that was not seen queued it.
            self.unexplained.push((life, place));
            return;
        }
        self.frees.push(Free { life, begin: place, returned: None, path, unknown: found.is_none() });
    }

    fn call_returns(&mut self, task: Task, cpu: Cpu, path: FreePath, place: Place) {
        for free in &mut self.frees {
            let began = &self.events[free.begin];
            let is_same = began.task == task && (task != Task(0) || began.cpu == cpu);
            if is_same && free.path == path && free.returned.is_none() {
                free.returned = Some(place);
            }
        }
    }

    /// Whether a task is in a read-side critical section with this object.
    fn look_for_readers(&mut self, life: usize, object: ObjectAddress, place: Place) {
        let before = &self.events[..place];
        let is_held = before.iter().enumerate().any(|(lock, event)| {
            matches!(event.what, What::ReadLock { object: Some(held), .. } if held == object)
                && !before[lock..].iter().any(|e| e.task == event.task && e.what == What::ReadUnlock)
        });
        if is_held {
            self.torn_away.push((life, place));
        }
    }

    /// Deferred frees of a life that had not begun after the event at `now`.
    pub(crate) fn outstanding(&self, life: usize, now: Place) -> u64 {
        let is_there = |entry: &&Deferred| {
            entry.life == life && lasts(entry.queued, entry.freed.or(entry.replaced), now)
        };
        self.deferred.iter().filter(is_there).count() as u64
    }

    /// The same for the cache that had this address then.
    pub(crate) fn outstanding_at(&self, address: CacheAddress, now: Place) -> u64 {
        let alive = |life: &&usize| self.lives[**life].address == address && !self.is_gone(**life, now);
        (0..self.lives.len())
            .collect::<Vec<_>>()
            .iter()
            .filter(alive)
            .map(|life| self.outstanding(*life, now))
            .sum()
    }

    /// The same for all caches. Deferred frees of a cache whose end was not seen count for none.
    pub(crate) fn outstanding_in_all(&self, now: Place) -> u64 {
        let counts = |life: &usize| {
            !self.is_gone(*life, now) || self.destroys.iter().any(|d| d.life == *life && d.begin <= now)
        };
        (0..self.lives.len()).filter(counts).map(|life| self.outstanding(life, now)).sum()
    }

    fn is_gone(&self, life: usize, now: Place) -> bool {
        self.lives[life].gone.is_some_and(|gone| gone <= now)
    }

    /// Deferred frees that had begun, in calls that had not returned.
    fn being_freed(&self, life: usize, now: Place) -> u64 {
        self.frees.iter().filter(|free| free.life == life && lasts(free.begin, free.returned, now)).count()
            as u64
    }

    /// Frees of objects whose queueing was not seen, in a part of the list.
    fn unknown_frees(&self, life: usize, from: Place, until: Place) -> u64 {
        let counts = |f: &&Free| f.life == life && f.unknown && (from..until).contains(&f.begin);
        self.frees.iter().filter(counts).count() as u64
    }

    fn gaps(&self) -> impl Iterator<Item = (Place, &Gap)> {
        self.events.iter().enumerate().filter_map(|(place, event)| match &event.what {
            What::Gap(gap) => Some((place, gap)),
            _ => None,
        })
    }

    fn time(&self, place: Place) -> Time {
        self.events[place].time
    }
}

impl Deferred {
    fn is_queued(&self) -> bool {
        self.freed.is_none() && self.replaced.is_none()
    }
}

impl Barrier {
    fn is_open(&self) -> bool {
        self.end.is_none() && !self.end_unseen
    }

    /// Whether it waits for `kfree_rcu()` of this cache.
    pub(crate) fn is_for(&self, life: usize) -> bool {
        match self.kind {
            BarrierKind::Kvfree => true,
            BarrierKind::KvfreeOnCache => self.life == Some(life),
            _ => false,
        }
    }
}

/// Whether two events belong to one task; the idle tasks of all CPUs have the same number.
fn is_same_freer(one: &Event, other: &Event) -> bool {
    one.task == other.task && (one.task != Task(0) || one.cpu == other.cpu)
}
