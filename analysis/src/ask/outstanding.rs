//! Outstanding: how many deferred frees there were, over time and at each destroy.

use polars::prelude::*;

use super::{ascending, with_cache_name};
use crate::tables::Tables;

/// What is counted over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Objects of `kfree_rcu()`, until their free.
    Objects,
    /// Callbacks of `call_rcu()` and its like, until they run.
    Callbacks,
}

impl Counted {
    /// Lives by cache: from `queued_at_ns` to `over_at_ns`, which is absent where the trace ended first.
    fn lives(self, tables: &Tables) -> PolarsResult<LazyFrame> {
        let lives = match self {
            Counted::Objects => tables.scan("objects")?,
            // Of the others nobody knows when they were over.
            Counted::Callbacks => tables
                .scan("callbacks")?
                .filter(col("end").neq(lit("requeued")).and(col("end").neq(lit("cancelled"))))
                .with_columns([coalesce(&[col("ran_at_ns"), col("returned_at_ns")]).alias("over_at_ns")]),
        };
        Ok(with_cache_name(lives, tables.scan("caches")?, "cache"))
    }
}

/// The most that was outstanding of each cache in each of so many equal parts of a span: at the end of the part,
/// by cache and part. Parts in which nothing changed are left out.
///
/// # Errors
/// When a table cannot be read.
pub fn over_time(
    tables: &Tables,
    counted: Counted,
    (from_ns, until_ns): (i64, i64),
    parts: i64,
) -> PolarsResult<LazyFrame> {
    let width = ((until_ns - from_ns) / parts.max(1)).max(1);
    let part =
        |at: &str| ((col(at) - lit(from_ns)).floor_div(lit(width))).cast(DataType::Int64).alias("part");
    let lives = counted.lives(tables)?;
    let begun = lives.clone().select([
        col("cache"),
        col("cache_name"),
        part("queued_at_ns"),
        lit(1i64).alias("change"),
    ]);
    let ended = lives.filter(col("over_at_ns").is_not_null()).select([
        col("cache"),
        col("cache_name"),
        part("over_at_ns"),
        lit(-1i64).alias("change"),
    ]);
    let changes = concat([begun, ended], UnionArgs::default())?
        .group_by([col("cache"), col("cache_name"), col("part")])
        .agg([col("change").sum()]);
    Ok(changes
        .sort(["cache", "part"], ascending())
        .with_columns([col("change").cum_sum(false).over([col("cache")])?.alias("outstanding")])
        .select([col("cache"), col("cache_name"), col("part"), col("outstanding")]))
}

/// Objects of its cache that were outstanding when each destroy looked (when it was entered, if it never did),
/// counted from the lives alone: what a stranger to the model would compute from the same Parquet.
///
/// # Errors
/// When a table cannot be read.
pub fn at_destroy(tables: &Tables) -> PolarsResult<LazyFrame> {
    at_destroy_of(tables.scan("objects")?, tables.scan("destroys")?)
}

/// The same, of these two tables.
///
/// # Errors
/// When polars cannot.
pub fn at_destroy_of(objects: LazyFrame, destroys: LazyFrame) -> PolarsResult<LazyFrame> {
    let destroys = destroys.select([
        col("destroy"),
        col("cache"),
        coalesce(&[col("look_at_ns"), col("begin_at_ns")]).alias("at_ns"),
    ]);
    let pairs = objects.select([col("cache"), col("queued_at_ns"), col("over_at_ns")]).join(
        destroys.clone(),
        [col("cache")],
        [col("cache")],
        JoinArgs::new(JoinType::Inner),
    );
    let counted = pairs
        .filter(
            col("queued_at_ns")
                .lt_eq(col("at_ns"))
                .and(col("over_at_ns").is_null().or(col("over_at_ns").gt(col("at_ns")))),
        )
        .group_by([col("destroy")])
        .agg([len().cast(DataType::UInt64).alias("outstanding")]);
    Ok(destroys
        .join(counted, [col("destroy")], [col("destroy")], JoinArgs::new(JoinType::Left))
        .with_columns([col("outstanding").fill_null(lit(0u64))])
        .sort(["destroy"], ascending()))
}

/// Each change of what was outstanding of a cache, in the order of time.
///
/// # Errors
/// When a table cannot be read.
pub fn changes(tables: &Tables) -> PolarsResult<LazyFrame> {
    let lives = with_cache_name(tables.scan("objects")?, tables.scan("caches")?, "cache");
    let change = |at: &str, by: i64| {
        [col("cache"), col("cache_name"), col(at).alias("at_ns"), lit(by).alias("change")]
    };
    let begun = lives.clone().select(change("queued_at_ns", 1));
    let ended = lives.filter(col("over_at_ns").is_not_null()).select(change("over_at_ns", -1));
    Ok(concat([begun, ended], UnionArgs::default())?
        .group_by([col("cache"), col("cache_name"), col("at_ns")])
        .agg([col("change").sum()])
        .sort(["cache", "at_ns"], ascending())
        .with_columns([col("change").cum_sum(false).over([col("cache")])?.alias("outstanding")])
        .select([col("cache"), col("cache_name"), col("at_ns"), col("outstanding")]))
}
