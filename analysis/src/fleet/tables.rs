//! Tables: the facts of a trace in the form that every engine reads alike: integers are signed and have 64 bits, a truth is 0
//! or 1, and each row names its run.

use krcu_ship::layout::Place;
use polars::prelude::*;

use super::class::class_of;
use crate::{ask::ascending, tables::Tables};

/// The tables of a fleet. Objects do not leave a host's trace; `ages` counts them.
pub const NAMES: [&str; 8] =
    ["runs", "modules", "caches", "destroys", "verdicts", "barriers", "gaps", "ages"];

/// A table of the fleet, of the trace in this place.
pub(super) fn of(
    tables: &Tables,
    name: &str,
    place: &Place,
    attached_utc_ns: Option<i64>,
) -> PolarsResult<LazyFrame> {
    let run = lit(place.run()).alias("run");
    let table = match name {
        "ages" => ages(tables)?,
        "verdicts" => verdicts(tables, attached_utc_ns)?,
        "barriers" => tables
            .scan("barriers")?
            .with_columns([classes("wait_ns").alias("wait_class")])
            .select([all().as_expr(), at("begin_at_ns", attached_utc_ns)]),
        // The place says which run it is, whatever the trace says. A column `day` would be taken for the folder's.
        "runs" => tables.scan("runs")?.drop(by_name(["run"], true, false)).with_columns([
            lit(place.folder()).alias("trace"),
            lit(place.host.clone()).alias("host"),
            lit(place.boot.clone()).alias("boot"),
            lit(place.day.clone()).alias("utc_day"),
        ]),
        name => tables.scan(name)?,
    };
    alike(table.select([run, all().as_expr()]))
}

/// When something was, in nanoseconds since 1970; absent where the trace does not say when it was attached.
fn at(column: &str, attached_utc_ns: Option<i64>) -> Expr {
    let at = match attached_utc_ns {
        Some(attached) => col(column) + lit(attached),
        None => lit(NULL).cast(DataType::Int64),
    };
    at.alias("at_utc_ns")
}

/// Verdicts with their time of day, and with the version of the module whose cache it is.
fn verdicts(tables: &Tables, attached_utc_ns: Option<i64>) -> PolarsResult<LazyFrame> {
    let version = coalesce(&[col("build_id"), col("srcversion")]).alias("module_version");
    // A module that came twice has two rows; the last one is that of most verdicts.
    let versions = tables.scan("modules")?.group_by([col("module").alias("versioned")]).agg([version.last()]);
    Ok(tables
        .scan("verdicts")?
        .with_row_index("place", None)
        .join(versions, [col("module")], [col("versioned")], JoinArgs::new(JoinType::Left))
        .sort(["place"], ascending())
        .select([
            all().exclude_cols(["place", "notes", "advice"]).as_expr(),
            at("destroyed_at_ns", attached_utc_ns),
        ]))
}

/// Deferred frees by cache, site and class of age.
fn ages(tables: &Tables) -> PolarsResult<LazyFrame> {
    let sites = tables.scan("sites")?.select([
        col("site").alias("number"),
        col("site_key"),
        col("function"),
        col("module"),
        col("stack"),
    ]);
    let caches = tables.scan("caches")?.select([col("cache").alias("life"), col("name").alias("cache_name")]);
    let keys = ["cache", "site_key", "function", "module", "age_class"];
    Ok(tables
        .scan("objects")?
        .with_columns([classes("age_ns").alias("age_class")])
        .join(sites, [col("site")], [col("number")], JoinArgs::new(JoinType::Left))
        .join(caches, [col("cache")], [col("life")], JoinArgs::new(JoinType::Left))
        .with_columns([
            col("cache_name").alias("cache"),
            col("site_key").fill_null(lit(0i64)),
            col("function").fill_null(lit("")),
        ])
        .group_by(keys.map(col))
        .agg([
            len().cast(DataType::Int64).alias("objects"),
            col("age_ns").is_null().sum().cast(DataType::Int64).alias("not_freed"),
            col("age_ns").sum().cast(DataType::Int64),
            col("age_ns").max().cast(DataType::Int64).alias("age_max_ns"),
            col("stack").min(),
        ])
        .sort(keys, ascending()))
}

/// The class of a span; absent where the span is.
fn classes(column: &str) -> Expr {
    let of_column = |spans: Column| {
        let classes: Int64Chunked = spans.u64()?.iter().map(|span| span.map(class_of)).collect();
        Ok(classes.into_series().into())
    };
    col(column).map(of_column, |_, field| Ok(Field::new(field.name().clone(), DataType::Int64)))
}

/// Integers of one width, and truths as integers.
fn alike(mut table: LazyFrame) -> PolarsResult<LazyFrame> {
    let schema = table.collect_schema()?;
    let columns = schema.iter().map(|(name, kind)| {
        let column = col(name.clone());
        let is_number = kind.is_integer() || *kind == DataType::Boolean;
        if is_number { column.cast(DataType::Int64) } else { column }
    });
    Ok(table.clone().select(columns.collect::<Vec<_>>()))
}
