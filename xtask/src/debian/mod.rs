//! What comes from Debian's archive, kernels first of all, and what is read from it or built with it.

pub(crate) mod archive;
pub(crate) mod bpftrace;
pub(crate) mod built;
pub(crate) mod intree;
pub(crate) mod kernel;
pub(crate) mod module;
pub(crate) mod owners;
pub(crate) mod packaged;
mod pinned;
mod series;
pub(crate) mod unwaited;
pub(crate) mod userland;
