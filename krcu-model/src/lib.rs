//! From events to verdicts, with no clock, no thread, no file and no unsafe code: the same events give
//! the same verdicts, whoever brings them.
//!
//! # The story
//!
//! `kfree_rcu(object)` does not free. It puts the object on a list of its CPU and returns; some time
//! later, and after a grace period, a worker frees it together with others. Until then the object is
//! *outstanding*: allocated, in nobody's use, and in a slab of its cache.
//!
//! `kmem_cache_destroy(cache)` gives the slabs back. If objects are outstanding, it either fails and
//! leaves a cache behind that nobody can destroy, or, on kernels that know of the matter, waits first.
//! `rcu_barrier()` does not help: it waits for callbacks of `call_rcu()`, and the lists of
//! `kfree_rcu()` are none.
//!
//! The model follows each object of each cache that could be destroyed, from [`What::Queued`] to
//! [`What::Freed`] and the return of the call that frees ([`What::BatchFreed`]), and each destroy from
//! its entry, over the moment at which it looks at its slabs, to what the look found. From the
//! difference follow the verdicts: what was outstanding at the look is `pending`; what was left beside
//! that is `leaked`; and if nothing was left, the question remains whether a barrier stands between
//! the last deferred free and the destroy, or only luck (`unordered`).
//!
//! # The rooms
//!
//! [`event`] what the kernel said · [`order`] what was not delivered · [`state`] what is believed ·
//! [`mod@step`] how an event changes it · [`promise`] what the kernel owes · `decide` what follows ·
//! [`verdict`] the words for it. Beside these, [`machine`] invents events, [`approach`] says by which
//! steps a cache is destroyed, and [`mod@simulate`] what that would have cost, on a clock.
//!
//! What is absent here: anything of aya, of files and of clocks; iteration over a hash table; and any
//! knowledge of kernel versions, since events show what a kernel does.
//!
//! [`What::Queued`]: event::What::Queued
//! [`What::Freed`]: event::What::Freed
//! [`What::BatchFreed`]: event::What::BatchFreed

#![forbid(unsafe_code)]

mod advice;
pub mod approach;
#[cfg(feature = "check")]
pub mod check;
mod decide;
pub mod event;
mod evidence;
mod freeing;
pub mod ledger;
pub mod machine;
mod object_index;
pub mod object_table;
pub mod order;
pub mod promise;
pub mod script;
pub mod simulate;
pub mod stack;
pub mod state;
pub mod step;
pub mod verdict;

pub use decide::verdicts;
pub use event::Event;
pub use order::Order;
pub use state::{State, Watch};
pub use verdict::{Verdict, VerdictKind};
