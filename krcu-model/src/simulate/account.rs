//! Account: what is written down of each exit path while a simulation runs, and the rows made of it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    InputUse, Workload,
    program::{Exit, Plan, Scope},
    row::{Row, Splat, Sum},
};
use crate::{
    approach::{Approach, row_name},
    event::{Event, Time, What},
    machine::{
        CacheIndex, Life, Machine, ObjectIndex, TaskIndex, cache::End, free::Freeing, grace::Duty, queue::Monitor,
        queue::Page, sequence::Cookie,
    },
    promise::{Promise, Violation},
};

/// What is known of one exit path.
#[derive(Clone, Debug, Default)]
struct Account {
    entered: Option<Time>,
    returned: Option<Time>,
    left: Option<Time>,
    is_alias: bool,
    /// What was outstanding at the entry and has to be waited for.
    covered: Vec<ObjectIndex>,
    own: u64,
    other: u64,
    forced: u64,
}

/// What is known of the end of a cache.
#[derive(Clone, Copy, Debug, Default)]
struct Ending {
    /// The exit path that looked at its slabs.
    exit: Option<usize>,
    slabs_freed: Option<Time>,
    released: Option<Time>,
    reported: Option<Time>,
    given_up: Option<Time>,
}

/// What is written down.
#[derive(Debug)]
pub(super) struct Accounts {
    exits: Vec<Exit>,
    /// Exit paths of each task that have not ended, by their place among all.
    ahead: Vec<VecDeque<usize>>,
    accounts: Vec<Account>,
    endings: Vec<Ending>,
    freed_at: Vec<Option<Time>>,
    objects_of: Vec<Vec<ObjectIndex>>,
    /// The last grace period that somebody asked for who was in no exit path.
    natural: Cookie,
    /// Those that exit paths asked for and that have not begun.
    forced: VecDeque<(Cookie, usize)>,
    /// The last that anybody asked for.
    asked: Cookie,
}

impl Accounts {
    pub(super) fn new(plan: &mut Plan) -> Accounts {
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

    /// The exit path in which a task's next step is.
    pub(super) fn exit_of(&self, task: TaskIndex) -> Option<usize> {
        self.ahead[usize::from(task.0)].front().copied()
    }

    /// The exit path that began the end of a cache.
    pub(super) fn exit_of_cache(&self, cache: CacheIndex) -> Option<usize> {
        self.endings[usize::from(cache.0)].exit
    }

    /// The cache that an exit path is of.
    pub(super) fn cache_of(&self, exit: usize) -> CacheIndex {
        self.exits[exit].cache
    }

    /// Objects that a cache ever has.
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

    /// It has taken it.
    pub(super) fn after_step(&mut self, machine: &Machine, task: TaskIndex, now: Time) {
        let Some(place) = self.exit_of(task) else { return };
        let (exit, next) = (self.exits[place], machine.task(task).next);
        let cache = machine.cache(exit.cache);
        if cache.end != End::Alive {
            self.endings[usize::from(exit.cache.0)].exit.get_or_insert(place);
        }
        let account = &mut self.accounts[place];
        if next >= exit.returned && account.returned.is_none() {
            account.returned = Some(now);
            account.is_alias = cache.end == End::Alive;
        }
        if next >= exit.end {
            account.left = Some(now);
            let free = std::mem::take(&mut account.covered).into_iter().filter(|o| machine.life(*o) == Life::Free);
            let (own, other): (Vec<_>, Vec<_>) =
                free.partition(|object| machine.object_setup(*object).cache == Some(exit.cache));
            (account.own, account.other) = (own.len() as u64, other.len() as u64);
            self.ahead[usize::from(task.0)].pop_front();
        }
    }

    /// Somebody asked for a grace period.
    pub(super) fn ask(&mut self, cookie: Cookie, exit: Option<usize>) {
        self.asked = self.asked.max(cookie);
        match exit {
            Some(exit) => self.forced.push_back((cookie, exit)),
            None => self.natural = self.natural.max(cookie),
        }
    }

    /// The last grace period that anybody asked for.
    pub(super) fn asked(&self) -> Cookie {
        self.asked
    }

    /// A grace period begins, for those who asked or for others.
    pub(super) fn grace_begins(&mut self, begun: Cookie, for_others: bool) {
        if self.natural < begun
            && !for_others
            && let Some((_, exit)) = self.forced.iter().find(|(cookie, _)| *cookie >= begun)
        {
            self.accounts[*exit].forced += 1;
        }
        self.forced.retain(|(cookie, _)| *cookie > begun);
    }

    /// A watcher sees an event.
    pub(super) fn see(&mut self, event: &Event) {
        let now = event.time;
        let ending = |address| Machine::cache_at(address).map(|cache| usize::from(cache.0));
        match &event.what {
            What::Freed { object, .. } | What::CallbackRan { object, .. } => {
                if let Some(object) = Machine::object_at(*object) {
                    self.freed_at[object.0 as usize] = Some(now);
                }
            }
            What::SlabsFreed { cache } => {
                if let Some(place) = ending(*cache) {
                    self.endings[place].slabs_freed = Some(now);
                }
            }
            What::CacheReleased { cache } => {
                if let Some(place) = ending(*cache) {
                    self.endings[place].released = Some(now);
                }
            }
            What::Reported { cache } => {
                if let Some(place) = ending(*cache) {
                    self.endings[place].reported.get_or_insert(now);
                }
            }
            _ => {}
        }
    }

    /// The shutdown of a cache has failed.
    pub(super) fn gives_up(&mut self, cache: CacheIndex, now: Time) {
        let ending = &mut self.endings[usize::from(cache.0)];
        ending.given_up.get_or_insert(now);
        ending.reported.get_or_insert(now);
    }

    /// What is outstanding and is waited for.
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

    /// The rows, and their sum.
    pub(super) fn rows(
        self,
        workload: &Workload,
        approach: &dyn Approach,
        violations: &[Violation],
        inputs: Vec<InputUse>,
    ) -> (Vec<Row>, Sum) {
        let inputs: Arc<[InputUse]> = inputs.into();
        let name = row_name(approach);
        let mut sum = Sum { approach: name.clone(), ..Sum::default() };
        let rows = self.exits.iter().zip(&self.accounts).map(|(exit, account)| {
            let spec = &workload.caches[usize::from(exit.cache.0)];
            let mut row = Row {
                approach: name.clone(),
                cache: exit.cache,
                name: spec.name.clone(),
                destroyed_at_ns: account.entered.map(|at| at.0),
                is_alias: account.is_alias,
                is_unsafe: false,
                caller_wait_ns: account.entered.and_then(|entered| Some(account.left?.since(entered))),
                linger_ns: None,
                waited_for_own: account.own,
                waited_for_other: account.other,
                grace_periods_forced: account.forced,
                retained_bytes_ns: 0,
                kept_bytes: 0,
                splat: Splat::None,
                splat_after_ns: None,
                api_changes: approach.api_changes(),
                inputs: Arc::clone(&inputs),
            };
            if let (Some(entered), false) = (account.entered, account.is_alias) {
                self.end_of_cache(&mut row, account, entered, violations);
                self.memory(&mut row, workload, entered);
            }
            row
        });
        let rows: Vec<Row> = rows.collect();
        rows.iter().for_each(|row| sum.add(row));
        (rows, sum)
    }

    /// How the cache of a row ended.
    fn end_of_cache(&self, row: &mut Row, account: &Account, entered: Time, violations: &[Violation]) {
        let ending = self.endings[usize::from(row.cache.0)];
        let breaks = |promise| {
            let of_cache = |violation: &Violation| violation.address.and_then(Machine::cache_at) == Some(row.cache);
            violations.iter().any(|violation| violation.promise == promise && of_cache(violation))
        };
        let given_back = ending.slabs_freed.zip(ending.released).map(|(slabs, cache)| slabs.max(cache));
        row.is_unsafe = breaks(Promise::MemoryOutlivesObjects);
        row.linger_ns = given_back.zip(account.returned).map(|(back, returned)| back.since(returned));
        row.splat_after_ns = ending.reported.map(|at| at.since(entered));
        row.splat = match ending.reported {
            None => Splat::None,
            Some(_) if breaks(Promise::NoFalseSplat) => Splat::False,
            Some(_) => Splat::TrueLeak,
        };
    }

    /// The memory of the cache of a row.
    fn memory(&self, row: &mut Row, workload: &Workload, entered: Time) {
        let place = usize::from(row.cache.0);
        let (ending, spec) = (self.endings[place], &workload.caches[place]);
        let freed_at = |object: &ObjectIndex| self.freed_at[object.0 as usize];
        let slab_of = |nth: usize| nth as u64 / u64::from(spec.slab_objects.max(1));
        let back = ending.slabs_freed.or(ending.given_up);
        let stays = |object: &ObjectIndex| match back {
            None => true,
            Some(back) => ending.slabs_freed.is_none() && freed_at(object).is_none_or(|freed| freed > back),
        };
        let objects = self.objects_of[place].iter().enumerate();
        let kept: BTreeSet<u64> =
            objects.clone().filter(|(_, object)| stays(object)).map(|(nth, _)| slab_of(nth)).collect();
        row.kept_bytes = kept.len() as u64 * u64::from(spec.slab_objects) * u64::from(spec.object_bytes);
        let Some(back) = back else { return };
        for (_, object) in objects.filter(|(nth, _)| !kept.contains(&slab_of(*nth))) {
            let held_ns = freed_at(object).map_or(0, |freed| back.since(freed.max(entered)));
            row.retained_bytes_ns += u128::from(held_ns) * u128::from(spec.object_bytes);
        }
    }
}

/// Whatever a CPU has on lists, in batches, and in the hands of its monitor and workers.
fn lists(krc: &crate::machine::queue::Krc, objects: &mut Vec<ObjectIndex>) {
    fn pages(pages: &[Vec<Page>], objects: &mut Vec<ObjectIndex>) {
        objects.extend(pages.iter().flatten().flat_map(|page| &page.objects));
    }
    fn freeing(freeing: &Freeing, objects: &mut Vec<ObjectIndex>) {
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
