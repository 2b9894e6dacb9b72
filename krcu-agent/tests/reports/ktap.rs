//! KTAP: whole streams, beside the reports that they are of, and the rules that the kernel's parsers hold them to.

use krcu_agent::{outcome::Outcome, report::ktap::render};
use krcu_report::FlatVerdict;
use krcu_trace::meta::Known;

use crate::samples::{alias, clean, inconclusive, leaked, pending, report, report_with_losses, waited};

fn known(signature: &str, expired: bool) -> Known {
    Known {
        signature: signature.to_owned(),
        reason: "mended in the next release".to_owned(),
        until: "2027-01-31".to_owned(),
        expired,
    }
}

/// The lines of results, without their evidence.
fn results(stream: &str) -> Vec<&str> {
    stream.lines().filter(|line| !line.trim_start().starts_with('#')).collect()
}

#[test]
fn each_module_is_a_test_and_the_evidence_stands_before_its_result() {
    let stream = "\
KTAP version 1
1..3
# krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
  KTAP version 1
  # Subtest: no_module
  1..1
  # LEAKED        leaky  destroyed with 5 objects that nobody queued
  #               destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
  #               the kernel    counts 5 objects left
  #               what to do    nobody queued these objects: free every object before destroying its
  #                             cache
  not ok 1 leaky
not ok 1 no_module
  KTAP version 1
  # Subtest: my_module
  1..1
  ok 1 other_cache
ok 2 my_module
  KTAP version 1
  # Subtest: krcu
  1..3
  ok 1 the command succeeded
  ok 2 a cache was destroyed
  ok 3 every destroy was seen
ok 3 krcu
# 1 of 2 destroyed caches flagged · exit status 10 (the command's own was 0)
";
    assert_eq!(render(&report(vec![leaked(), clean("other_cache", "my_module")])), stream);
}

#[test]
fn what_could_not_be_decided_is_an_error_and_what_did_not_happen_is_skipped() {
    let lost = render(&report_with_losses(vec![inconclusive()]));
    assert_eq!(
        results(&lost),
        [
            "KTAP version 1",
            "1..2",
            "  KTAP version 1",
            "  1..1",
            "  not ok 1 my_cache # ERROR cannot be decided",
            "not ok 1 my_module",
            "  KTAP version 1",
            "  1..3",
            "  ok 1 the command succeeded",
            "  ok 2 a cache was destroyed",
            "  not ok 3 every destroy was seen # ERROR 1 destroy unseen",
            "not ok 2 krcu",
        ]
    );
    let mut failed = report(vec![alias()]);
    failed.command_status = 1;
    let failed = render(&failed);
    assert!(failed.contains("  # its status was 1\n  not ok 1 the command succeeded\n"), "{failed}");
    assert!(failed.contains("  ok 2 a cache was destroyed # SKIP no slab cache was destroyed\n"), "{failed}");
}

#[test]
fn a_known_fault_is_expected_and_does_not_count() {
    let mut run = report(vec![pending(), clean("other_cache", "my_module")]);
    run.policy.known = vec![known("pending my_module.my_cache", false)];
    let stream = render(&run);
    assert!(
        stream.contains("\n  ok 1 my_cache # XFAIL known until 2027-01-31: mended in the next release\n"),
        "{stream}"
    );
    assert!(stream.contains("\nok 1 my_module\n"), "{stream}");
    assert_eq!(run.exit_status(), 0);
    run.policy.known = vec![known("pending my_module.my_cache", true)];
    let stream = render(&run);
    assert!(stream.contains("\n  not ok 1 my_cache\n"), "{stream}");
    assert!(stream.contains("# known until 2027-01-31 only, and counts again: pending my_module.my_cache\n"));
    assert_eq!(run.exit_status(), 10);
}

#[test]
fn an_entry_is_about_one_word_one_cache_and_the_function_that_it_names() {
    let status = |signature: &str| {
        let mut run = report(vec![pending()]);
        run.policy.known = vec![known(signature, false)];
        (run.exit_status(), render(&run).contains("known, but it did not occur"))
    };
    assert_eq!(status("pending my_module.my_cache my_flush"), (0, false));
    assert_eq!(status("pending my_module.my_cache my_other"), (10, true));
    assert_eq!(status("leaked my_module.my_cache"), (10, true));
    assert_eq!(status("pending other_module.my_cache"), (10, false));
}

#[test]
fn names_stay_when_the_verdict_changes_and_no_two_are_the_same() {
    let names = |outcome: &Outcome| -> Vec<String> {
        let stream = render(outcome);
        let lines = stream.lines().filter(|line| line.contains("ok "));
        lines.map(|line| line.split(" # ").next().unwrap_or_default().replace("not ok", "ok")).collect()
    };
    let good = names(&report(vec![clean("my_cache", "my_module"), waited()]));
    assert_eq!(good[..3], ["  ok 1 my_cache", "  ok 2 my_cache.2", "ok 1 my_module"]);
    assert_eq!(names(&report(vec![pending(), pending()])), good);
    assert_eq!(names(&report_with_losses(vec![inconclusive(), pending()])), good);
    // What somebody is accused of is in the case of the cache.
    let double = FlatVerdict {
        verdict: krcu_model::VerdictKind::DoubleFree,
        flagged: true,
        queued_twice: 1,
        module: None,
        ..clean("my_cache", "")
    };
    let accused = report(vec![clean("my_cache", "my_module"), waited(), double]);
    assert_eq!(names(&accused), good);
    let stream = render(&accused);
    assert!(stream.contains("\n  not ok 1 my_cache\n"), "{stream}");
    assert!(stream.contains("# DOUBLE-FREE   my_cache  1 object was handed over"), "{stream}");
}

#[test]
fn a_run_that_destroyed_nothing_fails_where_a_destroy_is_required() {
    let mut run = report(vec![clean("other_cache", "my_module")]);
    run.policy.require_destroy = vec![String::new(), "my_cache".to_owned()];
    let stream = render(&run);
    assert!(stream.contains("\n  ok 2 a cache was destroyed\n"), "{stream}");
    assert!(
        stream.contains("\n  # no slab cache my_cache was destroyed\n  not ok 3 my_cache was destroyed\n"),
        "{stream}"
    );
    assert_eq!(run.exit_status(), 10);
    assert!(stream.contains("· my_cache was required to be destroyed\n# exit status 10"), "{stream}");
    // Where a destroy may have been missed, it is not known.
    run.losses.destroys = 1;
    assert_eq!(run.exit_status(), 11);
    assert!(render(&run).contains("not ok 3 my_cache was destroyed # ERROR"));
}
