//! Kernel: what the running kernel offers ([`facts`]), partly from its type information ([`btf`], [`layout`]), and
//! which probes krcu uses on it ([`plan`], from the table in [`catalog`]); and which modules call a function ([`callers`]).
//!
//! Code in this folder only reads files. What is absent here: aya.

pub mod btf;
pub mod callers;
pub mod catalog;
pub mod facts;
pub mod files;
pub mod layout;
mod memory;
pub mod plan;
mod vmcoreinfo;

pub use facts::Facts;
pub use plan::Plan;
