//! Account: what a simulation notes about each exit path and about the end of each cache.

use std::collections::VecDeque;

use super::program::{Exit, Plan, Scope};
use crate::machine::{
    CacheIndex, Life, Machine, ObjectIndex, TaskIndex,
    cache::End,
    parts::{Duty, Krc, Monitor, Page, Taken},
    sequence::Cookie,
};
use krcu_model::event::{Event, Time, What};

/// The notes about one exit path.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) entered: Option<Time>,
    pub(super) looked: Option<Time>,
    pub(super) returned: Option<Time>,
    pub(super) left: Option<Time>,
    pub(super) is_alias: bool,
    has_flushed: bool,
    /// The objects that were outstanding at the entry and that it has to wait for.
    covered: Vec<ObjectIndex>,
    pub(super) own: u64,
    pub(super) other: u64,
    pub(super) forced: u64,
}

/// The notes about the end of a cache.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// The exit path that looked at its slabs.
    exit: Option<usize>,
    pub(super) slabs_freed: Option<Time>,
    pub(super) released: Option<Time>,
    pub(super) reported: Option<Time>,
    pub(super) given_up: Option<Time>,
    /// Whether its memory was given back, or it was given up, while an object of it was queued.
    pub(super) is_unsafe: bool,
    /// Whether it was reported although none of its objects had leaked.
    pub(super) is_false: bool,
}

/// All notes.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) exits: Vec<Exit>,
    /// For each task, its exit paths that have not ended, by their numbers.
    ahead: Vec<VecDeque<usize>>,
    pub(super) accounts: Vec<Account>,
    pub(super) endings: Vec<Ending>,
    pub(super) freed_at: Vec<Option<Time>>,
    pub(super) objects_of: Vec<Vec<ObjectIndex>>,
    /// The last grace period that was asked for outside of any exit path.
    natural: Cookie,
    /// The grace periods that exit paths asked for and that have not begun.
    forced: VecDeque<(Cookie, usize)>,
    /// The last grace period that was asked for.
    asked: Cookie,
}

impl Accounts {
    pub(super) fn new(plan: &mut Plan<'_>) -> Accounts {
        let mut ahead = vec![VecDeque::new(); plan.setup.tasks.len()];
        for (place, exit) in plan.exits.iter().enumerate() {
            ahead[usize::from(exit.task.0)].push_back(place);
        }
        Accounts {
            accounts: vec![Account::default(); plan.exits.len()],
            exits: std::mem::take(&mut plan.exits),
            ahead,
            endings: vec![Ending::default(); plan.setup.caches.len()],
            freed_at: vec![None; plan.setup.objects.len()],
            objects_of: std::mem::take(&mut plan.objects_of),
            natural: Cookie::default(),
            forced: VecDeque::new(),
            asked: Cookie::default(),
        }
    }

    /// The exit path that a task's next step belongs to.
    pub(super) fn exit_of(&self, task: TaskIndex) -> Option<usize> {
        self.ahead[usize::from(task.0)].front().copied()
    }

    /// Whether this is the first flush of a task's exit path; the next one is not.
    pub(super) fn flushes_first(&mut self, task: TaskIndex) -> bool {
        let account = self.exit_of(task).and_then(|exit| self.accounts.get_mut(exit));
        account.is_some_and(|account| !std::mem::replace(&mut account.has_flushed, true))
    }

    /// The exit path that began the end of a cache.
    pub(super) fn exit_of_cache(&self, cache: CacheIndex) -> Option<usize> {
        self.endings[usize::from(cache.0)].exit
    }

    /// The cache of an exit path.
    pub(super) fn cache_of(&self, exit: usize) -> CacheIndex {
        self.exits[exit].cache
    }

    /// The number of objects that a cache ever has.
    pub(super) fn objects_of(&self, cache: CacheIndex) -> usize {
        self.objects_of[usize::from(cache.0)].len()
    }

    /// A task is about to take a step.
    pub(super) fn before_step(&mut self, machine: &Machine, task: TaskIndex, now: Time) {
        let Some(place) = self.exit_of(task) else { return };
        if self.accounts[place].entered.is_none() {
            let exit = self.exits[place];
            self.accounts[place].covered = self.outstanding(machine, exit.cache, exit.scope);
            self.accounts[place].entered = Some(now);
        }
    }

    /// A task has taken a step.
    pub(super) fn after_step(&mut self, machine: &Machine, task: TaskIndex, now: Time) {
        let Some(place) = self.exit_of(task) else { return };
        let (exit, next) = (self.exits[place], machine.task(task).next);
        let cache = machine.cache(exit.cache);
        if cache.end != End::Alive {
            self.endings[usize::from(exit.cache.0)].exit.get_or_insert(place);
        }
        let account = &mut self.accounts[place];
        if next >= exit.looks {
            account.looked.get_or_insert(now);
        }
        if next >= exit.returned && account.returned.is_none() {
            account.returned = Some(now);
            account.is_alias = cache.end == End::Alive;
        }
        if next >= exit.end {
            account.left = Some(now);
            let free =
                std::mem::take(&mut account.covered).into_iter().filter(|o| machine.life(*o) == Life::Free);
            let (own, other): (Vec<_>, Vec<_>) =
                free.partition(|object| machine.object_setup(*object).cache == Some(exit.cache));
            (account.own, account.other) = (own.len() as u64, other.len() as u64);
            self.ahead[usize::from(task.0)].pop_front();
        }
    }

    /// A grace period was asked for.
    pub(super) fn ask(&mut self, cookie: Cookie, exit: Option<usize>) {
        self.asked = self.asked.max(cookie);
        match exit {
            Some(exit) => self.forced.push_back((cookie, exit)),
            None => self.natural = self.natural.max(cookie),
        }
    }

    /// The last grace period that was asked for.
    pub(super) fn asked(&self) -> Cookie {
        self.asked
    }

    /// A grace period begins, because it was asked for or because others need it.
    pub(super) fn grace_begins(&mut self, begun: Cookie, for_others: bool) {
        if self.natural < begun
            && !for_others
            && let Some((_, exit)) = self.forced.iter().find(|(cookie, _)| *cookie >= begun)
        {
            self.accounts[*exit].forced += 1;
        }
        self.forced.retain(|(cookie, _)| *cookie > begun);
    }

    /// An object was freed.
    pub(super) fn is_freed(&mut self, object: ObjectIndex, now: Time) {
        self.freed_at[object.0 as usize] = Some(now);
    }

    /// The machine has told how a cache ends. What it does so far decides whether that was right.
    pub(super) fn see(&mut self, event: &Event, machine: &Machine) {
        let (What::SlabsFreed { cache } | What::CacheReleased { cache } | What::Reported { cache }) =
            &event.what
        else {
            return;
        };
        let Some(index) = Machine::cache_at(*cache) else { return };
        let (ending, cache) = (&mut self.endings[usize::from(index.0)], machine.cache(index));
        match &event.what {
            What::SlabsFreed { .. } => {
                ending.slabs_freed = Some(event.time);
                // The callback that gives a slab back needs its cache.
                ending.is_unsafe |= cache.queued > 0 || ending.released.is_some();
            }
            What::CacheReleased { .. } => {
                ending.released = Some(event.time);
                ending.is_unsafe |= cache.queued > 0;
            }
            _ => {
                ending.reported.get_or_insert(event.time);
                ending.is_false |= cache.allocated == 0;
            }
        }
    }

    /// The shutdown of a cache has failed.
    pub(super) fn gives_up(&mut self, machine: &Machine, index: CacheIndex, now: Time) {
        let (ending, cache) = (&mut self.endings[usize::from(index.0)], machine.cache(index));
        if ending.given_up.is_none() {
            ending.given_up = Some(now);
            ending.reported.get_or_insert(now);
            ending.is_unsafe |= cache.queued > 0;
            ending.is_false |= cache.allocated == 0;
        }
    }

    /// The objects that are outstanding and that the exit path waits for.
    fn outstanding(&self, machine: &Machine, cache: CacheIndex, scope: Scope) -> Vec<ObjectIndex> {
        let mut objects = Vec::new();
        let queued_of = |cache: CacheIndex| {
            let all = self.objects_of[usize::from(cache.0)].iter().copied();
            all.filter(|object| machine.life(*object) == Life::Queued)
        };
        if scope.own {
            objects.extend(queued_of(cache));
        }
        if scope.lingering {
            let lingering = machine.lingering().into_iter().filter(|other| *other != cache);
            objects.extend(lingering.flat_map(queued_of));
        }
        for processor in &machine.cpus {
            if scope.sheaves && !scope.own {
                let sheaf = processor.sheaves.get(usize::from(cache.0));
                objects.extend(sheaf.iter().flat_map(|sheaf| &sheaf.objects));
            }
            if scope.lists {
                lists(&processor.krc, &mut objects);
            }
            for callback in processor.callbacks.iter().filter(|_| scope.callbacks) {
                match &callback.duty {
                    Duty::Module(object) => objects.push(*object),
                    Duty::Sheaf(_, freed) | Duty::Page(freed) => objects.extend(freed),
                    Duty::Work(..) | Duty::Barrier | Duty::Slabs(_) | Duty::Release(_) => {}
                }
            }
        }
        objects
    }
}

/// Everything that a CPU has on lists, in batches, and in the hands of its monitor and workers.
fn lists(krc: &Krc, objects: &mut Vec<ObjectIndex>) {
    fn pages(pages: &[Vec<Page>], objects: &mut Vec<ObjectIndex>) {
        objects.extend(pages.iter().flatten().flat_map(|page| &page.objects));
    }
    fn freeing(freeing: &Taken, objects: &mut Vec<ObjectIndex>) {
        objects.extend(freeing.parts.iter().flat_map(|part| &part.objects));
    }
    pages(&krc.bulk, objects);
    objects.extend(&krc.head);
    if let Monitor::Running(ready) = &krc.monitor {
        freeing(ready, objects);
    }
    for krw in &krc.krw {
        pages(&krw.pages, objects);
        objects.extend(&krw.head);
        if let Some(running) = &krw.running {
            freeing(running, objects);
        }
    }
}
