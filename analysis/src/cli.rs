//! The command line of `krcu-analyze`, in one place.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::{ask::By, load::SIMULATED_TOGETHER, show::Format};

/// Answers questions about a trace that krcu recorded.
///
/// A trace is a folder `NAME.krcu/`, or a text file of `krcu check --events`.
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
    /// Each slab cache: its deferred frees, and how it ended
    Caches(Asked),
    /// The callbacks of `call_rcu()` and its like, from queueing to run, as quantiles by function
    Callbacks {
        /// The trace, and the form of the answer.
        #[command(flatten)]
        asked: Asked,
        /// Print each callback instead of quantiles
        #[arg(long)]
        rows: bool,
    },
    /// The lives of deferred frees, from queueing to free, as quantiles
    Objects {
        /// The trace, and the form of the answer.
        #[command(flatten)]
        asked: Asked,
        /// How the lives are grouped
        #[arg(long, value_enum, default_value_t)]
        by: By,
        /// Print each life instead of quantiles
        #[arg(long)]
        rows: bool,
    },
    /// Each wait for deferred frees or callbacks: which task waited, how long, and for which caches' objects
    Barriers {
        /// The trace, and the form of the answer.
        #[command(flatten)]
        asked: Asked,
        /// Print sums by barrier and cause instead of each wait
        #[arg(long)]
        by_cause: bool,
    },
    /// The verdict of each destroy
    Verdicts(Asked),
    /// The batches: objects that were freed together
    Batches(Asked),
    /// The stacks that queue the most; `--format folded` is for flame graphs
    Sites(Asked),
    /// Ask the tables in SQL: `SELECT cache, count(*) FROM objects GROUP BY cache`
    ///
    /// docs/tables.md has the tables and their columns. Each table begins with the column `run`, which says of which trace a
    /// row is. `SHOW TABLES` prints the names.
    Sql {
        /// The question, in quotes
        #[arg(value_name = "SELECT")]
        query: String,
        /// The traces; their rows are together in each table
        #[arg(required = true, value_name = "TRACE")]
        traces: Vec<PathBuf>,
        /// The form of the answer.
        #[command(flatten)]
        form: Form,
    },
    /// One screen: the waits, the stacks that queue and the caches that cost the most
    Worst {
        /// The trace
        trace: PathBuf,
        /// Only rows about caches whose names contain this text
        #[arg(long, value_name = "TEXT")]
        cache: Option<String>,
        /// How many rows of each
        #[arg(long, value_name = "N", default_value_t = 5)]
        top: u32,
    },
    /// What each approach of "Waiting for kfree_rcu()" would have cost
    Whatif {
        /// The trace, and the form of the answer.
        #[command(flatten)]
        asked: Asked,
        /// Only approaches whose names contain this text
        #[arg(long)]
        approach: Option<String>,
        /// The seed for drawing durations from the measured ones
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print each destroy instead of sums
        #[arg(long)]
        rows: bool,
        /// The number of deferred frees to simulate together: a longer trace is simulated in stretches
        #[arg(long, default_value_t = SIMULATED_TOGETHER, value_name = "OBJECTS", value_parser = value_parser!(u64).range(1..))]
        together: u64,
    },
    /// Write one HTML file with pictures, which needs no other file
    Report {
        /// The trace
        trace: PathBuf,
        /// The file to write; the default is the trace's name with `.html`
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// The number of deferred frees to simulate together for the what-if: a longer trace is simulated in
        /// stretches
        #[arg(long, default_value_t = SIMULATED_TOGETHER, value_name = "OBJECTS", value_parser = value_parser!(u64).range(1..))]
        together: u64,
    },
    /// Compare two traces, the largest differences first
    Compare {
        /// One trace
        one: PathBuf,
        /// The other
        other: PathBuf,
        /// The form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Also write an HTML file in which the waits of both lie beside each other
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Write the tables for other programs
    Export {
        /// The trace
        trace: PathBuf,
        /// The format to write
        #[arg(long = "to", value_enum)]
        kind: ExportKind,
        /// The folder of the data set, or the file for Perfetto
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Replay traces of a fleet into its facts and its ledger, each once; `krcu fleet replay` starts this
    Facts {
        /// The folder of the fleet
        #[arg(long)]
        fleet: PathBuf,
        /// Replay also what was refused before
        #[arg(long)]
        again: bool,
        /// Traces, as folders below FLEET/traces; without any, a line of standard input for each
        #[arg(value_name = "TRACE")]
        traces: Vec<String>,
    },
    /// Turn the text of the kernel's own tracepoints into events
    Import {
        /// The output of `trace-cmd report` or `perf script`, or the file `trace`
        text: PathBuf,
        /// The script to write
        #[arg(short, long)]
        output: PathBuf,
    },
}

/// A format for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportKind {
    /// `TABLE/host=…/boot=…/`, so that many hosts make one data set
    Parquet,
    /// One file for each table
    Csv,
    /// One Arrow file for each table: what `read_feather`, `read_ipc` and `scan_ipc` open
    Ipc,
    /// A protobuf trace for Perfetto's viewer
    Perfetto,
}

/// The trace, and the form of the answer.
#[derive(Debug, Args)]
pub struct Asked {
    /// The trace
    pub trace: PathBuf,
    /// The form of the answer.
    #[command(flatten)]
    pub form: Form,
    /// Which rows, and in which order
    #[command(flatten)]
    pub narrow: Narrow,
}

/// The form of an answer, and where it goes.
#[derive(Debug, Args)]
pub struct Form {
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write the answer to this file
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// Print every row, and texts at full length
    #[arg(long)]
    pub all: bool,
}

/// Which rows of an answer, and in which order.
#[derive(Clone, Debug, Default, Args)]
pub struct Narrow {
    /// Only rows about caches whose names contain this text
    #[arg(long, value_name = "TEXT")]
    pub cache: Option<String>,
    /// The rows with the most of this column first; `--format csv` prints the names of the columns
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<String>,
    /// Only the first rows
    #[arg(long, value_name = "N")]
    pub top: Option<u32>,
}
