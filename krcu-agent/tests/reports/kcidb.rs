//! KCIDB: what the document says of each way in which a case can go.

use krcu_agent::{
    outcome::Outcome,
    report::{View, kcidb},
};
use krcu_trace::meta::Known;
use serde_json::Value;

use crate::samples::{clean, inconclusive, leaked, pending, report, report_with_losses, waited};

fn document(outcome: &Outcome) -> Value {
    let view = View { kcidb_build: "my_ci:build-7".to_owned(), ..View::default() };
    serde_json::from_str(&kcidb::render(outcome, &view).unwrap_or_default()).unwrap_or_default()
}

/// Each test's path and status.
fn told(document: &Value) -> Vec<String> {
    let tests = document["tests"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    tests.map(|test| format!("{} {}", text(&test["path"]), text(&test["status"]))).collect()
}

#[test]
fn every_case_is_a_test_of_the_build_and_the_run_is_one_as_well() {
    let document = document(&report(vec![leaked(), clean("other.cache", "my_module"), waited()]));
    assert_eq!(
        told(&document),
        [
            "krcu FAIL",
            "krcu.no_module.leaky FAIL",
            "krcu.my_module.other_cache PASS",
            "krcu.my_module.my_cache PASS",
            "krcu.the_command_succeeded PASS",
            "krcu.a_cache_was_destroyed PASS",
            "krcu.every_destroy_was_seen PASS",
        ]
    );
    let waited = &document["tests"][3];
    assert_eq!(waited["id"], "my_ci:krcu-boot-7-412-3");
    assert_eq!((&waited["build_id"], &waited["origin"]), (&"my_ci:build-7".into(), &"my_ci".into()));
    assert_eq!(waited["number"], serde_json::json!({ "value": 0.03825, "unit": "s", "prefix": "metric" }));
    assert_eq!(waited["start_time"], "2026-11-29T16:53:20Z");
    assert_eq!(waited["misc"]["verdict"], "waited");
}

#[test]
fn what_is_open_is_an_error_and_a_required_destroy_that_did_not_happen_fails() {
    let document = |outcome: &Outcome| told(&document(outcome));
    assert_eq!(
        document(&report_with_losses(vec![inconclusive()]))[..2],
        ["krcu ERROR", "krcu.my_module.my_cache ERROR"]
    );
    let mut nothing = report(Vec::new());
    assert_eq!(
        document(&nothing)[..3],
        ["krcu PASS", "krcu.the_command_succeeded PASS", "krcu.a_cache_was_destroyed SKIP"]
    );
    nothing.policy.require_destroy = vec![String::new()];
    assert_eq!(document(&nothing)[2], "krcu.a_cache_was_destroyed FAIL");
}

#[test]
fn a_known_fault_is_an_incident_of_an_issue_and_fails_nothing_above_it() {
    let mut run = report(vec![pending()]);
    run.policy.known = vec![Known {
        signature: "pending my_module.my_cache".to_owned(),
        reason: "mended in the next release".to_owned(),
        until: "2027-01-31".to_owned(),
        expired: false,
    }];
    let document = document(&run);
    assert_eq!(told(&document)[..2], ["krcu PASS", "krcu.my_module.my_cache FAIL"]);
    let (issue, incident) = (&document["issues"][0], &document["incidents"][0]);
    assert_eq!(issue["comment"], "pending my_module.my_cache: mended in the next release");
    assert_eq!(incident["issue_id"], issue["id"]);
    assert_eq!(incident["test_id"], document["tests"][1]["id"]);
}
