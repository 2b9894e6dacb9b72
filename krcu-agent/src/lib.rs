//! The agent: facts → plan → probe → source → pipeline → report. The program `krcu` is made of this library.
//! `engine` has one run, from attaching to its outcome.
//!
//! What is absent here: aya outside `probe`, `source` and `diagnostics`; a comparison of version numbers; any rule
//! that decides a verdict.

pub mod agent;
pub mod anonymise;
pub mod check;
pub mod cli;
pub mod command;
pub mod diagnostics;
pub mod disk;
pub mod doctor;
mod engine;
pub mod error;
pub mod events_file;
pub mod explain;
pub mod export;
pub mod external;
pub mod kernel;
pub mod known;
pub mod losses;
pub mod manual;
pub mod memory;
mod modules;
pub mod outcome;
pub mod pipeline;
mod privileges;
pub mod probe;
pub mod quantity;
pub mod receive;
pub mod record;
pub mod replay;
pub mod report;
pub mod say;
mod signals;
pub mod sinks;
pub mod source;
pub mod stream;
pub mod trace;
pub mod usage;
