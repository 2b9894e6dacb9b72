//! Row: one approach checked, promise by promise, with the shortest path to each that is broken.

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    workload::{Depth, worlds},
    world::{Step, Witness, World, Worlds},
};
use crate::{approach::Approach, machine::fault::Fault, promise::Promise, script};

/// What became of one row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Different worlds, up to symmetry.
    pub states: usize,
    /// Steps taken between them.
    pub transitions: u32,
    /// Steps of the longest shortest path.
    pub depth: usize,
    /// Promises that are broken, and how one gets there.
    pub broken: Vec<Broken>,
    /// What was seen to happen.
    pub witnessed: Vec<Witness>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// The moves, in words.
    pub path: Vec<String>,
    /// The events that a watcher would see of it, as a script.
    pub script: String,
}

impl Outcome {
    /// Whether a promise is broken.
    #[must_use]
    pub fn breaks(&self, promise: Promise) -> Option<&Broken> {
        self.broken.iter().find(|broken| broken.promise == promise)
    }
}

/// Explores a row to its end.
#[must_use]
pub fn check(approach: &dyn Approach, depth: Depth) -> Outcome {
    explore(Worlds::new(worlds(approach, depth, None)), HasDiscoveries::All)
}

/// Explores a row until a promise is broken, with a fault in the machine or without.
#[must_use]
pub fn refute(approach: &dyn Approach, fault: Option<Fault>, promise: Promise) -> Outcome {
    let names = std::collections::BTreeSet::from([promise.name()]);
    explore(Worlds::new(worlds(approach, Depth::Bounded, fault)), HasDiscoveries::AnyOf(names))
}

fn explore(worlds: Worlds, until: HasDiscoveries) -> Outcome {
    // One thread: the order of exploration, and so each path, is the same on every run.
    let mut b = worlds.checker().threads(1).finish_when(until);
    if let Ok(n) = std::env::var("N") { b = b.target_state_count(n.parse().unwrap()); }
    let checker = b.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut broken: Vec<Broken> = Promise::ALL
        .into_iter()
        .filter_map(|promise| {
            let path = discoveries.get(promise.name())?.clone().into_vec();
            Some(told(promise, &path))
        })
        .collect();
    broken.sort_by_key(|broken| broken.promise);
    Outcome {
        states: checker.unique_state_count(),
        transitions: checker.model().transitions(),
        depth: checker.max_depth(),
        broken,
        witnessed: checker.model().witnessed(),
    }
}

/// A path in words, and as a script.
fn told(promise: Promise, path: &[(World, Option<Step>)]) -> Broken {
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
    Broken { promise, path: words, script: script::write(&events) }
}
