//! The command `krcu-fleet`, which `krcu fleet` runs.

use std::process::ExitCode;

use clap::Parser as _;
use krcu_analysis::run::is_closed_pipe;
use krcu_fleet::{cli::Cli, run};
use krcu_report::words::shown_lines;

fn main() -> ExitCode {
    // A wrong command line is told by clap, with status 2.
    let cli = Cli::parse();
    match run::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krcu fleet: {}", shown_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
