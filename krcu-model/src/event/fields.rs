//! Fields: what each kind of event says, in one place for everything that writes or reads events.
//!
//! The first table has every field. The second table says which fields each kind has, in the order of a
//! script. Scripts and traces each say in one place how they write and read a field ([`WriteFields`],
//! [`ReadFields`]).

use krcu_common::{BarrierKind, FreePath, Kind, QueueForm};

use super::{CacheAddress, CacheFacts, Domain, FunctionAddress, Gap, Leftover, ObjectAddress, Site, What};

macro_rules! ways {
    ($($way:ident $holds:ty, $meaning:literal;)*) => {
        /// A writer that takes the fields of an event, one after the other.
        #[expect(clippy::ptr_arg, reason = "each field comes as the event has it")]
        pub trait WriteFields {
            $(#[doc = $meaning] fn $way(&mut self, $way: &$holds);)*
        }

        /// A reader that gives the fields of an event, one after the other.
        pub trait ReadFields {
            /// Why a field cannot be read.
            type Error;

            $(
                #[doc = $meaning]
                ///
                /// # Errors
                /// When the field is missing, or has another type.
                fn $way(&mut self) -> Result<$holds, Self::Error>;
            )*
        }
    };
}

ways! {
    cache CacheAddress, "A cache.";
    cache_if_any Option<CacheAddress>, "A cache, where the event is of one.";
    object ObjectAddress, "An object.";
    object_if_any Option<ObjectAddress>, "An object, where the event is of one.";
    site Site, "Where from; 0 is left out.";
    site_of_frames Site, "The number of a stack, which is never left out.";
    function FunctionAddress, "A callback; 0 is left out.";
    facts CacheFacts, "What a cache is.";
    asked_name String, "The name that was asked for. The facts come before it: a script may leave it out.";
    comm String, "Name of a task.";
    comm_if_any String, "Name of a task, where it is known.";
    counted bool, "Whether objects are counted.";
    rcu_works_flushed u32, "Calls of `flush_rcu_work()`.";
    empty Option<bool>, "Whether every slab was given back.";
    left Option<Leftover>, "What was left.";
    form QueueForm, "Which form of `kfree_rcu()`.";
    text Option<String>, "The module of a callback.";
    domain Domain, "What a callback waits for; that of `call_rcu()` is left out.";
    of u64, "What a barrier is of; 0 is left out.";
    symbol String, "A function as the kernel prints it.";
    path FreePath, "How objects are freed.";
    barrier BarrierKind, "Which barrier.";
    expedited bool, "Whether a grace period is an expedited one.";
    name String, "Name of a module.";
    frames Vec<String>, "Frames of a stack.";
    gap Gap, "All that a gap says.";
}

macro_rules! fields {
    ($($kind:ident { $($field:ident $(as $way:ident)?),* })*) => {
        impl What {
            /// Gives every field to a writer, in the order of the table.
            #[inline]
            pub fn write(&self, to: &mut impl WriteFields) {
                match self {
                    $(What::$kind { $($field),* } => { $(fields!(@write to $field $($way)?);)* })*
                    What::Gap(gap) => to.gap(gap),
                }
            }

            /// Reads an event of this kind from a reader.
            ///
            /// # Errors
            /// The first error of the reader.
            #[inline]
            pub fn read<R: ReadFields>(kind: Kind, from: &mut R) -> Result<What, R::Error> {
                Ok(match kind {
                    $(Kind::$kind => What::$kind { $($field: fields!(@read from $field $($way)?)),* },)*
                    Kind::Gap => What::Gap(from.gap()?),
                })
            }
        }
    };
    (@write $to:ident $field:ident) => { $to.$field($field) };
    (@write $to:ident $field:ident $way:ident) => { $to.$way($field) };
    (@read $from:ident $field:ident) => { $from.$field()? };
    (@read $from:ident $field:ident $way:ident) => { $from.$way()? };
}

fields! {
    CacheCreated { cache, facts, asked_name, site }
    DestroyBegin { cache, facts, comm, site, counted }
    ShutdownBegin { cache, rcu_works_flushed }
    ShutdownEnd { empty, left }
    CacheReleased { cache }
    Queued { object, cache, site, form }
    CallbackQueued { object, cache, function, text, domain, site }
    WorkRan { object }
    WorkRuns { object, function }
    CallbackRuns { object, cache }
    Function { function, symbol }
    FreedAtOnce { object, cache }
    Freed { object, cache, path }
    BatchFreed { path }
    BarrierBegin { barrier, rcu_works_flushed, site, comm as comm_if_any }
    BarrierEnd { barrier, cache as cache_if_any, of }
    GraceBegin { expedited }
    GraceEnd { expedited }
    ModuleLoaded { name }
    ModuleGoing { name }
    ModuleFreed { name }
    Site { site as site_of_frames, frames }
    Allocated { object, cache, site }
    QueueReturned { object }
    CallbackRan { object, text }
    ReadLock { object as object_if_any, cache as cache_if_any }
    ReadUnlock {}
    Lingers { cache }
    Reported { cache }
    DestructionAwaited { cache as cache_if_any }
    SlabsFreed { cache }
    Quiet {}
}

macro_rules! kind_of {
    ($($kind:ident $row:tt)*) => {
        impl What {
            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(What::$kind { .. } => Kind::$kind,)* }
            }
        }
    };
}

krcu_common::kinds!(kind_of);
