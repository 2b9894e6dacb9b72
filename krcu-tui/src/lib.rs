//! krcu-tui: shows a krcu agent, or the replay of a trace, in a terminal.
//!
//! - [`connection`] reads reports, from a socket or a trace, on a thread of its own;
//! - [`state`] is what is shown, and what of it is selected;
//! - [`what_if`] simulates what other approaches would have cost a destroy;
//! - [`keys`] says what each key does, and [`manual`] makes the manual page;
//! - [`view`] draws, with one file for each screen;
//! - [`guard`] ends the program when a signal says so or the terminal is gone;
//! - [`terminal`] and [`run`] put these together.
//!
//! A view borrows the state, and changes nothing in it except how far lists are scrolled.
//!
//! Absent here: privileges, aya, and rules that decide a verdict; in [`state`], the terminal and the clock.

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
