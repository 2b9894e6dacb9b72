//! `caches`: each slab cache, what was deferred of it and how it ended.

use polars::prelude::*;

use super::{ascending, quantiles::quantiles};
use crate::tables::Tables;

/// One row a cache, in the order of their lives.
///
/// # Errors
/// When a table cannot be read.
pub fn caches(tables: &Tables) -> PolarsResult<LazyFrame> {
    // What was freed has an age.
    let ages = quantiles(
        tables.scan("objects")?,
        &["cache"],
        "age_ns",
        &[(0.5, "age_p50_ns"), (0.99, "age_p99_ns"), (1.0, "age_max_ns")],
        Some("freed"),
    )?;
    let ends = tables
        .scan("destroys")?
        .join(
            tables.scan("verdicts")?.select([col("destroy"), col("verdict"), col("module")]),
            [col("destroy")],
            [col("destroy")],
            JoinArgs::new(JoinType::Left),
        )
        .sort(["destroy"], ascending())
        .group_by_stable([col("cache").alias("ended")])
        .agg([
            len().cast(DataType::UInt64).alias("destroys"),
            col("verdict").last(),
            col("module").last(),
            col("outstanding_at_look").last(),
        ]);
    let frame = tables
        .scan("caches")?
        .join(ages, [col("cache")], [col("cache")], JoinArgs::new(JoinType::Left))
        .join(ends, [col("cache")], [col("ended")], JoinArgs::new(JoinType::Left))
        .sort(["cache"], ascending());
    Ok(frame.select([
        col("cache"),
        when(col("name").eq(lit(""))).then(lit("(unnamed)")).otherwise(col("name")).alias("name"),
        col("module"),
        col("object_bytes"),
        col("created_at_ns"),
        col("released_at_ns"),
        col("queued"),
        col("freed").fill_null(lit(0u64)),
        col("outstanding"),
        col("callbacks"),
        col("age_p50_ns"),
        col("age_p99_ns"),
        col("age_max_ns"),
        col("destroys").fill_null(lit(0u64)),
        col("outstanding_at_look"),
        col("verdict"),
    ]))
}
