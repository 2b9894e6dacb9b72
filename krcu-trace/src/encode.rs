//! Encode: events into the columns of a batch.
//!
//! A column is touched only by events that have something to say in it: what lies between is filled with
//! nulls when the next value comes. So an event costs what it holds, not the width of the table.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, DictionaryArray, RecordBatch, StringArray,
    builder::{ArrayBuilder, BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder, UInt8Builder},
    types::{ArrowPrimitiveType, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_schema::{ArrowError, SchemaRef};
use krcu_model::{
    Event,
    event::{CacheAddress, CacheFacts, FunctionAddress, Gap, ObjectAddress, Site, What},
};

use crate::{
    Kind,
    names::{key_of, key_of_scope},
    schema::{COLUMNS, Id, Type},
};

/// A builder of any column, to be filled with nulls.
trait Fill: ArrayBuilder {
    fn nulls(&mut self, count: usize);

    /// Nulls until the column has this many rows.
    fn fill(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.nulls(missing);
        }
    }
}

macro_rules! fill {
    ($($builder:ty),*) => {
        $(impl Fill for $builder {
            fn nulls(&mut self, count: usize) {
                self.append_nulls(count);
            }
        })*
    };
}

fill!(BooleanBuilder, StringBuilder, ListBuilder<StringBuilder>);

impl<T: ArrowPrimitiveType> Fill for PrimitiveBuilder<T> {
    fn nulls(&mut self, count: usize) {
        self.append_nulls(count);
    }
}

macro_rules! columns {
    ($($name:ident $builder:ty;)*) => {
        /// The batch that is being filled.
        #[derive(Debug, Default)]
        pub(crate) struct Columns {
            rows: usize,
            text_bytes: usize,
            words: Words,
            $($name: $builder,)*
        }

        impl Columns {
            fn fill(&mut self) {
                $(self.$name.fill(self.rows);)*
            }
        }
    };
}

columns! {
    time_ns PrimitiveBuilder<UInt64Type>;
    task PrimitiveBuilder<UInt32Type>;
    cpu PrimitiveBuilder<UInt16Type>;
    kind UInt8Builder;
    object PrimitiveBuilder<UInt64Type>;
    cache PrimitiveBuilder<UInt64Type>;
    site PrimitiveBuilder<UInt32Type>;
    function PrimitiveBuilder<UInt64Type>;
    path UInt8Builder;
    form UInt8Builder;
    barrier UInt8Builder;
    expedited BooleanBuilder;
    rcu_works_flushed PrimitiveBuilder<UInt32Type>;
    object_size PrimitiveBuilder<UInt32Type>;
    refcount PrimitiveBuilder<Int32Type>;
    counted BooleanBuilder;
    empty BooleanBuilder;
    objects_left PrimitiveBuilder<UInt64Type>;
    objects_listed PrimitiveBuilder<UInt64Type>;
    lost_events PrimitiveBuilder<UInt64Type>;
    from_ns PrimitiveBuilder<UInt64Type>;
    until_ns PrimitiveBuilder<UInt64Type>;
    reason UInt8Builder;
    scope UInt8Builder;
    programs ListBuilder<StringBuilder>;
    name StringBuilder;
    asked_name StringBuilder;
    comm StringBuilder;
    text StringBuilder;
    symbol StringBuilder;
    frames ListBuilder<StringBuilder>;
}

/// The dictionaries, the same objects in every batch so that a stream has each of them once.
#[derive(Debug)]
struct Words(Vec<ArrayRef>);

impl Default for Words {
    fn default() -> Words {
        let of = |holds| match holds {
            Type::Words(words) => Arc::new(StringArray::from_iter_values(words)) as ArrayRef,
            _ => Arc::new(StringArray::from_iter_values([""; 0])) as ArrayRef,
        };
        Words(COLUMNS.iter().map(|column| of(column.holds)).collect())
    }
}

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
        self.kind.append_value(Kind::of(&event.what) as u8);
        self.what(&event.what);
        self.rows += 1;
    }

    fn what(&mut self, what: &What) {
        match what {
            What::CacheCreated { cache, facts, asked_name, site } => {
                self.cache(*cache);
                self.facts(facts);
                self.site(*site);
                text(&mut self.asked_name, self.rows, &mut self.text_bytes, asked_name);
            }
            What::DestroyBegin { cache, facts, site, comm, counted } => {
                self.cache(*cache);
                self.facts(facts);
                self.site(*site);
                text(&mut self.comm, self.rows, &mut self.text_bytes, comm);
                flag(&mut self.counted, self.rows, *counted);
            }
            What::ShutdownBegin { cache, rcu_works_flushed } => {
                self.cache(*cache);
                number(&mut self.rcu_works_flushed, self.rows, *rcu_works_flushed);
            }
            What::ShutdownEnd { empty, left } => {
                if let Some(empty) = empty {
                    flag(&mut self.empty, self.rows, *empty);
                }
                if let Some(left) = left {
                    number(&mut self.objects_left, self.rows, left.objects);
                    number(&mut self.objects_listed, self.rows, left.listed);
                }
            }
            What::Queued { object, cache, site, form } => {
                self.object(*object);
                self.cache(*cache);
                self.site(*site);
                number(&mut self.form, self.rows, key_of(*form));
            }
            What::CallbackQueued { object, cache, function, text: module, site } => {
                self.object(*object);
                self.cache(*cache);
                self.function(*function);
                self.site(*site);
                self.module_text(module.as_deref());
            }
            What::Function { function, symbol } => {
                self.function(*function);
                text(&mut self.symbol, self.rows, &mut self.text_bytes, symbol);
            }
            What::Freed { object, cache, path } => {
                self.object(*object);
                self.cache(*cache);
                number(&mut self.path, self.rows, key_of(*path));
            }
            What::CallbackRuns { object, cache } | What::FreedAtOnce { object, cache } => {
                self.object(*object);
                self.cache(*cache);
            }
            What::BatchFreed { path } => number(&mut self.path, self.rows, key_of(*path)),
            What::BarrierBegin { barrier, rcu_works_flushed, site, comm } => {
                number(&mut self.barrier, self.rows, key_of(*barrier));
                number(&mut self.rcu_works_flushed, self.rows, *rcu_works_flushed);
                self.site(*site);
                if !comm.is_empty() {
                    text(&mut self.comm, self.rows, &mut self.text_bytes, comm);
                }
            }
            What::BarrierEnd { barrier, cache } => {
                number(&mut self.barrier, self.rows, key_of(*barrier));
                cache.iter().for_each(|cache| self.cache(*cache));
            }
            What::GraceBegin { expedited } | What::GraceEnd { expedited } => {
                flag(&mut self.expedited, self.rows, *expedited);
            }
            What::ModuleLoaded { name } | What::ModuleFreed { name } => {
                text(&mut self.name, self.rows, &mut self.text_bytes, name);
            }
            What::Site { site, frames } => {
                self.site(*site);
                texts(&mut self.frames, self.rows, &mut self.text_bytes, frames);
            }
            What::Gap(gap) => self.gap(gap),
            What::Allocated { object, cache, site } => {
                self.object(*object);
                self.cache(*cache);
                self.site(*site);
            }
            What::QueueReturned { object } => self.object(*object),
            What::CallbackRan { object, text: module } => {
                self.object(*object);
                self.module_text(module.as_deref());
            }
            What::ReadLock { object, cache } => {
                object.iter().for_each(|object| self.object(*object));
                cache.iter().for_each(|cache| self.cache(*cache));
            }
            What::CacheReleased { cache }
            | What::Lingers { cache }
            | What::Reported { cache }
            | What::SlabsFreed { cache }
            | What::DestructionAwaited { cache: Some(cache) } => self.cache(*cache),
            What::DestructionAwaited { cache: None } | What::ReadUnlock | What::Quiet => {}
        }
    }

    fn cache(&mut self, cache: CacheAddress) {
        number(&mut self.cache, self.rows, cache.0);
    }

    fn object(&mut self, object: ObjectAddress) {
        number(&mut self.object, self.rows, object.0);
    }

    fn function(&mut self, function: FunctionAddress) {
        if function.0 != 0 {
            number(&mut self.function, self.rows, function.0);
        }
    }

    fn site(&mut self, site: Site) {
        if site.0 != 0 {
            number(&mut self.site, self.rows, site.0);
        }
    }

    fn facts(&mut self, facts: &CacheFacts) {
        text(&mut self.name, self.rows, &mut self.text_bytes, &facts.name);
        number(&mut self.object_size, self.rows, facts.object_size);
        number(&mut self.refcount, self.rows, facts.refcount);
    }

    fn module_text(&mut self, module: Option<&str>) {
        if let Some(module) = module {
            text(&mut self.text, self.rows, &mut self.text_bytes, module);
        }
    }

    fn gap(&mut self, gap: &Gap) {
        let (scope, cache) = key_of_scope(gap.scope);
        number(&mut self.reason, self.rows, key_of(gap.reason));
        number(&mut self.lost_events, self.rows, gap.events);
        number(&mut self.from_ns, self.rows, gap.from.0);
        number(&mut self.until_ns, self.rows, gap.until.0);
        number(&mut self.scope, self.rows, scope);
        cache.iter().for_each(|cache| self.cache(*cache));
        texts(&mut self.programs, self.rows, &mut self.text_bytes, &gap.programs);
    }

    /// The batch, and an empty one to go on with.
    pub(crate) fn take(&mut self, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
        self.fill();
        let arrays = vec![
            Arc::new(self.time_ns.finish()) as ArrayRef,
            Arc::new(self.task.finish()),
            Arc::new(self.cpu.finish()),
            self.words.array(Id::Kind, &mut self.kind)?,
            Arc::new(self.object.finish()),
            Arc::new(self.cache.finish()),
            Arc::new(self.site.finish()),
            Arc::new(self.function.finish()),
            self.words.array(Id::Path, &mut self.path)?,
            self.words.array(Id::Form, &mut self.form)?,
            self.words.array(Id::Barrier, &mut self.barrier)?,
            Arc::new(self.expedited.finish()),
            Arc::new(self.rcu_works_flushed.finish()),
            Arc::new(self.object_size.finish()),
            Arc::new(self.refcount.finish()),
            Arc::new(self.counted.finish()),
            Arc::new(self.empty.finish()),
            Arc::new(self.objects_left.finish()),
            Arc::new(self.objects_listed.finish()),
            Arc::new(self.lost_events.finish()),
            Arc::new(self.from_ns.finish()),
            Arc::new(self.until_ns.finish()),
            self.words.array(Id::Reason, &mut self.reason)?,
            self.words.array(Id::Scope, &mut self.scope)?,
            Arc::new(self.programs.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.asked_name.finish()),
            Arc::new(self.comm.finish()),
            Arc::new(self.text.finish()),
            Arc::new(self.symbol.finish()),
            Arc::new(self.frames.finish()),
        ];
        self.rows = 0;
        self.text_bytes = 0;
        RecordBatch::try_new(schema, arrays)
    }
}

impl Words {
    fn array(&self, column: Id, keys: &mut UInt8Builder) -> Result<ArrayRef, ArrowError> {
        let words = Arc::clone(&self.0[column as usize]);
        Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(keys.finish(), words)?))
    }
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
