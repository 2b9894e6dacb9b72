//! A fleet: the traces of many hosts in one folder, replayed once each, and asked together.
//!
//! `krcu ship` brings traces to the fleet's folder. [`replay`] hands what is new to `krcu-analyze facts`, in processes of
//! this machine or in tasks of Spark; the ledger that it writes says what was done.
//! [`ask`] has the questions, as values: polars answers them here, and Spark and others take them as SQL. [`report`] is one
//! page of all of them, and [`prune`] deletes what is old.
//!
//! What is absent here: rules that decide a verdict, the replay of a trace (`krcu-analyze` does it), privileges.

#![forbid(unsafe_code)]

pub mod ask;
pub mod cli;
pub mod prune;
pub mod replay;
pub mod report;
pub mod run;
pub mod spark;
pub mod time;
