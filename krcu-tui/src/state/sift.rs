//! Sift: which rows of a list are shown, and in which order. Each list has a filter and an order of its own.

use std::cmp::{Ordering, Reverse};

use krcu_report::{CacheRow, FinishedBarrier, ProbeRow, VerdictRow};

use super::{Histories, Screen, cache_name};
use crate::what_if::AnswerRow;

/// What the rows of a list can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The order in which the agent gives them: the newest first, or that of the plan.
    #[default]
    Given,
    /// The name: of the cache, of the approach, of the program.
    Name,
    /// Outstanding deferred frees.
    Outstanding,
    /// Bytes of these.
    Bytes,
    /// The age of the oldest of them.
    Age,
    /// Queued a second.
    QueueRate,
    /// Freed a second.
    FreeRate,
    /// Objects ever queued.
    Queued,
    /// The function of a barrier.
    Function,
    /// How long it took.
    Wait,
    /// What it met.
    Met,
    /// Who called it.
    Who,
    /// Faults first.
    Fault,
    /// How long the memory of an approach lingers.
    Lingers,
    /// Runs of a probe.
    Runs,
    /// Runs a second.
    RunRate,
    /// The time of one run.
    Each,
    /// The share of a CPU.
    Share,
}

impl Column {
    /// The columns of the list of a screen, in the order of the key. The first one is its order to begin with.
    #[must_use]
    pub fn of(screen: Screen) -> &'static [Column] {
        use Column::{
            Age, Bytes, Each, Fault, FreeRate, Function, Given, Lingers, Met, Name, Outstanding, QueueRate,
            Queued, RunRate, Runs, Share, Wait, Who,
        };
        match screen {
            Screen::Overview => &[],
            Screen::Caches => &[Outstanding, Bytes, Age, QueueRate, FreeRate, Queued, Name],
            Screen::Barriers => &[Given, Function, Wait, Met, Who],
            Screen::Verdicts => &[Given, Fault, Name, Wait],
            Screen::WhatIf => &[Given, Name, Wait, Lingers],
            Screen::Probes => &[Given, Name, Runs, RunRate, Each, Share],
        }
    }

    /// The heading, where it is the same in each table.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Column::Given => "ago",
            Column::Name => "cache",
            Column::Outstanding => "outstanding",
            Column::Bytes => "bytes",
            Column::Age => "oldest",
            Column::QueueRate => "queued/s",
            Column::FreeRate => "freed/s",
            Column::Queued => "queued",
            Column::Function => "waited in",
            Column::Wait => "for",
            Column::Met => "met",
            Column::Who => "who",
            Column::Fault => "verdict",
            Column::Lingers => "lingers",
            Column::Runs => "runs",
            Column::RunRate => "a second",
            Column::Each => "each",
            Column::Share => "% CPU",
        }
    }

    /// Whether it begins with the smallest, as texts do with A.
    #[must_use]
    pub fn rises(self) -> bool {
        matches!(self, Column::Name | Column::Function | Column::Who)
    }
}

/// How the rows of a list are sorted. Numbers begin with the largest, texts with A, unless the order is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: Column,
    /// Whether the order is reversed.
    pub is_reversed: bool,
}

impl Order {
    /// Sorts by this column; if that is so already, reverses the order.
    pub fn by(&mut self, column: Column) {
        let is_reversed = self.column == column && !self.is_reversed;
        *self = Order { column, is_reversed };
    }

    /// Sorts the rows by this comparison. Rows that are equal keep their order.
    fn sort<Row>(self, rows: &mut [&Row], compare: impl Fn(&Row, &Row) -> Ordering) {
        match (self.column, self.is_reversed) {
            (Column::Given, false) => {}
            (Column::Given, true) => rows.reverse(),
            (_, false) => rows.sort_by(|a, b| compare(a, b)),
            (_, true) => rows.sort_by(|a, b| compare(b, a)),
        }
    }
}

/// What is shown of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sift {
    /// The text that a row must have in one of its names.
    pub filter: String,
    /// The order.
    pub order: Order,
}

impl Sift {
    fn of(screen: Screen) -> Sift {
        let column = Column::of(screen).first().copied().unwrap_or_default();
        Sift { filter: String::new(), order: Order { column, is_reversed: false } }
    }

    /// Sorts by the next column of the list of this screen.
    pub(super) fn next(&mut self, screen: Screen) {
        let columns = Column::of(screen);
        let place = columns.iter().position(|column| *column == self.order.column);
        let next = place.map_or(0, |place| (place + 1) % columns.len().max(1));
        let column = columns.get(next).copied().unwrap_or_default();
        self.order = Order { column, is_reversed: false };
    }

    /// Whether one of these texts has the filter in it, in whatever case.
    #[expect(single_use_lifetimes, reason = "within `impl` it has to have a name")]
    fn passes<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    /// The caches that pass, sorted.
    pub(super) fn caches<'a>(&self, rows: &'a [CacheRow], histories: &Histories) -> Vec<&'a CacheRow> {
        let passes = |row: &&CacheRow| {
            self.passes([cache_name(row).as_str(), row.module.as_deref().unwrap_or_default()])
        };
        let mut rows: Vec<&CacheRow> = rows.iter().filter(passes).collect();
        let rate = |row: &CacheRow| {
            let (queued, freed) = histories.rates_of(row.id).unwrap_or((0.0, 0.0));
            if self.order.column == Column::QueueRate { queued } else { freed }
        };
        self.order.sort(&mut rows, |a, b| match self.order.column {
            Column::Name => cache_name(a).cmp(&cache_name(b)),
            Column::Bytes => b.deferred_bytes().cmp(&a.deferred_bytes()),
            Column::Age => b.oldest_age_ns.cmp(&a.oldest_age_ns),
            Column::Queued => (b.queued + b.callbacks).cmp(&(a.queued + a.callbacks)),
            Column::QueueRate | Column::FreeRate => rate(b).total_cmp(&rate(a)),
            _ => b.deferred().cmp(&a.deferred()),
        });
        rows
    }

    /// The same of finished barriers.
    pub(super) fn barriers<'a>(&self, rows: &'a [FinishedBarrier]) -> Vec<&'a FinishedBarrier> {
        let passes = |row: &&FinishedBarrier| {
            let call = &row.call;
            let task = call.task.to_string();
            let names = [call.comm.as_deref(), call.cache.as_deref()].map(Option::unwrap_or_default);
            self.passes([call.kind.function(), task.as_str()].into_iter().chain(names))
        };
        let mut rows: Vec<&FinishedBarrier> = rows.iter().filter(passes).collect();
        self.order.sort(&mut rows, |a, b| match self.order.column {
            Column::Function => a.call.kind.function().cmp(b.call.kind.function()),
            Column::Met => b.at_begin.cmp(&a.at_begin),
            Column::Who => (&a.call.comm, a.call.task).cmp(&(&b.call.comm, b.call.task)),
            _ => b.wait_ns.cmp(&a.wait_ns),
        });
        rows
    }

    /// The same of verdicts.
    pub(super) fn verdicts<'a>(&self, rows: &'a [VerdictRow]) -> Vec<&'a VerdictRow> {
        let passes = |row: &&VerdictRow| {
            let verdict = &row.verdict;
            self.passes([
                verdict.verdict.word(),
                verdict.cache.as_str(),
                verdict.module.as_deref().unwrap_or_default(),
            ])
        };
        let mut rows: Vec<&VerdictRow> = rows.iter().filter(passes).collect();
        let fault = |row: &VerdictRow| Reverse((row.verdict.flagged, row.verdict.flagged_strictly));
        self.order.sort(&mut rows, |a, b| match self.order.column {
            Column::Name => a.verdict.name().cmp(&b.verdict.name()),
            Column::Wait => b.verdict.wait_ns.cmp(&a.verdict.wait_ns),
            _ => fault(a).cmp(&fault(b)),
        });
        rows
    }

    /// The same of the approaches of a what-if.
    pub(super) fn approaches<'a>(&self, rows: &'a [AnswerRow]) -> Vec<&'a AnswerRow> {
        let passes = |row: &&AnswerRow| {
            let same = row.same.iter().map(|(name, _)| name.as_str());
            self.passes([row.row.approach.as_str()].into_iter().chain(same))
        };
        let mut rows: Vec<&AnswerRow> = rows.iter().filter(passes).collect();
        self.order.sort(&mut rows, |a, b| match self.order.column {
            Column::Name => a.row.approach.cmp(&b.row.approach),
            Column::Lingers => b.row.linger_ns.cmp(&a.row.linger_ns),
            _ => b.row.caller_wait_ns.cmp(&a.row.caller_wait_ns),
        });
        rows
    }

    /// The same of probes.
    pub(super) fn probes<'a>(&self, rows: &'a [ProbeRow], histories: &Histories) -> Vec<&'a ProbeRow> {
        let passes = |row: &&ProbeRow| self.passes([row.program.as_str(), row.function.as_str()]);
        let mut rows: Vec<&ProbeRow> = rows.iter().filter(passes).collect();
        let cost = |row: &ProbeRow| {
            let cost = histories.probe(&row.program);
            if self.order.column == Column::RunRate { cost.runs } else { cost.share }
        };
        let each = |row: &ProbeRow| row.run_time_ns.zip(row.runs).and_then(|(ns, runs)| ns.checked_div(runs));
        self.order.sort(&mut rows, |a, b| match self.order.column {
            Column::Name => a.program.cmp(&b.program),
            Column::Runs => b.runs.cmp(&a.runs),
            Column::Each => each(b).cmp(&each(a)),
            _ => cost(b).total_cmp(&cost(a)),
        });
        rows
    }
}

/// What is shown of each list.
#[derive(Clone, Debug)]
pub struct Sifts([Sift; Screen::ALL.len()]);

impl Default for Sifts {
    fn default() -> Sifts {
        Sifts(Screen::ALL.map(Sift::of))
    }
}

impl Sifts {
    /// That of the list of a screen.
    #[must_use]
    pub fn of(&self, screen: Screen) -> &Sift {
        &self.0[screen as usize]
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, screen: Screen) -> &mut Sift {
        &mut self.0[screen as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_chosen_again_is_reversed() {
        let mut order = Order::default();
        order.by(Column::Age);
        assert_eq!(order, Order { column: Column::Age, is_reversed: false });
        order.by(Column::Age);
        assert!(order.is_reversed);
        order.by(Column::Name);
        assert!(!order.is_reversed);
    }

    #[test]
    fn the_key_goes_round_all_columns_of_a_list() {
        for screen in Screen::ALL {
            let mut sift = Sift::of(screen);
            let first = sift.clone();
            let columns = Column::of(screen);
            for column in columns.iter().skip(1) {
                sift.next(screen);
                assert_eq!(sift.order, Order { column: *column, is_reversed: false });
            }
            sift.next(screen);
            assert_eq!(sift, first, "{screen:?}");
        }
    }
}
