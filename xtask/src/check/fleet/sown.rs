//! Sown: the faults that the generator has sown, and those that a fleet tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::check::fleet::programs::Programs;
use crate::progress::output_of;

/// The signature that a verdict of a kernel's run has to have.
fn signature(verdict: &Value) -> String {
    let function = |frame: Option<&str>| {
        let function = frame.and_then(|frame| frame.split(['+', ' ']).next()).unwrap_or("-");
        function.split('.').next().unwrap_or("-").to_owned()
    };
    let first = |sites: &str| verdict[sites].get(0).map(|site| site["stack"].clone());
    let stack = first("leak_sites").or_else(|| first("sites")).unwrap_or_default();
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
    format!(
        "{} {}.{} {} {}",
        text(&verdict["verdict"]),
        text(&verdict["module"]),
        text(&verdict["cache"]),
        function(verdict["destroyed_by"]["stack"].get(0).and_then(Value::as_str)),
        function(stack.get(0).and_then(Value::as_str)),
    )
}

/// The signature, how often it is there, and the day on which it was first.
type Found = BTreeMap<String, (u64, String)>;

/// That a fleet has each fault that was sown, once, with its count and its first day.
///
/// # Errors
///
/// When it is not so, with what was found and what was sown.
pub(super) fn is_found(programs: &Programs, sown: &Path, fleet: &Path) -> Result<()> {
    let text = fs::read_to_string(sown.join("sown.json")).context("reading what was sown")?;
    let sown: Vec<Value> = serde_json::from_str(&text).context("reading what was sown")?;
    let mut expected = Found::new();
    for fault in &sown {
        let count = fault["count"].as_u64().context("a count")?;
        let day = fault["first_day"].as_str().context("a day")?.to_owned();
        let (sum, first) = expected.entry(signature(&fault["verdict"])).or_insert_with(|| (0, day.clone()));
        *sum += count;
        *first = day.min(first.clone());
    }
    let mut found = Found::new();
    for row in programs.rows(fleet, "flagged")? {
        let name = row["signature"].as_str().context("a signature")?.to_owned();
        // The example is of the first day.
        let example = row["example"].as_str().context("an example")?;
        let day = example.get(4..14).context("a day")?.to_owned();
        let seconds = row["first_utc_ns"].as_i64().context("a time")? / 1_000_000_000;
        let by_time = output_of(Command::new("date").args(["-u", "+%F", "-d", &format!("@{seconds}")]))?;
        ensure!(
            by_time.trim() == day,
            "{name}: first seen on {}, and its example is of {day}",
            by_time.trim()
        );
        if found.insert(name.clone(), (row["verdicts"].as_u64().context("a count")?, day)).is_some() {
            bail!("{name} is there twice");
        }
    }
    ensure!(expected.len() >= 8, "only {} faults were sown", expected.len());
    ensure!(found == expected, "found {found:#?}\n  sown: {expected:#?}");
    Ok(())
}
