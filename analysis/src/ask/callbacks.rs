//! `callbacks`: what `call_rcu()` and its like defer, from the call to the run, as quantiles by function.

use polars::prelude::*;

use super::{ascending, descending, objects::classes, quantiles::quantiles, with_cache_name};
use crate::tables::Tables;

/// One row a callback function and cache, those with the most callbacks first; or every life with `rows`.
///
/// # Errors
/// When a table cannot be read.
pub fn callbacks(tables: &Tables, rows: bool) -> PolarsResult<LazyFrame> {
    let named = with_cache_name(tables.scan("callbacks")?, tables.scan("caches")?, "cache");
    let framed = named.drop(by_name(["cache"], true, false)).rename(["cache_name"], ["cache"], true);
    if rows {
        return Ok(framed.sort(["queued_at_ns"], ascending()).select(
            [
                "function",
                "cache",
                "object",
                "queued_with",
                "queued_at_ns",
                "queued_by",
                "queued_on",
                "site",
                "grace_over_at_ns",
                "ran_at_ns",
                "latency_ns",
                "run_ns",
                "end",
            ]
            .map(col),
        ));
    }
    // A join does not find an absent key.
    let keys = ["function", "module", "cache", "queued_with"];
    let lives = framed.with_columns([
        col("module").fill_null(lit("")),
        col("cache").fill_null(lit("")),
        (col("grace_over_at_ns") - col("queued_at_ns")).alias("to_grace_ns"),
        (col("ran_at_ns") - col("grace_over_at_ns")).alias("after_grace_ns"),
        (col("returned_at_ns") - col("queued_at_ns")).alias("to_return_ns"),
    ]);
    let mut found = lives.clone().group_by(keys.map(col)).agg([
        len().cast(DataType::UInt64).alias("queued"),
        coalesce(&[col("ran_at_ns"), col("returned_at_ns")]).count().cast(DataType::UInt64).alias("ran"),
    ]);
    let spans: [(&str, &[(f64, &str)]); 4] = [
        ("to_grace_ns", &[(0.5, "to_grace_p50_ns")]),
        ("after_grace_ns", &[(0.5, "after_grace_p50_ns")]),
        (
            "latency_ns",
            &[
                (0.5, "latency_p50_ns"),
                (0.9, "latency_p90_ns"),
                (0.99, "latency_p99_ns"),
                (1.0, "latency_max_ns"),
            ],
        ),
        ("to_return_ns", &[(0.5, "to_return_p50_ns"), (1.0, "to_return_max_ns")]),
    ];
    for (value, wanted) in spans {
        let spans = quantiles(lives.clone(), &keys, value, wanted, None)?;
        found = found.join(spans, keys.map(col), keys.map(col), JoinArgs::new(JoinType::Left));
    }
    let known = |name: &str| when(col(name).eq(lit(""))).then(lit(NULL)).otherwise(col(name)).alias(name);
    Ok(found
        .sort_by_exprs([col("queued"), col("function"), col("cache")], descending())
        .with_columns([known("module"), known("cache")]))
}

/// How many callbacks ran after how long: by cache, in classes of a quarter of a power of two.
///
/// # Errors
/// When a table cannot be read.
pub fn latencies(tables: &Tables) -> PolarsResult<LazyFrame> {
    classes(tables, "callbacks", "latency_ns")
}
