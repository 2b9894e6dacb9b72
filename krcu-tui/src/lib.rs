//! krcu-tui: a person watches a krcu agent, or replays what one has seen.
//!
//! [`connection`] brings reports, from a socket or a trace, on a thread of its own · [`state`] is what is shown and
//! what of it is selected · [`what_if`] simulates what else a destroy would have cost · [`keys`] is what each key does,
//! [`manual`] a page of it · [`view`] draws, one file a screen · [`terminal`], [`guard`] (ends the program when it is told to,
//! or its terminal is gone) and [`run`] put them together. A view borrows the state and changes nothing in it.
//!
//! What is absent here: privileges, aya, and rules that decide a verdict; in [`state`], the terminal and the clock.

#![forbid(unsafe_code)]

pub mod cli;
pub mod connection;
pub mod guard;
pub mod keys;
pub mod manual;
pub mod run;
pub mod state;
pub mod terminal;
pub mod view;
pub mod what_if;
