//! The command `krcu`.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use krcu_agent::{
    agent, check,
    cli::{Cli, Verb},
    doctor,
    error::VerbError,
    explain, export, external, manual, receive, record, replay,
    say::say,
    usage,
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
            let words: Vec<OsString> = std::env::args_os().collect();
            say(usage::line(&error, &words));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match cli.verb {
        Verb::Check(options) => status(check::run(&options)),
        Verb::Record(options) => status(record::run(&options)),
        Verb::Receive(options) => status(receive::run(&options).map_err(VerbError::Failed)),
        Verb::Replay(options) => status(replay::run(&options).map_err(VerbError::Failed)),
        Verb::Export(options) => status(export::run(&options).map_err(VerbError::Failed)),
        Verb::Explain(options) => status(explain::run(&options).map_err(VerbError::Failed)),
        Verb::Help { verb } => help(verb.as_deref()),
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
            if error.needs_root() {
                let words: Vec<String> =
                    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
                say(format_args!("{error}: sudo {}", words.join(" ")));
            } else {
                say(&error);
            }
            match error {
                VerbError::Usage(_) => ExitCode::from(EXIT_USAGE),
                VerbError::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

/// Prints the help of a verb, or of krcu itself.
fn help(verb: Option<&OsStr>) -> ExitCode {
    let mut krcu = Cli::command();
    krcu.build();
    let printed = match verb {
        None => krcu.print_long_help(),
        Some(verb) => match krcu.find_subcommand_mut(verb) {
            Some(own) if !["tui", "analyze"].map(Some).contains(&verb.to_str()) => own.print_long_help(),
            _ => return other(verb, &["--help".into()]),
        },
    };
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
