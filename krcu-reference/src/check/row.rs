//! Row: an approach, checked in a world, promise by promise, with a shortest path to each broken promise.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    workload::{Depth, Variant, world},
    world::{Step, Witness, World, Worlds},
};
use crate::{approach::Approach, machine::fault::Fault};
use krcu_model::{event::Time, promise::Promise, script};

/// The result of a row, in one world or in all of them.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The number of different states, up to symmetry.
    pub states: usize,
    /// The number of steps taken between them.
    pub transitions: u64,
    /// The number of steps to the farthest state.
    pub depth: usize,
    /// Promises that are broken, each with a path.
    pub broken: Vec<Broken>,
    /// What the check saw happen.
    pub witnessed: BTreeSet<Witness>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The promise.
    pub promise: Promise,
    /// The world.
    pub variant: Variant,
    /// The moves, in words.
    pub path: Vec<String>,
    /// The events that a watcher would see of it, as a script.
    pub script: String,
}

impl Outcome {
    /// How a promise is broken, if it is.
    #[must_use]
    pub fn breaks(&self, promise: Promise) -> Option<&Broken> {
        self.broken.iter().find(|broken| broken.promise == promise)
    }

    /// Adds the result of the same row in another world.
    pub fn add(&mut self, other: &Outcome) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.depth = self.depth.max(other.depth);
        self.witnessed.extend(&other.witnessed);
        for found in &other.broken {
            match self.broken.iter_mut().find(|known| known.promise == found.promise) {
                Some(known) if known.path.len() <= found.path.len() => {}
                Some(known) => *known = found.clone(),
                None => self.broken.push(found.clone()),
            }
        }
        self.broken.sort_by_key(|broken| broken.promise);
    }
}

/// Explores one world of a row to its end.
#[must_use]
pub fn check(approach: &dyn Approach, depth: Depth, variant: Variant) -> Option<Outcome> {
    let setup = world(approach, depth, variant, None)?;
    Some(explore(Worlds::new(setup), variant, HasDiscoveries::All))
}

/// Explores a row's worlds, the smallest first, until a promise is broken; with a fault in the machine or
/// without one.
#[must_use]
pub fn refute(approach: &dyn Approach, fault: Option<Fault>, promise: Promise) -> Outcome {
    let mut outcome = Outcome::default();
    for variant in Variant::ALL {
        let Some(setup) = world(approach, Depth::Bounded, variant, fault) else { continue };
        let until = HasDiscoveries::AnyOf(BTreeSet::from([promise.name()]));
        outcome.add(&explore(Worlds::new(setup), variant, until));
        if outcome.breaks(promise).is_some() {
            break;
        }
    }
    outcome
}

fn explore(worlds: Worlds, variant: Variant, until: HasDiscoveries) -> Outcome {
    // With one thread, the order of exploration, and so each path, is the same on every run.
    let checker = worlds.checker().threads(1).finish_when(until).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let broken = Promise::ALL.into_iter().filter_map(|promise| {
        let path = discoveries.get(promise.name())?.clone().into_vec();
        Some(told(promise, variant, &path))
    });
    Outcome {
        states: checker.unique_state_count(),
        transitions: checker.model().transitions(),
        depth: checker.max_depth(),
        broken: broken.collect(),
        witnessed: checker.model().witnessed(),
    }
}

/// A path in words, and as a script.
fn told(promise: Promise, variant: Variant, path: &[(World, Option<Step>)]) -> Broken {
    let mut words = Vec::new();
    let mut events = path.first().map(|(world, _)| world.machine.introduction()).unwrap_or_default();
    for (world, step) in path {
        let Some(step) = step else { continue };
        words.push(match step {
            Step::Move(chosen) => world.machine.words(*chosen),
            Step::Quiet => "nothing more can happen".to_owned(),
        });
        events.extend(world.clone().take(*step));
    }
    // A machine has no clock. For the reader of the script, its events are a microsecond apart.
    for (microsecond, event) in (0..).zip(&mut events) {
        event.time = Time(microsecond * 1000);
    }
    Broken { promise, variant, path: words, script: script::write(&events) }
}
