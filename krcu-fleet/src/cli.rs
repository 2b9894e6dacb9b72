//! The command line of `krcu-fleet`, in one place.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use krcu_analysis::show::Format;

use crate::{ask::question::Ask, time};

/// Answers questions about the traces of many hosts.
///
/// A fleet is a folder that `krcu ship` fills. Everything works on one machine; `--on` hands the work to Spark.
#[derive(Debug, Parser)]
#[command(name = "krcu-fleet", bin_name = "krcu fleet", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Replay each new trace once, and put its facts and a row of the ledger beside it
    Replay {
        /// The folder of the fleet
        fleet: PathBuf,
        /// Where the work is done
        #[command(flatten)]
        on: On,
        /// Replay also the traces that were refused before
        #[arg(long)]
        again: bool,
        /// How many traces are replayed side by side on this machine; the default is one for each processor
        #[arg(long, value_name = "N", conflicts_with = "on")]
        jobs: Option<usize>,
        /// The program that replays; the default is `krcu-analyze` beside this one
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Ask all hosts a question
    Ask {
        /// The question
        #[arg(value_enum)]
        ask: Ask,
        /// The folder of the fleet
        fleet: PathBuf,
        /// Where the work is done
        #[command(flatten)]
        on: On,
        /// Only traces that began so long ago or later, by their day, as 7d
        #[arg(long, value_name = "TIME", value_parser = time::span)]
        since: Option<Duration>,
        /// Group also by these: kernel, arch, krcu, host, day; of verdicts also module, module-version, verdict
        #[arg(long, value_name = "WORD", value_delimiter = ',')]
        by: Vec<String>,
        /// Ask nothing: print the question as SQL, for Spark, DuckDB or Trino
        #[arg(long, conflicts_with_all = ["on", "digest", "job"])]
        sql: bool,
        /// Ask nothing: print the question and the files that count as one object of JSON
        #[arg(long, conflicts_with_all = ["on", "digest"])]
        job: bool,
        /// Print only a checksum of the answer, which is the same by every engine
        #[arg(long)]
        digest: bool,
        /// Take the answer from standard input, an array of values in each line, as another engine gave it
        #[arg(long, conflicts_with_all = ["on", "sql", "job"])]
        given: bool,
        /// The form of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Print every row, and texts at full length
        #[arg(long)]
        all: bool,
    },
    /// Write one HTML page about the whole fleet, which needs no other file
    Report {
        /// The folder of the fleet
        fleet: PathBuf,
        /// Only traces that began so long ago or later, by their day, as 7d
        #[arg(long, value_name = "TIME", value_parser = time::span)]
        since: Option<Duration>,
        /// The file to write
        #[arg(short, long, default_value = "fleet.html")]
        output: PathBuf,
    },
    /// Make one file for each table of the small files of each day
    Compact {
        /// The folder of the fleet
        fleet: PathBuf,
        /// Only this day; the default is each day before today
        #[arg(long, value_name = "DAY", value_parser = time::day)]
        day: Option<String>,
    },
    /// Say what is older than is kept; delete it with --delete
    Prune {
        /// The folder of the fleet
        fleet: PathBuf,
        /// How long a trace without a fault is kept
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time::span)]
        traces: Duration,
        /// How long a trace with a fault, or one that could not be read, is kept
        #[arg(long, value_name = "TIME", default_value = "365d", value_parser = time::span)]
        flagged: Duration,
        /// How long facts are kept
        #[arg(long, value_name = "TIME", default_value = "730d", value_parser = time::span)]
        facts: Duration,
        /// Delete what is named
        #[arg(long)]
        delete: bool,
    },
}

/// Where the work is done.
#[derive(Args, Clone, Debug)]
pub struct On {
    /// Spark's master, as spark://HOST:PORT; without it, this machine does the work
    #[arg(long, value_name = "MASTER", value_parser = master)]
    pub on: Option<String>,
    /// The Python that has PySpark
    #[arg(long, value_name = "FILE", default_value = "python3")]
    pub python: PathBuf,
}

fn master(text: &str) -> Result<String, String> {
    let place = text.strip_prefix("spark://").and_then(|place| place.rsplit_once(':'));
    match place {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is no master of Spark: name it as spark://HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_has_a_host_and_a_port() {
        assert_eq!(master("spark://[::1]:7077").as_deref(), Ok("spark://[::1]:7077"));
        for wrong in
            ["nonsense", "spark://", "spark://host", "spark://:7077", "spark://host:port", "host:7077"]
        {
            assert!(master(wrong).unwrap_err().ends_with("name it as spark://HOST:PORT"));
        }
    }
}
