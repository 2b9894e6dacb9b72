//! Quantiles of tables that may be larger than memory: values are put into classes first, so that what polars keeps is a
//! row a class, not a value an object.

use polars::prelude::*;

/// Classes in a power of two: within a class the largest value is at most 1.1 % above the smallest.
const CLASSES: f64 = 64.0;

/// Quantiles of `value` by `keys`, each with its name, and how many values there are, if asked; 1 is the largest. One row for each
/// group that has a value.
///
/// A quantile is a value of the group: the largest in the class of the one that so many do not exceed, hence at most
/// 1.1 % above that.
///
/// # Errors
/// When polars cannot.
pub(super) fn quantiles(
    frame: LazyFrame,
    keys: &[&str],
    value: &str,
    wanted: &[(f64, &str)],
    count: Option<&str>,
) -> PolarsResult<LazyFrame> {
    let logarithm = (col(value).cast(DataType::Float64) + lit(1.0)).log(lit(2.0));
    let class = (logarithm * lit(CLASSES)).floor().cast(DataType::Int32).alias("class");
    let keys: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    let mut by_class = keys.clone();
    by_class.push(col("class"));
    let classes = frame
        .filter(col(value).is_not_null())
        .with_columns([class])
        .group_by(by_class)
        .agg([len().cast(DataType::Float64).alias("here"), col(value).max().alias("most")])
        .sort(["class"], super::ascending())
        .with_columns([
            col("here").cum_sum(false).over(keys.clone())?.alias("until_here"),
            col("here").sum().over(keys.clone())?.alias("all"),
        ]);
    let quantile = |(share, name): &(f64, &str)| {
        let reached = col("until_here").gt_eq(col("all") * lit(*share));
        col("most").filter(reached).min().cast(DataType::UInt64).alias(*name)
    };
    let count = count.map(|name| col("here").sum().cast(DataType::UInt64).alias(name));
    Ok(classes.group_by(keys).agg(wanted.iter().map(quantile).chain(count).collect::<Vec<Expr>>()))
}
