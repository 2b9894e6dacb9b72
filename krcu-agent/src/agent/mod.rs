//! `krcu agent`: watches until it is told to stop.

pub mod config;
pub mod keys;
