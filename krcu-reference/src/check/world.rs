//! World: a machine and what a watcher believes of it, as a model that stateright explores.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use stateright::{Model, Property};

use super::essence::essence;
use crate::machine::{Life, Machine, Move, Setup, TaskIndex, cache::End, fault::Fault, parts::Duty};
use krcu_model::{
    State, Watch,
    event::{Cpu, Event, Task, Time, What},
    promise::Promise,
};

/// A machine, its watcher, and whether nothing more can happen.
#[derive(Clone, Debug)]
pub struct World {
    /// The machine.
    pub machine: Machine,
    /// What the watcher believes after the events so far. Worlds share it until an event changes it: many moves show none.
    pub state: Arc<State>,
    /// Whether the watcher has been told that nothing more will happen.
    pub is_quiet: bool,
    /// Whether moves that cannot be distinguished from the move before them are one step with it. A test
    /// compares worlds of whole steps with worlds without them.
    pub has_whole_steps: bool,
}

/// One step of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The machine moves.
    Move(Move),
    /// Nothing can move, and the watcher learns that.
    Quiet,
}

impl World {
    /// A machine before its first move.
    #[must_use]
    pub fn new(setup: &Arc<Setup>) -> World {
        let machine = Machine::new(Arc::clone(setup));
        let possible_cpus = u32::from(setup.cpus);
        let mut state = State::new(Watch { attached: Time(0), possible_cpus, ..Watch::default() });
        machine.introduction().into_iter().for_each(|event| state.step(event));
        World { machine, state: Arc::new(state), is_quiet: false, has_whole_steps: true }
    }

    /// The steps that can happen.
    pub fn steps(&self, steps: &mut Vec<Step>) {
        let mut moves = Vec::new();
        self.machine.moves(&mut moves);
        let by_itself = |chosen: &Move| !is_by_chance(*chosen) && !self.is_idle_turn(*chosen);
        if !self.is_quiet && !moves.iter().any(by_itself) {
            steps.push(Step::Quiet);
        }
        steps.extend(moves.into_iter().filter(|chosen| !self.is_idle_turn(*chosen)).map(Step::Move));
    }

    /// Whether a move would change nothing: a monitor finds both batches full, again and again.
    fn is_idle_turn(&self, chosen: Move) -> bool {
        let Move::Monitor(cpu) = chosen else { return false };
        let krc = &self.machine.cpu(cpu).krc;
        if self.machine.has_fault(Fault::MonitorNotRearmed) {
            return false;
        }
        krc.has_queued() && !self.machine.can_offload(cpu) && !self.machine.has_ready(cpu)
    }

    /// A move that is taken at once, because taking it later shows nothing new. Such moves are: the page
    /// cache is filled; a worker that has begun to free ends (objects that it has not freed yet can be met
    /// before it begins); a callback that only lets others go on does so; a CPU that is going offline is
    /// gone, if no sheaf on it could make that too early.
    fn urgent(&self) -> Option<Move> {
        let machine = &self.machine;
        for cpu in machine.cpu_numbers() {
            if machine.cpu(cpu).krc.fill {
                return Some(Move::FillPages(cpu));
            }
            let first = machine.cpu(cpu).callbacks.front();
            if first.is_some_and(|first| {
                !machine.cpu(cpu).offline
                    && machine.grace.is_done(first.cookie)
                    && matches!(first.duty, Duty::Work(..) | Duty::Barrier)
            }) {
                return Some(Move::Callback(cpu));
            }
        }
        machine.going_offline.filter(|_| !machine.setup().generation.has_sheaves).map(Move::Dead)
    }

    /// A task in the middle of an op that visits all CPUs goes on at once, if no CPU can go away meanwhile:
    /// all visits of such an op are one step.
    fn goes_round(&self, task: TaskIndex) -> Option<Cpu> {
        let machine = &self.machine;
        let is_whole = machine.offline_left == 0 && machine.going_offline.is_none();
        machine.next_turn(task).filter(|_| is_whole)
    }

    /// Completes a move to a whole step.
    fn complete(&mut self, chosen: Move, seen: &mut Vec<Event>) {
        if let Move::Free(freer) = chosen {
            while self.machine.is_freeing(freer) {
                self.machine.apply(chosen, seen);
            }
        }
        if let Move::Task(task, _) = chosen {
            while let Some(cpu) = self.goes_round(task) {
                self.machine.apply(Move::Task(task, cpu), seen);
            }
        }
        while let Some(urgent) = self.urgent() {
            self.machine.apply(urgent, seen);
        }
    }

    /// Takes a step, and returns the events that it showed.
    pub fn take(&mut self, step: Step) -> Vec<Event> {
        let mut seen = Vec::new();
        match step {
            Step::Move(chosen) => {
                self.machine.apply(chosen, &mut seen);
                if self.has_whole_steps {
                    self.complete(chosen, &mut seen);
                }
            }
            Step::Quiet => {
                self.is_quiet = true;
                seen.push(Event { time: Time(0), task: Task(0), cpu: Cpu(0), what: What::Quiet });
            }
        }
        for event in &seen {
            Arc::make_mut(&mut self.state).step(event.clone());
        }
        seen
    }

    /// Whether a promise is broken.
    #[must_use]
    pub fn breaks(&self, promise: Promise) -> bool {
        self.state.violations().iter().any(|violation| violation.promise == promise)
    }
}

/// Whether a move need not happen: a CPU need not go offline or come back, a shortage need not begin or end, and
/// a shrinker need not run. What a promise demands must happen without them.
pub(crate) fn is_by_chance(chosen: Move) -> bool {
    matches!(
        chosen,
        Move::Offline(_) | Move::Online(_) | Move::PressureBegins | Move::PressureEnds | Move::Shrink(_)
    )
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&essence(self));
    }
}

impl PartialEq for World {
    fn eq(&self, other: &World) -> bool {
        essence(self) == essence(other)
    }
}

/// Something that must be seen in a row's worlds. Otherwise its promises may hold only because nothing
/// happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Witness {
    /// A destroy began while deferred frees of its cache were outstanding.
    DestroyMetDeferred,
    /// A barrier returned while an object that was queued after its call was still queued.
    BarrierLetPass,
    /// Two callers were inside their barriers or destroys at the same time.
    CallersMet,
    /// Both caches had been destroyed, and neither was gone.
    BothEnding,
    /// One caller found the other at the mutex.
    CallersQueued,
    /// One caller rode on the other's operation.
    CallerRode,
    /// A grace period waited for a reader.
    GraceWaited,
    /// An object went to a fallback list.
    ListUsed,
    /// A call that found no memory waited within itself.
    CallWaited,
    /// A CPU went offline while something was queued on it.
    OfflineWithQueue,
    /// A monitor found a page ready.
    MonitorFreed,
    /// A sheaf was flushed although it was not full.
    SheafFlushed,
    /// A cache was destroyed with an object leaked.
    Leaked,
}

impl Witness {
    /// All of them.
    pub const ALL: [Witness; 13] = [
        Witness::DestroyMetDeferred,
        Witness::BarrierLetPass,
        Witness::CallersMet,
        Witness::BothEnding,
        Witness::CallersQueued,
        Witness::CallerRode,
        Witness::GraceWaited,
        Witness::ListUsed,
        Witness::CallWaited,
        Witness::OfflineWithQueue,
        Witness::MonitorFreed,
        Witness::SheafFlushed,
        Witness::Leaked,
    ];

    /// The witness in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Witness::DestroyMetDeferred => "a destroy met deferred frees",
            Witness::BarrierLetPass => "a barrier returned before what was queued after its call",
            Witness::CallersMet => "two callers at once",
            Witness::BothEnding => "two destroyed caches at once, neither gone",
            Witness::CallersQueued => "one waited for the other's mutex",
            Witness::CallerRode => "one rode on the other's operation",
            Witness::GraceWaited => "a grace period waited for the reader",
            Witness::ListUsed => "the fallback list was used",
            Witness::CallWaited => "a call without memory waited within itself",
            Witness::OfflineWithQueue => "a CPU went offline with objects queued on it",
            Witness::MonitorFreed => "a monitor freed what was ready",
            Witness::SheafFlushed => "a sheaf was flushed before it was full",
            Witness::Leaked => "a cache was destroyed with a leak",
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// Everything that can become of a world, as a model.
pub struct Worlds {
    setup: Arc<Setup>,
    witnessed: AtomicU32,
    reported: AtomicU32,
    transitions: AtomicU64,
}

impl Worlds {
    /// The worlds that begin like this.
    #[must_use]
    pub fn new(setup: Arc<Setup>) -> Worlds {
        let zero = || AtomicU32::new(0);
        Worlds { setup, witnessed: zero(), reported: zero(), transitions: AtomicU64::new(0) }
    }

    /// What the check saw happen.
    #[must_use]
    pub fn witnessed(&self) -> BTreeSet<Witness> {
        let bits = self.witnessed.load(Ordering::Relaxed);
        Witness::ALL.into_iter().filter(|witness| bits & witness.bit() != 0).collect()
    }

    /// The number of transitions taken.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    /// Whether this world is the first that breaks a promise. The checker goes on after it, and must keep the
    /// path to the first, which is a shortest path.
    fn is_first_to_break(&self, world: &World, promise: Promise) -> bool {
        let bit = 1 << (promise as u32);
        world.breaks(promise) && self.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    fn witness(&self, witness: Witness) {
        self.witnessed.fetch_or(witness.bit(), Ordering::Relaxed);
    }

    fn watch(&self, before: &World, after: &World, step: Step, seen: &[Event]) {
        let machine = &before.machine;
        for event in seen {
            match &event.what {
                What::DestroyBegin { cache, .. } => {
                    let queued =
                        before.state.view().caches.get(cache).map_or(0, |cache| cache.outstanding.len());
                    let callbacks = before.state.view().ledger.callbacks.values();
                    if queued > 0 || callbacks.filter(|waiting| waiting.cache == *cache).count() > 0 {
                        self.witness(Witness::DestroyMetDeferred);
                    }
                    if before.state.view().ledger.leaked(*cache) > 0 {
                        self.witness(Witness::Leaked);
                    }
                }
                What::BarrierEnd { barrier, .. } => {
                    let open = before.state.view().open_barriers.get(&event.task);
                    let begin = open.and_then(|open| open.iter().rfind(|b| b.barrier == *barrier));
                    let passes = |position: u64| begin.is_some_and(|b| position > b.begin.position);
                    let lists =
                        after.state.view().caches.values().flat_map(|cache| cache.outstanding_objects());
                    let mut queued = lists.map(|(_, entry)| entry.queued.position);
                    let mut callbacks =
                        after.state.view().ledger.callbacks.values().map(|w| w.queued.position);
                    if queued.any(passes) || callbacks.any(passes) {
                        self.witness(Witness::BarrierLetPass);
                    }
                }
                _ => {}
            }
        }
        if after.state.view().open_barriers.len() > 1 || after.state.view().open_destroys.len() > 1 {
            self.witness(Witness::CallersMet);
        }
        if after.machine.caches().iter().all(|cache| !matches!(cache.end, End::Alive | End::Released)) {
            self.witness(Witness::BothEnding);
        }
        match step {
            Step::Move(Move::Task(task, cpu)) => self.watch_task(machine, after, task, cpu),
            Step::Move(Move::GraceBegin) if !after.machine.blocking_readers.is_empty() => {
                self.witness(Witness::GraceWaited);
            }
            Step::Move(Move::Offline(cpu)) if machine.holds_objects(cpu) => {
                self.witness(Witness::OfflineWithQueue);
            }
            Step::Move(Move::Monitor(cpu)) if after.machine.is_monitor_running(cpu) => {
                self.witness(Witness::MonitorFreed);
            }
            _ => {}
        }
    }

    fn watch_task(&self, machine: &Machine, after: &World, task: TaskIndex, cpu: Cpu) {
        if machine.task_indices().filter(|task| machine.waits_for_lock(*task).is_some()).count() > 0 {
            self.witness(Witness::CallersQueued);
        }
        if machine.rides(task) {
            self.witness(Witness::CallerRode);
        }
        if after.machine.task(task).waiting.is_some() {
            self.witness(Witness::CallWaited);
        }
        if after.machine.cpu(cpu).krc.head.len() > machine.cpu(cpu).krc.head.len() {
            self.witness(Witness::ListUsed);
        }
        let queued = |machine: &Machine| -> usize {
            machine.cpus.iter().flat_map(|cpu| &cpu.sheaves).map(|sheaf| sheaf.objects.len()).sum()
        };
        let is_new =
            |machine: &Machine| machine.objects().iter().filter(|life| **life == Life::Queued).count();
        if queued(&after.machine) < queued(machine) && is_new(&after.machine) == is_new(machine) {
            self.witness(Witness::SheafFlushed);
        }
    }
}

macro_rules! holds {
    ($promise:expr) => {
        Property::<Worlds>::always($promise.name(), |model, world| !model.is_first_to_break(world, $promise))
    };
}

impl Model for Worlds {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.setup)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        world.steps(actions);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let seen = next.take(step);
        self.transitions.fetch_add(1, Ordering::Relaxed);
        self.watch(world, &next, step, &seen);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Worlds>> {
        vec![
            holds!(Promise::MemoryOutlivesObjects),
            holds!(Promise::GracePeriodKept),
            holds!(Promise::BarrierCovers),
            holds!(Promise::CallbacksBeforeUnload),
            holds!(Promise::LeakIsReported),
            holds!(Promise::NoFalseSplat),
            holds!(Promise::DestroyCompletes),
            holds!(Promise::DeferredFreeComes),
            // Keeps the exploration going when every promise above is broken.
            Property::<Worlds>::always("explored", |_, _| true),
        ]
    }
}
