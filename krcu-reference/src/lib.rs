//! A reference implementation of `kfree_rcu()`, of its barriers, and of the alternatives that the design
//! document lists: "Waiting for kfree_rcu()" (Paul E. McKenney, Uladzislau Rezki, Boqun Feng, Neeraj
//! Upadhyay, Jason A. Donenfeld, Jakub Kicinski and Vlastimil Babka, June to August 2024). It has no clock,
//! no thread, no file and no unsafe code.
//!
//! # The story
//!
//! `kfree_rcu(object)` does not free the object. It queues the object on its CPU and returns. It tries three
//! places in turn. The first is a *sheaf* of the object's cache, where a kernel has sheaves: an array of
//! objects with one callback for all of them. The second is the newest *page of pointers* of the CPU. If no
//! page can be had, the last is a list through the objects' own heads. Until it is freed, the object is
//! *outstanding*: it is allocated, nobody uses it, and it occupies a slab of its cache.
//!
//! Five seconds later, or at once when a page is full, the CPU's *monitor* runs. Where pages carry a
//! grace-period cookie, the monitor frees the pages whose grace period has passed. The rest becomes a
//! *batch*; each CPU has two. A batch waits as a callback for a grace period. Then a worker takes the lists
//! off the batch, which makes the batch empty, and frees what was on them, which takes longer. Only these
//! workers, the monitors and the callbacks of sheaves free queued objects. Objects on pages and lists are not
//! callbacks of `call_rcu()`.
//!
//! `kmem_cache_destroy(cache)` gives the slabs back. If objects are outstanding, it fails and leaves a cache
//! behind that can never be destroyed; or, on newer kernels, it waits first. `rcu_barrier()` does not help:
//! it puts a callback behind the last one of each CPU and waits for these callbacks, but pages and lists are
//! not callbacks. `kvfree_rcu_barrier()` makes batches of everything, cancels the monitors, and flushes the
//! batches. It can miss objects that are in none of these places: in a sheaf, with a worker that took them
//! off, on a CPU that is going away, or with a shrinker that called the monitor itself. Each of these has
//! happened, or can happen: `docs/approaches.md` has the shortest path to each.
//!
//! # How it is used
//!
//! [`machine`] is the kernel. In each state it says what can happen next, makes one of these moves, and tells
//! what a watcher could see of the move, as an [`Event`](krcu_model::Event). [`approach`] is what a module's
//! exit path does on this kernel, one file for each idea of the design document. The code that drives the
//! machine decides which move is made:
//!
//! - the checker (`check`, a feature) makes every move, and checks what is [promised](krcu_model::promise) in
//!   each state;
//! - [`mod@simulate`] makes the move that is due on its own clock, and says what an approach costs a
//!   workload.
//!
//! A path that the checker finds is written as a [script](krcu_model::script) and can be replayed.
//!
//! Absent here: rules that decide a verdict, which belong to `krcu-model`; and kernel versions, since
//! [facts](machine::facts) tell a machine what its kernel does.

#![forbid(unsafe_code)]

pub mod approach;
#[cfg(feature = "check")]
pub mod check;
pub mod machine;
pub mod simulate;
#[cfg(feature = "check")]
pub mod sound;
#[cfg(feature = "check")]
pub mod walk;
