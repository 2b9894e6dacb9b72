//! The command `krcu-tui`.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use clap::Parser as _;
use krcu_report::words::shown_lines;
use krcu_tui::{cli::Cli, manual, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.print {
        Some(what) => manual::text(what).and_then(|text| stdout().write_all(&text)).map_err(Into::into),
        None => run::run(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error here cannot be shown to anybody.
            let _ = writeln!(stderr(), "krcu tui: {}", shown_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
