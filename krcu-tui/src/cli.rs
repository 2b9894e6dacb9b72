//! The command line of `krcu tui`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::connection::DEFAULT_SOCKET;

/// Watches a krcu agent, or replays a trace.
///
/// Needs no privilege except to open the agent's socket: root and the group krcu may. `?` shows the keys.
#[derive(Clone, Debug, Parser)]
#[command(name = "krcu-tui", version, bin_name = "krcu tui")]
pub struct Cli {
    /// The socket of the agent
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Replay a trace (a folder NAME.krcu) or a script (the file of krcu check --events), without an agent
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub replay: Option<PathBuf>,
    /// Draw with ASCII characters only. This is the default if the locale is not UTF-8, and on the Linux
    /// console, whose font has few characters
    #[arg(long)]
    pub ascii: bool,
    /// Use no colour. This is the default if NO_COLOR is set
    #[arg(long)]
    pub no_color: bool,
    /// Leave the mouse to the terminal, which can then select text
    #[arg(long)]
    pub no_mouse: bool,
    /// Print the manual page or a shell's completions, and exit
    #[arg(long, value_name = "WHAT")]
    pub print: Option<Print>,
}

/// A text that is made from the definition of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// A manual page, for `man -l -`.
    Man,
    /// The completions for bash.
    Bash,
    /// The completions for zsh.
    Zsh,
    /// The completions for fish.
    Fish,
}
