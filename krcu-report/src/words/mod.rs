//! Words: a verdict as a person reads it, the same on every page and screen.

pub(crate) mod advice;
mod clause;
mod lines;
pub(crate) mod notes;
mod units;
mod wrap;

pub use advice::advice;
pub use clause::clause;
pub use lines::{callback, destroyed_in, kernel, numbers, ordering, queued_by, site, sites, undecided};
pub use notes::note;
pub use units::{cache_name, count, objects, span};
pub use wrap::wrapped;
