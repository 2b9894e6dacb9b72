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
//! [`event`] what the kernel said · [`script`] the same as text ·
//! [`state`] what is believed · [`ledger`] what the promises are held against · [`mod@step`] how an event
//! changes both · [`function`] the callbacks' names · [`view`] what may be read of it · `double` what was handed over twice · [`promise`] what is owed ·
//! `decide` what follows for a destroy · `accuse` for whoever broke something · [`reason`] why it does not follow ·
//! [`verdict`] the kinds of it.
//!
//! What is absent here: anything of aya, of files and of clocks; iteration over a hash table; and any
//! knowledge of kernel versions, since events show what a kernel does.

#![forbid(unsafe_code)]

pub mod accuse;
mod advice;
mod decide;
mod double;
pub mod event;
mod evidence;
mod forget;
mod freeing;
pub mod function;
pub mod ledger;
mod loss;
mod object_index;
pub mod object_table;
pub mod promise;
pub mod reason;
pub mod script;
pub mod stack;
pub mod state;
pub mod step;
pub mod verdict;
pub mod view;

pub use decide::{of_destroy, verdicts};
pub use event::Event;
pub use state::{State, Watch};
pub use verdict::{Verdict, VerdictKind};
