//! `cargo xtask`: set-up, the eBPF build, kernels in virtual machines, benchmarks and checks.
//!
//! The only place of this repository that knows about toolchains, Debian's kernels and qemu. No crate depends on it
//! and it depends on none of them: it builds and runs them as a person would.
//!
//! Each folder is about one thing, and uses only those before it: `debian`, `toolchain`, `guest`, `dist`, `check`, `bench`.
//! Beside this file lie what all of them use (`architecture`, `cache`, `digest`, `host`, `progress`), the command line, and two
//! verbs that belong to no folder (`demo`, `run`).

mod architecture;
mod bench;
mod cache;
mod check;
mod command_line;
mod debian;
mod demo;
mod digest;
mod dist;
mod guest;
mod host;
mod progress;
mod run;
mod toolchain;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command_line::Arguments::parse().run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
