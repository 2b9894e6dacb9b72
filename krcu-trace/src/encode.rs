//! Encode: events into the columns of a batch.
//!
//! A column is touched only by events that have something to say in it: what lies between is filled with
//! nulls when the next value comes. So an event costs what it holds, not the width of the table.

use arrow_array::{
    RecordBatch,
    builder::{BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder},
    types::ArrowPrimitiveType,
};
use arrow_schema::{ArrowError, SchemaRef};
use krcu_common::{BarrierKind, FreePath, Kind, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, CacheFacts, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress, Scope, Site,
        WriteFields,
    },
    script::Word,
};

use crate::{
    column::{Filled, Held, Keys},
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
            /// The batch, and an empty one to go on with.
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

impl Columns {
    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of text so far: with the rows, what bounds a batch.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The next row.
    pub(crate) fn push(&mut self, event: &Event) {
        self.time_ns.append_value(event.time.0);
        self.task.append_value(event.task.0);
        self.cpu.append_value(event.cpu.0);
        self.kind.append(event.what.kind());
        event.what.write(self);
        self.rows += 1;
    }
}

impl WriteFields for Columns {
    fn cache(&mut self, cache: &CacheAddress) {
        number(&mut self.cache, self.rows, cache.0);
    }

    fn cache_if_any(&mut self, cache: &Option<CacheAddress>) {
        cache.iter().for_each(|cache| self.cache(cache));
    }

    fn object(&mut self, object: &ObjectAddress) {
        number(&mut self.object, self.rows, object.0);
    }

    fn object_if_any(&mut self, object: &Option<ObjectAddress>) {
        object.iter().for_each(|object| self.object(object));
    }

    fn site(&mut self, site: &Site) {
        if site.0 != 0 {
            number(&mut self.site, self.rows, site.0);
        }
    }

    fn site_of_frames(&mut self, site: &Site) {
        self.site(site);
    }

    fn function(&mut self, function: &FunctionAddress) {
        if function.0 != 0 {
            number(&mut self.function, self.rows, function.0);
        }
    }

    fn facts(&mut self, facts: &CacheFacts) {
        self.name(&facts.name);
        number(&mut self.object_size, self.rows, facts.object_size);
        number(&mut self.refcount, self.rows, facts.refcount);
    }

    fn asked_name(&mut self, name: &String) {
        text(&mut self.asked_name, self.rows, &mut self.text_bytes, name);
    }

    fn comm(&mut self, comm: &String) {
        text(&mut self.comm, self.rows, &mut self.text_bytes, comm);
    }

    fn counted(&mut self, counted: &bool) {
        flag(&mut self.counted, self.rows, *counted);
    }

    fn rcu_works_flushed(&mut self, calls: &u32) {
        number(&mut self.rcu_works_flushed, self.rows, *calls);
    }

    fn empty(&mut self, empty: &Option<bool>) {
        if let Some(empty) = empty {
            flag(&mut self.empty, self.rows, *empty);
        }
    }

    fn left(&mut self, left: &Option<Leftover>) {
        if let Some(left) = left {
            number(&mut self.objects_left, self.rows, left.objects);
            number(&mut self.objects_listed, self.rows, left.listed);
        }
    }

    fn form(&mut self, form: &QueueForm) {
        word(&mut self.form, self.rows, *form);
    }

    fn text(&mut self, module: &Option<String>) {
        if let Some(module) = module {
            text(&mut self.text, self.rows, &mut self.text_bytes, module);
        }
    }

    fn symbol(&mut self, symbol: &String) {
        text(&mut self.symbol, self.rows, &mut self.text_bytes, symbol);
    }

    fn path(&mut self, path: &FreePath) {
        word(&mut self.path, self.rows, *path);
    }

    fn barrier(&mut self, barrier: &BarrierKind) {
        word(&mut self.barrier, self.rows, *barrier);
    }

    fn expedited(&mut self, expedited: &bool) {
        flag(&mut self.expedited, self.rows, *expedited);
    }

    fn name(&mut self, name: &String) {
        text(&mut self.name, self.rows, &mut self.text_bytes, name);
    }

    fn frames(&mut self, frames: &Vec<String>) {
        texts(&mut self.frames, self.rows, &mut self.text_bytes, frames);
    }

    fn gap(&mut self, gap: &Gap) {
        word(&mut self.reason, self.rows, gap.reason);
        number(&mut self.lost_events, self.rows, gap.events);
        number(&mut self.from_ns, self.rows, gap.from.0);
        number(&mut self.until_ns, self.rows, gap.until.0);
        word(&mut self.scope, self.rows, gap.scope.of_any_cache());
        if let Scope::Cache(cache) = gap.scope {
            self.cache(&cache);
        }
        texts(&mut self.programs, self.rows, &mut self.text_bytes, &gap.programs);
    }
}

fn word<T: Word>(column: &mut Keys<T>, row: usize, value: T) {
    column.fill(row);
    column.append(value);
}

fn number<T: ArrowPrimitiveType>(column: &mut PrimitiveBuilder<T>, row: usize, value: T::Native) {
    column.fill(row);
    column.append_value(value);
}

fn flag(column: &mut BooleanBuilder, row: usize, value: bool) {
    column.fill(row);
    column.append_value(value);
}

fn text(column: &mut StringBuilder, row: usize, bytes: &mut usize, value: &str) {
    column.fill(row);
    column.append_value(value);
    *bytes += value.len();
}

fn texts(column: &mut ListBuilder<StringBuilder>, row: usize, bytes: &mut usize, values: &[String]) {
    column.fill(row);
    for value in values {
        *bytes += value.len();
        column.values().append_value(value);
    }
    column.append(true);
}
