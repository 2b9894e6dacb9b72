//! Check: every approach, in every order in which its steps can happen.
//!
//! A [`World`](world::World) is a machine and what a watcher believes of it; a transition is a move of
//! the machine, and the events of that move taken by [`State::step`](krcu_model::State::step), as the agent
//! takes those of a real kernel. What the watcher finds broken is what the table says is broken.
//!
//! Behind the feature `check`: the root daemon has none of this.

pub mod essence;
pub mod mutants;
mod print;
pub mod row;
pub mod table;
pub mod workload;
pub mod world;
