//! Simulate: the reference machine with a clock, to say what an approach would have cost.
//!
//! The checker takes every move of a machine; here each move has a time at which it is due, and the
//! earliest is taken. A [`Workload`] says who queues and destroys what and when, [`Measured`] how long
//! grace periods, frees and workers take: distributions that were recorded, or constants that are
//! assumed, and every row says which. No duration is in this code.
//!
//! What is due when:
//!
//! | move | due |
//! | --- | --- |
//! | a monitor | its delay after it was armed, the short one once a page is full |
//! | a grace period begins | when the one before it ends, or a start's delay after somebody asks; then after all else |
//! | the same, for those who only poll | when that of others begins |
//! | it ends | a duration after it began: where the recorded ones are known in their places, that of the nearest |
//! | a batch is taken up, the page cache is filled, a work item releases caches | a worker's delay later |
//! | callbacks | a softirq's delay after they may run, then one after the other |
//! | whoever frees | what each object costs, for as many as the call frees; one after the other |
//! | a step of a task | at once when it can be taken, but a workload's action at its own time |
//! | a lingering cache is looked at | with its last object's free; by the timer alone, each time that it ends |
//!
//! What a watcher would see goes, with its time, to the same [`State`](krcu_model::State) that takes a
//! kernel's events: what is unsafe or a false report in a row is that engine's judgement.
//!
//! Not simulated: the time that the steps of a task take by themselves, contention for CPUs and locks,
//! CPUs that go offline, and readers other than in the durations of grace periods.

mod account;
mod agenda;
mod back_test;
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
}

/// Runs a workload under an approach.
///
/// Where the approach changes what `rcu_barrier()` is, the workload is run a second time, with the plain
/// one for those who have nothing to do with it and everything else alike, seed included: what such a
/// caller waits longer in the first run is [`Sum::bystander_wait_ns`].
///
/// # Errors
///
/// When the workload names a CPU or a cache that it does not have, or has more tasks than a machine.
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
    let mut outcome = Simulation::new(plan, scenario, watcher).run(approach);
    if !outcome.bystander_waits_ns.is_empty() && approach.bystander() != rcu_barrier() {
        let plain = Plan::new(approach, scenario.workload, &rcu_barrier())?;
        outcome.charge_bystanders(&Simulation::new(plain, scenario, &mut |_| {}).run(approach));
    }
    Ok(outcome)
}
