//! Run: the recorded workload under each approach, on as many threads as there are CPUs.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use krcu_model::{
    approach::{self, Approach, row_name},
    simulate::{
        BackTest, InputKind, InputUse, Origin, Outcome, Scenario, Splat, Sum, WorkloadError, back_test,
        simulate,
    },
};

use super::{
    WhatIfError,
    asked::Asked,
    words::{InputRow, WhatIf},
};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Only approaches whose names contain this.
    pub approach: Option<String>,
    /// The seed of what is drawn.
    pub seed: u64,
}

/// What the machine says.
#[derive(Debug)]
pub struct Answer {
    /// One destroy under one approach each, by approach.
    pub rows: Vec<WhatIf>,
    /// The sum of each approach.
    pub sums: Vec<Sum>,
    /// What the rows rest on.
    pub inputs: Vec<InputRow>,
    /// The row of `upstream` that the kernel of the trace is.
    pub upstream: &'static str,
    /// That row's waits beside the measured ones; absent where the kernel's destroy does not wait.
    pub back_test: Option<BackTest>,
}

/// Asks the machine.
///
/// # Errors
/// When no approach has that name, or the workload cannot be run.
pub fn ask(asked: &Asked, question: &Question) -> Result<Answer, WhatIfError> {
    let matches = |row: &dyn Approach| {
        question.approach.as_ref().is_none_or(|part| row_name(row).contains(part.as_str()))
    };
    let all: Vec<Box<dyn Approach>> =
        approach::all().into_iter().filter(|row| matches(row.as_ref())).collect();
    if all.is_empty() {
        return Err(WhatIfError::NoApproach(question.approach.clone().unwrap_or_default()));
    }
    let scenario = Scenario { workload: &asked.workload, measured: &asked.measured, seed: question.seed };
    let outcomes = simulate_all(&all, &scenario)?;
    let back_test = if asked.waits.is_empty() {
        None
    } else {
        let upstream = approach::all().into_iter().find(|row| row_name(row.as_ref()) == asked.upstream);
        let outcome = upstream.map(|row| simulate(row.as_ref(), &scenario)).transpose()?;
        outcome.map(|outcome| back_test(&outcome, &asked.waits))
    };
    let mut answer = Answer {
        rows: Vec::new(),
        sums: Vec::new(),
        inputs: Vec::new(),
        upstream: asked.upstream,
        back_test,
    };
    for (approach, outcome) in all.iter().zip(outcomes) {
        answer.take(&row_name(approach.as_ref()), outcome, &asked.destroys);
    }
    Ok(answer)
}

/// Each approach once, in any order; the outcomes in the order of the approaches.
fn simulate_all(all: &[Box<dyn Approach>], scenario: &Scenario<'_>) -> Result<Vec<Outcome>, WorkloadError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Outcome, WorkloadError>)>> = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(all.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((place, row)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    all.get(place).map(|row| (place, row))
                } {
                    let outcome = simulate(row.as_ref(), scenario);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

impl Answer {
    fn take(&mut self, approach: &str, outcome: Outcome, destroys: &[usize]) {
        let bystander_wait_ns = outcome.sum.bystander_wait_ns;
        let inputs = outcome.rows.first().map(|row| row.inputs.clone());
        for (row, place) in outcome.rows.into_iter().zip(destroys) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a sum over time, of which sixteen digits say enough"
            )]
            let retained_bytes_ns = row.retained_bytes_ns as f64;
            self.rows.push(WhatIf {
                approach: approach.to_owned(),
                destroy: u32::try_from(*place).unwrap_or(u32::MAX),
                cache: row.name,
                is_unsafe: row.is_unsafe,
                caller_wait_ns: row.caller_wait_ns,
                linger_ns: row.linger_ns,
                waited_for_own: row.waited_for_own,
                waited_for_other: row.waited_for_other,
                grace_periods_forced: row.grace_periods_forced,
                bystander_wait_ns,
                retained_bytes_ns,
                kept_bytes: row.kept_bytes,
                splat: match row.splat {
                    Splat::None => "none",
                    Splat::TrueLeak => "true-leak",
                    Splat::False => "false",
                }
                .to_owned(),
                api_changes: row.api_changes.to_owned(),
            });
        }
        let used = inputs.iter().flat_map(|inputs| inputs.iter()).filter(|input| input.draws > 0);
        self.inputs.extend(used.map(|input| input_row(approach, input)));
        self.sums.push(outcome.sum);
    }
}

fn input_row(approach: &str, input: &InputUse) -> InputRow {
    InputRow {
        approach: approach.to_owned(),
        input: input_word(input.input).to_owned(),
        origin: match input.origin {
            Origin::Observed => "observed",
            Origin::Assumed => "assumed",
        }
        .to_owned(),
        source: input.source.clone(),
        samples: input.samples,
        draws: input.draws,
    }
}

fn input_word(input: InputKind) -> &'static str {
    match input {
        InputKind::Grace => "grace",
        InputKind::GraceStart => "grace-start",
        InputKind::BetweenGrace => "between-grace",
        InputKind::Free => "free",
        InputKind::WorkerDelay => "worker-delay",
        InputKind::SoftirqDelay => "softirq-delay",
        InputKind::Drain => "drain",
        InputKind::FullPageDrain => "full-page-drain",
        InputKind::LingerTimeout => "linger-timeout",
    }
}
