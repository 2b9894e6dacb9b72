//! A reference implementation of `kfree_rcu()`, of its barriers and of what "Waiting for kfree_rcu()"
//! lists instead of them; and the step by which a watcher turns events into verdicts. No clock, no
//! thread, no file and no unsafe code: the same events give the same verdicts, whoever brings them.
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
//! # Two halves and one step
//!
//! [`machine`] is the kernel: in each state it says what can happen next, makes one of that happen,
//! and tells what could be seen of it, as an [`Event`]. [`approach`] is what a module's exit path does on
//! it, one file for each idea of the document. Whoever asks decides which of the moves is made: the
//! checker (`check`, a feature) makes all of them, a simulation the one that is due.
//!
//! [`State::step`] takes events, from a machine as from a kernel, and is all that knows what they mean.
//! It follows each object of each cache that could be destroyed, from the call that queues it to the
//! call that frees it, and each destroy from its entry, over the moment at which it looks at its slabs,
//! to what the look found. What the kernel may choose (which CPU, which batch, when) it takes as it
//! comes; what the kernel [promised](promise) it holds it to. So an exploration of the machine checks
//! the watcher as well, a path that it finds can be written down as a [`script`] and replayed, and a
//! trace of a real kernel can be held against the same promises.
//!
//! # The rooms
//!
//! [`event`] what the kernel said · [`script`] the same as text · [`order`] what was not delivered ·
//! [`state`] what is believed · [`ledger`] what the promises are held against · [`mod@step`] how an event
//! changes both · [`function`] the callbacks' names · `double` what was handed over twice · [`promise`] what is owed ·
//! `decide` what follows for a destroy · `accuse` for whoever broke something · [`reason`] why it does not follow ·
//! [`verdict`] the kinds of it, [`words`] the sentences · [`report`] all of it for who watches ·
//! [`machine`] the kernel · [`approach`] ways to wait · `check` every path · [`mod@simulate`] one path, and what it costs, on a
//! clock of its own.
//!
//! What is absent here: anything of aya, of files and of clocks; iteration over a hash table; and any
//! knowledge of kernel versions, since events show what a kernel does, and a machine is told by
//! [facts](machine::facts).

#![forbid(unsafe_code)]

mod accuse;
mod advice;
pub mod approach;
#[cfg(feature = "check")]
pub mod check;
mod decide;
mod double;
pub mod event;
mod evidence;
mod forget;
mod freeing;
pub mod function;
pub mod ledger;
mod loss;
pub mod machine;
mod object_index;
pub mod object_table;
pub mod order;
pub mod promise;
pub mod reason;
pub mod report;
pub mod script;
pub mod simulate;
pub mod stack;
pub mod state;
pub mod step;
pub mod verdict;
mod view;
pub mod words;

pub use decide::verdicts;
pub use event::Event;
pub use order::Order;
pub use state::{State, Watch};
pub use verdict::{Verdict, VerdictKind};
