//! The committed schema, and the lines that `--format json` prints: the lines obey it, and it says no to
//! what they must not be. That it is the schema of the types is a test beside the types.

use std::{fs, path::Path};

use krcu_agent::{outcome::Outcome, report::json};
use krcu_report::FlatVerdict;
use serde_json::{Value, json};

use crate::samples::{
    alias, clean, inconclusive, leaked, older, pending, report, report_with_losses, strict, unordered, waited,
};

/// Keywords that say nothing of what is valid.
const REMARKS: [&str; 5] = ["$schema", "$defs", "title", "description", "format"];

/// What a schema forbids about a value: a line each, with the path to it. Knows the keywords that our
/// schema uses and refuses any other, so that none is passed over.
fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(keywords) = schema.as_object() else { return vec![format!("{path}: {schema} is no schema")] };
    let mut found = Vec::new();
    for (keyword, argument) in keywords {
        let is_obeyed = match keyword.as_str() {
            remark if REMARKS.contains(&remark) => true,
            "type" => {
                let names = argument.as_array().map_or(std::slice::from_ref(argument), Vec::as_slice);
                names.iter().any(|name| is_of_type(name, value))
            }
            "const" => argument == value,
            "minimum" => value.is_null() || value.as_f64() >= argument.as_f64(),
            "maximum" => value.is_null() || value.as_f64() <= argument.as_f64(),
            "required" => {
                argument.as_array().into_iter().flatten().all(|name| value.get(text(name)).is_some())
            }
            "oneOf" => {
                let obeys = |choice: &&Value| faults(root, choice, value, path).is_empty();
                argument.as_array().into_iter().flatten().filter(obeys).count() == 1
            }
            "$ref" => {
                let target = text(argument).strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                found.extend(faults(root, target.unwrap_or(&Value::Null), value, path));
                true
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                found.extend(
                    items.flat_map(|(at, item)| faults(root, argument, item, &format!("{path}/{at}"))),
                );
                true
            }
            // Of an object with given names, every name that is printed must be one of them.
            "properties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    let schema = argument.get(name).unwrap_or(&Value::Null);
                    found.extend(faults(root, schema, item, &format!("{path}/{name}")));
                }
                true
            }
            "additionalProperties" => {
                let items = value.as_object().into_iter().flatten();
                found.extend(
                    items.flat_map(|(name, item)| faults(root, argument, item, &format!("{path}/{name}"))),
                );
                !keywords.contains_key("properties")
            }
            _ => false,
        };
        if !is_obeyed {
            found.push(format!("{path}: {value} does not obey {keyword} {argument}"));
        }
    }
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match text(name) {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// The committed schema of lines of one kind.
fn committed(kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{kind}.schema.json"));
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn lines(report: &Outcome) -> Vec<Value> {
    let text = json::render(report).unwrap_or_default();
    assert!(text.ends_with('\n'), "the last line has no end");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
}

fn every_verdict() -> Vec<FlatVerdict> {
    let clean = clean("other_cache", "my_module");
    vec![pending(), waited(), unordered(), inconclusive(), leaked(), alias(), older(), clean]
}

#[test]
fn every_line_obeys_the_schema_of_its_kind() {
    for report in [report(every_verdict()), strict(report_with_losses(every_verdict())), report(Vec::new())] {
        let lines = lines(&report);
        let kinds: Vec<&str> = lines.iter().map(|line| text(&line["kind"])).collect();
        let expected: Vec<&str> =
            report.verdicts.iter().map(|_| "verdict").chain(std::iter::once("summary")).collect();
        assert_eq!(kinds, expected);
        for line in &lines {
            let schema = committed(text(&line["kind"]));
            assert_eq!(faults(&schema, &schema, line, ""), [""; 0], "{line:#}");
        }
    }
}

#[test]
fn the_schema_refuses_what_a_line_must_not_be() {
    let lines = lines(&report(vec![pending()]));
    let (verdict, summary) = (&lines[0], &lines[1]);
    let refused = |kind: &str, line: &Value, pointer: &str, wrong: Value| {
        let mut line = line.clone();
        if let Some(place) = line.pointer_mut(pointer) {
            *place = wrong;
        }
        let schema = committed(kind);
        !faults(&schema, &schema, &line, "").is_empty()
    };
    for (pointer, wrong) in [
        ("/kind", json!("summary")),
        ("/schema", json!(1)),
        ("/verdict", json!("fine")),
        ("/queued_by_kfree_rcu", json!(-1)),
        ("/cache", json!(null)),
        ("/sites/0/objects", json!("700")),
        ("/cpus/1/cpu", json!(70_000)),
        ("/destroyed_by", json!({"comm": "rmmod", "task": 412})),
    ] {
        assert!(refused("verdict", verdict, pointer, wrong.clone()), "{pointer} may be {wrong}");
    }
    for (pointer, wrong) in [
        ("/exit_status", json!(256)),
        ("/lost/destroys", json!(null)),
        ("/verdicts/pending", json!("1")),
        ("/accounts/0", json!({})),
    ] {
        assert!(refused("summary", summary, pointer, wrong.clone()), "{pointer} may be {wrong}");
    }
    assert!(refused("summary", verdict, "", verdict.clone()), "a verdict passes for a summary");
}
