//! Golden traces: the events of the table's runs, kept for `krcu-model/tests/truth.rs` to replay without a kernel.
//!
//! The expected verdicts of a replay are written beside the traces. They come from the scenarios' own data,
//! not from what krcu said.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::check::kernel_tests::{self, Judged};
use crate::host;
use crate::progress::say;

/// The most bytes that one kept trace may have, so that a person can read it.
const MOST_BYTES: u64 = 52 * 1024;
/// The file with what is expected: `SERIES NAME CACHE WORD`, one line for each verdict, in the order of the
/// destroys.
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
        // A run of which no verdict is expected has none to be kept.
        let mut lines = one.case.expectation.lines.iter();
        let has_word = lines.any(|line| line.kind == "verdict" && line.word().is_some());
        if !one.found.is_empty() || !has_word || metadata.len() > MOST_BYTES {
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
            if let Some(word) = line.word() {
                // A verdict about a module is of no cache.
                expected.push(format!(
                    "{key}{} {word}",
                    line.cache.filter(|cache| !cache.is_empty()).unwrap_or("-")
                ));
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
    host::repository().join("krcu-model/tests/traces/truth")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::folder;
    use crate::check::judge::{Evidence, Judgement, judge};
    use crate::check::scenarios::{Expectation, Line, Scenario, Want};
    use crate::check::truth::scenarios;

    /// A cell whose verdicts are kept.
    struct Cell {
        scenario: &'static Scenario,
        expectation: &'static Expectation,
        /// The lines of its verdicts, with a summary where one is expected.
        evidence: Evidence,
    }

    /// All of them in which verdicts alone are expected, and nothing that a module has printed.
    fn cells() -> Vec<Cell> {
        let mut cells = Vec::new();
        for scenario in scenarios() {
            for expectation in scenario.expectations {
                let is_of_log = |want: &Want| {
                    matches!(
                        want,
                        Want::Truth(_) | Want::TruthBetween(..) | Want::LogLines(_) | Want::Balanced
                    )
                };
                let fields = || expectation.lines.iter().flat_map(|line| line.fields);
                if expectation.lines.iter().any(|line| line.kind != "verdict")
                    || fields().any(|(_, want)| is_of_log(want))
                {
                    continue;
                }
                for series in expectation.series {
                    let kept = folder().join(format!("{series}-{}.json", scenario.name));
                    let Ok(stdout) = fs::read_to_string(kept) else { continue };
                    let log = expectation.log_has.join("\n");
                    let evidence = Evidence { status: expectation.status, stdout, log };
                    cells.push(Cell { scenario, expectation, evidence });
                }
            }
        }
        cells
    }

    /// The same field with something else wanted of it.
    fn other(want: Want) -> Want {
        match want {
            Want::Text(_) => Want::Text("something else"),
            Want::Has(_) => Want::Has("nothing of this name"),
            Want::Number(number) | Want::NumberOrNothing(number) => Want::Number(number + 1),
            Want::AtLeast(_) => Want::AtLeast(u64::MAX),
            Want::Flag(flag) => Want::Flag(!flag),
            Want::Nothing => Want::AtLeast(0),
            other => other,
        }
    }

    fn wrong(expectation: &Expectation, scenario: &Scenario, evidence: &Evidence) -> bool {
        let Judgement { wrong, open, premise } = judge(expectation, scenario.open_if, evidence);
        !(wrong.is_empty() && open.is_empty() && premise.is_empty())
    }

    fn with_lines(expectation: &Expectation, lines: Vec<Line>) -> Expectation {
        let lines = Box::leak(lines.into_boxed_slice());
        Expectation {
            series: expectation.series,
            status: expectation.status,
            lines,
            log_has: expectation.log_has,
            log_lacks: expectation.log_lacks,
        }
    }

    fn copy(line: &Line) -> Line {
        Line { kind: line.kind, cache: line.cache, fields: line.fields }
    }

    #[test]
    fn every_wrong_expectation_is_found() {
        let cells = cells();
        let mut changed = 0;
        for Cell { scenario, expectation, evidence } in &cells {
            let name = scenario.name;
            assert!(!wrong(expectation, scenario, evidence), "{name} is not as it is kept");
            let all = || expectation.lines.iter().map(copy).collect::<Vec<Line>>();
            for (place, line) in expectation.lines.iter().enumerate() {
                for (number, (field, want)) in line.fields.iter().enumerate() {
                    let mut fields = line.fields.to_vec();
                    fields[number] = (field, other(*want));
                    let mut lines = all();
                    lines[place].fields = Box::leak(fields.into_boxed_slice());
                    assert!(wrong(&with_lines(expectation, lines), scenario, evidence), "{name}: {field}");
                    changed += 1;
                }
                // A line too many is expected, and one too few.
                let mut lines = all();
                lines.push(copy(line));
                assert!(wrong(&with_lines(expectation, lines), scenario, evidence), "{name}: twice");
                let mut fewer: Vec<&str> = evidence.stdout.lines().collect();
                let named = |told: &&str| {
                    line.cache.is_none_or(|cache| told.contains(&format!("\"cache\":\"{cache}\"")))
                };
                let it = fewer.iter().position(named).unwrap();
                fewer.remove(it);
                let lacking = Evidence { stdout: fewer.join("\n"), log: evidence.log.clone(), ..*evidence };
                assert!(wrong(expectation, scenario, &lacking), "{name}: a verdict is missing");
                changed += 2;
            }
            let accused = format!(
                "{}{{\"kind\":\"verdict\",\"cache\":\"other\",\"verdict\":\"barrier-early\",\"flagged\":true}}\n",
                evidence.stdout
            );
            let accused = Evidence { stdout: accused, log: evidence.log.clone(), ..*evidence };
            assert!(wrong(expectation, scenario, &accused), "{name}: an accusation too many");
            let status = Evidence {
                status: evidence.status + 1,
                stdout: evidence.stdout.clone(),
                log: evidence.log.clone(),
            };
            assert!(wrong(expectation, scenario, &status), "{name}: another status");
            changed += 2;
        }
        assert!(cells.len() > 150 && changed > 1000, "{} cells, {changed} changes", cells.len());
    }
}
