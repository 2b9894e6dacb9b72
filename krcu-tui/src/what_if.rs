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

use krcu_reference::{
    approach::{self, row_name},
    simulate::{
        Asked, BackTest, Budget, InputKind, InputUse, Outcome, Pair, Row, Scenario, Trust, distinct, simulate,
    },
};
use krcu_report::Question;

/// The seed of all draws: the same question has the same answer.
const SEED: u64 = 1;
/// How many events the simulation of one approach may take: the largest question needs less than a tenth.
const MOST_EVENTS: u64 = 1 << 24;
/// How long the simulation of all approaches may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// What each approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// The destroy and its workload.
    pub question: Question,
    /// Every approach, in the order of the document; those with the same figures are one row.
    pub rows: Vec<WhatIfRow>,
    /// The waits of all destroys of the question, simulated and measured; absent if nothing was measured that
    /// a machine could repeat.
    pub back_test: Option<BackTest>,
    /// The inputs that the times depend on.
    pub inputs: Vec<InputUse>,
    /// Why there are no rows, if there are none.
    pub refused: Option<String>,
}

impl WhatIf {
    /// The measured and the simulated wait of the destroy, if both are known.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        let (place, _) = self.question.asked()?;
        self.back_test.as_ref()?.pairs.iter().find(|pair| pair.destroy == place)
    }

    /// How far the times can be believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.pair().map(Pair::trust).or_else(|| Some(self.back_test.as_ref()?.trust())).unwrap_or_default()
    }

    /// The rows of an outcome that are new, or the names of known ones.
    fn take(&mut self, outcome: Outcome, place: usize) {
        let bystander_wait_ns = outcome.sum.bystander_wait_ns;
        let Some(row) = outcome.rows.into_iter().nth(place) else { return };
        let known = self.rows.iter_mut().find(|known| {
            known.bystander_wait_ns == bystander_wait_ns && known.row.is_like(&row)
        });
        match known {
            Some(known) => known.same.push((row.approach, row.api_changes)),
            None => self.rows.push(WhatIfRow { row, same: Vec::new(), bystander_wait_ns }),
        }
    }
}

/// What one approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIfRow {
    /// The row of the destroy.
    pub row: Row,
    /// Other approaches with the same figures: the name, and what a module's source has to change.
    pub same: Vec<(String, &'static str)>,
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

/// Simulates every approach, until the time is over. Approaches that do the same are simulated once.
#[must_use]
pub fn answer(question: &Question, is_over: &(dyn Fn() -> bool + Sync)) -> WhatIf {
    let mut answer = WhatIf { question: question.clone(), ..WhatIf::default() };
    let asked = Asked::of(question);
    let budget = Budget { events: MOST_EVENTS, is_over };
    let scenario = Scenario { workload: &asked.workload, measured: &asked.measured, seed: SEED, budget };
    let place = question.asked().map_or(0, |(place, _)| place);
    let approaches = approach::all();
    let mut outcomes: Vec<Option<Outcome>> = approaches.iter().map(|_| None).collect();
    let mut inputs = BTreeMap::new();
    for group in distinct(&approaches, false) {
        let Some(first) = group.first().and_then(|first| approaches.get(*first)) else { continue };
        match simulate(first.as_ref(), &scenario) {
            Ok(outcome) => {
                note(&outcome, &mut inputs);
                for member in group {
                    outcomes[member] = Some(outcome.of(approaches[member].as_ref()));
                }
            }
            Err(refused) => {
                answer.refused = Some(format!("{}: {refused}", row_name(first.as_ref())));
            }
        }
    }
    for (approach, outcome) in approaches.iter().zip(outcomes) {
        let Some(outcome) = outcome else { continue };
        answer.back_test = answer.back_test.or_else(|| asked.tested(approach.as_ref(), &outcome));
        answer.take(outcome, place);
    }
    answer.inputs = inputs.into_values().collect();
    answer
}

/// Notes the inputs that an outcome depends on.
fn note(outcome: &Outcome, inputs: &mut BTreeMap<InputKind, InputUse>) {
    let used = outcome.rows.first().into_iter().flat_map(|row| row.inputs.iter());
    for input in used.filter(|input| input.draws > 0) {
        inputs.entry(input.input).or_insert_with(|| input.clone());
    }
}
