//! What if: simulates what each approach would have cost a destroy, from the agent's question.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use krcu_model::event::Cpu;
use krcu_reference::{
    approach::{self, Approach, row_name},
    machine::CacheIndex,
    simulate::{
        Action, Budget, CacheSpec, Caller, Input, InputKind, InputUse, Measured, Row, Scenario, Workload,
        simulate,
    },
};
use krcu_report::Question;

/// The seed of all draws: the same question has the same answer.
const SEED: u64 = 1;
/// How many events the simulation of one approach may take: the largest question needs less than a tenth.
const MOST_EVENTS: u64 = 1 << 24;
/// How long the simulation of all approaches may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// The most leaked objects that are simulated: an agent asks for no more.
const MOST_LEAKED: u64 = 1 << 13;
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

/// Simulates in a thread. Only the newest question is answered: the next question ends the simulation before
/// it, and so does dropping this.
#[derive(Debug, Default)]
pub struct Simulator {
    is_over: Arc<AtomicBool>,
}

impl Simulator {
    /// Answers a question, unless another one comes before that.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn ask(&mut self, question: Question, tell: impl FnOnce(WhatIf) + Send + 'static) -> io::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.is_over = Arc::default();
        let is_over = Arc::clone(&self.is_over);
        let simulate = move || {
            let begin = Instant::now();
            let is_cancelled = || is_over.load(Ordering::Relaxed);
            let answer = answer(&question, &|| is_cancelled() || begin.elapsed() > MOST_TIME);
            if !is_cancelled() {
                tell(answer);
            }
        };
        thread::Builder::new().name("what-if".to_owned()).spawn(simulate).map(|_| ())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Simulates every approach, until the time is over.
#[must_use]
pub fn answer(question: &Question, is_over: &(dyn Fn() -> bool + Sync)) -> WhatIf {
    let mut answer = WhatIf { question: question.clone(), ..WhatIf::default() };
    let (workload, measured) = (workload(question), measured(question));
    let budget = Budget { events: MOST_EVENTS, is_over };
    let scenario = Scenario { workload: &workload, measured: &measured, seed: SEED, budget };
    let mut inputs = BTreeMap::new();
    for approach in approach::all() {
        let place = question.destroys.len().saturating_sub(1);
        match row(approach.as_ref(), &scenario, place, &mut inputs) {
            Ok(row) => answer.rows.extend(row),
            Err(refused) => answer.refused = Some(format!("{}: {refused}", row_name(approach.as_ref()))),
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
    for _ in 0..question.leaked.min(MOST_LEAKED) {
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
