//! Kind: the word for what an event is, in the column `kind`.

use krcu_model::event::What;

macro_rules! kinds {
    ($($kind:ident $word:literal $source:literal $meaning:literal;)*) => {
        /// What an event is. The words are those of a script (`krcu_model::script`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $meaning] $kind,)*
        }

        impl Kind {
            /// All of them; the place of each is its key in the column's dictionary.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),*];

            /// The word in the column.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Kind::$kind => $word,)* }
            }

            /// What it says.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Kind::$kind => $meaning,)* }
            }

            /// The function of the kernel that it is seen at.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $(Kind::$kind => $source,)* }
            }

            /// The kind of an event.
            #[must_use]
            pub fn of(what: &What) -> Kind {
                match what { $(What::$kind { .. } => Kind::$kind,)* }
            }

            /// The kind with this word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Kind> {
                Kind::ALL.iter().copied().find(|kind| kind.word() == word)
            }
        }
    };
}

kinds! {
    CacheCreated "cache_created" "kmem_cache_create(), __kmem_cache_create_args()"
        "A slab cache was created, or an existing one was shared";
    DestroyBegin "destroy_begin" "kmem_cache_destroy()" "The destroy of a cache was entered";
    ShutdownBegin "shutdown_begin" "__kmem_cache_shutdown()" "The destroy looks at its slabs";
    ShutdownEnd "shutdown_end" "cpus_read_unlock() in the destroying task" "That look is over";
    CacheReleased "cache_released" "slab_kmem_cache_release()" "The address may belong to another cache next";
    Queued "queued" "kvfree_call_rcu()" "An object was handed to kfree_rcu()";
    CallbackQueued "callback_queued" "call_rcu(), call_rcu_hurry()"
        "A callback was queued whose head lies in an object";
    CallbackRuns "callback_runs" "the callback's function" "A callback of call_rcu() begins to run";
    Function "function" "the kernel's %pS" "From here on, this address is this function";
    FreedAtOnce "freed_at_once" "kmem_cache_free(), kfree()" "An object is freed that nobody had deferred";
    Freed "freed" "kvfree_rcu_bulk(), kmem_cache_free_bulk(), kvfree(), rcu_free_sheaf()"
        "The deferred free of an object begins";
    BatchFreed "batch_freed" "the return of the same" "The call that freed this task's objects by that path returned";
    BarrierBegin "barrier_begin" "rcu_barrier(), kvfree_rcu_barrier(), kvfree_rcu_barrier_on_cache()"
        "A barrier was entered";
    BarrierEnd "barrier_end" "the return of the same" "A barrier returned, in the task that entered it";
    GraceBegin "grace_begin" "rcu_gp_fqs_loop(), wait_rcu_exp_gp()" "A grace period has begun";
    GraceEnd "grace_end" "rcu_gp_cleanup(), the return of wait_rcu_exp_gp()" "A grace period ends, or has ended";
    ModuleLoaded "module_loaded" "the tracepoint module_load" "A module was loaded";
    ModuleFreed "module_freed" "the tracepoint module_free" "A module's exit function has returned";
    Site "site" "the kernel's %pS" "From here on, this number stands for these frames";
    Gap "gap" "krcu's own accounts" "Something went unseen";
    Allocated "allocated" "kmem_cache_alloc() and its kin" "An object was allocated";
    QueueReturned "queue_returned" "none: said by a simulated kernel" "The call that queued an object returned";
    CallbackRan "callback_ran" "none: said by a simulated kernel" "A callback ran and freed its object";
    ReadLock "read_lock" "none: said by a simulated kernel" "A reader began, and what it found";
    ReadUnlock "read_unlock" "none: said by a simulated kernel" "A reader ended";
    Lingers "lingers" "none: said by a simulated kernel" "A destroy returned and left the cache for later";
    Reported "reported" "none: said by a simulated kernel" "What is left in a lingering cache was reported";
    DestructionAwaited "destruction_awaited" "none: said by a simulated kernel"
        "A barrier for destructions returned";
    SlabsFreed "slabs_freed" "none: said by a simulated kernel" "The slabs of a cache were given back";
    Quiet "quiet" "none: said by a simulated kernel" "Nothing more will happen by itself";
}
