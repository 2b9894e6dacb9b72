//! Frame: the machine's answer as a table, and what stands below it.

use std::fmt::Write as _;

use anyhow::Result;
use polars::prelude::*;

use super::{
    Answer,
    words::{Inputs, WhatIf, WhatIfs},
};
use crate::{facts::row::Rows as _, show::units};
use krcu_reference::simulate::{BackTest, Sum, Trust};

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
            col("measured_wait_ns").sum(),
            error(answer).map_or_else(|| lit(NULL), lit).cast(DataType::UInt64).alias("error_per_mille"),
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

/// The error of the back-test, in thousandths; absent without one.
fn error(answer: &Answer) -> Option<u64> {
    match answer.trust() {
        Trust::Off(per_mille) => Some(per_mille),
        Trust::Untested => None,
    }
}

/// What a person compares approaches by: one row for approaches whose figures are the same, times with no more digits than
/// the back-test allows, and only columns in which rows differ.
///
/// # Errors
/// When polars cannot.
pub fn for_a_person(answer: &Answer) -> Result<DataFrame> {
    let trust = answer.trust();
    let alike = answer.alike();
    let sums: Vec<&Sum> = alike.iter().filter_map(|(first, _)| answer.sums.get(*first)).collect();
    let span = |ns: u64| if ns == 0 { "·".to_owned() } else { trust.span(ns) };
    let measured = units::span(answer.measured_ns());
    let names: Vec<String> = alike.iter().zip(&sums).map(|((_, others), sum)| named(sum, others)).collect();
    let text = |name: &str, cell: &dyn Fn(&Sum) -> String| {
        let cells: Vec<String> = sums.iter().map(|sum| cell(sum)).collect();
        Column::new(name.into(), cells)
    };
    let number = |name: &str, cell: &dyn Fn(&Sum) -> u64| {
        let cells: Vec<u64> = sums.iter().map(|sum| cell(sum)).collect();
        Column::new(name.into(), cells)
    };
    let mut columns = vec![
        Column::new("approach".into(), names),
        text("caller waits", &|sum| span(sum.caller_wait_ns)),
        text("error", &|_| trust.word()),
        text("measured", &|_| measured.clone()),
        number("unsafe", &|sum| sum.unsafe_destroys),
        text("lingers", &|sum| span(sum.linger_ns)),
        number("waited_for_own", &|sum| sum.waited_for_own),
        number("waited_for_other", &|sum| sum.waited_for_other),
        number("grace_periods_forced", &|sum| sum.grace_periods_forced),
        text("bystanders wait", &|sum| span(sum.bystander_wait_ns)),
        text("retained", &|sum| retained(sum)),
        number("kept_bytes", &|sum| sum.kept_bytes),
        number("hung", &|sum| sum.hung),
        number("false_splats", &|sum| sum.false_splats),
        number("true_leaks", &|sum| sum.true_leaks),
    ];
    let says_something = |column: &Column| -> PolarsResult<bool> {
        let always = ["approach", "caller waits", "error", "measured", "unsafe", "lingers", "waited_for_own"];
        Ok(always.contains(&column.name().as_str())
            || match column.dtype() {
                DataType::String => column.str()?.iter().any(|cell| cell != Some("·")),
                _ => column.u64()?.iter().any(|number| number.unwrap_or(0) > 0),
            })
    };
    let mut kept = Vec::new();
    for column in columns.drain(..) {
        if says_something(&column)? {
            kept.push(column);
        }
    }
    Ok(DataFrame::new(sums.len(), kept)?)
}

#[expect(clippy::cast_precision_loss, reason = "a sum over time, of which three digits are shown")]
fn retained(sum: &Sum) -> String {
    if sum.retained_bytes_ns == 0 {
        "·".to_owned()
    } else {
        units::byte_seconds(sum.retained_bytes_ns as f64)
    }
}

/// The first approach of some with the same figures, and how many others there are.
pub(crate) fn named(sum: &Sum, others: &[usize]) -> String {
    if others.is_empty() { sum.approach.clone() } else { format!("{} +{}", sum.approach, others.len()) }
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
    rows_in(&answer.rows)
}

/// The table without a row.
pub(crate) fn no_rows() -> DataFrame {
    rows_in(&[])
}

fn rows_in(rows: &[WhatIf]) -> DataFrame {
    let mut table = WhatIfs::new(|_| true);
    rows.iter().cloned().for_each(|row| table.push(row));
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

/// The approaches behind a `+`, and what each asks of a module's source.
fn same(answer: &Answer, text: &mut String) {
    for (first, others) in answer.alike() {
        let sums = std::iter::once(&first).chain(&others).filter_map(|place| answer.sums.get(*place));
        let mut names = sums.map(|sum| sum.approach.as_str());
        if let (Some(name), false) = (names.next(), others.is_empty()) {
            let _ = writeln!(text, "the same as {name}: {}", names.collect::<Vec<_>>().join(", "));
        }
    }
}

/// The back-test: each pair, and the shares.
fn tested(test: &BackTest, upstream: &str, text: &mut String) {
    let trust = test.trust();
    let _ = writeln!(
        text,
        "back-test: {upstream}, simulated beside measured; nine of ten destroys are off by {} or less{}",
        trust.word(),
        if trust.is_far_off() { ": FAR OFF, so the times above say little" } else { "" }
    );
    for pair in test.pairs.iter().take(SHOWN_PAIRS) {
        let off = pair.off_ns();
        let sign = if off < 0 { "-" } else { "+" };
        let off = units::span(u64::try_from(off.unsigned_abs()).unwrap_or(u64::MAX));
        let (simulated, measured) = (units::span(pair.simulated_ns), units::span(pair.measured_ns));
        let after = units::span(pair.after_last_free_ns);
        let off = format!("{sign}{off}");
        let close = if pair.is_close() { "" } else { ", OUTSIDE a fifth" };
        let given = if pair.is_given { ", unseen callbacks given" } else { "" };
        let _ = writeln!(
            text,
            "  {:<32} {simulated:>9} {measured:>9} {off:>10}, {after} of it after the last free{given}{close}",
            pair.name
        );
    }
    if let Some(more @ 1..) = test.pairs.len().checked_sub(SHOWN_PAIRS) {
        let _ = writeln!(text, "  and {more} more, which are in what follows");
    }
    let [(close, predicted), (close_given, given)] = test.close();
    let _ = writeln!(
        text,
        "  within a fifth: {close} of {predicted} as predicted; {close_given} of {given} with what their own \
         rcu_barrier() told of callbacks that no event shows"
    );
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
    same(answer, &mut text);
    match &answer.back_test {
        None => text.push_str(
            "back-test: none, no destroy of this trace had a barrier inside whose wait could be compared: every time above is \
             untested, and its first digit is all that is shown\n",
        ),
        Some(test) => tested(test, answer.upstream, &mut text),
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
