//! Shrink: leaves out of a failing world whatever is not needed to break the promise, and looks for the shortest
//! path in what remains.
//!
//! A path is replayed in a smaller world: a step that cannot be taken there is left out. If the same promise is
//! broken, the smaller world and the steps that were taken replace the larger ones. So whole tasks go, then calls
//! of tasks, then steps, CPUs, disturbances and sizes. When hardly anything is left, the checker searches this
//! world breadth first: its path is a shortest one.

use std::collections::{BTreeMap, BTreeSet};

use krcu_model::{
    event::{Cpu, Time},
    promise::{Promise, Sense},
    script,
};
use stateright::{Checker, HasDiscoveries, Model};

use super::{
    plan::{Need, Plan},
    renumber::{compact, on_cpus},
};
use crate::{
    check::world::{Step, World, Worlds, is_by_chance},
    machine::{Machine, Move, facts::Sizes},
};

/// Replays of one case.
const TRIES: usize = 20_000;
/// Steps of all replays of one case.
const STEPS: usize = 40_000_000;
/// States of the search for the shortest path.
const STATES: usize = 200_000;

/// A step that was taken, with the place in its task's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) step: Step,
    at: usize,
}

impl Taken {
    /// The step that this machine is about to take.
    pub(super) fn of(machine: &Machine, step: Step) -> Taken {
        let at = match step {
            Step::Move(Move::Task(task, _)) => machine.task(task).next as usize,
            _ => 0,
        };
        Taken { step, at }
    }
}

/// A world, and a path in it that breaks a promise.
pub(super) struct Case {
    plan: Plan,
    path: Vec<Taken>,
    promise: Promise,
    tries: usize,
    steps: usize,
}

impl Case {
    pub(super) fn new(plan: Plan, path: Vec<Taken>, promise: Promise) -> Case {
        Case { plan, path, promise, tries: 0, steps: 0 }
    }

    /// The path in words, as a script, and whether it is a shortest one. Each try is reported with the length of
    /// the path.
    pub(super) fn shrink(mut self, tried: &dyn Fn(usize)) -> (Vec<String>, String, bool) {
        for _ in 0..6 {
            let before = self.weight(&self.plan, self.path.len());
            self.drop_tasks(tried);
            self.drop_pieces(tried);
            self.drop_steps(tried);
            self.lessen_disturbances(tried);
            self.drop_cpus(tried);
            self.lessen_sizes(tried);
            if self.weight(&self.plan, self.path.len()) == before {
                break;
            }
        }
        let steps: Vec<Step> = self.path.iter().map(|taken| taken.step).collect();
        let (plan, steps) = match compact(&self.plan, &steps) {
            (plan, steps) if replay(&plan, &steps, self.promise).is_some() => (plan, steps),
            _ => (self.plan.clone(), steps),
        };
        match search(&plan, self.promise) {
            Some((plan, shortest)) => {
                let (path, script) = told(&plan, &shortest, true);
                (path, script, true)
            }
            None => {
                let (path, script) = told(&plan, &steps, false);
                (path, script, false)
            }
        }
    }

    /// How much there is of a world and a path. It must fall with each change that is kept.
    fn weight(&self, plan: &Plan, path: usize) -> usize {
        let pieces: usize = plan.actors.iter().map(|actor| actor.pieces.len()).sum();
        let changes = &plan.disturbances;
        let times = [changes.offline, changes.online, changes.shortages, changes.shrinks].map(usize::from);
        let flags = [changes.pressure, changes.pressure_ends, changes.others_graces].map(usize::from);
        let sizes =
            plan.sizes.bulk_entries + plan.sizes.sheaf_capacity + usize::from(plan.sizes.cached_pages);
        let bound = plan.actors.iter().filter(|actor| actor.cpu.is_some()).count();
        path + pieces
            + bound
            + plan.leaked.len()
            + usize::from(plan.cpus)
            + times.iter().sum::<usize>()
            + flags.iter().sum::<usize>()
            + sizes
    }

    /// Keeps a smaller world if these steps break the promise in it.
    fn keep(&mut self, plan: Plan, steps: &[Step], tried: &dyn Fn(usize)) -> bool {
        if self.tries >= TRIES || self.steps >= STEPS {
            return false;
        }
        self.tries += 1;
        self.steps += steps.len();
        tried(self.path.len());
        let Some(path) = replay(&plan, steps, self.promise) else { return false };
        let is_less = self.weight(&plan, path.len()) < self.weight(&self.plan, self.path.len());
        if is_less {
            (self.plan, self.path) = (plan, path);
        }
        is_less
    }

    /// The steps of the path, without those of these pieces of programs.
    fn steps_without(&self, dropped: &BTreeSet<(usize, usize)>) -> Vec<Step> {
        let is_kept = |taken: &&Taken| match taken.step {
            Step::Move(Move::Task(task, _)) => {
                let actor = usize::from(task.0);
                let piece = self.plan.actors[actor].piece_at(taken.at);
                piece.is_none_or(|piece| !dropped.contains(&(actor, piece)))
            }
            _ => true,
        };
        self.path.iter().filter(is_kept).map(|taken| taken.step).collect()
    }

    fn without(&mut self, dropped: &BTreeSet<(usize, usize)>, tried: &dyn Fn(usize)) -> bool {
        let mut plan = self.plan.clone();
        for (place, actor) in plan.actors.iter_mut().enumerate() {
            let mut piece = 0;
            actor.pieces.retain(|_| {
                let is_kept = !dropped.contains(&(place, piece));
                piece += 1;
                is_kept
            });
        }
        let steps = self.steps_without(dropped);
        self.keep(plan, &steps, tried)
    }

    /// Leaves out whole tasks.
    fn drop_tasks(&mut self, tried: &dyn Fn(usize)) {
        for actor in 0..self.plan.actors.len() {
            let pieces = self.plan.actors[actor].pieces.len();
            if pieces > 0 {
                self.without(&(0..pieces).map(|piece| (actor, piece)).collect(), tried);
            }
            if self.plan.actors[actor].cpu.is_some() {
                let mut plan = self.plan.clone();
                plan.actors[actor].cpu = None;
                let steps = self.steps_without(&BTreeSet::new());
                self.keep(plan, &steps, tried);
            }
        }
    }

    /// The pieces that may be left out, in order.
    fn droppable(&self) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (place, actor) in self.plan.actors.iter().enumerate() {
            for (piece, of_actor) in actor.pieces.iter().enumerate() {
                let is_droppable = match of_actor.need {
                    Need::Free => true,
                    Need::WithTask => false,
                    Need::WithoutTask(task) => self.plan.actors[usize::from(task.0)].pieces.is_empty(),
                    Need::WithoutCallbacks(module) => !self.plan.has_callbacks(module),
                };
                if is_droppable {
                    places.push((place, piece));
                }
            }
        }
        places
    }

    /// Leaves out calls: first half of them at once, at last one at a time.
    fn drop_pieces(&mut self, tried: &dyn Fn(usize)) {
        for object in self.plan.leaked.clone() {
            let mut plan = self.plan.clone();
            plan.leaked.retain(|leaked| *leaked != object);
            let steps = self.steps_without(&BTreeSet::new());
            self.keep(plan, &steps, tried);
        }
        let mut size = self.droppable().len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            loop {
                let pieces = self.droppable();
                if at >= pieces.len() {
                    break;
                }
                let end = pieces.len().min(at + size);
                if !self.without(&pieces[at..end].iter().copied().collect(), tried) {
                    at = end;
                }
            }
            size /= 2;
        }
    }

    /// The same with steps.
    fn drop_steps(&mut self, tried: &dyn Fn(usize)) {
        let mut size = self.path.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.path.len() {
                let end = self.path.len().min(at + size);
                let rest = self.path[..at].iter().chain(&self.path[end..]);
                let steps: Vec<Step> = rest.map(|taken| taken.step).collect();
                if !self.keep(self.plan.clone(), &steps, tried) {
                    at = end;
                }
            }
            size /= 2;
        }
    }

    /// Nothing may disturb the world but what the path takes.
    fn lessen_disturbances(&mut self, tried: &dyn Fn(usize)) {
        let steps = self.steps_without(&BTreeSet::new());
        let count = |is: fn(&Move) -> bool| {
            let moves = steps.iter().filter(|step| matches!(step, Step::Move(chosen) if is(chosen)));
            u8::try_from(moves.count()).unwrap_or(u8::MAX)
        };
        let used = [
            count(|chosen| matches!(chosen, Move::Offline(_))),
            count(|chosen| matches!(chosen, Move::Online(_))),
            count(|chosen| matches!(chosen, Move::PressureBegins)),
            count(|chosen| matches!(chosen, Move::Shrink(_))),
        ];
        let mut plan = self.plan.clone();
        let changes = &mut plan.disturbances;
        [changes.offline, changes.online, changes.shortages, changes.shrinks] = used;
        self.keep(plan, &steps, tried);
        for change in 0..3 {
            let mut plan = self.plan.clone();
            match change {
                0 => plan.disturbances.pressure = false,
                1 => plan.disturbances.pressure_ends = false,
                _ => plan.disturbances.others_graces = false,
            }
            self.keep(plan, &steps, tried);
        }
    }

    /// Fewer CPUs: those that the path uses get the first numbers; then several become one.
    fn drop_cpus(&mut self, tried: &dyn Fn(usize)) {
        let steps = self.steps_without(&BTreeSet::new());
        let mut used = BTreeSet::new();
        for step in &steps {
            on_cpus(*step, |cpu| {
                used.insert(cpu);
                cpu
            });
        }
        used.extend(self.plan.actors.iter().filter_map(|actor| actor.cpu));
        let numbers: BTreeMap<Cpu, Cpu> = used.into_iter().zip((0..).map(Cpu)).collect();
        let first = |cpu: Cpu| numbers.get(&cpu).copied().unwrap_or_default();
        let count = u16::try_from(numbers.len()).unwrap_or(u16::MAX).max(1);
        for cpus in [1, 2, 3, count] {
            if cpus < self.plan.cpus {
                let steps = self.steps_without(&BTreeSet::new());
                let place = |cpu: Cpu| Cpu(first(cpu).0 % cpus);
                let mut plan = self.plan.clone();
                plan.cpus = cpus;
                plan.actors.iter_mut().for_each(|actor| actor.cpu = actor.cpu.map(place));
                let steps: Vec<Step> = steps.into_iter().map(|step| on_cpus(step, place)).collect();
                if self.keep(plan, &steps, tried) {
                    break;
                }
            }
        }
    }

    /// The sizes of the exhaustive check, if the kernel's own do not matter.
    fn lessen_sizes(&mut self, tried: &dyn Fn(usize)) {
        let steps = self.steps_without(&BTreeSet::new());
        let plan = Plan { sizes: Sizes::SMALL, ..self.plan.clone() };
        self.keep(plan, &steps, tried);
    }
}

/// Takes the steps that can be taken. Returns them up to the one that breaks the promise, if one does. If the
/// promise is about the end of a world, goes on to that end.
fn replay(plan: &Plan, steps: &[Step], promise: Promise) -> Option<Vec<Taken>> {
    let mut world = World { has_whole_steps: false, ..World::new(&plan.setup()) };
    let (mut path, mut enabled) = (Vec::new(), Vec::new());
    let mut take = |world: &mut World, step| {
        path.push(Taken::of(&world.machine, step));
        world.take(step);
        world.breaks(promise).then(|| std::mem::take(&mut path))
    };
    for step in steps {
        enabled.clear();
        world.steps(&mut enabled);
        let Some(step) = enabled.iter().find(|other| *other == step).or_else(|| alike(&enabled, *step))
        else {
            continue;
        };
        let broken = take(&mut world, *step);
        if broken.is_some() {
            return broken;
        }
    }
    while promise.sense() == Sense::Eventually && !world.is_quiet {
        enabled.clear();
        world.steps(&mut enabled);
        let by_itself = |step: &&Step| !matches!(step, Step::Move(chosen) if is_by_chance(*chosen));
        let step = *enabled.iter().find(by_itself)?;
        let broken = take(&mut world, step);
        if broken.is_some() {
            return broken;
        }
    }
    None
}

/// The same task's step on another CPU.
fn alike(enabled: &[Step], step: Step) -> Option<&Step> {
    let Step::Move(Move::Task(task, _)) = step else { return None };
    enabled.iter().find(|other| matches!(other, Step::Move(Move::Task(same, _)) if *same == task))
}

/// The shortest path to the broken promise, and the world that it is in: this world, or the same with fewer CPUs.
/// None if it is too large to be searched.
fn search(plan: &Plan, promise: Promise) -> Option<(Plan, Vec<Step>)> {
    let objects = plan.present().into_iter().filter(|is_present| *is_present).count();
    (1..=plan.cpus.min(3)).filter(|_| objects <= 8).find_map(|cpus| {
        let mut plan = Plan { cpus, ..plan.clone() };
        let changes = &mut plan.disturbances;
        changes.offline = changes.offline.min(u8::try_from(cpus - 1).unwrap_or(0));
        changes.online = changes.online.min(changes.offline);
        let is_here = |cpu: &Cpu| cpu.0 < cpus;
        plan.actors.iter_mut().for_each(|actor| actor.cpu = actor.cpu.filter(is_here));
        let until = HasDiscoveries::AnyOf(BTreeSet::from([promise.name()]));
        let checker = Worlds::new(plan.setup()).checker().threads(1).finish_when(until);
        let discoveries = checker.target_state_count(STATES).spawn_bfs().join().discoveries();
        let path = discoveries.get(promise.name())?.clone().into_vec();
        Some((plan, path.into_iter().filter_map(|(_, step)| step).collect()))
    })
}

/// A path in words, and as a script.
fn told(plan: &Plan, steps: &[Step], has_whole_steps: bool) -> (Vec<String>, String) {
    let mut world = World { has_whole_steps, ..World::new(&plan.setup()) };
    let mut events = world.machine.introduction();
    let mut words = Vec::new();
    for step in steps {
        words.push(match step {
            Step::Move(chosen) => world.machine.words(*chosen),
            Step::Quiet => "nothing more can happen".to_owned(),
        });
        events.extend(world.take(*step));
    }
    // A machine has no clock. For the reader of the script, its events are a microsecond apart.
    for (microsecond, event) in (0..).zip(&mut events) {
        event.time = Time(microsecond * 1000);
    }
    (words, script::write(&events))
}
