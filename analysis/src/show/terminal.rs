//! Terminal: a frame as a table that a person reads: counts with thousands apart, times in the unit that fits.
//!
//! The table is written here because ten lines put its cells into columns. A crate for tables needs as many options until it
//! draws no borders and breaks no cell.

use std::fmt::Write as _;

use krcu_report::words::shown;
use polars::prelude::*;

use super::{Cut, units};

/// What stands where there is nothing.
const ABSENT: &str = "–";

/// How a column's values are read, by its name's unit.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Moment,
    Span,
    ByteSeconds,
    Address,
    Number,
    Plain,
}

/// The table, a line a row, and how many rows were left out.
#[must_use]
pub fn table(frame: &DataFrame, cut: Cut) -> String {
    if frame.height() == 0 {
        return "nothing\n".to_owned();
    }
    let shown = frame.height().min(cut.rows);
    let columns: Vec<Written> =
        frame.columns().iter().map(|column| Written::of(column, shown, cut.text)).collect();
    let mut text = String::new();
    for row in 0..=shown {
        let mut line = String::new();
        for (place, column) in columns.iter().enumerate() {
            let cell = column.cells.get(row).map_or("", String::as_str);
            let pad = " ".repeat(column.width.saturating_sub(cell.chars().count()));
            let gap = if place == 0 { "" } else { "  " };
            let _ = if column.is_right {
                write!(line, "{gap}{pad}{cell}")
            } else {
                write!(line, "{gap}{cell}{pad}")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if shown < frame.height() {
        let rest = units::count((frame.height() - shown) as u64);
        let _ = writeln!(text, "and {rest} more rows: `--all` prints them");
    }
    text
}

/// Headings, whether a column's cells stand at the right, and the cells.
#[must_use]
pub fn cells(frame: &DataFrame) -> Vec<(String, bool, Vec<String>)> {
    let written = frame.columns().iter().map(|column| Written::of(column, frame.height(), usize::MAX));
    written
        .map(|mut column| {
            let heading = column.cells.remove(0);
            (heading, column.is_right, column.cells)
        })
        .collect()
}

/// A column whose cells are text, the heading first.
struct Written {
    cells: Vec<String>,
    width: usize,
    is_right: bool,
}

impl Written {
    fn of(column: &Column, rows: usize, longest: usize) -> Written {
        let name = column.name().as_str();
        let reading = reading(name, column.dtype());
        // A part of a path opens nothing.
        let longest = if name == "example" { usize::MAX } else { longest };
        let mut cells = vec![heading(name, reading)];
        for row in 0..rows {
            let value = column.get(row).unwrap_or(AnyValue::Null);
            cells.push(shorten(&cell(&value, reading), longest));
        }
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        Written { cells, width, is_right: !matches!(reading, Reading::Plain | Reading::Address) }
    }
}

fn reading(name: &str, kind: &DataType) -> Reading {
    if matches!(kind, DataType::String | DataType::Boolean) {
        Reading::Plain
    } else if name.ends_with("bytes_ns") {
        Reading::ByteSeconds
    } else if name.ends_with("_at_ns") || matches!(name, "from_ns" | "until_ns") {
        Reading::Moment
    } else if name.ends_with("_ns") {
        Reading::Span
    } else if matches!(name, "object" | "address") {
        Reading::Address
    } else {
        Reading::Number
    }
}

/// The name as words, without the unit that the values bring with them.
fn heading(name: &str, reading: Reading) -> String {
    let bare = match reading {
        Reading::Moment => name.strip_suffix("_at_ns").or_else(|| name.strip_suffix("_ns")),
        Reading::ByteSeconds => name.strip_suffix("_bytes_ns"),
        Reading::Span => name.strip_suffix("_ns"),
        _ => None,
    };
    bare.unwrap_or(name).replace('_', " ")
}

fn cell(value: &AnyValue<'_>, reading: Reading) -> String {
    match value {
        AnyValue::Null => return ABSENT.to_owned(),
        AnyValue::Boolean(yes) => return if *yes { "yes" } else { "no" }.to_owned(),
        AnyValue::String(text) => return shown(text).into_owned(),
        AnyValue::StringOwned(text) => return shown(text).into_owned(),
        AnyValue::Float64(number) if reading == Reading::ByteSeconds => return units::byte_seconds(*number),
        AnyValue::Float64(number) => return format!("{number:.2}"),
        _ => {}
    }
    let number: i128 = value.extract().unwrap_or_default();
    match reading {
        Reading::Moment => units::moment(i64::try_from(number).unwrap_or(i64::MAX)),
        Reading::Address => format!("{number:#x}"),
        Reading::Span => signed(number, units::span),
        _ => signed(number, units::count),
    }
}

fn signed(number: i128, write: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", write(u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX)))
}

fn shorten(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{kept}…")
}
