//! The command line of `krcu-analyze`, in one place.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::{ask::By, load::SIMULATED_TOGETHER, show::Format};

/// Answers questions to a trace that krcu recorded.
///
/// A trace is a folder `NAME.krcu/`, or the text that `krcu check --events` writes.
#[derive(Debug, Parser)]
#[command(name = "krcu-analyze", bin_name = "krcu analyze", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to ask.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Each slab cache: what was deferred of it, how it ended
    Caches(Asked),
    /// The life of a deferred free, queued to freed, as quantiles
    Objects {
        /// Which trace, and in what form.
        #[command(flatten)]
        asked: Asked,
        /// By what the lives are put together
        #[arg(long, value_enum, default_value_t)]
        by: By,
        /// Each life, not their quantiles
        #[arg(long)]
        rows: bool,
    },
    /// Each wait for deferred frees or callbacks: who, how long, for whose objects
    Barriers {
        /// Which trace, and in what form.
        #[command(flatten)]
        asked: Asked,
        /// Their sums by barrier and cause
        #[arg(long)]
        by_cause: bool,
    },
    /// What followed from each destroy
    Verdicts(Asked),
    /// What was freed together
    Batches(Asked),
    /// The stacks that queue most
    Sites(Asked),
    /// What each approach of "Waiting for kfree_rcu()" would have cost
    Whatif {
        /// Which trace, and in what form.
        #[command(flatten)]
        asked: Asked,
        /// Only approaches whose names contain this
        #[arg(long)]
        approach: Option<String>,
        /// The seed of what is drawn from the measured durations
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Each destroy, not the sums
        #[arg(long)]
        rows: bool,
        /// Deferred frees that are simulated together: a longer trace is simulated in stretches
        #[arg(long, default_value_t = SIMULATED_TOGETHER, value_name = "OBJECTS", value_parser = value_parser!(u64).range(1..))]
        together: u64,
    },
    /// One HTML file with pictures, which needs nothing else to be read
    Report {
        /// The trace
        trace: PathBuf,
        /// The file; the trace's name with `.html` when not given
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Deferred frees that are simulated together for the what-if: a longer trace is simulated in stretches
        #[arg(long, default_value_t = SIMULATED_TOGETHER, value_name = "OBJECTS", value_parser = value_parser!(u64).range(1..))]
        together: u64,
    },
    /// Two traces side by side, what differs most first
    Compare {
        /// One trace
        one: PathBuf,
        /// The other
        other: PathBuf,
        /// In what form
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// The tables for other programs
    Export {
        /// The trace
        trace: PathBuf,
        /// To what
        #[arg(long = "to", value_enum)]
        kind: ExportKind,
        /// The folder of a data set, or the file for Perfetto
        #[arg(short, long)]
        output: PathBuf,
    },
    /// The text of the kernel's own tracepoints, as events
    Import {
        /// What `trace-cmd report`, `perf script` or the file `trace` printed
        text: PathBuf,
        /// The script that is written
        #[arg(short, long)]
        output: PathBuf,
    },
}

/// For which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportKind {
    /// `TABLE/host=…/boot=…/`, so that many hosts make one data set
    Parquet,
    /// One file a table
    Csv,
    /// A protobuf trace for its viewer
    Perfetto,
}

/// Which trace, and in what form the answer is.
#[derive(Debug, Args)]
pub struct Asked {
    /// The trace
    pub trace: PathBuf,
    /// In what form
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// A file for the answer
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// Every row, and texts at their full length
    #[arg(long)]
    pub all: bool,
}
