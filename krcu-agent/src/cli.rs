//! The command line of `krcu`, in one place: help, completions and man pages come from here.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::{agent, check, doctor, explain, export, external, manual, receive, record, replay};

/// What help says about the verbs that are separate programs.
const BESIDE: &str = "tui and analyze are separate programs, krcu-tui and krcu-analyze: krcu looks for them in its own \
     folder, then in PATH.";

/// Says for every destroyed slab cache whether deferred frees were still outstanding.
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
    /// Run a command, and judge every slab cache that is destroyed while it runs
    Check(check::Options),
    /// Write a trace, to be examined later; judge nothing
    Record(record::Options),
    /// Write the trace that `record --stream` sends from another machine
    Receive(receive::Options),
    /// Judge a trace: print the report of the recorded run again, and exit with its status
    Replay(replay::Options),
    /// Read a kernel log that says objects remain, and say what that proves and what would tell the cause
    Explain(explain::Options),
    /// Write a trace that can be given away: without addresses, host, command and names of tasks
    Export(export::Options),
    /// Watch until stopped; serve reports and metrics, write the log and traces
    Agent(agent::Options),
    /// Watch an agent, or replay a trace, in a terminal
    #[command(disable_help_flag = true)]
    Tui(external::Words),
    /// Ask questions about a trace: tables, a report with pictures, what other designs would have cost
    #[command(disable_help_flag = true)]
    Analyze(external::Words),
    /// Say what this kernel offers and what krcu cannot decide on it; attach nothing
    Doctor(doctor::Options),
    /// Say what a verb does and which options it has, as its --help does
    Help {
        /// The verb
        #[arg(value_name = "VERB")]
        verb: Option<OsString>,
    },
    /// Print a manual page
    Man(manual::Man),
    /// Print a shell's completions for krcu's command line
    Completions(manual::Completions),
    /// Any other program: `krcu NAME` runs `krcu-NAME`, as `krcu analyze` runs `krcu-analyze`
    #[command(external_subcommand)]
    External(Vec<OsString>),
}
