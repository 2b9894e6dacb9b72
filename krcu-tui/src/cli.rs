//! The command line of `krcu tui`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::connection::DEFAULT_SOCKET;

/// Watches a krcu agent, or replays what one has seen.
///
/// Needs no privileges but to be allowed to open the agent's socket, which is its group's. `?` shows the keys.
#[derive(Clone, Debug, Parser)]
#[command(name = "krcu-tui", version, bin_name = "krcu tui")]
pub struct Cli {
    /// The socket of the agent
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Replay a trace (a folder NAME.krcu) or a script (what krcu check --events wrote), without an agent
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub replay: Option<PathBuf>,
    /// Draw with ASCII alone; so it is too where the locale is no UTF-8, and on the Linux console, whose font has little
    #[arg(long)]
    pub ascii: bool,
    /// Use no colour; so it is too where NO_COLOR is set
    #[arg(long)]
    pub no_color: bool,
    /// Leave the mouse to the terminal, which can then mark text
    #[arg(long)]
    pub no_mouse: bool,
    /// Print a manual page, or what a shell needs to complete the command line, and end
    #[arg(long, value_name = "WHAT")]
    pub print: Option<Print>,
}

/// What is made of the command line's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// A manual page, for `man -l -`.
    Man,
    /// Completions for bash.
    Bash,
    /// For zsh.
    Zsh,
    /// For fish.
    Fish,
}
