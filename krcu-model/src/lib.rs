//! The judge: from events of a kernel to a verdict for each slab cache that is destroyed. It has no clock,
//! thread, file or unsafe code: the same events give the same verdicts, wherever they come from.
//!
//! # The story
//!
//! [`State::step`] takes one event after the other, and no other function knows what events mean. It follows
//! each object of each cache that could be destroyed, from the call that queues it to the call that frees it.
//! It follows each destroy from its entry to its look at the slabs, and to the result of that look. Where the
//! kernel is free to choose (the CPU, the batch, the time), it accepts every choice. Where the kernel
//! [promised](promise) something, it checks the promise.
//!
//! The events may come from probes, from a trace, from a [`script`], or from the machine of `krcu-reference`.
//! So an exploration of that machine also checks the judge.
//!
//! # The rooms
//!
//! | folder | what is in it | what it knows of the others |
//! | --- | --- | --- |
//! | [`event`] | what happened in the kernel, and the same as text ([`script`]) | nothing |
//! | [`state`] | what the model believes: caches, destroys, deferred frees; [`view`] lets others read it | events |
//! | [`promise`] | the promises of a kernel, and the data to check them with ([`ledger`], doubles) | events, ids of the state |
//! | [`mod@step`] | how an event changes the state, with one file for each word | all of the above |
//! | [`verdict`] | the verdict about a destroy, or about a broken promise | all but the steps |
//!
//! What is absent here: sentences for people; aya, files and clocks; iteration over a hash table; and any
//! knowledge of kernel versions, because events show what a kernel does.

#![forbid(unsafe_code)]

pub mod event;
pub mod promise;
pub mod rules;
pub mod state;
pub mod step;
pub mod verdict;

pub use event::{Event, script};
pub use promise::ledger;
pub use state::{State, Watch, function, object_table, stack, view};
pub use verdict::{Verdict, VerdictKind, accuse, of_destroy, reason, verdicts};
