//! The command `krcu`.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{Parser as _, error::ErrorKind};
use krcu_agent::{
    agent, check,
    cli::{Cli, Verb},
    doctor,
    error::VerbError,
    export, external, manual, record, replay,
    say::say,
};

/// The status if krcu cannot do what the command line asks for.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return match error.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Err(error) => {
            say(one_line(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match cli.verb {
        Verb::Check(options) => status(check::run(&options)),
        Verb::Record(options) => status(record::run(&options)),
        Verb::Replay(options) => status(replay::run(&options).map_err(VerbError::Failed)),
        Verb::Export(options) => status(export::run(&options).map_err(VerbError::Failed)),
        Verb::Agent(options) => status(agent::run(&options)),
        Verb::Man(options) => status(manual::man(&options).map_err(VerbError::Failed)),
        Verb::Completions(options) => status(manual::completions(&options).map_err(VerbError::Failed)),
        Verb::Tui(words) => other("tui".as_ref(), &words.words),
        Verb::Analyze(words) => other("analyze".as_ref(), &words.words),
        Verb::External(words) => {
            words.split_first().map_or(ExitCode::from(EXIT_USAGE), |(verb, rest)| other(verb, rest))
        }
        Verb::Doctor(options) => match doctor::run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                say(format_args!("{error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

/// What another program gives, or why it does not run.
fn other(verb: &OsStr, arguments: &[OsString]) -> ExitCode {
    let error = external::run(verb, arguments);
    say(format_args!("{:#}", anyhow::Error::from(error)));
    ExitCode::from(EXIT_USAGE)
}

/// The status of a verb, or the error that ended it.
fn status(outcome: Result<u8, VerbError>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            say(&error);
            match error {
                VerbError::Usage(_) => ExitCode::from(EXIT_USAGE),
                VerbError::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

/// What is wrong with the command line, and which help explains it.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "say what to do: check, record, replay, agent, tui, analyze or doctor (see krcu --help)"
            .to_owned();
    }
    let wrong = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let wrong: Vec<&str> = wrong.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    let wrong = wrong.join("; ");
    format!("{} (see krcu --help)", wrong.strip_prefix("error: ").unwrap_or(&wrong))
}
