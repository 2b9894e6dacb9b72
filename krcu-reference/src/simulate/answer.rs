//! Answer: what every approach would have cost one destroy of a question, with the measured wait beside it.

use krcu_report::Question;

use super::{Asked, BackTest, Budget, InputUse, Outcome, Pair, Prepared, Row, Scenario, Trust, distinct};
use crate::approach::{self, row_name};

/// The seed of all draws: the same question has the same answer.
const SEED: u64 = 1;
/// How many events the simulation of one approach may take: the largest question needs less than a tenth.
const MOST_EVENTS: u64 = 1 << 24;

/// What each approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The destroy and its workload.
    pub question: Question,
    /// Every approach, in the order of the document; those with the same figures are one row.
    pub rows: Vec<AnswerRow>,
    /// The waits of all destroys of the question, simulated and measured; absent if nothing was measured that
    /// a machine could repeat.
    pub back_test: Option<BackTest>,
    /// The inputs that the times depend on.
    pub inputs: Vec<InputUse>,
    /// Why there are no rows, if there are none.
    pub refused: Option<String>,
}

impl Answer {
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

    /// Simulates every approach, until the time is over. Approaches that do the same are simulated once.
    #[must_use]
    pub fn of(question: &Question, is_over: &(dyn Fn() -> bool + Sync)) -> Answer {
        let mut answer = Answer { question: question.clone(), ..Answer::default() };
        let asked = Asked::of(question);
        let budget = Budget { events: MOST_EVENTS, is_over };
        let scenario = Scenario { workload: &asked.workload, measured: &asked.measured, seed: SEED, budget };
        let prepared = match Prepared::new(scenario) {
            Ok(prepared) => prepared,
            Err(refused) => return Answer { refused: Some(refused.to_string()), ..answer },
        };
        let place = question.asked().map_or(0, |(place, _)| place);
        let approaches = approach::all();
        let mut outcomes: Vec<Option<Outcome>> = approaches.iter().map(|_| None).collect();
        for group in distinct(&approaches, false) {
            let Some(first) = group.first().and_then(|first| approaches.get(*first)) else { continue };
            match prepared.simulate(first.as_ref()) {
                Ok(outcome) => {
                    answer.note(&outcome);
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
        answer
    }

    /// Notes the inputs that an outcome depends on.
    fn note(&mut self, outcome: &Outcome) {
        let used = outcome.rows.first().into_iter().flat_map(|row| row.inputs.iter());
        for input in used.filter(|input| input.draws > 0) {
            if !self.inputs.iter().any(|known| known.input == input.input) {
                self.inputs.push(input.clone());
            }
        }
        self.inputs.sort_by_key(|input| input.input);
    }

    /// The rows of an outcome that are new, or the names of known ones.
    fn take(&mut self, outcome: Outcome, place: usize) {
        let bystander_wait_ns = outcome.sum.bystander_wait_ns;
        let Some(row) = outcome.rows.into_iter().nth(place) else { return };
        let known = self
            .rows
            .iter_mut()
            .find(|known| known.bystander_wait_ns == bystander_wait_ns && known.row.is_like(&row));
        match known {
            Some(known) => known.same.push((row.approach, row.api_changes)),
            None => self.rows.push(AnswerRow { row, same: Vec::new(), bystander_wait_ns }),
        }
    }
}

/// What one approach would have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRow {
    /// The row of the destroy.
    pub row: Row,
    /// Other approaches with the same figures: the name, and what a module's source has to change.
    pub same: Vec<(String, &'static str)>,
    /// How much longer unrelated callers of `rcu_barrier()` wait, in nanoseconds.
    pub bystander_wait_ns: u64,
}
