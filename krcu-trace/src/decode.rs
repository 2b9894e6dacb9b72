//! Decode: makes events from the rows of a batch.

use std::ops::Range;

use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, CacheFacts, Cpu, Domain, Done, FunctionAddress, Gap, Leftover, LossReason,
        ObjectAddress, ReadFields, Run, Scope, Site, Task, Time, What,
    },
};

use crate::{
    Reason,
    cells::{Column, Source},
    column::Held,
    layout,
    schema::{Type, columns},
};

macro_rules! read {
    ($($name:ident $holds:ty, $($described:tt),*;)*) => {
        /// A batch of events, and memory for the next one.
        #[derive(Debug)]
        pub(crate) struct Batch {
            /// Where the columns come from.
            pub(crate) source: Source,
            $($name: Column<<$holds as Held>::Cells>,)*
        }

        impl Default for Batch {
            fn default() -> Batch {
                let mut next = 0;
                let mut node = |holds: Type| {
                    next += layout::nodes(holds);
                    next - layout::nodes(holds)
                };
                Batch {
                    source: Source::default(),
                    $($name: Column::new(stringify!($name), node(<$holds as Held>::TYPE)),)*
                }
            }
        }

        impl Batch {
            /// Another batch has been put into the source.
            pub(crate) fn is_another(&mut self) {
                $(self.$name.forget();)*
            }
        }
    };
}

columns!(read);

/// The value of a row in a column that may be null there.
macro_rules! maybe {
    ($row:ident.$column:ident) => {
        $row.batch.$column.at(&mut $row.batch.source, $row.row)
    };
}

/// The value of a row in a column that its kind needs.
macro_rules! need {
    ($row:ident.$column:ident) => {{
        let kind = $row.kind;
        let null = || Reason::Null { kind: kind.word(), column: stringify!($column) };
        maybe!($row.$column).and_then(|value| value.ok_or_else(null))
    }};
}

/// Rows that are compared at once.
const BLOCK: usize = 32;

impl Batch {
    /// Rows of the batch.
    pub(crate) fn rows(&self) -> usize {
        self.source.packed.places.rows
    }

    /// Makes an event from a row.
    ///
    /// # Errors
    /// When a column that its kind needs is null there, or cannot be read, or the batch has no such row.
    pub(crate) fn event(&mut self, row: usize) -> Result<Event, Reason> {
        if row >= self.rows() {
            return Err(Reason::Columns(format!("there is no row {row}")));
        }
        let kind = self.kind.at(&mut self.source, row)?;
        let kind = kind.ok_or(Reason::Null { kind: "?", column: "kind" })?;
        let mut row = Row { batch: self, row, kind };
        Ok(Event {
            time: Time(need!(row.time_ns)?),
            task: Task(need!(row.task)?),
            cpu: Cpu(need!(row.cpu)?),
            what: What::read(kind, &mut row)?,
        })
    }

    /// The run that begins with this row; none if its event is in no run.
    ///
    /// # Errors
    /// When a column cannot be read.
    pub(crate) fn run_at(&mut self, row: usize) -> Result<Option<RunAt>, Reason> {
        let Some(kind) = self.kind.at(&mut self.source, row)? else { return Ok(None) };
        let is_queued = kind == Kind::Queued;
        if !is_queued && kind != Kind::Freed {
            return Ok(None);
        }
        let end = self.rows();
        let mut first = Row { batch: self, row, kind };
        let done = match is_queued {
            true => Done::Queued { site: first.site()?, form: need!(first.form)? },
            false => Done::Freed { path: need!(first.path)? },
        };
        let (task, cpu) = (Task(need!(first.task)?), Cpu(need!(first.cpu)?));
        let cache = first.cache()?;
        need!(first.time_ns)?;
        need!(first.object)?;
        let mut next = row + 1;
        while next < end && self.are_alike(row, next..(next + BLOCK).min(end), is_queued) {
            next = (next + BLOCK).min(end);
        }
        while next < end && self.are_alike(row, next..next + 1, is_queued) {
            next += 1;
        }
        Ok(Some(RunAt { task, cpu, cache, done, rows: row..next }))
    }

    /// Whether these rows are in the run of another row. The columns are loaded.
    fn are_alike(&self, row: usize, rows: Range<usize>, is_queued: bool) -> bool {
        let (kind, task, cpu) = (self.kind.loaded(), self.task.loaded(), self.cpu.loaded());
        let (cache, object) = (self.cache.loaded(), self.object.loaded());
        kind.are_like(row, rows.clone())
            && task.are_like(row, rows.clone())
            && cpu.are_like(row, rows.clone())
            && cache.are_like(row, rows.clone())
            && match is_queued {
                true => {
                    self.site.loaded().are_like(row, rows.clone())
                        && self.form.loaded().are_like(row, rows.clone())
                }
                false => self.path.loaded().are_like(row, rows.clone()),
            }
            && [object, cache].iter().all(|column| column.are_valid(rows.clone()))
            && self.time_ns.loaded().are_valid(rows.clone())
            && task.are_valid(rows.clone())
            && cpu.are_valid(rows)
    }

    /// The run that [`Batch::run_at`] has found.
    pub(crate) fn run(&self, found: RunAt) -> Run<'_> {
        let RunAt { task, cpu, cache, done, rows } = found;
        let (times_ns, objects) = (self.time_ns.loaded().of(rows.clone()), self.object.loaded().of(rows));
        Run { task, cpu, cache, done, times_ns, objects }
    }
}

/// Where a run is in a batch, and what its events share.
#[derive(Debug)]
pub(crate) struct RunAt {
    task: Task,
    cpu: Cpu,
    cache: CacheAddress,
    done: Done,
    pub(crate) rows: Range<usize>,
}

/// One row, while an event is made from it.
struct Row<'a> {
    batch: &'a mut Batch,
    row: usize,
    kind: Kind,
}

/// Reads the columns that are fields of their own.
macro_rules! fields {
    ($($name:ident $holds:ty, $null:ident, $($described:literal),*;)*) => {
        $(fields!(@$null $name $holds);)*
    };
    (@field $name:ident $holds:ty) => {
        fn $name(&mut self) -> Result<$holds, Reason> {
            need!(self.$name)
        }
    };
    (@$other:ident $name:ident $holds:ty) => {};
}

impl ReadFields for Row<'_> {
    type Error = Reason;

    columns!(fields);

    fn cache(&mut self) -> Result<CacheAddress, Reason> {
        need!(self.cache).map(CacheAddress)
    }

    fn cache_if_any(&mut self) -> Result<Option<CacheAddress>, Reason> {
        Ok(maybe!(self.cache)?.map(CacheAddress))
    }

    fn object(&mut self) -> Result<ObjectAddress, Reason> {
        need!(self.object).map(ObjectAddress)
    }

    fn object_if_any(&mut self) -> Result<Option<ObjectAddress>, Reason> {
        Ok(maybe!(self.object)?.map(ObjectAddress))
    }

    fn site(&mut self) -> Result<Site, Reason> {
        Ok(Site(maybe!(self.site)?.unwrap_or(0)))
    }

    fn comm_if_any(&mut self) -> Result<String, Reason> {
        // Older traces have none.
        Ok(maybe!(self.comm)?.unwrap_or_default())
    }

    fn site_of_frames(&mut self) -> Result<Site, Reason> {
        self.site()
    }

    fn function(&mut self) -> Result<FunctionAddress, Reason> {
        Ok(FunctionAddress(maybe!(self.function)?.unwrap_or(0)))
    }

    fn facts(&mut self) -> Result<CacheFacts, Reason> {
        Ok(CacheFacts {
            name: need!(self.name)?,
            object_size: need!(self.object_size)?,
            refcount: need!(self.refcount)?,
        })
    }

    fn empty(&mut self) -> Result<Option<bool>, Reason> {
        maybe!(self.empty)
    }

    fn left(&mut self) -> Result<Option<Leftover>, Reason> {
        if maybe!(self.objects_left)?.is_none() && maybe!(self.objects_listed)?.is_none() {
            return Ok(None);
        }
        let (objects, listed) = (need!(self.objects_left)?, need!(self.objects_listed)?);
        Ok(Some(Leftover { objects, listed }))
    }

    fn text(&mut self) -> Result<Option<String>, Reason> {
        maybe!(self.text)
    }

    fn domain(&mut self) -> Result<Domain, Reason> {
        let flavour = maybe!(self.flavour)?.unwrap_or_default();
        Ok(Domain { flavour, address: self.of()? })
    }

    fn of(&mut self) -> Result<u64, Reason> {
        Ok(maybe!(self.domain)?.unwrap_or(0))
    }

    fn gap(&mut self) -> Result<Gap, Reason> {
        let scope = match need!(self.scope)? {
            Scope::Cache(_) => Scope::Cache(self.cache()?),
            scope => scope,
        };
        Ok(Gap {
            reason: need!(self.reason)?,
            events: need!(self.lost_events)?,
            from: Time(need!(self.from_ns)?),
            until: Time(need!(self.until_ns)?),
            scope,
            programs: need!(self.programs)?,
        })
    }
}
