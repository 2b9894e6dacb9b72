//! The command `krcu-tui`.

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use clap::Parser as _;
use krcu_tui::{cli::Cli, manual, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.print {
        Some(what) => {
            manual::text(what).and_then(|text| stdout().write_all(&text)).map(|()| 0).map_err(Into::into)
        }
        None => run::run(&cli),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("krcu tui: {error:#}");
            ExitCode::FAILURE
        }
    }
}
