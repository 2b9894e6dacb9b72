//! Words: a verdict as a person reads it, the same on every page and screen.

mod clause;
mod lines;
mod units;
mod wrap;

pub use clause::clause;
pub use lines::{callback, kernel, ordering, queued_by, site, undecided};
pub use units::{count, objects, span};
pub use wrap::wrapped;
