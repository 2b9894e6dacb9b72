//! Stretch: the workload of a trace in parts that fit into memory, each from what was outstanding when it began.
//!
//! Deferred frees are spilled as they are noted, and read again a stretch at a time. What a destroy of one stretch leaves
//! lingering is not known to the next.

use std::collections::BTreeMap;

use krcu_model::{
    State,
    event::{Cpu, DeferredBy, Time},
    state::CacheId,
};
use krcu_report::{
    Question,
    gather::{self, Destroyed, Part},
};
use polars::prelude::*;

use super::{
    WhatIfError,
    words::{Deferral, Deferrals},
};
use crate::{
    ask::Columns,
    facts::row::Rows as _,
    tables::{Folder, Spill, TablesError, collect},
};

/// Names of caches, and the bytes of their objects.
pub(super) type Names = BTreeMap<CacheId, (String, u32)>;

/// One object whose free was deferred.
type Deferred = gather::Deferred<CacheId>;

/// The end of one stretch and the beginning of the next: in time, and in rows.
#[derive(Clone, Copy, Debug)]
struct Cut {
    after: Time,
    rows: u64,
}

/// Deferred frees as they come.
pub(super) struct Stretches {
    folder: Folder,
    spill: Spill<Deferrals>,
    together: u64,
    /// Deferred frees since the last cut.
    since_cut: u64,
    rows: u64,
    cuts: Vec<Cut>,
    has_failed: bool,
}

/// All of them, to be read again.
#[derive(Debug)]
pub(super) struct Kept {
    folder: Folder,
    cuts: Vec<Cut>,
    rows: u64,
    together: u64,
}

impl Stretches {
    pub(super) fn new(together: u64) -> Result<Stretches, TablesError> {
        let folder = Folder::new()?;
        let spill = Spill::new(&folder, Columns::All)?;
        let cuts = Vec::new();
        Ok(Stretches { folder, spill, together, since_cut: 0, rows: 0, cuts, has_failed: false })
    }

    /// Takes one that the state has just taken.
    pub(super) fn push(&mut self, deferred: Deferred, state: &State) {
        self.write(deferred);
        self.since_cut += 1;
        if self.since_cut >= self.together {
            self.since_cut = 0;
            self.cuts.push(Cut { after: deferred.at, rows: self.rows });
            let mut outstanding = outstanding(state);
            outstanding.sort_by_key(|deferred| deferred.at);
            outstanding.into_iter().for_each(|deferred| self.write(deferred));
        }
    }

    fn write(&mut self, deferred: Deferred) {
        let Deferred { at, cache, cpu, by } = deferred;
        self.rows += 1;
        let row = Deferral { at_ns: at.0, cache: cache.0, cpu: u32::from(cpu.0), deferred_by: by as u32 };
        self.has_failed |= !self.spill.push(row);
    }

    /// Whether one could not be written: what follows is in vain.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn finish(self) -> Result<Kept, TablesError> {
        self.spill.finish()?;
        Ok(Kept { folder: self.folder, cuts: self.cuts, rows: self.rows, together: self.together })
    }
}

/// What is outstanding, in no order.
fn outstanding(state: &State) -> Vec<Deferred> {
    let queued = state.caches().flat_map(|(_, cache)| {
        cache.outstanding_objects().map(|(_, object)| Deferred {
            at: object.queued.time,
            cache: cache.life.id,
            cpu: object.cpu,
            by: object.form.into(),
        })
    });
    let waiting = state.callbacks_waiting().map(|waiting| Deferred {
        at: waiting.queued.time,
        cache: waiting.life,
        cpu: waiting.cpu,
        by: DeferredBy::Callback,
    });
    queued.chain(waiting).collect()
}

impl Kept {
    /// Where a stretch begins; the first has no cut before it.
    fn cut_before(&self, number: usize) -> Option<&Cut> {
        self.cuts.get(number.checked_sub(1)?)
    }

    /// The rows of a stretch: the first, and how many.
    fn rows_of(&self, number: usize) -> (u64, u64) {
        let begin = self.cut_before(number).map_or(0, |cut| cut.rows);
        let end = self.cuts.get(number).map_or(self.rows, |cut| cut.rows);
        (begin, end - begin)
    }

    fn read(&self, number: usize) -> PolarsResult<Vec<Deferred>> {
        let (first, rows) = self.rows_of(number);
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let rows = IdxSize::try_from(rows).unwrap_or(IdxSize::MAX);
        let frame = collect(self.folder.scan(Deferrals::NAME)?.slice(first, rows))?;
        let number = |name: &str| -> PolarsResult<_> { Ok(frame.column(name)?.u32()?.into_no_null_iter()) };
        let at = frame.column("at_ns")?.u64()?.into_no_null_iter();
        let rest = number("cache")?.zip(number("cpu")?).zip(number("deferred_by")?);
        let deferred = at.zip(rest).map(|(at, ((cache, cpu), by))| Deferred {
            at: Time(at),
            cache: CacheId(cache),
            cpu: Cpu(u16::try_from(cpu).unwrap_or(u16::MAX)),
            by: match by {
                by if by == DeferredBy::Callback as u32 => DeferredBy::Callback,
                by if by == DeferredBy::Headless as u32 => DeferredBy::Headless,
                _ => DeferredBy::Head,
            },
        });
        Ok(deferred.collect())
    }
}

/// What the machine is asked.
#[derive(Debug)]
pub struct Asked {
    pub(super) kept: Kept,
    /// When the trace begins.
    pub(super) begin: Time,
    pub(super) names: Names,
    /// In the order in which their exit paths begin.
    pub(super) destroys: Vec<Destroyed>,
    /// Calls of `rcu_barrier()` by those who destroy nothing.
    pub(super) barriers: Vec<(Time, Cpu)>,
    /// The question of each stretch, without the stretch.
    pub(super) frame: Question,
}

impl Asked {
    /// How many stretches there are, and how many deferred frees one has at the most, beside what was outstanding.
    #[must_use]
    pub fn stretches(&self) -> (usize, u64) {
        (self.kept.cuts.len() + 1, self.kept.together)
    }

    /// The stretch in which something happens.
    fn stretch_at(&self, time: Time) -> usize {
        self.kept.cuts.partition_point(|cut| cut.after < time)
    }

    /// The question of one stretch.
    ///
    /// # Errors
    /// When it has more caches than a machine can number, or cannot be read.
    pub fn question(&self, number: usize) -> Result<Question, WhatIfError> {
        let is_in = |time: Time| self.stretch_at(time) == number;
        let deferred = self.kept.read(number).map_err(TablesError::Polars)?;
        let begin = match self.kept.cut_before(number) {
            Some(cut) => deferred.first().map_or(cut.after, |first| first.at.min(cut.after)),
            None => self.begin,
        };
        let destroys = self.destroys.iter().filter(|destroy| is_in(destroy.at)).copied().collect();
        let bystanders = self.barriers.iter().filter(|(time, _)| is_in(*time)).copied().collect();
        let part = Part { begin, deferred, destroys, bystanders, later: self.later(number) };
        let facts = |life: CacheId| self.names.get(&life).cloned().unwrap_or_default();
        let limit = u64::from(u16::MAX);
        part.question(&self.frame, self.begin, facts).ok_or(WhatIfError::TooMany {
            what: "caches of a stretch",
            found: limit + 1,
            limit,
        })
    }

    /// The destroys of each cache that come after a stretch.
    fn later(&self, number: usize) -> BTreeMap<CacheId, u16> {
        let mut later = BTreeMap::<CacheId, u16>::new();
        for destroy in self.destroys.iter().filter(|destroy| self.stretch_at(destroy.at) > number) {
            let destroys = later.entry(destroy.life).or_default();
            *destroys = destroys.saturating_add(1);
        }
        later
    }
}
