//! Golden traces: the events of the table's runs, kept for `krcu-model/tests/truth.rs` to replay without a kernel.
//!
//! What must come of a replay is written beside the traces from the scenarios' own data, not from what krcu said.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::kernel_tests::{self, Judged};
use crate::machine;
use crate::progress::say;
use crate::scenarios::Want;

/// Bytes that one trace may have, for somebody to read it.
const MOST_BYTES: u64 = 32 * 1024;
/// The file with what is expected: `SERIES NAME CACHE WORD`, a line for each verdict in the order of the destroys.
const EXPECTED: &str = "expected.txt";

/// Writes the traces of all cells that were right and are small, with their verdicts.
///
/// # Errors
///
/// When a file cannot be read or written.
pub(super) fn write(judged: &[Judged]) -> Result<()> {
    let folder = folder();
    cache::create_folder(&folder)?;
    let mut expected = read_expected()?;
    let mut bytes = 0;
    for one in judged {
        let (series, name) = (one.case.series, one.case.scenario.name);
        let key = format!("{series} {name} ");
        expected.retain(|line| !line.starts_with(&key));
        let stem = folder.join(format!("{series}-{name}"));
        let [script, json] =
            ["script", "json"].map(|kind| PathBuf::from(format!("{}.{kind}", stem.display())));
        for path in [&script, &json] {
            drop(fs::remove_file(path));
        }
        let out = kernel_tests::folder(series);
        let events = out.join(format!("{name}.events"));
        let Ok(metadata) = fs::metadata(&events) else { continue };
        if !one.found.is_empty() || metadata.len() > MOST_BYTES {
            continue;
        }
        let told = out.join(format!("{name}.json"));
        let told = fs::read_to_string(&told).with_context(|| format!("reading {}", told.display()))?;
        let verdicts: String = told
            .lines()
            .filter(|line| line.contains("\"kind\":\"verdict\""))
            .map(|line| format!("{line}\n"))
            .collect();
        cache::write_file(&json, verdicts.as_bytes())?;
        fs::copy(&events, &script).with_context(|| format!("copying {}", events.display()))?;
        bytes += metadata.len();
        for line in one.case.expectation.lines.iter().filter(|line| line.kind == "verdict") {
            let word = line.fields.iter().find_map(|(field, want)| match want {
                Want::Text(word) if *field == "verdict" => Some(*word),
                _ => None,
            });
            if let (Some(cache), Some(word)) = (line.cache, word) {
                expected.push(format!("{key}{cache} {word}"));
            }
        }
    }
    // Lines of one scenario stay in their order.
    expected.sort_by(|left, right| left.split(' ').take(2).cmp(right.split(' ').take(2)));
    cache::write_file(&folder.join(EXPECTED), format!("{}\n", expected.join("\n")).as_bytes())?;
    say(&format!("{bytes} bytes of traces in {}", folder.display()));
    Ok(())
}

fn read_expected() -> Result<Vec<String>> {
    let path = folder().join(EXPECTED);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn folder() -> PathBuf {
    machine::repository().join("krcu-model/tests/traces/truth")
}
