//! Run: the recorded workload under each approach, a stretch after the other, on as many threads as there are CPUs.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use krcu_reference::{
    approach::{self, Approach, row_name},
    simulate::{
        BackTest, Budget, InputKind, InputUse, Origin, Outcome, Row, Scenario, Splat, Sum, WorkloadError,
        back_test, simulate,
    },
};

use super::{
    WhatIfError,
    stretch::{Asked, Part},
    words::{InputRow, WhatIf},
};

/// How many events one stretch may take under one approach: it has two million deferred frees at the most, and an event
/// or two for each.
const MOST_EVENTS: u64 = 1 << 30;
/// How long one stretch may take under one approach.
const MOST_TIME: Duration = Duration::from_secs(1800);

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
    /// Into how many stretches the trace was divided, and how many deferred frees one has at the most.
    pub stretches: (usize, u64),
}

/// What one approach has come to so far.
#[derive(Default)]
struct Account {
    sum: Sum,
    rows: Vec<WhatIf>,
    inputs: Vec<InputUse>,
}

/// Asks the machine.
///
/// # Errors
/// When no approach has that name, or the workload cannot be run.
pub fn ask(asked: &Asked, question: &Question) -> Result<Answer, WhatIfError> {
    let is_asked = |row: &dyn Approach| {
        question.approach.as_ref().is_none_or(|part| row_name(row).contains(part.as_str()))
    };
    let (mut rows, others): (Vec<_>, Vec<_>) =
        approach::all().into_iter().partition(|row| is_asked(row.as_ref()));
    if rows.is_empty() {
        return Err(WhatIfError::NoApproach(question.approach.clone().unwrap_or_default()));
    }
    let mut accounts: Vec<Account> = rows.iter().map(|_| Account::default()).collect();
    let is_measured = asked.destroys.iter().any(|destroy| destroy.wait.is_some());
    let is_upstream = |row: &dyn Approach| row_name(row) == asked.upstream;
    if is_measured {
        // It is run for the back-test, whatever was asked.
        rows.extend(others.into_iter().find(|row| is_upstream(row.as_ref())));
    }
    let mut tested = BackTest::default();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let together = threads.div_ceil(rows.len());
    let (stretches, _) = asked.stretches();
    for first in (0..stretches).step_by(together) {
        let numbers = first..stretches.min(first + together);
        let parts: Vec<Part> = numbers.map(|number| asked.part(number)).collect::<Result<_, _>>()?;
        let work: Vec<Work<'_>> = parts
            .iter()
            .zip(first as u64..)
            .flat_map(|(part, number)| rows.iter().map(move |row| (part, number, row.as_ref())))
            .collect();
        let mut outcomes = simulate_all(&work, question.seed, threads)?.into_iter();
        for part in &parts {
            for (place, row) in rows.iter().enumerate() {
                let Some(outcome) = outcomes.next() else { continue };
                if is_measured && is_upstream(row.as_ref()) {
                    tested.extend(back_test(&outcome, &part.waits));
                }
                if let Some(account) = accounts.get_mut(place) {
                    account.take(outcome, &part.destroys);
                }
            }
        }
    }
    let mut answer = Answer {
        rows: Vec::new(),
        sums: Vec::new(),
        inputs: Vec::new(),
        upstream: asked.upstream,
        back_test: is_measured.then_some(tested),
        stretches: asked.stretches(),
    };
    accounts.into_iter().for_each(|account| answer.take(account));
    Ok(answer)
}

/// A stretch, its number, and the approach under which it is to be run.
type Work<'a> = (&'a Part, u64, &'a dyn Approach);

/// Each once, in any order; the outcomes in the order of the work.
fn simulate_all(work: &[Work<'_>], seed: u64, threads: usize) -> Result<Vec<Outcome>, WorkloadError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Outcome, WorkloadError>)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.min(work.len()) {
            scope.spawn(|| {
                while let Some((place, (part, number, approach))) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    work.get(place).map(|work| (place, work))
                } {
                    let (workload, measured) = (&part.workload, &part.measured);
                    let begin = Instant::now();
                    let is_over = || begin.elapsed() > MOST_TIME;
                    let budget = Budget { events: MOST_EVENTS, is_over: &is_over };
                    let scenario = Scenario { workload, measured, seed: seed.wrapping_add(*number), budget };
                    let outcome = simulate(*approach, &scenario);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

impl Account {
    /// Takes the next stretch, whose destroys have these places in the trace.
    fn take(&mut self, outcome: Outcome, destroys: &[usize]) {
        if let Some(row) = outcome.rows.first() {
            for used in row.inputs.iter().filter(|input| input.draws > 0) {
                match self.inputs.iter_mut().find(|known| known.input == used.input) {
                    Some(known) => known.draws += used.draws,
                    None => self.inputs.push(used.clone()),
                }
            }
        }
        self.rows.extend(outcome.rows.into_iter().zip(destroys).map(|(row, place)| what_if(row, *place)));
        self.sum.extend(&outcome.sum);
        self.sum.approach = outcome.sum.approach;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum over time, of which sixteen digits say enough")]
fn what_if(row: Row, place: usize) -> WhatIf {
    WhatIf {
        approach: row.approach,
        destroy: u32::try_from(place).unwrap_or(u32::MAX),
        cache: row.name,
        is_unsafe: row.is_unsafe,
        caller_wait_ns: row.caller_wait_ns,
        linger_ns: row.linger_ns,
        waited_for_own: row.waited_for_own,
        waited_for_other: row.waited_for_other,
        grace_periods_forced: row.grace_periods_forced,
        bystander_wait_ns: 0,
        retained_bytes_ns: row.retained_bytes_ns as f64,
        kept_bytes: row.kept_bytes,
        splat: match row.splat {
            Splat::None => "none",
            Splat::TrueLeak => "true-leak",
            Splat::False => "false",
        }
        .to_owned(),
        api_changes: row.api_changes.to_owned(),
    }
}

impl Answer {
    fn take(&mut self, account: Account) {
        let Account { sum, rows, inputs } = account;
        let bystander_wait_ns = sum.bystander_wait_ns;
        self.rows.extend(rows.into_iter().map(|row| WhatIf { bystander_wait_ns, ..row }));
        self.inputs.extend(inputs.iter().map(|input| input_row(&sum.approach, input)));
        self.sums.push(sum);
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
