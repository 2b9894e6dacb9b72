//! Run: a walk from its first step to its last, or to a broken promise.

use std::cell::Cell;

use krcu_model::{
    event::{Event, What},
    promise::Promise,
};

use super::{
    kernel::{Kernel, Known},
    pace::{Kind, Pace},
    plan::Plan,
    random::Random,
    shrink::{Case, Taken},
};
use crate::{
    check::world::{Step, World},
    machine::{Move, fault::Fault},
};

/// A report is made after each of these many steps.
const REPORT: u64 = 50_000;

/// A walk: where it goes, and how far.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// The kernel.
    pub kernel: Kernel,
    /// The known faults that it keeps. All others are repaired.
    pub on: &'a [Known],
    /// A fault of the machine that no kernel has.
    pub fault: Option<Fault>,
    /// What determines the walk.
    pub seed: u64,
    /// How many steps it takes at most.
    pub steps: u64,
}

/// What happened in a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps, each one move of a machine.
    pub steps: u64,
    /// Worlds, the last of which may be unfinished.
    pub worlds: u64,
    /// Objects in them.
    pub objects: u64,
    /// Events that a watcher saw.
    pub events: u64,
    /// Objects that were freed after they had been queued.
    pub freed: u64,
    /// Barriers that returned.
    pub barriers: u64,
    /// Calls of `kmem_cache_destroy()`.
    pub destroys: u64,
    /// Those that found objects of their cache queued.
    pub met: u64,
    /// Pages of pointers that were full when they were freed.
    pub full_pages: u64,
    /// Sheaves that were full.
    pub full_sheaves: u64,
    /// Steps of each [kind](Kind).
    pub kinds: [u64; Kind::ALL.len()],
}

/// The result of a walk.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// What happened.
    pub counts: Counts,
    /// The broken promise that it ended at.
    pub found: Option<Found>,
}

/// A broken promise, and the shortest path to it that is known.
#[derive(Clone, Debug)]
pub struct Found {
    /// The promise.
    pub promise: Promise,
    /// The number of the step in the walk.
    pub step: u64,
    /// The number of the step in its world.
    pub in_world: usize,
    /// The path in words.
    pub path: Vec<String>,
    /// The events that a watcher would see of it, as a script.
    pub script: String,
    /// Whether no path to a broken promise in this world is shorter: an exhaustive search has found it.
    pub is_shortest: bool,
}

impl Walk<'_> {
    /// Takes the steps, and reports from time to time how far it is.
    #[must_use]
    pub fn run(&self, report: &dyn Fn(&str)) -> Walked {
        let mut seeds = Random::new(self.seed ^ (self.kernel as u64) << 32);
        let mut counts = Counts::default();
        while counts.steps < self.steps {
            let mut random = Random::new(seeds.next());
            let plan = Plan::draw(self.kernel, self.on, self.fault, &mut random);
            counts.worlds += 1;
            counts.objects += plan.objects.len() as u64;
            let (path, broken) = self.through(&plan, &mut random, &mut counts, report);
            let Some(promise) = broken else { continue };
            let (step, in_world) = (counts.steps, path.len());
            let name = self.kernel.name();
            report(&format!("{name}: {} is broken at step {step}, {in_world} of its world", promise.name()));
            let tries = Cell::new(0);
            let tried = |length: usize| {
                tries.set(tries.get() + 1);
                if tries.get() % 100 == 0 {
                    report(&format!("{name}: {} tries to shorten the path, {length} steps now", tries.get()));
                }
            };
            let (path, script, is_shortest) = Case::new(plan, path, promise).shrink(&tried);
            return Walked {
                counts,
                found: Some(Found { promise, step, in_world, path, script, is_shortest }),
            };
        }
        Walked { counts, found: None }
    }

    /// Through one world, to its end or to a broken promise.
    fn through(
        &self,
        plan: &Plan,
        random: &mut Random,
        counts: &mut Counts,
        report: &dyn Fn(&str),
    ) -> (Vec<Taken>, Option<Promise>) {
        let mut world = World { has_whole_steps: false, ..World::new(&plan.setup()) };
        let mut pace = Pace::draw(random);
        let (mut path, mut steps) = (Vec::new(), Vec::new());
        while counts.steps < self.steps && !world.is_quiet {
            steps.clear();
            world.steps(&mut steps);
            let Some(step) = pace.choose(random, &world.machine, &steps) else { break };
            counts.kinds[Kind::of(&world.machine, step) as usize] += 1;
            path.push(Taken::of(&world.machine, step));
            let seen = world.take(step);
            counts.steps += 1;
            counts.note(plan, &world, step, &seen);
            if counts.steps.is_multiple_of(REPORT) {
                let Counts { steps, worlds, .. } = counts;
                report(&format!("{}: {steps} steps, {worlds} worlds", self.kernel.name()));
            }
            if let Some(violation) = world.state.violations().first() {
                return (path, Some(violation.promise));
            }
        }
        (path, None)
    }
}

impl Counts {
    fn note(&mut self, plan: &Plan, world: &World, step: Step, seen: &[Event]) {
        self.events += seen.len() as u64;
        let mut freed = 0;
        for event in seen {
            match &event.what {
                What::Freed { .. } => freed += 1,
                What::CallbackRan { .. } => self.freed += 1,
                What::BarrierEnd { .. } => self.barriers += 1,
                What::DestroyBegin { cache, .. } => {
                    self.destroys += 1;
                    let waiting =
                        world.state.outstanding_of(*cache) + world.state.callbacks_waiting_of(*cache);
                    self.met += u64::from(waiting > 0);
                }
                _ => {}
            }
        }
        self.freed += freed;
        match step {
            Step::Move(Move::Free(_)) => {
                self.full_pages += u64::from(freed == plan.sizes.bulk_entries as u64);
            }
            Step::Move(Move::Callback(_)) => {
                self.full_sheaves += u64::from(freed == plan.sizes.sheaf_capacity as u64);
            }
            _ => {}
        }
    }
}
