//! What `contrib/` has for a farm, held against prometheus's own tool and against what a real agent said.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::debian::packaged;
use crate::host;
use crate::progress::output_of;

/// Files with queries.
const QUERIES: [&str; 2] = ["contrib/prometheus/krcu.rules.yml", "contrib/grafana/krcu.json"];
/// What every metric's name begins with.
const PREFIX: &str = "krcu_";
/// What follows the family's name in samples of counters and histograms.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// The tests of the alert rules, by promtool.
///
/// # Errors
///
/// When promtool cannot be had, or a test fails, with what it says.
pub(crate) fn test_rules() -> Result<()> {
    let folder = host::repository().join("contrib/prometheus");
    output_of(packaged::promtool()?.args(["check", "rules", "krcu.rules.yml"]).current_dir(&folder))?;
    output_of(packaged::promtool()?.args(["test", "rules", "krcu.rules.test.yml"]).current_dir(&folder))
        .map(drop)
}

/// What is wrong with the metrics of a scenario's agent (`NAME.metrics`): what promtool says, and which metrics `contrib/` asks
/// for that are not there.
pub(crate) fn disagreements(out: &Path, scenario: &str) -> Vec<String> {
    let path = out.join(format!("{scenario}.metrics"));
    if !path.is_file() {
        return Vec::new();
    }
    let checked = check_metrics(&path).and_then(|()| names_exist(&path));
    checked.err().map(|error| format!("{error:#}")).into_iter().collect()
}

fn check_metrics(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    output_of(packaged::promtool()?.args(["check", "metrics"]).stdin(file)).map(drop)
}

/// Checks that the agent exports each metric that a query names.
fn names_exist(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let families: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in QUERIES {
        let queries =
            fs::read_to_string(host::repository().join(file)).with_context(|| format!("reading {file}"))?;
        if file.ends_with(".json")
            && output_of(
                Command::new("python3").args(["-m", "json.tool", file]).current_dir(host::repository()),
            )
            .is_err()
        {
            return Err(anyhow!("{file} is no JSON"));
        }
        let names = names(&queries);
        if names.is_empty() {
            return Err(anyhow!("{file} names no metric"));
        }
        for name in names {
            let family = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            if !families.contains(family) && !families.contains(name) {
                return Err(anyhow!("{file} asks for {name}, which the agent does not tell"));
            }
        }
    }
    Ok(())
}

/// Names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_part(letter)).filter(|word| word.starts_with(PREFIX)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::names;
    use crate::host;

    #[test]
    fn the_first_panel_is_of_faults_and_each_panel_says_what_it_shows() {
        let text = fs::read_to_string(host::repository().join("contrib/grafana/krcu.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert_eq!(panels[0]["title"], "Flagged");
        assert!(panels[0]["targets"][0]["expr"].as_str().unwrap().contains("krcu_verdicts_flagged"));
        for panel in panels {
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 40), "{panel}");
        }
        let place = |panel: &Value, name: &str| panel["gridPos"][name].as_u64().unwrap();
        for (at, one) in panels.iter().enumerate() {
            for other in &panels[at + 1..] {
                let is_apart = |from: &str, size: &str| {
                    place(one, from) + place(one, size) <= place(other, from)
                        || place(other, from) + place(other, size) <= place(one, from)
                };
                assert!(
                    is_apart("x", "w") || is_apart("y", "h"),
                    "{} covers {}",
                    one["title"],
                    other["title"]
                );
            }
        }
    }

    #[test]
    fn names_are_found_in_queries() {
        let text = "sum by (word) (rate(krcu_events_total{a=\"krcu\"}[1m])) > krcu_ring_bytes";
        assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["krcu_events_total", "krcu_ring_bytes"]);
    }
}
