//! A reference implementation of `kfree_rcu()`, of its barriers, and of what "Waiting for kfree_rcu()" (Paul McKenney and
//! others) lists instead of them. No clock, no thread, no file and no unsafe code.
//!
//! # The story
//!
//! `kfree_rcu(object)` does not free. It puts the object where its CPU keeps such things and returns.
//! First into a *sheaf* of the object's cache, where a kernel has them: an array with one callback for
//! all that is in it. Else onto the newest *page of pointers* of the CPU; else, with no page to be had,
//! onto a list through the objects' own heads. Until it is freed the object is *outstanding*:
//! allocated, in nobody's use, and in a slab of its cache.
//!
//! Five seconds later, or at once when a page is full, the CPU's *monitor* comes. Where pages carry a
//! grace-period cookie it frees what has had its grace period; the rest becomes a *batch*, of which
//! each CPU has two. A batch waits as a callback for a grace period, then a worker takes the lists off
//! it, which makes the batch empty, and frees what was on them, which takes longer. Nothing but these
//! workers and the callbacks of sheaves frees anything, and no callback of `call_rcu()` is among what
//! lies on pages and lists.
//!
//! `kmem_cache_destroy(cache)` gives the slabs back. If objects are outstanding it either fails, and
//! leaves a cache behind that nobody can destroy, or, on kernels that know of the matter, waits first.
//! `rcu_barrier()` does not help: it puts a callback behind the last one of each CPU and waits for
//! these, and pages and lists are none. `kvfree_rcu_barrier()` makes batches of everything, cancels the
//! monitors, and flushes the batches. What it can miss is what is in none of these places: on a sheaf,
//! with a worker that took it off, on a CPU that is going away, with a shrinker that called the monitor
//! itself. All of that has happened, or can: `docs/approaches.md` has the shortest path to each.
//!
//! # How it is used
//!
//! [`machine`] is the kernel: in each state it says what can happen next, makes one of that happen, and tells what could
//! be seen of it, as an [`Event`](krcu_model::Event). [`approach`] is what a module's exit path does on it, one file for
//! each idea of the design document. Whoever drives the machine decides which of the moves is made:
//!
//! - the checker (`check`, a feature) makes all of them, and holds each state to what is
//!   [promised](krcu_model::promise);
//! - [`mod@simulate`] makes the one that is due, on a clock of its own, and says what an approach costs a workload.
//!
//! A path that the checker finds is written down as a [script](krcu_model::script) and can be replayed.
//!
//! What is absent here: rules that decide a verdict, which are those of `krcu-model`; any knowledge of kernel versions,
//! since a machine is told by [facts](machine::facts) what its kernel does.

#![forbid(unsafe_code)]

pub mod approach;
#[cfg(feature = "check")]
pub mod check;
pub mod machine;
pub mod simulate;
