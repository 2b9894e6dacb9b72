//! The command `krcu-tui`.

use std::process::ExitCode;

use clap::Parser as _;
use krcu_tui::{cli::Cli, run};

fn main() -> ExitCode {
    match run::run(&Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("krcu tui: {error:#}");
            ExitCode::FAILURE
        }
    }
}
