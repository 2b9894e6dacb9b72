//! Schema: the one list of the columns of the table of events, with what a reader has to know about each.
//!
//! There is one table, with a row for each event and a column for each fact. A column is null for events that
//! do not have that fact. A column of a few words is a dictionary with all of these words, so that a stream
//! has one dictionary for the column from begin to end. Free text is not a dictionary, because a dictionary
//! that grows would have to be sent again. A column of nulls takes a few bytes in a compressed batch.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::event::{LossReason, Scope};

use crate::{FORMAT, column::Held};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Yes or no.
    Bool,
    /// A number of 16 bits, without a sign.
    U16,
    /// A number of 32 bits, without a sign.
    U32,
    /// A number of 64 bits, without a sign.
    U64,
    /// A number of 32 bits, with a sign.
    I32,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Text.
    Text,
    /// A list of texts, none of them null.
    Texts,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Type,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its unit.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Where in the kernel it comes from.
    pub source: &'static str,
}

/// Gives every column of the table of events, in order, to another macro.
///
/// A column is never null (`always`), or may be null (`sometimes`), or is the event's field of the same name
/// (`field`), which is null for kinds without that field.
macro_rules! columns {
    ($then:ident) => {
        $then! {
    time_ns u64, always, "ns of CLOCK_MONOTONIC",
        "When the probe reserved room for the event. Rows are in the order of those reservations, which is the order \
         that verdicts follow; times of two CPUs may be out of it by a little.", "bpf_ktime_get_ns()";
    task u32, always, "thread id", "In which task; 0 is the idle task of any CPU.", "task_struct.pid";
    cpu u16, always, "number of a CPU", "On which CPU.", "bpf_get_smp_processor_id()";
    kind Kind, always, "word", "What happened: see the kinds below.", "see the kinds";
    object u64, sometimes, "kernel address",
        "The object; for callbacks the rcu_head in it. Used again as soon as it is free.", "arguments of the function";
    cache u64, sometimes, "kernel address",
        "The struct kmem_cache: of the object, of the barrier, or of the loss. Two caches may have it, one after the other.",
        "virt_to_slab(object)->slab_cache, or an argument";
    site u32, sometimes, "number of a stack",
        "Where from: the row of kind `site` before this one with the same number has the frames. Null when not taken.",
        "bpf_get_stackid()";
    function u64, sometimes, "kernel address",
        "The callback: the row of kind `function` before or after this one has its symbol. Null when not known.",
        "second argument of call_rcu()";
    path FreePath, field, "word", "How objects are freed.", "which function was entered";
    form QueueForm, field, "word", "Which form of kfree_rcu() queued the object.",
        "first argument of kvfree_call_rcu(); which function was entered";
    barrier BarrierKind, field, "word", "Which barrier.", "which function was entered";
    expedited bool, field, "-", "Whether the grace period is an expedited one.",
        "which function was entered";
    rcu_works_flushed u32, field, "calls",
        "Calls of flush_rcu_work() that this task has made since it entered the destroy: the barrier inside newer destroys \
         makes two for each possible CPU. 4294967295 when the count was lost.", "flush_rcu_work()";
    object_size u32, sometimes, "bytes", "Bytes of an object as its user sees it.",
        "kmem_cache.object_size";
    refcount i32, sometimes, "users", "Users of the cache: after a creation, before a destroy.",
        "kmem_cache.refcount";
    counted bool, field, "-",
        "Whether the objects of the cache were counted, not streamed: then no `queued` or `freed` row is of it.",
        "whether kmem_cache.name lies in the kernel's read-only data";
    empty bool, sometimes, "-",
        "Of `shutdown_end`: whether every slab was given back. Null when that could not be read.",
        "kmem_cache_node.nr_slabs";
    objects_left u64, sometimes, "objects",
        "Of `shutdown_end`: objects still allocated, by the kernel's own counts. Null when they were not asked for or not whole.",
        "kmem_cache_node.total_objects, slab.inuse";
    objects_listed u64, sometimes, "objects",
        "Of these, objects on partial slabs: those that the kernel's own report lists.", "kmem_cache_node.partial";
    lost_events u64, sometimes, "events", "Of `gap`: how many events; 0 when nobody knows.",
        "sequence numbers of the CPUs, bpf_prog_info.recursion_misses";
    from_ns u64, sometimes, "ns of CLOCK_MONOTONIC", "Of `gap`: not before this.", "events around the gap";
    until_ns u64, sometimes, "ns of CLOCK_MONOTONIC", "Of `gap`: not after this.", "events around the gap";
    reason LossReason, sometimes, "word", "Of `gap`: why.", "krcu's own accounts";
    scope Scope, sometimes, "word",
        "Of `gap`: what the lost events would have told of: everything, one cache (column `cache`), grace periods, calls \
         that queue, frees, or barriers.", "krcu's own accounts";
    programs Vec<String>, sometimes, "texts",
        "Of `gap`: the probes' programs whose runs were skipped, where that is why.", "bpf_prog_info.recursion_misses";
    name String, field, "text",
        "Name of the cache (of a merged one, that of its first creator), or of the module that came or went. At most 56 bytes.",
        "kmem_cache.name, module.name";
    asked_name String, field, "text", "Of `cache_created`: the name that this caller asked for.",
        "first argument of kmem_cache_create()";
    comm String, field, "text", "Of `destroy_begin`: name of the task.", "task_struct.comm";
    text String, sometimes, "text", "The module in whose text a callback lies, where that is known.",
        "none: said by a simulated kernel";
    symbol String, field, "text", "Of `function`: as the kernel prints it, taken while its module was loaded.",
        "bpf_snprintf(\"%pS\")";
    frames Vec<String>, field, "texts",
        "Of `site`: the frames, innermost first, as the kernel prints them, taken while their modules were loaded.",
        "bpf_snprintf(\"%pS\")";
    flavour Flavour, sometimes, "word",
        "Of `callback_queued`: the kind of RCU that it waits for, or that it is a work. Null is `rcu`. Since ABI 5.",
        "which function was entered";
    domain u64, sometimes, "kernel address",
        "Of `callback_queued` and `barrier_end`: the struct srcu_struct, the struct workqueue_struct, the rcu_head in the struct \
         rcu_work, or the struct work_struct, where it is of one. Since ABI 5.",
        "arguments of the function";
        }
    };
}
pub(crate) use columns;

macro_rules! described {
    ($($name:ident $holds:ty, $null:ident, $unit:literal, $meaning:literal, $source:literal;)*) => {
        /// Every column of the table of events, in order.
        pub const COLUMNS: &[Column] = &[$(Column {
            name: stringify!($name),
            holds: <$holds as Held>::TYPE,
            nullable: described!(@$null),
            unit: $unit,
            meaning: $meaning,
            source: $source,
        }),*];
    };
    (@always) => { false };
    (@$sometimes:ident) => { true };
}

columns!(described);

impl Type {
    /// The type in Arrow.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::U16 => DataType::UInt16,
            Type::U32 => DataType::UInt32,
            Type::U64 => DataType::UInt64,
            Type::I32 => DataType::Int32,
            Type::Words(_) => DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8)),
            Type::Text => DataType::Utf8,
            Type::Texts => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        }
    }
}

/// The trace to which a segment belongs; it is in the metadata of the segment's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Belongs {
    /// [`crate::Meta::trace`].
    pub(crate) trace: String,
    /// The segment's number.
    pub(crate) segment: u32,
    /// Rows in the segments before it.
    pub(crate) first_row: u64,
}

/// Keys of the schema's metadata.
pub(crate) mod key {
    pub(crate) const FORMAT: &str = "krcu.format";
    pub(crate) const ABI: &str = "krcu.abi";
    pub(crate) const TRACE: &str = "krcu.trace";
    pub(crate) const SEGMENT: &str = "krcu.segment";
    pub(crate) const FIRST_ROW: &str = "krcu.first_row";
}

/// Columns that the events of ABI 5 have, and older ones have not: the last ones.
const SINCE_ABI_5: usize = 2;

/// The columns of the table of events where the probes' events have this version.
pub(crate) fn columns_of(abi: u32) -> &'static [Column] {
    let older = COLUMNS.len() - SINCE_ABI_5;
    if abi < 5 { COLUMNS.get(..older).unwrap_or(COLUMNS) } else { COLUMNS }
}

/// The fields of these columns.
#[must_use]
pub fn fields(columns: &[Column]) -> Vec<Field> {
    columns.iter().map(|column| Field::new(column.name, column.holds.arrow(), column.nullable)).collect()
}

/// The schema of one segment.
pub(crate) fn of_segment(belongs: &Belongs) -> SchemaRef {
    let metadata = HashMap::from([
        (key::FORMAT.to_owned(), FORMAT.to_string()),
        (key::ABI.to_owned(), krcu_common::ABI_VERSION.to_string()),
        (key::TRACE.to_owned(), belongs.trace.clone()),
        (key::SEGMENT.to_owned(), belongs.segment.to_string()),
        (key::FIRST_ROW.to_owned(), belongs.first_row.to_string()),
    ]);
    Arc::new(Schema::new_with_metadata(fields(COLUMNS), metadata))
}
