//! What if: what each approach would have cost a destroy, on its own workload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    approach::{self, Approach},
    simulate::{InputKind, Measured, Origin, Scenario, Splat, Workload, simulate},
};

/// From which samples are drawn: the same question has the same answer.
const SEED: u64 = 1;

/// The question, to be answered where it holds nobody up: it owns what it needs.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its place among the destroys of the workload.
    pub(super) row: usize,
    pub(super) destroy: u64,
    pub(super) cache: String,
    pub(super) own_objects: u64,
    pub(super) other_objects: u64,
    pub(super) own_left_out: u64,
    pub(super) others_left_out: bool,
    pub(super) measured_wait_ns: u64,
    pub(super) workload: Workload,
    pub(super) measured: Measured,
}

/// What each approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// The destroy, by its place among all.
    pub destroy: u64,
    /// Its cache.
    pub cache: String,
    /// Deferred frees of this cache that were simulated.
    pub own_objects: u64,
    /// The same of other caches.
    pub other_objects: u64,
    /// Deferred frees of this cache that were not kept, and so not simulated: the oldest.
    pub own_left_out: u64,
    /// Whether some of other caches were not.
    pub others_left_out: bool,
    /// How long the destroy took until it looked at its slabs, on the kernel that was watched.
    pub measured_wait_ns: u64,
    /// Every approach, in the order of the document.
    pub rows: Vec<WhatIfRow>,
    /// What the times rest on.
    pub inputs: Vec<InputRow>,
    /// Why there are no rows, where there are none.
    pub refused: Option<String>,
}

/// What one approach would have cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfRow {
    /// The approach, and its option.
    pub approach: String,
    /// Whether memory was given back, or the cache given up, with an object queued, in this run.
    #[serde(rename = "unsafe")]
    pub is_unsafe: bool,
    /// Nanoseconds that the caller waits, with barriers before and after the destroy; absent when it never ends.
    pub caller_wait_ns: Option<u64>,
    /// Nanoseconds from its return until everything was given back; absent when that never comes.
    pub linger_ns: Option<u64>,
    /// Objects of the cache that it waits for by its design.
    pub waited_for_own: u64,
    /// The same of other caches.
    pub waited_for_other: u64,
    /// Grace periods that began because of it.
    pub grace_periods_forced: u64,
    /// Nanoseconds that unrelated callers of `rcu_barrier()` wait longer.
    pub bystander_wait_ns: u64,
    /// Bytes of slabs that are never given back.
    pub kept_bytes: u64,
    /// What would be reported of the cache.
    pub splat: Splat,
    /// What a module's source would have to say.
    pub api_changes: String,
}

/// What the times of the rows rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRow {
    /// Of what.
    pub input: InputKind,
    /// Whether it was observed.
    pub origin: Origin,
    /// Where it comes from.
    pub source: String,
    /// Samples that there are.
    pub samples: u64,
}

impl Question {
    /// Simulates every approach. May take a second.
    #[must_use]
    pub fn answer(&self) -> WhatIf {
        let mut answer = WhatIf {
            destroy: self.destroy,
            cache: self.cache.clone(),
            own_objects: self.own_objects,
            other_objects: self.other_objects,
            own_left_out: self.own_left_out,
            others_left_out: self.others_left_out,
            measured_wait_ns: self.measured_wait_ns,
            ..WhatIf::default()
        };
        let mut inputs = BTreeMap::new();
        for approach in approach::all() {
            match self.row(approach.as_ref(), &mut inputs) {
                Ok(row) => answer.rows.extend(row),
                Err(refused) => answer.refused = Some(refused),
            }
        }
        answer.inputs = inputs.into_values().collect();
        answer
    }

    fn row(
        &self,
        approach: &dyn Approach,
        inputs: &mut BTreeMap<InputKind, InputRow>,
    ) -> Result<Option<WhatIfRow>, String> {
        let scenario = Scenario { workload: &self.workload, measured: &self.measured, seed: SEED };
        let outcome = simulate(approach, &scenario).map_err(|error| error.to_string())?;
        let Some(row) = outcome.rows.into_iter().nth(self.row) else { return Ok(None) };
        for used in row.inputs.iter().filter(|used| used.draws > 0) {
            let (input, origin, samples) = (used.input, used.origin, used.samples);
            let row = || InputRow { input, origin, source: used.source.clone(), samples };
            inputs.entry(input).or_insert_with(row);
        }
        Ok(Some(WhatIfRow {
            approach: row.approach,
            is_unsafe: row.is_unsafe,
            caller_wait_ns: row.caller_wait_ns,
            linger_ns: row.linger_ns,
            waited_for_own: row.waited_for_own,
            waited_for_other: row.waited_for_other,
            grace_periods_forced: row.grace_periods_forced,
            bystander_wait_ns: outcome.sum.bystander_wait_ns,
            kept_bytes: row.kept_bytes,
            splat: row.splat,
            api_changes: row.api_changes.to_owned(),
        }))
    }
}
