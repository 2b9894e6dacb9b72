//! Words: a verdict as a person reads it, the same on every page and screen.

pub(crate) mod advice;
mod clause;
pub(crate) mod flavour;
mod lines;
pub(crate) mod notes;
mod shown;
mod units;
mod wrap;

pub use advice::advice;
pub use clause::clause;
pub use flavour::queues;
pub use lines::{callback, destroyed_in, kernel, numbers, ordering, queued_by, site, sites, undecided};
pub use notes::note;
pub use shown::{is_hidden, shown, shown_lines};
pub use units::{cache_name, count, objects, span};
pub use wrap::wrapped;
