//! What must hold: the tests, what runs and judges them, and how the files are made that they compare with.

pub(crate) mod choice;
pub(crate) mod churn;
mod crate_tests;
mod custom;
pub(crate) mod fuzz;
mod guest_script;
mod judge;
mod kernel_tests;
mod known;
mod listed;
pub(crate) mod model;
pub(crate) mod peers;
mod replay;
mod retries;
pub(crate) mod scenarios;
mod schedule;
mod screens;
mod systemd_boot;
mod tally;
pub(crate) mod test;
mod tidy;
mod trace_tests;
pub(crate) mod traces;
pub(crate) mod truth;
