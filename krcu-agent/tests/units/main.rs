//! Parts of the agent that need no kernel: from type information to offsets, from counters to gaps, from texts to
//! values.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod btf;
mod config;
mod files;
mod losses;
mod quantity;
