//! `objects`: the life of a deferred free, queued → batch → grace period → freed, as quantiles.

use polars::prelude::*;

use super::{descending, quantiles::quantiles, with_cache_name};
use crate::tables::Tables;

/// How lives are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// By cache.
    #[default]
    Cache,
    /// By the stack that queued.
    Site,
    /// By the way the object was freed.
    Path,
    /// By the CPU that queued.
    Cpu,
}

/// One row a group, largest first; or every life with `rows`.
///
/// # Errors
/// When a table cannot be read.
pub fn objects(tables: &Tables, by: By, rows: bool) -> PolarsResult<LazyFrame> {
    let named = with_cache_name(tables.scan("objects")?, tables.scan("caches")?, "cache");
    if rows {
        return Ok(named.select([
            col("cache_name").alias("cache"),
            col("object"),
            col("queued_at_ns"),
            col("queued_by"),
            col("queued_on"),
            col("site"),
            col("form"),
            col("grace_over_at_ns"),
            col("freed_at_ns"),
            col("path"),
            col("batch"),
            col("age_ns"),
            col("end"),
        ]));
    }
    let (frame, key) = match by {
        By::Cache => (named, col("cache_name").alias("group")),
        By::Site => {
            let sites = tables.scan("sites")?.select([col("site").alias("number"), col("stack")]);
            let framed = named.join(sites, [col("site")], [col("number")], JoinArgs::new(JoinType::Left));
            (framed, col("stack").fill_null(lit("(no stack was taken)")).alias("group"))
        }
        By::Path => (named, col("path").fill_null(lit("(not freed)")).alias("group")),
        By::Cpu => (named, col("queued_on").cast(DataType::String).alias("group")),
    };
    let to_grace = (col("grace_over_at_ns") - col("queued_at_ns")).alias("to_grace_ns");
    let after_grace = (col("freed_at_ns") - col("grace_over_at_ns")).alias("after_grace_ns");
    let lives = frame.with_columns([key, to_grace, after_grace]);
    let counts = lives.clone().group_by([col("group")]).agg([
        len().cast(DataType::UInt64).alias("queued"),
        col("freed_at_ns").is_not_null().sum().cast(DataType::UInt64).alias("freed"),
        col("batch").drop_nulls().n_unique().cast(DataType::UInt64).alias("batches"),
    ]);
    let mut found = counts;
    let ages = [(0.5, "age_p50_ns"), (0.9, "age_p90_ns"), (0.99, "age_p99_ns"), (1.0, "age_max_ns")];
    let spans: [(&str, &[(f64, &str)]); 3] = [
        ("to_grace_ns", &[(0.5, "to_grace_p50_ns")]),
        ("after_grace_ns", &[(0.5, "after_grace_p50_ns")]),
        ("age_ns", &ages),
    ];
    for (value, wanted) in spans {
        let spans = quantiles(lives.clone(), &["group"], value, wanted, None)?;
        found = found.join(spans, [col("group")], [col("group")], JoinArgs::new(JoinType::Left));
    }
    Ok(found.sort_by_exprs([col("queued"), col("group")], descending()))
}

/// How many objects were freed after how long: by cache, in classes of a quarter of a power of two.
///
/// # Errors
/// When a table cannot be read.
pub fn distribution(tables: &Tables) -> PolarsResult<LazyFrame> {
    classes(tables, "objects", "age_ns")
}

/// How many rows of a table have a span of this length: by cache, in classes of a quarter of a power of two.
///
/// # Errors
/// When a table cannot be read.
pub(super) fn classes(tables: &Tables, table: &str, span: &str) -> PolarsResult<LazyFrame> {
    let named = with_cache_name(tables.scan(table)?, tables.scan("caches")?, "cache");
    let class = (col(span).cast(DataType::Float64).log(lit(2.0)) * lit(4.0)).floor().cast(DataType::Int32);
    Ok(named
        .filter(col(span).gt(lit(0u64)))
        .with_columns([class.alias("class")])
        .group_by([col("cache_name"), col("class")])
        .agg([len().cast(DataType::UInt64).alias("objects")])
        .sort(["cache_name", "class"], super::ascending()))
}
