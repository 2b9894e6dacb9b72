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
//! | a task takes a step | at once when it can; a workload's action at its own time; the flush of sheaves takes its own time |
//! | a lingering cache is checked | when its last object is freed; or only by the timer, each time that it ends |
//!
//! The machine knows by itself whether memory is given back too early, and whether a report is false. A
//! watcher can be told each event, with its time. A [`State`] that takes a kernel's events is such a watcher, and
//! says the same of the machine ([`simulate_judged`]); that takes three times as long.
//!
//! Not simulated: the time that a task's steps take by themselves, contention for CPUs and locks, CPUs that
//! go offline, and readers, except in the durations of grace periods.

mod account;
mod agenda;
mod answer;
mod ask;
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

pub use answer::{Answer, AnswerRow};
pub use ask::{Asked, MOST_LEAKED, distinct, upstream};
pub use back_test::{BackTest, Pair, Trust, Wait, back_test};
pub use budget::{Budget, GaveUp};
#[cfg(feature = "check")]
pub(crate) use measured::mix;
pub use measured::{Input, InputKind, InputUse, Measured, Origin, RecordedGrace};
pub use row::{Outcome, Row, Splat, Sum};
pub use workload::{Action, CacheSpec, Caller, Timed, Workload, WorkloadError};

use crate::approach::{Approach, rcu_barrier};
use krcu_model::{
    State, Watch,
    event::{Event, Time},
    promise::Violation,
};
use program::{Base, Plan};
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

/// A workload that is ready to be run under any approach: what they have in common is laid out once.
#[derive(Debug)]
pub struct Prepared<'a> {
    scenario: Scenario<'a>,
    base: Base,
}

impl<'a> Prepared<'a> {
    /// A scenario, made ready.
    ///
    /// # Errors
    ///
    /// When the workload names a CPU or a cache that it does not have, or has more objects than a machine.
    pub fn new(scenario: Scenario<'a>) -> Result<Prepared<'a>, WorkloadError> {
        Ok(Prepared { base: Base::new(scenario.workload, true)?, scenario })
    }

    /// Runs it under an approach.
    ///
    /// Where the approach changes what `rcu_barrier()` is, the workload is run a second time, with the plain
    /// one for those who have nothing to do with it and everything else alike, seed included: what such a
    /// caller waits longer in the first run is [`Sum::bystander_wait_ns`].
    ///
    /// # Errors
    ///
    /// When the workload has more tasks than a machine, or when the simulation gives up ([`Budget`]).
    pub fn simulate(&self, approach: &dyn Approach) -> Result<Outcome, WorkloadError> {
        run(approach, &self.scenario, &self.base, None)
    }
}

/// Runs a workload under one approach, as [`Prepared::simulate`].
///
/// # Errors
///
/// As [`Prepared::new`] and [`Prepared::simulate`].
pub fn simulate(approach: &dyn Approach, scenario: &Scenario<'_>) -> Result<Outcome, WorkloadError> {
    Prepared::new(*scenario)?.simulate(approach)
}

/// The same, with somebody who is told each event of the run as a watcher of the kernel would be. That takes
/// several times as long.
///
/// # Errors
///
/// As [`simulate`].
pub fn simulate_watched(
    approach: &dyn Approach,
    scenario: &Scenario<'_>,
    watcher: &mut dyn FnMut(&Event),
) -> Result<Outcome, WorkloadError> {
    run(approach, scenario, &Base::new(scenario.workload, false)?, Some(watcher))
}

/// The same, with the judge of real kernels as the watcher: also every promise that it finds broken.
///
/// # Errors
///
/// As [`simulate`].
pub fn simulate_judged(
    approach: &dyn Approach,
    scenario: &Scenario<'_>,
) -> Result<(Outcome, Vec<Violation>), WorkloadError> {
    let possible_cpus = u32::from(scenario.workload.cpus);
    let mut judge = State::new(Watch { attached: Time(0), possible_cpus, ..Watch::default() });
    let outcome = simulate_watched(approach, scenario, &mut |event| judge.step(event.clone()))?;
    Ok((outcome, judge.violations().to_vec()))
}

fn run<'a>(
    approach: &dyn Approach,
    scenario: &'a Scenario<'a>,
    base: &'a Base,
    watcher: Option<&'a mut dyn FnMut(&Event)>,
) -> Result<Outcome, WorkloadError> {
    let plan = Plan::new(approach, scenario.workload, base, &approach.bystander())?;
    let mut outcome = Simulation::new(plan, scenario, watcher).run(approach)?;
    if !outcome.bystander_waits_ns.is_empty() && approach.bystander() != rcu_barrier() {
        let plain = Plan::new(approach, scenario.workload, base, &rcu_barrier())?;
        outcome.charge_bystanders(&Simulation::new(plain, scenario, None).run(approach)?);
    }
    Ok(outcome)
}
