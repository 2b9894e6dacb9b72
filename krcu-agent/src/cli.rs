//! The command line of `krcu`, in one place: help, completions and man pages come from here.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::{agent, check, doctor, external, manual, record, replay};

/// What help says of the programs that are verbs too.
const BESIDE: &str =
    "tui and analyze are programs of their own, krcu-tui and krcu-analyze, beside krcu or in PATH.";

/// Says, for every slab cache that is destroyed, whether deferred frees were still outstanding.
#[derive(Debug, Parser)]
#[command(name = "krcu", version, disable_help_subcommand = true, after_help = BESIDE)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `krcu` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command and judge every slab cache that is destroyed meanwhile
    Check(check::Options),
    /// Write a trace of what happens, to be looked at later; judges nothing
    Record(record::Options),
    /// Judge again what a trace holds: the same report and exit status as the run's own
    Replay(replay::Options),
    /// Watch until told to stop, and tell people, metrics and the log
    Agent(agent::Options),
    /// Watch an agent, or replay a trace, on a terminal
    #[command(disable_help_flag = true)]
    Tui(external::Words),
    /// Ask a trace: tables, a report with pictures, what other designs would have cost
    #[command(disable_help_flag = true)]
    Analyze(external::Words),
    /// Say what this kernel offers and what will be undecidable; attaches nothing
    Doctor(doctor::Options),
    /// Print a manual page
    Man(manual::Man),
    /// Print what a shell needs to complete krcu's command line
    Completions(manual::Completions),
    /// What any other program does: `krcu NAME` runs `krcu-NAME`, as `krcu analyze` runs `krcu-analyze`
    #[command(external_subcommand)]
    External(Vec<OsString>),
}
