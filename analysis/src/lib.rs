//! Questions to a trace: what `krcu analyze` answers.
//!
//! load → the same replay as live → tables of facts, one a word → a LazyFrame a question → a table, a report, a file for
//! another program. [`source`] knows where events come from, [`facts`] what rows they leave, [`tables`] where these are
//! kept, [`ask`] the questions, [`show`] how an answer looks. [`whatif`] hands the workload of a trace to the reference
//! machine.
//!
//! What is absent here: rules that decide a verdict (`krcu_model` has them), eBPF, privileges, and any group-by that
//! polars does not do.

#![forbid(unsafe_code)]

pub mod ask;
pub mod cli;
pub mod compare;
pub mod export;
pub mod facts;
pub mod fleet;
pub mod import;
pub mod load;
pub mod report;
pub mod run;
pub mod show;
pub mod source;
pub mod sql;
pub mod tables;
pub mod whatif;
