//! Walk: takes random moves of machines whose parts have the sizes of a real kernel's, and checks every promise
//! after each.
//!
//! The exhaustive check has two CPUs and three objects. A walk has up to sixteen CPUs and thousands of objects,
//! full pages and full sheaves, and cannot see every order. It goes through one world after the other, each drawn
//! from the seed: modules that queue objects and exit, callers of barriers, readers, CPUs that go offline and come
//! back, a shrinker, memory that becomes short. In a world, it draws one of the possible moves at a time until
//! nothing more can happen.
//!
//! The faults that are [known](kernel::Known) of a kernel are switched off, each by its name, so that a walk ends
//! only at something new. A path to a broken promise is [shrunk](shrink) to the shortest one.
//!
//! The same seed gives the same walk on every machine.

mod course;
pub mod kernel;
mod lookout;
mod pace;
mod plan;
mod print;
mod random;
mod renumber;
mod run;
mod shrink;

pub use course::{Course, Example, LIMIT, Record, SHORT};
pub use lookout::{Lookout, Sought};
pub use pace::Kind;
pub use run::{Counts, Found, Walk, Walked};

/// The seed of a walk that names none.
pub const SEED: u64 = 1;
