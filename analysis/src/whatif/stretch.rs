//! Stretch: the workload of a trace in parts that fit into memory, each from what was outstanding when it began.
//!
//! Deferred frees are spilled as they are noted, and read again a stretch at a time. What a destroy of one stretch leaves
//! lingering is not known to the next.

use std::collections::BTreeMap;

use krcu_model::{
    State,
    event::{Cpu, DeferredBy, Task, Time},
    state::CacheId,
};
use krcu_reference::{
    machine::CacheIndex,
    simulate::{Action, CacheSpec, Caller, Measured, RecordedGrace, Wait, Workload},
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

/// Bytes of a slab, to say how many objects share one: slabs are larger for large objects, which no event tells.
const SLAB_BYTES: u32 = 4096;

/// Names of caches, and the bytes of their objects.
pub(super) type Names = BTreeMap<CacheId, (String, u32)>;

/// One object whose free was deferred.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deferred {
    pub(super) at: Time,
    pub(super) cache: CacheId,
    pub(super) cpu: Cpu,
    pub(super) by: DeferredBy,
}

/// One destroy that is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destroyed {
    /// When its exit path began.
    pub(super) at: Time,
    /// Its place among the destroys of the trace.
    pub(super) place: usize,
    pub(super) cache: CacheId,
    pub(super) task: Task,
    pub(super) cpu: Cpu,
    pub(super) leaked: u64,
    /// What was measured, where a barrier is inside.
    pub(super) wait: Option<Wait>,
}

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
    pub(super) cpus: u16,
    /// When the trace begins.
    pub(super) begin: Time,
    pub(super) names: Names,
    /// In the order in which their exit paths begin.
    pub(super) destroys: Vec<Destroyed>,
    /// Calls of `rcu_barrier()` by those who destroy nothing.
    pub(super) barriers: Vec<(Time, Cpu)>,
    /// Its grace periods are counted from the beginning of the trace.
    pub(super) measured: Measured,
    /// The row of `upstream` that this kernel is.
    pub(super) upstream: &'static str,
}

/// One stretch, as the machine takes it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) workload: Workload,
    pub(super) measured: Measured,
    /// The waits of destroys that have a barrier inside.
    pub(super) waits: Vec<Wait>,
    /// Places of the destroys in the trace, in the order of the workload.
    pub(super) destroys: Vec<usize>,
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

    /// One stretch.
    ///
    /// # Errors
    /// When it has more caches than a machine can number, or cannot be read.
    pub(super) fn part(&self, number: usize) -> Result<Part, WhatIfError> {
        let is_in = |time: Time| self.stretch_at(time) == number;
        let queued = self.kept.read(number).map_err(TablesError::Polars)?;
        let begin = match self.kept.cut_before(number) {
            Some(cut) => queued.first().map_or(cut.after, |first| first.at.min(cut.after)),
            None => self.begin,
        };
        let mut writing = Writing {
            workload: Workload::new(self.cpus),
            begin,
            caches: BTreeMap::new(),
            asked: self,
            later: self.later(number),
        };
        for Deferred { at, cache, cpu, by } in queued {
            let cache = Some(writing.cache(cache)?);
            writing.at(at, Action::deferred(by, cache, cpu));
        }
        let (mut waits, mut destroys) = (Vec::new(), Vec::new());
        for destroy in self.destroys.iter().filter(|destroy| is_in(destroy.at)) {
            let cache = writing.cache(destroy.cache)?;
            (0..destroy.leaked).for_each(|_| writing.at(begin, Action::Leak { cache }));
            let caller = Caller(destroy.task.0);
            writing.at(destroy.at, Action::Destroy { cache, caller, cpu: destroy.cpu });
            waits.extend(destroy.wait.map(|wait| Wait { destroy: destroys.len(), ..wait }));
            destroys.push(destroy.place);
        }
        for (time, cpu) in self.barriers.iter().filter(|(time, _)| is_in(*time)) {
            writing.at(*time, Action::RcuBarrier { cpu: *cpu });
        }
        Ok(Part { workload: writing.workload, measured: self.measured_from(begin), waits, destroys })
    }

    /// The destroys of each cache that come after a stretch.
    fn later(&self, number: usize) -> BTreeMap<CacheId, u16> {
        let mut later = BTreeMap::<CacheId, u16>::new();
        for destroy in self.destroys.iter().filter(|destroy| self.stretch_at(destroy.at) > number) {
            let destroys = later.entry(destroy.cache).or_default();
            *destroys = destroys.saturating_add(1);
        }
        later
    }

    /// How long things take, for a workload that begins then.
    fn measured_from(&self, begin: Time) -> Measured {
        let offset = begin.since(self.begin);
        let recorded = &self.measured.recorded;
        let from = recorded.partition_point(|grace| grace.begin_ns < offset);
        let shifted = recorded.iter().skip(from).map(|grace| RecordedGrace {
            begin_ns: grace.begin_ns - offset,
            end_ns: grace.end_ns.saturating_sub(offset),
        });
        Measured { recorded: shifted.collect(), ..self.measured.clone() }
    }
}

/// A workload that is being written down.
struct Writing<'a> {
    workload: Workload,
    begin: Time,
    caches: BTreeMap<CacheId, CacheIndex>,
    asked: &'a Asked,
    later: BTreeMap<CacheId, u16>,
}

impl Writing<'_> {
    fn cache(&mut self, id: CacheId) -> Result<CacheIndex, WhatIfError> {
        if let Some(index) = self.caches.get(&id) {
            return Ok(*index);
        }
        let limit = u64::from(u16::MAX);
        if self.caches.len() as u64 >= limit {
            return Err(WhatIfError::TooMany { what: "caches", found: self.caches.len() as u64 + 1, limit });
        }
        let (name, bytes) = self.asked.names.get(&id).cloned().unwrap_or_default();
        let object_bytes = bytes.max(8);
        let slab_objects = (SLAB_BYTES / object_bytes).max(1);
        let other_users = self.later.get(&id).copied().unwrap_or(0);
        let spec = CacheSpec { name, object_bytes, type_safe: false, slab_objects, other_users };
        let index = self.workload.cache(spec);
        self.caches.insert(id, index);
        Ok(index)
    }

    fn at(&mut self, time: Time, action: Action) {
        self.workload.at(time.since(self.begin), action);
    }
}
