//! `barriers`: who waited, how long, and for whose objects.

use polars::prelude::*;

use super::{ascending, descending, quantile};
use crate::tables::Tables;

/// One row a barrier, in the order of their entry.
///
/// # Errors
/// When a table cannot be read.
pub fn barriers(tables: &Tables) -> PolarsResult<LazyFrame> {
    let destroys = tables.scan("destroys")?.select([
        col("destroy").alias("in_destroy"),
        col("cache").alias("destroyed"),
        col("comm"),
    ]);
    let framed = tables
        .scan("barriers")?
        .join(destroys, [col("destroy")], [col("in_destroy")], JoinArgs::new(JoinType::Left))
        .with_columns([coalesce(&[col("cache"), col("destroyed")]).alias("for_cache")]);
    let named = super::with_cache_name(framed, tables.scan("caches")?, "for_cache");
    Ok(named.sort_by_exprs([col("begin_at_ns"), col("task")], ascending()).select([
        col("begin_at_ns"),
        col("barrier"),
        col("cause"),
        col("cache_name").alias("for_cache"),
        col("comm"),
        col("task"),
        col("wait_ns"),
        col("outstanding"),
        col("outstanding_own"),
        col("freed_meanwhile"),
        col("freed_own"),
        col("grace_periods"),
    ]))
}

/// Waits by barrier and cause, the longest sum first.
///
/// # Errors
/// When a table cannot be read.
pub fn barriers_by_cause(tables: &Tables) -> PolarsResult<LazyFrame> {
    Ok(tables
        .scan("barriers")?
        .group_by([col("barrier"), col("cause")])
        .agg([
            len().cast(DataType::UInt64).alias("barriers"),
            col("wait_ns").sum().alias("wait_ns"),
            quantile("wait_ns", 0.5, "wait_p50_ns"),
            col("wait_ns").max().alias("wait_max_ns"),
            col("freed_meanwhile").sum(),
            col("freed_own").sum(),
        ])
        .sort_by_exprs([col("wait_ns"), col("barrier"), col("cause")], descending()))
}
