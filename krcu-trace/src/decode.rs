//! Decode: the rows of a batch back into events.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, ListArray, PrimitiveArray, RecordBatch, StringArray,
    types::{ArrowPrimitiveType, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, CacheFacts, Cpu, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress, Scope,
        Site, Task, Time, What,
    },
    script::Word,
};

use crate::{
    Kind, Reason,
    schema::{COLUMNS, Id},
};

/// A batch of events: columns of the right types, which give any row as an event.
#[derive(Debug)]
pub struct Batch {
    columns: RecordBatch,
    time_ns: PrimitiveArray<UInt64Type>,
    task: PrimitiveArray<UInt32Type>,
    cpu: PrimitiveArray<UInt16Type>,
    kind: Words<Kind>,
    object: PrimitiveArray<UInt64Type>,
    cache: PrimitiveArray<UInt64Type>,
    site: PrimitiveArray<UInt32Type>,
    function: PrimitiveArray<UInt64Type>,
    path: Words<FreePath>,
    form: Words<QueueForm>,
    barrier: Words<BarrierKind>,
    expedited: BooleanArray,
    rcu_works_flushed: PrimitiveArray<UInt32Type>,
    object_size: PrimitiveArray<UInt32Type>,
    refcount: PrimitiveArray<Int32Type>,
    counted: BooleanArray,
    empty: BooleanArray,
    objects_left: PrimitiveArray<UInt64Type>,
    objects_listed: PrimitiveArray<UInt64Type>,
    lost_events: PrimitiveArray<UInt64Type>,
    from_ns: PrimitiveArray<UInt64Type>,
    until_ns: PrimitiveArray<UInt64Type>,
    reason: Words<LossReason>,
    scope: Words<ScopeWord>,
    name: StringArray,
    asked_name: StringArray,
    comm: StringArray,
    text: StringArray,
    symbol: StringArray,
    frames: ListArray,
    programs: ListArray,
}

/// A column of words, with what each key of its dictionary means.
#[derive(Debug)]
struct Words<T> {
    keys: PrimitiveArray<UInt8Type>,
    values: Vec<T>,
}

/// The word of a scope; the cache is in a column of its own.
#[derive(Clone, Copy, Debug)]
enum ScopeWord {
    Everything,
    Cache,
    Grace,
    Queueing,
    Freeing,
    Barriers,
}

fn taken<A: Array + Clone + 'static>(batch: &RecordBatch, id: Id) -> Result<A, Reason> {
    let wrong = || Reason::Columns(format!("the column `{}` is of another type", COLUMNS[id as usize].name));
    let column: &ArrayRef = batch.columns().get(id as usize).ok_or_else(wrong)?;
    column.as_any().downcast_ref::<A>().cloned().ok_or_else(wrong)
}

fn words<T: Copy>(
    batch: &RecordBatch,
    id: Id,
    of_word: impl Fn(&str) -> Option<T>,
) -> Result<Words<T>, Reason> {
    let column: DictionaryArray<UInt8Type> = taken(batch, id)?;
    let name = COLUMNS[id as usize].name;
    let no_text = || Reason::Columns(format!("the dictionary of the column `{name}` is not of text"));
    let dictionary = Arc::clone(column.values());
    let dictionary = dictionary.as_any().downcast_ref::<StringArray>().ok_or_else(no_text)?;
    let value = |word: Option<&str>| {
        let word = word.unwrap_or("null");
        of_word(word).ok_or_else(|| Reason::Word { word: word.to_owned(), column: name })
    };
    let values = dictionary.iter().map(value).collect::<Result<Vec<T>, Reason>>()?;
    Ok(Words { keys: column.keys().clone(), values })
}

impl<T: Copy> Words<T> {
    fn at(&self, row: usize) -> Option<T> {
        at(&self.keys, row).and_then(|key| self.values.get(usize::from(key)).copied())
    }
}

fn at<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

fn flag(column: &BooleanArray, row: usize) -> Option<bool> {
    column.is_valid(row).then(|| column.value(row))
}

fn text(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

impl Batch {
    /// Takes the columns out of a batch that has the schema of the format.
    ///
    /// # Errors
    /// When a column is not what the format says, or a dictionary holds a word that it does not know.
    pub fn of(columns: RecordBatch) -> Result<Batch, Reason> {
        let batch = &columns;
        let scope = |word: &str| match word {
            "everything" => Some(ScopeWord::Everything),
            "cache" => Some(ScopeWord::Cache),
            "grace" => Some(ScopeWord::Grace),
            "queueing" => Some(ScopeWord::Queueing),
            "freeing" => Some(ScopeWord::Freeing),
            "barriers" => Some(ScopeWord::Barriers),
            _ => None,
        };
        Ok(Batch {
            time_ns: taken(batch, Id::TimeNs)?,
            task: taken(batch, Id::Task)?,
            cpu: taken(batch, Id::Cpu)?,
            kind: words(batch, Id::Kind, Kind::of_word)?,
            object: taken(batch, Id::Object)?,
            cache: taken(batch, Id::Cache)?,
            site: taken(batch, Id::Site)?,
            function: taken(batch, Id::Function)?,
            path: words(batch, Id::Path, FreePath::of_word)?,
            form: words(batch, Id::Form, QueueForm::of_word)?,
            barrier: words(batch, Id::Barrier, BarrierKind::of_word)?,
            expedited: taken(batch, Id::Expedited)?,
            rcu_works_flushed: taken(batch, Id::RcuWorksFlushed)?,
            object_size: taken(batch, Id::ObjectSize)?,
            refcount: taken(batch, Id::Refcount)?,
            counted: taken(batch, Id::Counted)?,
            empty: taken(batch, Id::Empty)?,
            objects_left: taken(batch, Id::ObjectsLeft)?,
            objects_listed: taken(batch, Id::ObjectsListed)?,
            lost_events: taken(batch, Id::LostEvents)?,
            from_ns: taken(batch, Id::FromNs)?,
            until_ns: taken(batch, Id::UntilNs)?,
            reason: words(batch, Id::Reason, LossReason::of_word)?,
            scope: words(batch, Id::Scope, scope)?,
            name: taken(batch, Id::Name)?,
            asked_name: taken(batch, Id::AskedName)?,
            comm: taken(batch, Id::Comm)?,
            text: taken(batch, Id::Text)?,
            symbol: taken(batch, Id::Symbol)?,
            frames: taken(batch, Id::Frames)?,
            programs: taken(batch, Id::Programs)?,
            columns,
        })
    }

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

    /// A row as an event.
    ///
    /// # Errors
    /// When a column that its kind needs is null there, or the batch has no such row.
    pub fn event(&self, row: usize) -> Result<Event, Reason> {
        if row >= self.rows() {
            return Err(Reason::Columns(format!("there is no row {row}")));
        }
        let kind = self.kind.at(row).ok_or(Reason::Null { kind: "?", column: "kind" })?;
        let need = |column| Reason::Null { kind: kind.word(), column };
        Ok(Event {
            time: Time(at(&self.time_ns, row).ok_or_else(|| need("time_ns"))?),
            task: Task(at(&self.task, row).ok_or_else(|| need("task"))?),
            cpu: Cpu(at(&self.cpu, row).ok_or_else(|| need("cpu"))?),
            what: Row { batch: self, row, kind }.what()?,
        })
    }
}

/// One row, while its event is made.
#[derive(Clone, Copy)]
struct Row<'a> {
    batch: &'a Batch,
    row: usize,
    kind: Kind,
}

impl Row<'_> {
    fn need<T>(&self, column: &'static str, value: Option<T>) -> Result<T, Reason> {
        value.ok_or_else(|| Reason::Null { kind: self.kind.word(), column })
    }

    fn cache_if_any(&self) -> Option<CacheAddress> {
        at(&self.batch.cache, self.row).map(CacheAddress)
    }

    fn cache(&self) -> Result<CacheAddress, Reason> {
        self.need("cache", self.cache_if_any())
    }

    fn object_if_any(&self) -> Option<ObjectAddress> {
        at(&self.batch.object, self.row).map(ObjectAddress)
    }

    fn object(&self) -> Result<ObjectAddress, Reason> {
        self.need("object", self.object_if_any())
    }

    fn site(&self) -> Site {
        Site(at(&self.batch.site, self.row).unwrap_or(0))
    }

    fn function(&self) -> FunctionAddress {
        FunctionAddress(at(&self.batch.function, self.row).unwrap_or(0))
    }

    fn path(&self) -> Result<FreePath, Reason> {
        self.need("path", self.batch.path.at(self.row))
    }

    fn barrier(&self) -> Result<BarrierKind, Reason> {
        self.need("barrier", self.batch.barrier.at(self.row))
    }

    fn expedited(&self) -> Result<bool, Reason> {
        self.need("expedited", flag(&self.batch.expedited, self.row))
    }

    fn rcu_works_flushed(&self) -> Result<u32, Reason> {
        self.need("rcu_works_flushed", at(&self.batch.rcu_works_flushed, self.row))
    }

    fn name(&self) -> Result<String, Reason> {
        self.need("name", text(&self.batch.name, self.row))
    }

    fn facts(&self) -> Result<CacheFacts, Reason> {
        Ok(CacheFacts {
            name: self.name()?,
            object_size: self.need("object_size", at(&self.batch.object_size, self.row))?,
            refcount: self.need("refcount", at(&self.batch.refcount, self.row))?,
        })
    }

    fn texts(&self, name: &'static str, column: &ListArray) -> Result<Vec<String>, Reason> {
        let texts = self.need(name, column.is_valid(self.row).then(|| column.value(self.row)))?;
        let texts = texts.as_any().downcast_ref::<StringArray>();
        let texts = texts.ok_or_else(|| Reason::Columns(format!("the column `{name}` is not of texts")))?;
        texts.iter().map(|text| self.need(name, text.map(str::to_owned))).collect()
    }

    fn left(&self) -> Result<Option<Leftover>, Reason> {
        match (at(&self.batch.objects_left, self.row), at(&self.batch.objects_listed, self.row)) {
            (None, None) => Ok(None),
            (objects, listed) => Ok(Some(Leftover {
                objects: self.need("objects_left", objects)?,
                listed: self.need("objects_listed", listed)?,
            })),
        }
    }

    fn gap(&self) -> Result<Gap, Reason> {
        let scope = match self.need("scope", self.batch.scope.at(self.row))? {
            ScopeWord::Everything => Scope::Everything,
            ScopeWord::Cache => Scope::Cache(self.cache()?),
            ScopeWord::Grace => Scope::Grace,
            ScopeWord::Queueing => Scope::Queueing,
            ScopeWord::Freeing => Scope::Freeing,
            ScopeWord::Barriers => Scope::Barriers,
        };
        Ok(Gap {
            reason: self.need("reason", self.batch.reason.at(self.row))?,
            events: self.need("lost_events", at(&self.batch.lost_events, self.row))?,
            from: Time(self.need("from_ns", at(&self.batch.from_ns, self.row))?),
            until: Time(self.need("until_ns", at(&self.batch.until_ns, self.row))?),
            scope,
            programs: self.texts("programs", &self.batch.programs)?,
        })
    }

    fn what(&self) -> Result<What, Reason> {
        Ok(match self.kind {
            Kind::CacheCreated => What::CacheCreated {
                cache: self.cache()?,
                facts: self.facts()?,
                asked_name: self.need("asked_name", text(&self.batch.asked_name, self.row))?,
                site: self.site(),
            },
            Kind::DestroyBegin => What::DestroyBegin {
                cache: self.cache()?,
                facts: self.facts()?,
                site: self.site(),
                comm: self.need("comm", text(&self.batch.comm, self.row))?,
                counted: self.need("counted", flag(&self.batch.counted, self.row))?,
            },
            Kind::ShutdownBegin => {
                What::ShutdownBegin { cache: self.cache()?, rcu_works_flushed: self.rcu_works_flushed()? }
            }
            Kind::ShutdownEnd => {
                What::ShutdownEnd { empty: flag(&self.batch.empty, self.row), left: self.left()? }
            }
            Kind::CacheReleased => What::CacheReleased { cache: self.cache()? },
            Kind::Queued => What::Queued {
                object: self.object()?,
                cache: self.cache()?,
                site: self.site(),
                form: self.need("form", self.batch.form.at(self.row))?,
            },
            Kind::CallbackQueued => What::CallbackQueued {
                object: self.object()?,
                cache: self.cache()?,
                function: self.function(),
                text: text(&self.batch.text, self.row),
                site: self.site(),
            },
            Kind::CallbackRuns => What::CallbackRuns { object: self.object()?, cache: self.cache()? },
            Kind::Function => What::Function {
                function: self.function(),
                symbol: self.need("symbol", text(&self.batch.symbol, self.row))?,
            },
            Kind::FreedAtOnce => What::FreedAtOnce { object: self.object()?, cache: self.cache()? },
            Kind::Freed => What::Freed { object: self.object()?, cache: self.cache()?, path: self.path()? },
            Kind::BatchFreed => What::BatchFreed { path: self.path()? },
            Kind::BarrierBegin => What::BarrierBegin {
                barrier: self.barrier()?,
                rcu_works_flushed: self.rcu_works_flushed()?,
                site: self.site(),
                // Traces of older versions have neither.
                comm: text(&self.batch.comm, self.row).unwrap_or_default(),
            },
            Kind::BarrierEnd => What::BarrierEnd { barrier: self.barrier()?, cache: self.cache_if_any() },
            Kind::GraceBegin => What::GraceBegin { expedited: self.expedited()? },
            Kind::GraceEnd => What::GraceEnd { expedited: self.expedited()? },
            Kind::ModuleLoaded => What::ModuleLoaded { name: self.name()? },
            Kind::ModuleFreed => What::ModuleFreed { name: self.name()? },
            Kind::Site => What::Site { site: self.site(), frames: self.texts("frames", &self.batch.frames)? },
            Kind::Gap => What::Gap(self.gap()?),
            Kind::Allocated => {
                What::Allocated { object: self.object()?, cache: self.cache()?, site: self.site() }
            }
            Kind::QueueReturned => What::QueueReturned { object: self.object()? },
            Kind::CallbackRan => {
                What::CallbackRan { object: self.object()?, text: text(&self.batch.text, self.row) }
            }
            Kind::ReadLock => What::ReadLock { object: self.object_if_any(), cache: self.cache_if_any() },
            Kind::ReadUnlock => What::ReadUnlock,
            Kind::Lingers => What::Lingers { cache: self.cache()? },
            Kind::Reported => What::Reported { cache: self.cache()? },
            Kind::DestructionAwaited => What::DestructionAwaited { cache: self.cache_if_any() },
            Kind::SlabsFreed => What::SlabsFreed { cache: self.cache()? },
            Kind::Quiet => What::Quiet,
        })
    }
}
