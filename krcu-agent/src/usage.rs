//! Usage: what is wrong with a command line, in one sentence that says what to type instead.

use std::ffi::OsString;

use clap::{
    CommandFactory as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::cli::Cli;

/// What is wrong, and what to type. `words` is the command line.
#[must_use]
pub fn line(error: &clap::Error, words: &[OsString]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let named = words.get(1).filter(|word| Cli::command().find_subcommand(word).is_some());
    let help = named.map_or_else(|| "krcu --help".to_owned(), |verb| format!("krcu {verb} --help"));
    let runs = named.filter(|verb| ["check", "record"].contains(&verb.as_str()));
    let sentence = match (error.kind(), runs) {
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) => {
            "say what to do: check, record, replay, explain, agent, tui, analyze or doctor".to_owned()
        }
        (ErrorKind::MissingRequiredArgument, Some(verb)) if !has_output_missing(error) => {
            format!("there is no command to watch: put it after `--`, as in krcu {verb} -- CMD")
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            let missing = strings(error, ContextKind::InvalidArg);
            format!("{} is missing", missing.join(" and "))
        }
        (ErrorKind::UnknownArgument, runs) => unknown(error, runs.is_some(), &words),
        _ => plain(error),
    };
    format!("{sentence} (see {help})")
}

/// What clap says, on one line.
fn plain(error: &clap::Error) -> String {
    let text = error.to_string();
    let wrong = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let wrong: Vec<&str> = wrong.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    let wrong = wrong.join("; ");
    wrong.strip_prefix("error: ").unwrap_or(&wrong).to_owned()
}

fn strings(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(several)) => several.clone(),
        _ => Vec::new(),
    }
}

/// Whether something else is missing than the command.
fn has_output_missing(error: &clap::Error) -> bool {
    strings(error, ContextKind::InvalidArg).iter().any(|missing| missing.starts_with("--output"))
}

/// A word that no option or argument takes. A verb that runs a command takes it after `--`.
fn unknown(error: &clap::Error, runs: bool, words: &[String]) -> String {
    let Some(word) = strings(error, ContextKind::InvalidArg).pop() else { return plain(error) };
    if !word.starts_with('-') {
        let place = words.iter().skip(2).position(|typed| *typed == word).map(|place| place + 2);
        return match place {
            Some(place) if runs && !words.iter().any(|typed| typed == "--") => format!(
                "put `--` before the command: krcu {} -- {}",
                words[1..place].join(" "),
                words[place..].join(" ")
            ),
            _ => format!("nothing takes the word `{word}`"),
        };
    }
    match strings(error, ContextKind::SuggestedArg).first() {
        Some(meant) => format!("there is no option {word}: did you mean {meant}?"),
        None => format!("there is no option {word}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        super::line(&Cli::try_parse_from(&words).unwrap_err(), &words)
    }

    #[test]
    fn a_wrong_command_line_is_told_what_to_type() {
        for (typed, expected) in [
            (
                "krcu check rmmod -f my_module",
                "put `--` before the command: krcu check -- rmmod -f my_module (see krcu check --help)",
            ),
            (
                "krcu check --strict rmmod my_module",
                "put `--` before the command: krcu check --strict -- rmmod my_module (see krcu check --help)",
            ),
            (
                "krcu record -o t.krcu rmmod my_module",
                "put `--` before the command: krcu record -o t.krcu -- rmmod my_module (see krcu record --help)",
            ),
            (
                "krcu check",
                "there is no command to watch: put it after `--`, as in krcu check -- CMD (see krcu check --help)",
            ),
            (
                "krcu check --strct -- true",
                "there is no option --strct: did you mean --strict? (see krcu check --help)",
            ),
            ("krcu record", "--output <TRACE> is missing (see krcu record --help)"),
            ("krcu replay a b", "nothing takes the word `b` (see krcu replay --help)"),
            ("krcu doctor --zzz", "there is no option --zzz (see krcu doctor --help)"),
            (
                "krcu",
                "say what to do: check, record, replay, explain, agent, tui, analyze or doctor (see krcu --help)",
            ),
        ] {
            assert_eq!(told(typed), expected);
        }
        let wrong = told("krcu check --also xml=a -- true");
        assert!(wrong.contains("there is no format `xml`: there are text, json, tap"), "{wrong}");
        assert_eq!(wrong.lines().count(), 1);
    }
}
