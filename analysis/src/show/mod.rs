//! Show: a table for a person, or in a format for a program.

mod folded;
pub mod terminal;
pub mod units;
pub mod verdicts;

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use polars::{
    io::json::{JsonFormat, JsonWriter},
    prelude::*,
};

/// In what form a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Text,
    /// One object in each line, each with `schema` and `kind`.
    Json,
    /// A header line, then one line for each row; an absent value is empty.
    Csv,
    /// One binary file; krcu does not write it to a terminal.
    Parquet,
    /// Of `sites`: stacks as flamegraph.pl and its relatives read them, with the cache as the outermost frame.
    Folded,
}

/// Version of the JSON objects and of the columns of every table.
pub const SCHEMA: u32 = 1;

/// How a table for a person is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Rows at the most.
    pub rows: usize,
    /// Characters of one text at the most.
    pub text: usize,
}

/// Prints a table.
///
/// # Errors
/// When it cannot be written.
pub fn show(frame: &DataFrame, kind: &str, format: Format, cut: Cut, mut out: impl Write) -> Result<()> {
    match format {
        Format::Text => write!(out, "{}", terminal::table(frame, cut)).context("writing the table")?,
        Format::Json => {
            let mut tagged = frame.clone().lazy().select([
                lit(SCHEMA).alias("schema"),
                lit(kind).alias("kind"),
                all().as_expr(),
            ]);
            if frame.height() == 0 {
                // A literal alone would be one row.
                tagged = tagged.filter(lit(false));
            }
            let mut tagged = tagged.collect()?;
            JsonWriter::new(&mut out).with_json_format(JsonFormat::JsonLines).finish(&mut tagged)?;
        }
        Format::Csv => CsvWriter::new(&mut out).finish(&mut frame.clone())?,
        Format::Parquet => {
            ParquetWriter::new(&mut out).finish(&mut frame.clone())?;
        }
        Format::Folded => write!(out, "{}", folded::stacks(frame)?).context("writing the stacks")?,
    }
    Ok(())
}

/// Refuses what a terminal cannot show.
///
/// # Errors
/// For Parquet to a terminal.
pub fn check_destination(format: Format, is_terminal: bool) -> Result<()> {
    if format == Format::Parquet && is_terminal {
        bail!("Parquet is no text: send it to a file, `--format parquet > FILE` or `-o FILE`");
    }
    Ok(())
}
