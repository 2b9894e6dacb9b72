//! The command `krcu-ship`, which `krcu ship` runs.

use std::process::ExitCode;

use clap::Parser as _;
use krcu_report::words::shown_lines;
use krcu_ship::cli::Cli;

fn main() -> ExitCode {
    // A wrong command line is told by clap, with status 2.
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krcu ship: {}", shown_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
