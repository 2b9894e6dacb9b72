//! Ask: one file a question. Each is a LazyFrame over the tables of facts; polars does the work.

mod barriers;
mod batches;
mod caches;
mod callbacks;
mod narrow;
mod needs;
mod objects;
pub mod outstanding;
mod quantiles;
mod sites;
mod verdicts;
mod worst;

use polars::prelude::*;

pub use barriers::{barriers, barriers_by_cause};
pub use batches::batches;
pub use caches::caches;
pub use callbacks::{callbacks, latencies};
pub use narrow::narrow;
pub use needs::{Columns, Needs};
pub use objects::{By, distribution, objects};
pub use sites::sites;
pub use verdicts::{destroys, verdicts};
pub use worst::{Part, worst};

/// A quantile of a column that memory holds, as one of its values.
fn quantile(column: &str, at: f64, name: &str) -> Expr {
    col(column).quantile(lit(at), QuantileMethod::Nearest).cast(DataType::UInt64).alias(name)
}

/// The names of caches, for a table that has their numbers in `cache`: as `cache_name`.
fn with_cache_name(frame: LazyFrame, caches: LazyFrame, number: &str) -> LazyFrame {
    let names = caches.select([col("cache").alias("named"), col("name").alias("cache_name")]);
    frame.join(names, [col(number).cast(DataType::UInt32)], [col("named")], JoinArgs::new(JoinType::Left))
}

pub(crate) fn ascending() -> SortMultipleOptions {
    SortMultipleOptions::default().with_maintain_order(true)
}

fn descending() -> SortMultipleOptions {
    ascending().with_order_descending(true)
}
