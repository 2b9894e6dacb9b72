//! Check: runs every approach in every order in which its steps can happen.
//!
//! A [`World`](world::World) is a machine and what a watcher believes of it. A transition is a move of the
//! machine. [`State::step`](krcu_model::State::step) takes the events of that move, as the agent takes those
//! of a real kernel. A promise that the watcher finds broken is broken in the table.
//!
//! This module needs the feature `check`; the root daemon does not contain it.

pub mod essence;
pub mod mutants;
pub(crate) mod print;
pub mod row;
pub mod table;
pub mod workload;
pub mod world;
