//! `sites`: the stacks that queue most.

use polars::prelude::*;

use super::{descending, quantiles::quantiles, with_cache_name};
use crate::tables::Tables;

/// One row a stack and cache, the stack that queues most first.
///
/// # Errors
/// When a table cannot be read.
pub fn sites(tables: &Tables) -> PolarsResult<LazyFrame> {
    let stacks = tables.scan("sites")?.select([
        col("site").alias("number"),
        col("function"),
        col("module"),
        col("stack"),
    ]);
    let framed =
        tables.scan("objects")?.join(stacks, [col("site")], [col("number")], JoinArgs::new(JoinType::Left));
    let named = with_cache_name(framed, tables.scan("caches")?, "cache").select([
        col("stack").fill_null(lit("(no stack was taken)")),
        col("function"),
        col("module"),
        col("cache_name").alias("cache"),
        col("freed_at_ns"),
        col("age_ns"),
    ]);
    let keys = ["stack", "cache"].map(col);
    let counts = named.clone().group_by(&keys).agg([
        col("function").first(),
        col("module").first(),
        len().cast(DataType::UInt64).alias("queued"),
        col("freed_at_ns").is_null().sum().cast(DataType::UInt64).alias("not_freed"),
    ]);
    let ages =
        quantiles(named, &["stack", "cache"], "age_ns", &[(0.5, "age_p50_ns"), (1.0, "age_max_ns")], None)?;
    Ok(counts
        .join(ages, &keys, &keys, JoinArgs::new(JoinType::Left))
        .sort_by_exprs([col("queued"), col("stack"), col("cache")], descending())
        .select([
            col("queued"),
            col("not_freed"),
            col("age_p50_ns"),
            col("age_max_ns"),
            col("cache"),
            col("module"),
            col("function"),
            col("stack"),
        ]))
}
