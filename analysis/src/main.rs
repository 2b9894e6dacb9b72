//! The command `krcu-analyze`, which `krcu analyze` runs.

use std::process::ExitCode;

use clap::Parser as _;
use krcu_analysis::{cli::Cli, run};

fn main() -> ExitCode {
    // A wrong command line is told by clap, with status 2.
    let cli = Cli::parse();
    match run::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if run::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krcu analyze: {error:#}");
            ExitCode::FAILURE
        }
    }
}
