//! Works: the bodies of the events that tell of the runs of works.

#[cfg(doc)]
use crate::{Kind, wire::CallbackQueued};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Body of [`Kind::WorkRan`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WorkRan {
    /// The address that [`CallbackQueued::head`] had.
    pub head: u64,
}

/// Body of [`Kind::WorkRuns`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WorkRuns {
    /// The address that [`CallbackQueued::head`] had; that of the work if it was not told of.
    pub head: u64,
    /// Its function.
    pub function: u64,
}
