//! Encode: writes events into the columns of a batch.
//!
//! An event touches only the columns for which it has a value. When the next value of a column comes, the
//! rows in between are filled with nulls. So the cost of an event depends on its values, not on the width of
//! the table.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, CacheFacts, Domain, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress, Scope,
        Site, WriteFields,
    },
};

use crate::{
    column::{Filled, Held},
    schema::columns,
};

macro_rules! filled {
    ($($name:ident $holds:ty, $($described:tt),*;)*) => {
        /// The batch that is being filled.
        #[derive(Debug, Default)]
        pub(crate) struct Columns {
            rows: usize,
            text_bytes: usize,
            $($name: <$holds as Held>::Builder,)*
        }

        impl Columns {
            /// Returns the batch, and continues with an empty one.
            pub(crate) fn take(&mut self, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
                $(self.$name.fill(self.rows);)*
                let arrays = vec![$(Filled::finish(&mut self.$name)?),*];
                self.rows = 0;
                self.text_bytes = 0;
                RecordBatch::try_new(schema, arrays)
            }
        }
    };
}

columns!(filled);

/// Puts a value into a column of the row that is being written.
macro_rules! put {
    ($columns:ident.$column:ident, $value:expr) => {{
        $columns.$column.fill($columns.rows);
        $columns.text_bytes += Filled::append(&mut $columns.$column, $value);
    }};
}

impl Columns {
    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of text so far. They and the rows limit a batch.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, event: &Event) {
        put!(self.time_ns, &event.time.0);
        put!(self.task, &event.task.0);
        put!(self.cpu, &event.cpu.0);
        put!(self.kind, &event.what.kind());
        event.what.write(self);
        self.rows += 1;
    }
}

/// Writes the columns that are fields of their own.
macro_rules! fields {
    ($($name:ident $holds:ty, $null:ident, $($described:literal),*;)*) => {
        $(fields!(@$null $name $holds);)*
    };
    (@field $name:ident $holds:ty) => {
        fn $name(&mut self, value: &$holds) {
            put!(self.$name, value);
        }
    };
    (@$other:ident $name:ident $holds:ty) => {};
}

impl WriteFields for Columns {
    columns!(fields);

    fn cache(&mut self, cache: &CacheAddress) {
        put!(self.cache, &cache.0);
    }

    fn cache_if_any(&mut self, cache: &Option<CacheAddress>) {
        cache.iter().for_each(|cache| self.cache(cache));
    }

    fn object(&mut self, object: &ObjectAddress) {
        put!(self.object, &object.0);
    }

    fn object_if_any(&mut self, object: &Option<ObjectAddress>) {
        object.iter().for_each(|object| self.object(object));
    }

    fn site(&mut self, site: &Site) {
        if site.0 != 0 {
            put!(self.site, &site.0);
        }
    }

    fn comm_if_any(&mut self, comm: &String) {
        if !comm.is_empty() {
            self.comm(comm);
        }
    }

    fn site_of_frames(&mut self, site: &Site) {
        self.site(site);
    }

    fn function(&mut self, function: &FunctionAddress) {
        if function.0 != 0 {
            put!(self.function, &function.0);
        }
    }

    fn facts(&mut self, facts: &CacheFacts) {
        put!(self.name, &facts.name);
        put!(self.object_size, &facts.object_size);
        put!(self.refcount, &facts.refcount);
    }

    fn empty(&mut self, empty: &Option<bool>) {
        if let Some(empty) = empty {
            put!(self.empty, empty);
        }
    }

    fn left(&mut self, left: &Option<Leftover>) {
        if let Some(left) = left {
            put!(self.objects_left, &left.objects);
            put!(self.objects_listed, &left.listed);
        }
    }

    fn text(&mut self, text: &Option<String>) {
        if let Some(text) = text {
            put!(self.text, text);
        }
    }

    fn domain(&mut self, domain: &Domain) {
        if domain.flavour != Flavour::Rcu {
            put!(self.flavour, &domain.flavour);
        }
        self.of(&domain.address);
    }

    fn of(&mut self, of: &u64) {
        if *of != 0 {
            put!(self.domain, of);
        }
    }

    fn gap(&mut self, gap: &Gap) {
        put!(self.reason, &gap.reason);
        put!(self.lost_events, &gap.events);
        put!(self.from_ns, &gap.from.0);
        put!(self.until_ns, &gap.until.0);
        put!(self.scope, &gap.scope.of_any_cache());
        if let Scope::Cache(cache) = gap.scope {
            self.cache(&cache);
        }
        put!(self.programs, &gap.programs);
    }
}
