//! `verdicts`: what followed from each destroy, word for word what the live run said.

use polars::prelude::*;

use crate::tables::Tables;

/// One row a verdict: the destroys in the order of their entry, then the broken promises.
///
/// # Errors
/// When a table cannot be read.
pub fn verdicts(tables: &Tables) -> PolarsResult<LazyFrame> {
    tables.scan("verdicts")
}

/// Each destroy with its verdict.
///
/// # Errors
/// When a table cannot be read.
pub fn destroys(tables: &Tables) -> PolarsResult<LazyFrame> {
    let words = tables.scan("verdicts")?.select([
        col("destroy"),
        col("verdict"),
        col("flagged"),
        col("cache").alias("cache_name"),
        col("module"),
    ]);
    Ok(tables
        .scan("destroys")?
        .join(words, [col("destroy")], [col("destroy")], JoinArgs::new(JoinType::Left))
        .sort(["destroy"], super::ascending()))
}
