//! What if: simulates what each approach would have cost a destroy, from the agent's question.

use std::collections::BTreeMap;

use krcu_model::event::Cpu;
use krcu_reference::{
    approach::{self, Approach},
    machine::CacheIndex,
    simulate::{
        Action, CacheSpec, Caller, Input, InputKind, InputUse, Measured, Row, Scenario, Workload, simulate,
    },
};
use krcu_report::Question;

/// The seed of all draws: the same question has the same answer.
const SEED: u64 = 1;
/// Bytes of a slab, which the events do not say: one page.
const SLAB_BYTES: u32 = 4096;
/// The assumed size of an object whose size is unknown.
const UNKNOWN_BYTES: u32 = 64;
/// The assumed time of a grace period, if none was seen, and of the free of an object: about what the kernels
/// of the golden traces took.
const GRACE_NS: u64 = 20_000_000;
const FREE_NS: u64 = 500;

/// What each approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// The destroy and its workload.
    pub question: Question,
    /// Every approach, in the order of the document.
    pub rows: Vec<WhatIfRow>,
    /// The inputs that the times depend on.
    pub inputs: Vec<InputUse>,
    /// Why there are no rows, if there are none.
    pub refused: Option<String>,
}

/// What one approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIfRow {
    /// The row of the destroy.
    pub row: Row,
    /// How much longer unrelated callers of `rcu_barrier()` wait, in nanoseconds.
    pub bystander_wait_ns: u64,
}

/// Simulates every approach. This may take a second.
#[must_use]
pub fn answer(question: &Question) -> WhatIf {
    let mut answer = WhatIf { question: question.clone(), ..WhatIf::default() };
    let (workload, measured) = (workload(question), measured(question));
    let scenario = Scenario { workload: &workload, measured: &measured, seed: SEED };
    let mut inputs = BTreeMap::new();
    for approach in approach::all() {
        let place = question.destroys.len().saturating_sub(1);
        match row(approach.as_ref(), &scenario, place, &mut inputs) {
            Ok(row) => answer.rows.extend(row),
            Err(refused) => answer.refused = Some(refused),
        }
    }
    answer.inputs = inputs.into_values().collect();
    answer
}

fn row(
    approach: &dyn Approach,
    scenario: &Scenario<'_>,
    place: usize,
    inputs: &mut BTreeMap<InputKind, InputUse>,
) -> Result<Option<WhatIfRow>, String> {
    let outcome = simulate(approach, scenario).map_err(|error| error.to_string())?;
    let Some(row) = outcome.rows.into_iter().nth(place) else { return Ok(None) };
    for used in row.inputs.iter().filter(|used| used.draws > 0) {
        inputs.entry(used.input).or_insert_with(|| used.clone());
    }
    Ok(Some(WhatIfRow { row, bystander_wait_ns: outcome.sum.bystander_wait_ns }))
}

fn workload(question: &Question) -> Workload {
    let mut workload = Workload::new(question.cpus);
    for cache in &question.caches {
        let object_bytes = if cache.object_bytes == 0 { UNKNOWN_BYTES } else { cache.object_bytes };
        let slab_objects = (SLAB_BYTES / object_bytes).max(1);
        let name = cache.name.clone();
        workload.cache(CacheSpec { name, object_bytes, type_safe: false, slab_objects, other_users: 0 });
    }
    for free in &question.deferred {
        workload.at(free.0, Action::deferred(free.3, Some(CacheIndex(free.2)), Cpu(free.1)));
    }
    for _ in 0..question.leaked {
        workload.at(0, Action::Leak { cache: CacheIndex(0) });
    }
    for at_ns in &question.bystanders_ns {
        workload.at(*at_ns, Action::RcuBarrier { cpu: Cpu(0) });
    }
    for destroy in &question.destroys {
        let (cache, caller) = (CacheIndex(destroy.cache), Caller(destroy.caller));
        workload.at(destroy.at_ns, Action::Destroy { cache, caller, cpu: Cpu(0) });
    }
    workload
}

fn measured(question: &Question) -> Measured {
    let observed = |samples: &[u64], source| Input::observed(samples.to_vec(), source);
    let grace = observed(&question.grace_ns, "the last grace periods that were seen");
    let free = observed(&question.free_ns, "the last calls that freed");
    Measured {
        between_grace: observed(&question.between_grace_ns, "the last grace periods that were seen"),
        ..Measured::assuming(
            grace.unwrap_or_else(|| Input::assumed(GRACE_NS, "20 ms: none was seen")),
            free.unwrap_or_else(|| Input::assumed(FREE_NS, "500 ns: none was seen")),
        )
    }
}
