//! `worst`: what cost the most, on one screen.

use polars::prelude::*;

use super::{barriers, caches, descending, sites};
use crate::tables::Tables;

/// What the screen shows: a heading, the word of its rows, and the rows, the worst first.
pub type Part = (&'static str, &'static str, LazyFrame);

/// The three parts. A quantity that is not known is not among the worst.
///
/// # Errors
/// When a table cannot be read.
pub fn worst(tables: &Tables) -> PolarsResult<[Part; 3]> {
    let waits =
        barriers(tables)?.filter(col("wait_ns").is_not_null()).sort(["wait_ns"], descending()).select(
            [
                "wait_ns",
                "barrier",
                "cause",
                "for_cache",
                "comm",
                "freed_own",
                "freed_meanwhile",
                "grace_periods",
            ]
            .map(col),
        );
    let sites =
        sites(tables)?.select(["queued", "not_freed", "age_p50_ns", "age_max_ns", "cache", "stack"].map(col));
    let bytes = (col("queued") * col("object_bytes").cast(DataType::UInt64)).alias("queued_bytes");
    let caches = caches(tables)?.with_column(bytes).sort(["queued_bytes"], descending()).select(
        ["queued_bytes", "queued", "outstanding", "callbacks", "age_p99_ns", "age_max_ns", "name", "verdict"]
            .map(col),
    );
    Ok([
        ("the longest waits", "worst_wait", waits),
        ("the stacks that queue the most", "worst_site", sites),
        ("the caches of which the most bytes were queued", "worst_cache", caches),
    ])
}
