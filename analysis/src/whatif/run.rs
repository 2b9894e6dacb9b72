//! Run: the recorded workload under each approach, a stretch after the other, on as many threads as there are CPUs.

use std::{
    collections::BTreeMap,
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
        self, BackTest, Budget, InputKind, InputUse, Origin, Outcome, Row, Scenario, Splat, Sum, Trust,
        WorkloadError, distinct, simulate,
    },
};

use super::{
    WhatIfError,
    stretch::Asked,
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
    let upstream = simulate::upstream(asked.frame.kernel);
    // It is run for the back-test, whatever was asked.
    rows.extend(others.into_iter().find(|row| row_name(row.as_ref()) == upstream));
    let groups = distinct(&rows, false);
    let mut tested = BackTest::default();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let together = threads.div_ceil(groups.len());
    let (stretches, _) = asked.stretches();
    for first in (0..stretches).step_by(together) {
        let numbers = first..stretches.min(first + together);
        let parts: Vec<Part> = numbers.map(|number| Part::of(asked, number)).collect::<Result<_, _>>()?;
        let heads: Vec<&dyn Approach> =
            groups.iter().filter_map(|group| Some(rows.get(*group.first()?)?.as_ref())).collect();
        let work: Vec<Work<'_>> = parts
            .iter()
            .zip(first as u64..)
            .flat_map(|(part, number)| heads.iter().map(move |row| (part, number, *row)))
            .collect();
        let mut outcomes = simulate_all(&work, question.seed, threads)?.into_iter();
        for part in &parts {
            for group in &groups {
                let Some(outcome) = outcomes.next() else { continue };
                for place in group {
                    let Some(row) = rows.get(*place) else { continue };
                    let outcome = outcome.of(row.as_ref());
                    if let Some(test) = part.asked.tested(row.as_ref(), &outcome) {
                        tested.extend(test.numbered(&part.numbers));
                    }
                    if let Some(account) = accounts.get_mut(*place) {
                        account.take(outcome, part);
                    }
                }
            }
        }
    }
    let back_test = (!tested.pairs.is_empty() || tested.unmatched > 0).then_some(tested);
    let mut answer = Answer {
        rows: Vec::new(),
        sums: Vec::new(),
        inputs: Vec::new(),
        upstream,
        back_test,
        stretches: asked.stretches(),
    };
    accounts.into_iter().for_each(|account| answer.take(account));
    Ok(answer)
}

/// One stretch, as the machine takes it.
struct Part {
    asked: simulate::Asked,
    /// For each destroy, its number in the trace, and how long the kernel took until it looked.
    numbers: Vec<usize>,
    measured_ns: Vec<Option<u64>>,
}

impl Part {
    fn of(asked: &Asked, number: usize) -> Result<Part, WhatIfError> {
        let question = asked.question(number)?;
        let numbers = question.destroys.iter().map(|destroy| usize::try_from(destroy.number));
        Ok(Part {
            numbers: numbers.map(|number| number.unwrap_or(usize::MAX)).collect(),
            measured_ns: question.destroys.iter().map(|destroy| destroy.measured_ns).collect(),
            asked: simulate::Asked::of(&question),
        })
    }
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
                    let (workload, measured) = (&part.asked.workload, &part.asked.measured);
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
    /// Takes the next stretch.
    fn take(&mut self, outcome: Outcome, part: &Part) {
        if let Some(row) = outcome.rows.first() {
            for used in row.inputs.iter().filter(|input| input.draws > 0) {
                match self.inputs.iter_mut().find(|known| known.input == used.input) {
                    Some(known) => known.draws += used.draws,
                    None => self.inputs.push(used.clone()),
                }
            }
        }
        let destroys = part.numbers.iter().zip(&part.measured_ns);
        let rows = outcome.rows.into_iter().zip(destroys);
        self.rows.extend(rows.map(|(row, (number, measured_ns))| what_if(row, *number, *measured_ns)));
        self.sum.extend(&outcome.sum);
        self.sum.approach = outcome.sum.approach;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum over time, of which sixteen digits say enough")]
fn what_if(row: Row, number: usize, measured_ns: Option<u64>) -> WhatIf {
    WhatIf {
        approach: row.approach,
        destroy: u32::try_from(number).unwrap_or(u32::MAX),
        cache: row.name,
        measured_wait_ns: measured_ns,
        error_per_mille: None,
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
    /// How far the times can be believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.back_test.as_ref().map_or(Trust::Untested, BackTest::trust)
    }

    /// The sum of the measured waits of all destroys, in nanoseconds.
    #[must_use]
    pub fn measured_ns(&self) -> u64 {
        let first = self.rows.first().map(|row| &row.approach);
        let of_first = self.rows.iter().filter(|row| Some(&row.approach) == first);
        of_first.filter_map(|row| row.measured_wait_ns).fold(0, u64::saturating_add)
    }

    /// The approaches, those together whose figures are the same: the place of the first in [`Answer::sums`], and the places
    /// of the others.
    #[must_use]
    pub fn alike(&self) -> Vec<(usize, Vec<usize>)> {
        let mut alike: Vec<(usize, Vec<usize>)> = Vec::new();
        for (place, sum) in self.sums.iter().enumerate() {
            let is_like = |known: &usize| self.sums.get(*known).is_some_and(|known| known.is_like(sum));
            match alike.iter_mut().find(|(known, _)| is_like(known)) {
                Some((_, others)) => others.push(place),
                None => alike.push((place, Vec::new())),
            }
        }
        alike
    }

    fn take(&mut self, account: Account) {
        let Account { sum, rows, inputs } = account;
        let bystander_wait_ns = sum.bystander_wait_ns;
        let pairs = self.back_test.iter().flat_map(|test| &test.pairs);
        let off: BTreeMap<usize, u64> = pairs.map(|pair| (pair.destroy, pair.off_per_mille())).collect();
        self.rows.extend(rows.into_iter().map(|row| {
            let error_per_mille = off.get(&(row.destroy as usize)).copied();
            WhatIf { bystander_wait_ns, error_per_mille, ..row }
        }));
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
        InputKind::FlushStart => "flush-start",
        InputKind::BetweenGrace => "between-grace",
        InputKind::Free => "free",
        InputKind::WorkerDelay => "worker-delay",
        InputKind::SoftirqDelay => "softirq-delay",
        InputKind::Drain => "drain",
        InputKind::FullPageDrain => "full-page-drain",
        InputKind::LingerTimeout => "linger-timeout",
    }
}
