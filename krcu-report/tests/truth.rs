//! The runs of the truth table, replayed: each field and each sentence of a verdict is what krcu gave on that kernel.

use std::{collections::BTreeMap, fs, path::PathBuf};

use krcu_model::script;
use krcu_report::verdicts;
use serde_json::Value;

#[test]
fn every_replay_says_what_the_run_said() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/truth");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".script").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 120, "{}", names.len());
    for name in names {
        let read = |kind: &str| fs::read_to_string(folder.join(format!("{name}.{kind}"))).unwrap();
        let recorded = read("json");
        let replayed = verdicts(&script::read(&read("script")).unwrap().replay());
        assert_eq!(recorded.lines().count(), replayed.len(), "{name}");
        for (line, verdict) in recorded.lines().zip(&replayed) {
            let recorded: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
            let replayed = serde_json::to_value(verdict).unwrap();
            // A field that came after the recording is held against nothing here.
            for (field, value) in
                recorded.iter().filter(|(field, _)| !["schema", "kind"].contains(&field.as_str()))
            {
                assert_eq!(replayed.get(field), Some(value), "{name}: {field} of {}", verdict.cache);
            }
        }
    }
}
