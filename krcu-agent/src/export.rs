//! `krcu export`: a trace in another form, to be given away.

use std::path::PathBuf;

use clap::Args;

use crate::anonymise::anonymise;

/// Writes a trace that can be attached to a public report: without addresses, the host, the words of the command
/// and the names of tasks. Its verdicts are the same.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Leave out what says whose the trace is; the only form there is
    #[arg(long, required = true)]
    pub anonymise: bool,
    /// The trace: a folder that `krcu check -o` or `krcu record -o` wrote
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// The folder of the new trace; it must not exist yet
    #[arg(long, short, value_name = "TRACE")]
    pub output: PathBuf,
}

/// Runs `export`; gives the status to exit with.
///
/// # Errors
/// When nothing of the trace can be read, or the other one cannot be written.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    anonymise(&options.trace, &options.output).map(|()| 0)
}
