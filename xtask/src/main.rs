//! `cargo xtask`: set-up, the eBPF build, kernels in virtual machines, benchmarks and checks.
//!
//! The only place of this repository that knows about toolchains, Debian's kernels and qemu. No crate depends on it
//! and it depends on none of them: it builds and runs them as a person would.

mod analysis;
mod archive;
mod bench;
mod bench_agent;
mod bench_analyze;
mod bench_kernel;
mod bpftrace;
mod build;
mod cache;
mod clean_root;
mod command_line;
mod contrib;
mod core_source;
mod cpio;
mod crate_tests;
mod demo;
mod digest;
mod fuzz;
mod initramfs;
mod install;
mod intree;
mod judge;
mod kernel;
mod kernel_tests;
mod known;
mod linker;
mod listed;
mod machine;
mod model;
mod module;
mod owners;
mod packaged;
mod pinned;
mod progress;
mod qemu;
mod replay;
mod retries;
mod run;
mod scenarios;
mod schedule;
mod screens;
mod setup;
mod stream;
mod systemd_boot;
mod tally;
mod test;
mod toolchain;
mod trace_tests;
mod traces;
mod truth;
mod userland;
mod vm;

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
