//! Compare: two traces side by side, what differs most first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write,
    path::Path,
};

use anyhow::Result;
use krcu_report::words::shown;
use polars::prelude::*;

use crate::{
    ask::{self, Needs},
    load::{self, Loaded},
    show::{self, Cut, Format},
    tables::{Tables, collect},
};

/// Prints two traces side by side.
///
/// # Errors
/// When one cannot be read.
pub fn compare(one: &Path, other: &Path, format: Format, out: &mut impl Write) -> Result<()> {
    let (one, other) = (load::load(one, Needs::ALL, None)?, load::load(other, Needs::ALL, None)?);
    let frame = differences(&one, &other)?;
    if format != Format::Text {
        let cut = Cut { rows: usize::MAX, text: usize::MAX };
        show::show(&frame, "difference", format, cut, out)?;
        return one.is_whole().and_then(|()| other.is_whole());
    }
    for (name, loaded) in [("one", &one), ("other", &other)] {
        let (meta, events) = (&loaded.meta, show::units::count(loaded.events));
        let release = if meta.release.is_empty() { "a kernel that is not told" } else { &meta.release };
        writeln!(out, "{name:<6} {}  {release}  {events} events", meta.path.display())?;
    }
    writeln!(out, "\n{}{}", changes(&one, &other)?, said(&frame)?)?;
    one.is_whole().and_then(|()| other.is_whole())
}

/// The caches whose verdicts differ, a line each: `my_cache  pending → waited, which waited 41.5 ms`.
fn changes(one: &Loaded, other: &Loaded) -> Result<String> {
    let (one, other) = (ends(one)?, ends(other)?);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let absent = (vec!["absent".to_owned()], 0);
    let mut text = String::new();
    for name in names {
        let (before, after) = (one.get(name).unwrap_or(&absent), other.get(name).unwrap_or(&absent));
        if before.0 == after.0 {
            continue;
        }
        let wait = |(words, wait_ns): &(Vec<String>, u64)| {
            let word = words.join(" and ");
            if words.iter().any(|word| word == "waited") {
                format!("{word} {}", show::units::span(*wait_ns))
            } else {
                word
            }
        };
        let _ = writeln!(text, "{:<24} {} → {}", shown(name), wait(before), wait(after));
    }
    Ok(if text.is_empty() { text } else { format!("{text}\n") })
}

/// By cache: the different verdicts in the order of their words, and the longest wait.
fn ends(loaded: &Loaded) -> Result<BTreeMap<String, (Vec<String>, u64)>> {
    let frame = collect(loaded.tables.scan("verdicts")?)?;
    let (cache, verdict) = (frame.column("cache")?.str()?, frame.column("verdict")?.str()?);
    let waits = frame.column("wait_ns")?.u64()?;
    let mut ends: BTreeMap<String, (Vec<String>, u64)> = BTreeMap::new();
    for row in 0..frame.height() {
        let end = ends.entry(cache.get(row).unwrap_or("").to_owned()).or_default();
        end.0.push(verdict.get(row).unwrap_or("").to_owned());
        end.0.sort();
        end.0.dedup();
        end.1 = end.1.max(waits.get(row).unwrap_or(0));
    }
    Ok(ends)
}

/// Every number that either has, the verdicts first, then by how many times one is the other.
fn differences(one: &Loaded, other: &Loaded) -> Result<DataFrame> {
    let long = |loaded: &Loaded, name: &str| -> Result<LazyFrame> {
        Ok(numbers(loaded)?.rename(["value"], [name], true))
    };
    let joined = long(one, "one")?.join(
        long(other, "other")?,
        [col("of"), col("number")],
        [col("of"), col("number")],
        JoinArgs::new(JoinType::Full).with_coalesce(JoinCoalesce::CoalesceColumns),
    );
    // One more, so that from 0 to 1 is a factor too; a verdict outweighs any wait.
    let grown = |name: &str| col(name).fill_null(lit(0.0)) + lit(1.0);
    let weight = (grown("one") / grown("other")).log(lit(2.0)).abs();
    let is_verdict = col("number").str().starts_with(lit("verdict "));
    let differs = grown("one").neq(grown("other")).or(col("one").is_null().neq(col("other").is_null()));
    let ranked = joined
        .with_columns([weight.alias("weight"), is_verdict.alias("is_verdict"), differs.alias("differs")])
        .sort_by_exprs(
            [col("is_verdict").and(col("differs")), col("weight"), col("of"), col("number")],
            SortMultipleOptions::default().with_order_descending_multi([true, true, false, false]),
        )
        .select([col("of"), col("number"), col("one"), col("other"), col("differs")]);
    Ok(collect(ranked)?)
}

/// Every number of a trace, one a row.
fn numbers(loaded: &Loaded) -> Result<LazyFrame> {
    let tables = &loaded.tables;
    let caches = by_cache(tables)?;
    let barriers = ask::barriers_by_cause(tables)?.with_columns([concat_str(
        [lit("barrier "), col("barrier"), lit(" ("), col("cause"), lit(")")],
        "",
        false,
    )
    .alias("of")]);
    let verdicts = tables
        .scan("verdicts")?
        .group_by([col("cache"), col("verdict")])
        .agg([len().cast(DataType::Float64).alias("value")])
        .select([
            concat_str([lit("cache "), col("cache")], "", false).alias("of"),
            concat_str([lit("verdict "), col("verdict")], "", false).alias("number"),
            col("value"),
        ]);
    let whole =
        tables.scan("gaps")?.select([lit("trace").alias("of"), col("events").sum().alias("events_lost")]);
    let columns = |frame: &LazyFrame, names: &[&str]| -> Vec<LazyFrame> {
        let one = |name: &&str| {
            frame.clone().select([
                col("of"),
                lit((*name).to_owned()).alias("number"),
                col(*name).cast(DataType::Float64).alias("value"),
            ])
        };
        names.iter().map(one).collect()
    };
    let mut parts = vec![verdicts];
    parts.extend(columns(&caches, &["queued", "freed", "age_p50_ns", "age_p99_ns", "age_max_ns"]));
    parts.extend(columns(&barriers, &["barriers", "wait_ns", "wait_max_ns", "freed_meanwhile"]));
    parts.extend(columns(&whole, &["events_lost"]));
    Ok(concat(parts, UnionArgs::default())?)
}

/// By name, since a cache of one trace is none of the other.
fn by_cache(tables: &Tables) -> Result<LazyFrame> {
    let lives = ask::objects(tables, ask::By::Cache, false)?;
    Ok(lives.with_columns([concat_str([lit("cache "), col("group")], "", false).alias("of")]))
}

fn said(frame: &DataFrame) -> Result<String> {
    let (of, number) = (frame.column("of")?.str()?, frame.column("number")?.str()?);
    let (one, other) = (frame.column("one")?.f64()?, frame.column("other")?.f64()?);
    let mut text = format!("{:<44} {:<18} {:>12} {:>12}  {}\n", "of", "number", "one", "other", "change");
    for row in 0..frame.height() {
        let (of, number) = (of.get(row).unwrap_or(""), number.get(row).unwrap_or(""));
        let (one, other) = (one.get(row), other.get(row));
        let change = match (one, other) {
            (Some(one), Some(other)) if (one - other).abs() < f64::EPSILON => "same".to_owned(),
            (Some(one), Some(other)) if one > 0.0 && other > 0.0 => format!("× {:.2}", other / one),
            (None, _) => "only in the other".to_owned(),
            (_, None) => "only in the one".to_owned(),
            _ => "from or to 0".to_owned(),
        };
        let (one, other) = (value(number, one), value(number, other));
        text.push_str(&format!("{of:<44} {number:<18} {one:>12} {other:>12}  {change}\n"));
    }
    Ok(text)
}

fn value(name: &str, value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and times that were whole"
    )]
    let whole = value.max(0.0) as u64;
    if name.ends_with("_ns") { show::units::span(whole) } else { show::units::count(whole) }
}
