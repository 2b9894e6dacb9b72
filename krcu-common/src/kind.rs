//! Kind: the one table of the kinds of event. Numbers, words, bodies, counters and the keys of a trace come
//! from it.
//!
//! A row is `Kind { number, word, concern, [body], meaning, source }`:
//!
//! - the number is in [`Header::kind`](crate::wire::Header::kind), and is the row of the kind's counters.
//!   Probes write the kinds that have a body; their numbers count from 1 without a gap. Only machines,
//!   scripts and krcu itself make the others; their numbers begin at 128 and are never written;
//! - the word is the kind's name in messages, in scripts, and in the column `kind` of a trace;
//! - the concern says what is in doubt if such an event is not seen;
//! - the body says how [`decode`](crate::decode()) reads the bytes after the header.
//!
//! The place of a row is the key of the kind in a trace, so a new row must be added at the end.
//!
//! If you add a row, the compiler asks for the rest: the structure of the body in [`wire`](crate::wire), the
//! variant of `krcu_model::event::What`, its fields in `event/fields.rs` there, its effect on the state, and
//! how it is counted.

/// Gives every row of the table to another macro.
#[macro_export]
macro_rules! kinds {
    ($then:ident) => {
        $then! {
            CacheCreated { 1, "cache_created", Everything, [InPlace<'a, wire::CacheCreated>],
                "A slab cache was created, or an existing one was shared",
                "kmem_cache_create(), __kmem_cache_create_args()" }
            DestroyBegin { 2, "destroy_begin", Everything, [InPlace<'a, wire::DestroyBegin>],
                "The destroy of a cache was entered", "kmem_cache_destroy()" }
            ShutdownBegin { 3, "shutdown_begin", Everything, [wire::ShutdownBegin],
                "The destroy looks at its slabs", "__kmem_cache_shutdown()" }
            ShutdownEnd { 4, "shutdown_end", Everything, [wire::ShutdownEnd],
                "That look is over",
                "cpus_read_unlock() in the destroying task, or sysfs_slab_unlink() where that one is inline" }
            CacheReleased { 5, "cache_released", Everything, [wire::CacheOnly],
                "The address may belong to another cache next", "slab_kmem_cache_release()" }
            Queued { 6, "queued", Queueing, [Chosen<wire::Queued>],
                "An object was handed to kfree_rcu()", "kvfree_call_rcu()" }
            CallbackQueued { 14, "callback_queued", Queueing, [Chosen<wire::CallbackQueued>],
                "A callback was queued, or a callback queued a work",
                "call_rcu(), call_rcu_hurry(), call_srcu(), call_rcu_tasks_generic(), the tracepoint workqueue_queue_work" }
            CallbackRuns { 17, "callback_runs", Freeing, [wire::CallbackRuns],
                "A callback begins to run", "the callback's function" }
            Function { 18, "function", Names, [InPlace<'a, wire::Function>],
                "From here on, this address is this function", "the kernel's %pS" }
            FreedAtOnce { 20, "freed_at_once", Everything, [wire::FreedAtOnce],
                "An object is freed that nobody had deferred", "kmem_cache_free(), kfree()" }
            Freed { 7, "freed", Freeing, [Chosen<wire::Freed>],
                "The deferred free of an object begins",
                "kvfree_rcu_bulk(), kmem_cache_free_bulk(), kvfree(), rcu_free_sheaf()" }
            BatchFreed { 8, "batch_freed", Freeing, [Chosen<wire::BatchFreed>],
                "The call that freed this task's objects by that path returned", "the return of the same" }
            BarrierBegin { 9, "barrier_begin", Barriers, [Chosen<wire::Barrier>],
                "A barrier was entered",
                "rcu_barrier(), kvfree_rcu_barrier(), kvfree_rcu_barrier_on_cache()" }
            BarrierEnd { 10, "barrier_end", Barriers, [Chosen<wire::Barrier>],
                "A barrier returned, in the task that entered it", "the return of the same" }
            GraceBegin { 15, "grace_begin", Grace, [wire::Grace],
                "A grace period has begun", "rcu_gp_fqs_loop(), wait_rcu_exp_gp()" }
            GraceEnd { 16, "grace_end", Grace, [wire::Grace],
                "A grace period ends, or has ended", "rcu_gp_cleanup(), the return of wait_rcu_exp_gp()" }
            ModuleLoaded { 11, "module_loaded", Everything, [InPlace<'a, wire::Module>],
                "A module was loaded", "the tracepoint module_load" }
            ModuleFreed { 12, "module_freed", Everything, [InPlace<'a, wire::Module>],
                "A module's text goes", "the tracepoint module_free" }
            Site { 13, "site", Names, [InPlace<'a, wire::Site>],
                "From here on, this number stands for these frames", "the kernel's %pS" }
            Gap { 128, "gap", Everything, [],
                "Something went unseen", "krcu's own accounts" }
            Allocated { 19, "allocated", Everything, [wire::Allocated],
                "An object was allocated", "kmem_cache_alloc() and its kin" }
            QueueReturned { 129, "queue_returned", Everything, [],
                "The call that queued an object returned", "none: said by a simulated kernel" }
            CallbackRan { 130, "callback_ran", Everything, [],
                "A callback ran and freed its object", "none: said by a simulated kernel" }
            ReadLock { 131, "read_lock", Everything, [],
                "A reader began, and what it found", "none: said by a simulated kernel" }
            ReadUnlock { 132, "read_unlock", Everything, [],
                "A reader ended", "none: said by a simulated kernel" }
            Lingers { 133, "lingers", Everything, [],
                "A destroy returned and left the cache for later", "none: said by a simulated kernel" }
            Reported { 134, "reported", Everything, [],
                "What is left in a lingering cache was reported", "none: said by a simulated kernel" }
            DestructionAwaited { 135, "destruction_awaited", Everything, [],
                "A barrier for destructions returned", "none: said by a simulated kernel" }
            SlabsFreed { 136, "slabs_freed", Everything, [],
                "The slabs of a cache were given back", "none: said by a simulated kernel" }
            Quiet { 137, "quiet", Everything, [],
                "Nothing more will happen by itself", "none: said by a simulated kernel" }
            WorkRan { 21, "work_ran", Freeing, [wire::WorkRan],
                "The function of a work has returned", "the tracepoint workqueue_execute_end" }
            ModuleGoing { 22, "module_going", Everything, [InPlace<'a, wire::Module>],
                "A module's exit function has returned, and its text is still there",
                "blocking_notifier_call_chain() with MODULE_STATE_GOING" }
            WorkRuns { 23, "work_runs", Freeing, [wire::WorkRuns],
                "The function of a work that is told of begins, or a work whose function is a module's calls a barrier",
                "the tracepoint workqueue_execute_start, and the barriers" }
        }
    };
}

/// What is in doubt if an event of some kind is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// Anything.
    Everything,
    /// Which objects were queued.
    Queueing,
    /// Which objects are free.
    Freeing,
    /// Which frees a barrier orders.
    Barriers,
    /// Grace periods.
    Grace,
    /// Nothing, because names are sent again with the next event that refers to them.
    Names,
}

macro_rules! define {
    ($($kind:ident {
        $number:literal, $word:literal, $concern:ident, [$($body:ty)?], $meaning:literal, $source:literal
    })*) => {
        /// What an event says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = concat!($meaning, ".")] $kind = $number,)*
        }

        /// The places of the rows.
        enum Place { $($kind),* }

        impl Kind {
            /// Every kind, in the order of the table; the place of each is its key in a trace.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),*];

            /// The place in [`Kind::ALL`].
            #[must_use]
            pub const fn place(self) -> u8 {
                match self { $(Kind::$kind => Place::$kind as u8,)* }
            }

            /// Its name.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Kind::$kind => $word,)* }
            }

            /// What is in doubt if such an event is not seen.
            #[must_use]
            pub const fn concern(self) -> Concern {
                match self { $(Kind::$kind => Concern::$concern,)* }
            }

            /// What it says, in words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Kind::$kind => $meaning,)* }
            }

            /// The function of the kernel at which it is seen.
            #[must_use]
            pub const fn source(self) -> &'static str {
                match self { $(Kind::$kind => $source,)* }
            }

            /// Whether probes write it. Then it has a body.
            #[must_use]
            pub const fn is_probed(self) -> bool {
                match self { $(Kind::$kind => !concat!($(stringify!($body))?).is_empty(),)* }
            }
        }
    };
}

kinds!(define);

impl Kind {
    /// How many kinds probes write.
    pub const PROBED_COUNT: u32 = {
        let (mut count, mut place) = (0, 0);
        while place < Kind::ALL.len() {
            count += Kind::ALL[place].is_probed() as u32;
            place += 1;
        }
        count
    };

    /// Every kind that probes write, in the order of the numbers.
    pub const PROBED: [Kind; Kind::PROBED_COUNT as usize] = {
        let mut kinds = [Kind::CacheCreated; Kind::PROBED_COUNT as usize];
        let mut place = 0;
        while place < Kind::ALL.len() {
            let kind = Kind::ALL[place];
            if kind.is_probed() {
                kinds[kind as usize - 1] = kind;
            }
            place += 1;
        }
        kinds
    };

    /// The kind with this word, if there is one.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

// The numbers have no gap: each place of the array has the kind with that number.
const _: () = {
    let mut place = 0;
    while place < Kind::PROBED.len() {
        assert!(Kind::PROBED[place] as usize == place + 1);
        place += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_again_by_its_word_and_by_its_place() {
        for (place, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!((Kind::of_word(kind.word()), usize::from(kind.place())), (Some(*kind), place));
        }
        assert_eq!(Kind::of_word("shrunk"), None);
    }
}
