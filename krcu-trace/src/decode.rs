//! Decode: makes events from the rows of a batch.

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, CacheFacts, Cpu, Domain, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress,
        ReadFields, Scope, Site, Task, Time, What,
    },
};

use crate::{
    Reason,
    column::{Cells as _, Held, taken},
    schema::{COLUMNS, Column, columns},
};

macro_rules! read {
    ($($name:ident $holds:ty, $($described:tt),*;)*) => {
        /// A batch of events. Its columns have the right types, so that any row can be read as an event.
        #[derive(Debug)]
        pub struct Batch {
            columns: RecordBatch,
            $($name: <$holds as Held>::Cells,)*
        }

        impl Batch {
            /// Reads the columns of a batch that has the schema of the format.
            ///
            /// # Errors
            /// When a column is not what the format says, or a dictionary has a word that the format does not
            /// know.
            pub fn of(columns: RecordBatch) -> Result<Batch, Reason> {
                // Older traces lack the last columns.
                let (here, rows) = (columns.num_columns(), columns.num_rows());
                let null = |column: &Column| new_null_array(&column.holds.arrow(), rows);
                let missing = COLUMNS.iter().skip(here).map(null);
                let all: Vec<ArrayRef> = columns.columns().iter().cloned().chain(missing).collect();
                let mut next = all.iter();
                Ok(Batch { $($name: taken(next.next(), stringify!($name))?,)* columns })
            }
        }
    };
}

columns!(read);

/// The value of a row in a column that its kind needs.
macro_rules! need {
    ($row:ident.$column:ident) => {
        $row.batch
            .$column
            .at($row.row)
            .ok_or(Reason::Null { kind: $row.kind.word(), column: stringify!($column) })
    };
}

impl Batch {
    /// Rows of the batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// The columns as they are in the file.
    #[must_use]
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// Makes an event from a row.
    ///
    /// # Errors
    /// When a column that its kind needs is null there, or the batch has no such row.
    pub fn event(&self, row: usize) -> Result<Event, Reason> {
        if row >= self.rows() {
            return Err(Reason::Columns(format!("there is no row {row}")));
        }
        let kind = self.kind.at(row).ok_or(Reason::Null { kind: "?", column: "kind" })?;
        let mut row = Row { batch: self, row, kind };
        Ok(Event {
            time: Time(need!(row.time_ns)?),
            task: Task(need!(row.task)?),
            cpu: Cpu(need!(row.cpu)?),
            what: What::read(kind, &mut row)?,
        })
    }
}

/// One row, while an event is made from it.
struct Row<'a> {
    batch: &'a Batch,
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
        Ok(self.batch.cache.at(self.row).map(CacheAddress))
    }

    fn object(&mut self) -> Result<ObjectAddress, Reason> {
        need!(self.object).map(ObjectAddress)
    }

    fn object_if_any(&mut self) -> Result<Option<ObjectAddress>, Reason> {
        Ok(self.batch.object.at(self.row).map(ObjectAddress))
    }

    fn site(&mut self) -> Result<Site, Reason> {
        Ok(Site(self.batch.site.at(self.row).unwrap_or(0)))
    }

    fn comm_if_any(&mut self) -> Result<String, Reason> {
        // Older traces have none.
        Ok(self.batch.comm.at(self.row).unwrap_or_default())
    }

    fn site_of_frames(&mut self) -> Result<Site, Reason> {
        self.site()
    }

    fn function(&mut self) -> Result<FunctionAddress, Reason> {
        Ok(FunctionAddress(self.batch.function.at(self.row).unwrap_or(0)))
    }

    fn facts(&mut self) -> Result<CacheFacts, Reason> {
        Ok(CacheFacts {
            name: need!(self.name)?,
            object_size: need!(self.object_size)?,
            refcount: need!(self.refcount)?,
        })
    }

    fn empty(&mut self) -> Result<Option<bool>, Reason> {
        Ok(self.batch.empty.at(self.row))
    }

    fn left(&mut self) -> Result<Option<Leftover>, Reason> {
        match (need!(self.objects_left), need!(self.objects_listed)) {
            (Err(_), Err(_)) => Ok(None),
            (objects, listed) => Ok(Some(Leftover { objects: objects?, listed: listed? })),
        }
    }

    fn text(&mut self) -> Result<Option<String>, Reason> {
        Ok(self.batch.text.at(self.row))
    }

    fn domain(&mut self) -> Result<Domain, Reason> {
        let flavour = self.batch.flavour.at(self.row).unwrap_or_default();
        Ok(Domain { flavour, address: self.of()? })
    }

    fn of(&mut self) -> Result<u64, Reason> {
        Ok(self.batch.domain.at(self.row).unwrap_or(0))
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
