//! The command `krcu-analyze`, which `krcu analyze` runs.

use std::process::ExitCode;

use clap::Parser as _;
use krcu_analysis::{cli::Cli, run};
use krcu_report::words::shown_lines;

fn main() -> ExitCode {
    // A wrong command line is told by clap, with status 2.
    let cli = Cli::parse();
    match run::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if run::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krcu analyze: {}", shown_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
