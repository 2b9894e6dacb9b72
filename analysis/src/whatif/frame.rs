//! Frame: the machine's answer as a table, and what stands below it.

use std::fmt::Write as _;

use anyhow::Result;
use polars::prelude::*;

use super::{
    Answer,
    words::{Inputs, WhatIfs},
};
use crate::{facts::row::Rows as _, show::units};

/// Each destroy under each approach with `rows`, else the sums of the approaches; and what a row is called.
///
/// # Errors
/// When polars cannot.
pub fn frame(answer: &Answer, rows: bool) -> Result<(&'static str, DataFrame)> {
    let all = rows_of(answer);
    if rows {
        return Ok(("whatif", all.lazy().select([all_but_bystander(), bystander()]).collect()?));
    }
    let sums = all
        .lazy()
        .group_by_stable([col("approach")])
        .agg([
            len().cast(DataType::UInt32).alias("destroys"),
            col("unsafe").sum().cast(DataType::UInt32),
            col("caller_wait_ns").is_null().sum().cast(DataType::UInt32).alias("hung"),
            col("caller_wait_ns").sum(),
            col("caller_wait_ns").max().alias("longest_wait_ns"),
            col("linger_ns").sum(),
            col("waited_for_own").sum(),
            col("waited_for_other").sum(),
            col("grace_periods_forced").sum(),
            bystander().first(),
            col("retained_bytes_ns").sum(),
            col("kept_bytes").sum(),
            col("splat").eq(lit("false")).sum().cast(DataType::UInt32).alias("false_splats"),
            col("splat").eq(lit("true-leak")).sum().cast(DataType::UInt32).alias("true_leaks"),
            col("api_changes").first(),
        ])
        .collect()?;
    Ok(("whatifs", sums))
}

/// The columns that a person compares approaches by: without what is the same in every row.
///
/// # Errors
/// When polars cannot.
pub fn for_a_person(sums: &DataFrame) -> Result<DataFrame> {
    let is_always_0 = |name: &str| -> PolarsResult<bool> {
        Ok(sums.column(name)?.cast(&DataType::UInt64)?.u64()?.iter().all(|number| number.unwrap_or(0) == 0))
    };
    let mut left_out = vec!["destroys", "longest_wait_ns"];
    for name in ["hung", "bystander_wait_ns", "kept_bytes", "true_leaks", "waited_for_other"] {
        if is_always_0(name)? {
            left_out.push(name);
        }
    }
    Ok(sums.clone().lazy().select([all().exclude_cols(left_out).as_expr()]).collect()?)
}

fn bystander() -> Expr {
    col("bystander_wait_ns")
}

fn all_but_bystander() -> Expr {
    all().exclude_cols(["bystander_wait_ns"]).as_expr()
}

/// Each destroy under each approach.
#[must_use]
pub fn rows_of(answer: &Answer) -> DataFrame {
    let mut table = WhatIfs::new(|_| true);
    answer.rows.iter().cloned().for_each(|row| table.push(row));
    let mut frame = table.frame();
    // `unsafe` is no name that Rust lets a field have.
    let _ = frame.rename("is_unsafe", "unsafe".into());
    frame
}

/// Pairs of the back-test that a person is shown.
const SHOWN_PAIRS: usize = 40;

/// What the rows rest on.
#[must_use]
pub fn inputs_of(answer: &Answer) -> DataFrame {
    let mut table = Inputs::new(|_| true);
    answer.inputs.iter().cloned().for_each(|row| table.push(row));
    table.frame()
}

/// The back-test and the inputs, as text.
#[must_use]
pub fn below(answer: &Answer) -> String {
    let mut text = String::from(
        "\nsimulated by the reference machine from this trace's own measurements; `unsafe` is of this run alone\n",
    );
    if let (stretches @ 2.., together) = answer.stretches {
        let together = units::count(together);
        let _ = writeln!(
            text,
            "in {stretches} stretches of at most {together} deferred frees, each from what was outstanding when it began: \
             what lingers is not carried on, nor memory retained for what was freed before"
        );
    }
    match &answer.back_test {
        None => text.push_str(
            "back-test: none, no destroy of this trace had a barrier inside whose wait could be compared\n",
        ),
        Some(test) => {
            let _ = writeln!(text, "back-test: {}, simulated beside measured", answer.upstream);
            for pair in test.pairs.iter().take(SHOWN_PAIRS) {
                let off = pair.off_ns();
                let sign = if off < 0 { "-" } else { "+" };
                let off = units::span(u64::try_from(off.unsigned_abs()).unwrap_or(u64::MAX));
                let (simulated, measured) = (units::span(pair.simulated_ns), units::span(pair.measured_ns));
                let after = units::span(pair.after_last_free_ns);
                let off = format!("{sign}{off}");
                let _ = writeln!(
                    text,
                    "  {:<32} {simulated:>9} {measured:>9} {off:>10}, {after} of it after the last free",
                    pair.name
                );
            }
            if let Some(more @ 1..) = test.pairs.len().checked_sub(SHOWN_PAIRS) {
                let _ = writeln!(text, "  and {more} more, which are in what follows");
            }
            if test.unmatched > 0 {
                let _ = writeln!(text, "  {} measured waits have no simulated one", test.unmatched);
            }
            if let Some(per_mille) = test.per_mille() {
                let _ = writeln!(
                    text,
                    "  all together the machine waits {}.{} % of what the kernel waited",
                    per_mille / 10,
                    per_mille % 10
                );
            }
            if let Some(per_mille) = test.per_mille_until_last_free() {
                let _ = writeln!(
                    text,
                    "  {}.{} % of what it waited until the last free: how long the task takes to wake up and to go on \
                     from there is not simulated",
                    per_mille / 10,
                    per_mille % 10
                );
            }
        }
    }
    let mut told = std::collections::BTreeSet::new();
    text.push_str("inputs\n");
    for input in &answer.inputs {
        if told.insert((&input.input, &input.source)) {
            let samples = units::count(input.samples);
            let _ =
                writeln!(text, "  {:<16} {:<9} {samples:>7}  {}", input.input, input.origin, input.source);
        }
    }
    text
}
