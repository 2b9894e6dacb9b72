//! Narrow: fewer rows of an answer, and another order.

use anyhow::{Result, bail};
use polars::prelude::*;

use crate::cli::Narrow;

/// Columns that may hold the name of the cache that a row is about, the first one that is there counts.
const NAMES: [&str; 5] = ["for_cache", "cache_name", "name", "cache", "group"];

/// The rows that were asked for, in the order that was asked for.
///
/// # Errors
/// When the answer has no such column.
pub fn narrow(mut frame: DataFrame, narrow: &Narrow) -> Result<DataFrame> {
    if let Some(text) = &narrow.cache {
        let is_text =
            |name: &&str| frame.column(name).is_ok_and(|column| *column.dtype() == DataType::String);
        let Some(name) = NAMES.into_iter().find(is_text) else {
            bail!("--cache: the rows of this answer are not about one cache each");
        };
        let has_text = |name: Option<&str>| name.is_some_and(|name| name.contains(text.as_str()));
        let is_asked: BooleanChunked = frame.column(name)?.str()?.iter().map(has_text).collect();
        frame = frame.filter(&is_asked)?;
    }
    if let Some(column) = &narrow.sort {
        if frame.column(column).is_err() {
            let names: Vec<&str> = frame.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
            bail!("--sort: this answer has no column {column:?}; it has {}", names.join(", "));
        }
        let order = SortMultipleOptions::default().with_order_descending(true).with_nulls_last(true);
        frame = frame.lazy().sort([column.as_str()], order.with_maintain_order(true)).collect()?;
    }
    Ok(match narrow.top {
        Some(top) => frame.head(usize::try_from(top).ok()),
        None => frame,
    })
}
