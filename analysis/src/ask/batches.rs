//! `batches`: what was freed together.

use polars::prelude::*;

use super::ascending;
use crate::tables::Tables;

/// One row a batch, in the order of their first free.
///
/// # Errors
/// When a table cannot be read.
pub fn batches(tables: &Tables) -> PolarsResult<LazyFrame> {
    let end = coalesce(&[col("returned_at_ns"), col("last_at_ns")]);
    Ok(tables.scan("batches")?.sort(["batch"], ascending()).select([
        col("batch"),
        col("first_at_ns"),
        col("path"),
        col("task"),
        col("cpu"),
        col("objects"),
        col("unknown"),
        col("caches"),
        (end - col("first_at_ns")).cast(DataType::UInt64).alias("took_ns"),
        (col("first_at_ns") - col("oldest_queued_at_ns")).cast(DataType::UInt64).alias("oldest_age_ns"),
        col("since_grace_ns"),
    ]))
}
