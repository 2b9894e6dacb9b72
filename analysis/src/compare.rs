//! Compare: two traces side by side, what differs most first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write,
    path::Path,
};

use anyhow::{Context as _, Result};
use krcu_report::words::shown;
use polars::prelude::*;

use crate::{
    ask::{self, Needs},
    load::{self, Loaded},
    report::compared::{self, Pair, Side, Value},
    show::{self, Cut, Format},
    tables::{Tables, collect},
};

/// Prints two traces side by side, and draws them if a file is given for it.
///
/// # Errors
/// When one cannot be read, or the file not be written.
pub fn compare(
    traces: [&Path; 2],
    format: Format,
    picture: Option<&Path>,
    out: &mut impl Write,
) -> Result<()> {
    let [one, other] = traces.map(|trace| load::load(trace, Needs::ALL, None));
    let (one, other) = (one?, other?);
    let caches = caches(&one, &other)?;
    if let Some(path) = picture {
        let page = compared::html(&[side(&one), side(&other)], &caches, &barriers(&one, &other)?);
        fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let frame = differences(&one, &other)?;
    if format != Format::Text {
        let cut = Cut { rows: usize::MAX, text: usize::MAX };
        show::show(&frame, "difference", format, cut, out)?;
        return one.is_whole().and_then(|()| other.is_whole());
    }
    for (word, loaded) in [("one", &one), ("other", &other)] {
        let (path, side) = (loaded.meta.path.display(), side(loaded));
        writeln!(out, "{word:<6} {path}  {}  {} events", side.kernel, side.events)?;
    }
    writeln!(out, "\n{}{}", changes(&caches), said(&frame)?)?;
    one.is_whole().and_then(|()| other.is_whole())
}

fn side(loaded: &Loaded) -> Side {
    let meta = &loaded.meta;
    let release = if meta.release.is_empty() { "a kernel that is not told" } else { &meta.release };
    let name = meta.path.file_name().map(|name| name.to_string_lossy().into_owned());
    Side {
        name: name.unwrap_or_default(),
        kernel: release.to_owned(),
        events: show::units::count(loaded.events),
    }
}

/// The caches that do not end alike, a line each: `my_cache  pending → waited 41.5 ms`.
fn changes(caches: &[Pair]) -> String {
    let mut text = String::new();
    for pair in caches.iter().filter(|pair| !pair.is_same()) {
        let [one, other] = &pair.values;
        let _ = writeln!(text, "{:<24} {} → {}", shown(&pair.name), one.told, other.told);
    }
    if text.is_empty() { text } else { format!("{text}\n") }
}

/// How the destroys of each cache end in both, by its name; those with other verdicts first, then by how far the waits are
/// apart.
fn caches(one: &Loaded, other: &Loaded) -> Result<Vec<Pair>> {
    let (one, other) = (ends(one)?, ends(other)?);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut pairs: Vec<(bool, Pair)> = names
        .into_iter()
        .map(|name| {
            let both = [one.get(name), other.get(name)];
            let [before, after] = both.map(|end| end.map(|end| &end.words));
            let values = both.map(|end| end.map_or_else(absent, End::value));
            (before != after, Pair { name: name.clone(), values })
        })
        .collect();
    let apart = |pair: &Pair| pair.values[0].wait_ns.abs_diff(pair.values[1].wait_ns);
    pairs.sort_by_key(|(is_other, pair)| (Reverse(*is_other), Reverse(apart(pair))));
    Ok(pairs.into_iter().map(|(_, pair)| pair).collect())
}

fn absent() -> Value {
    Value { told: "absent".to_owned(), ..Value::default() }
}

/// How the destroys of one cache's name ended.
#[derive(Debug, Default)]
struct End {
    /// Their different verdicts, in the order of the words.
    words: BTreeSet<String>,
    /// The longest wait.
    wait_ns: u64,
    is_flagged: bool,
}

impl End {
    fn value(&self) -> Value {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let mut told = words.join(" and ");
        if self.words.contains("waited") {
            let _ = write!(told, " {}", show::units::span(self.wait_ns));
        }
        Value { told, wait_ns: self.wait_ns, is_flagged: self.is_flagged }
    }
}

fn ends(loaded: &Loaded) -> Result<BTreeMap<String, End>> {
    let frame = collect(loaded.tables.scan("verdicts")?)?;
    let (cache, verdict) = (frame.column("cache")?.str()?, frame.column("verdict")?.str()?);
    let (waits, flagged) = (frame.column("wait_ns")?.u64()?, frame.column("flagged")?.bool()?);
    let mut ends: BTreeMap<String, End> = BTreeMap::new();
    for row in 0..frame.height() {
        let end = ends.entry(cache.get(row).unwrap_or("").to_owned()).or_default();
        end.words.insert(verdict.get(row).unwrap_or("").to_owned());
        end.wait_ns = end.wait_ns.max(waits.get(row).unwrap_or(0));
        end.is_flagged |= flagged.get(row).unwrap_or(false);
    }
    Ok(ends)
}

/// The waits of both by barrier and cause, the longest first.
fn barriers(one: &Loaded, other: &Loaded) -> Result<Vec<Pair>> {
    let mut pairs: BTreeMap<String, [Value; 2]> = BTreeMap::new();
    for (place, loaded) in [one, other].into_iter().enumerate() {
        let frame = collect(ask::barriers_by_cause(&loaded.tables)?)?;
        let (barrier, cause) = (frame.column("barrier")?.str()?, frame.column("cause")?.str()?);
        let (count, wait) = (frame.column("barriers")?.u64()?, frame.column("wait_ns")?.u64()?);
        for row in 0..frame.height() {
            let name = format!("{} ({})", barrier.get(row).unwrap_or(""), cause.get(row).unwrap_or(""));
            let wait_ns = wait.get(row).unwrap_or(0);
            let count = show::units::count(count.get(row).unwrap_or(0));
            let told = format!("{} in {count}", show::units::span(wait_ns));
            pairs.entry(name).or_insert_with(|| [absent(), absent()])[place] =
                Value { told, wait_ns, is_flagged: false };
        }
    }
    let mut pairs: Vec<Pair> = pairs.into_iter().map(|(name, values)| Pair { name, values }).collect();
    pairs.sort_by_key(|pair| Reverse(pair.values.iter().map(|value| value.wait_ns).max()));
    Ok(pairs)
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
