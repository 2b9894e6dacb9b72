//! The judge: from events of a kernel to a verdict for each slab cache that is destroyed. No clock, no thread, no file and
//! no unsafe code: the same events give the same verdicts, whoever brings them.
//!
//! # The story
//!
//! [`State::step`] takes one event after the other and is all that knows what they mean. It follows each object of each
//! cache that could be destroyed, from the call that queues it to the call that frees it. It follows each destroy from
//! its entry, over the moment at which it looks at its slabs, to what the look found. What the kernel may choose (which
//! CPU, which batch, when) it takes as it comes; to what the kernel [promised](promise) it holds it.
//!
//! The events may come from probes, from a trace, from a [`script`], or from the machine of `krcu-reference`: an
//! exploration of that machine so checks the judge as well.
//!
//! # The rooms
//!
//! | folder | what is in it | what it knows of the others |
//! | --- | --- | --- |
//! | [`event`] | what the kernel said, and the same as text ([`script`]) | nothing |
//! | [`state`] | what is believed: caches, destroys, what is deferred; [`view`] is what may be read of it | events |
//! | [`promise`] | what a kernel owes, and what that is held against ([`ledger`], doubles) | events, ids of the state |
//! | [`mod@step`] | how an event changes the state: a file for each word | all of the above |
//! | [`verdict`] | what follows for a destroy, or for whoever broke a promise | all but the steps |
//!
//! What is absent here: sentences for people, anything of aya, of files and of clocks; iteration over a hash table; and
//! any knowledge of kernel versions, since events show what a kernel does.

#![forbid(unsafe_code)]

pub mod event;
pub mod promise;
pub mod state;
pub mod step;
pub mod verdict;

pub use event::{Event, script};
pub use promise::ledger;
pub use state::{State, Watch, function, object_table, stack, view};
pub use verdict::{Verdict, VerdictKind, accuse, of_destroy, reason, verdicts};
