//! Simulate: the reference machine with a clock, to say what an approach would have cost.
//!
//! The checker takes every move of a machine. Here each move has a time at which it is due, and the earliest
//! is taken. A [`Workload`] says which tasks queue and destroy what, and when. [`Measured`] says how long
//! grace periods, frees and workers take: distributions that were recorded, or constants that are assumed,
//! and every row says which. This code contains no durations.
//!
//! The table says when each move is due:
//!
//! | move | when it is due |
//! | --- | --- |
//! | a monitor runs | its delay after it was armed; the short delay once a page is full |
//! | a grace period begins for a waiting task | when the last one ends, or a start's delay after the request; last at that time |
//! | a grace period begins for polling tasks only | when others need one |
//! | a grace period ends | a duration after it began; if the recorded ones are known, that of the nearest |
//! | a batch's work begins, the page cache is filled, a work item releases caches | a worker's delay later |
//! | callbacks run | a softirq's delay after they may run, then one after the other |
//! | a call frees objects | after the cost of each object that it frees; one call after the other |
//! | a task takes a step | at once when it can; a workload's action at its own time |
//! | a lingering cache is checked | when its last object is freed; or only by the timer, each time that it ends |
//!
//! The events that a watcher would see go, with their times, to the same [`State`](krcu_model::State) that
//! takes a kernel's events. That state decides whether a row is unsafe, and whether a report is false.
//!
//! Not simulated: the time that a task's steps take by themselves, contention for CPUs and locks, CPUs that
//! go offline, and readers, except in the durations of grace periods.

mod account;
mod agenda;
mod back_test;
mod budget;
mod linger;
mod measured;
mod poll;
mod program;
mod reckon;
mod row;
mod run;
#[cfg(test)]
mod tests;
mod workload;

pub use back_test::{BackTest, Pair, Wait, back_test};
pub use budget::{Budget, GaveUp};
#[cfg(feature = "check")]
pub(crate) use measured::mix;
pub use measured::{Input, InputKind, InputUse, Measured, Origin, RecordedGrace};
pub use row::{Outcome, Row, Splat, Sum};
pub use workload::{Action, CacheSpec, Caller, Timed, Workload, WorkloadError};

use crate::approach::{Approach, rcu_barrier};
use krcu_model::event::Event;
use program::Plan;
use run::Simulation;

/// Everything that a simulation is about, beside the approach.
#[derive(Clone, Copy, Debug)]
pub struct Scenario<'a> {
    /// Who does what, and when.
    pub workload: &'a Workload,
    /// How long things take.
    pub measured: &'a Measured,
    /// From which samples are drawn: the same seed gives the same rows.
    pub seed: u64,
    /// When each run of the workload gives up.
    pub budget: Budget<'a>,
}

/// Runs a workload under an approach.
///
/// Where the approach changes what `rcu_barrier()` is, the workload is run a second time, with the plain
/// one for those who have nothing to do with it and everything else alike, seed included: what such a
/// caller waits longer in the first run is [`Sum::bystander_wait_ns`].
///
/// # Errors
///
/// When the workload names a CPU or a cache that it does not have, or has more tasks than a machine; or
/// when the simulation gives up ([`Budget`]).
pub fn simulate(approach: &dyn Approach, scenario: &Scenario<'_>) -> Result<Outcome, WorkloadError> {
    simulate_watched(approach, scenario, &mut |_| {})
}

/// The same, with somebody who is told each event of the run as a watcher of the kernel would be: what
/// the rows are judged by.
///
/// # Errors
///
/// As [`simulate`].
pub fn simulate_watched(
    approach: &dyn Approach,
    scenario: &Scenario<'_>,
    watcher: &mut dyn FnMut(&Event),
) -> Result<Outcome, WorkloadError> {
    let plan = Plan::new(approach, scenario.workload, &approach.bystander())?;
    let mut outcome = Simulation::new(plan, scenario, watcher).run(approach)?;
    if !outcome.bystander_waits_ns.is_empty() && approach.bystander() != rcu_barrier() {
        let plain = Plan::new(approach, scenario.workload, &rcu_barrier())?;
        outcome.charge_bystanders(&Simulation::new(plain, scenario, &mut |_| {}).run(approach)?);
    }
    Ok(outcome)
}
