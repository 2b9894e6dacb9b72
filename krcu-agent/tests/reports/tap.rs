//! TAP: whole streams, beside the reports that they are of.

use krcu_agent::report::tap::render;

use crate::samples::{
    clean, inconclusive, leaked, older, pending, report, report_with_losses, strict, waited,
};

#[test]
fn one_point_a_verdict_and_the_evidence_of_what_is_not_plain() {
    let stream = "\
TAP version 13
# krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
1..6
not ok 1 - my_module.my_cache
  ---
  message: \"destroyed with 777 deferred frees outstanding\"
  verdict: \"pending\"
  cache: \"my_cache\"
  module: \"my_module\"
  queued_by_kfree_rcu: 777
  queued_by_call_rcu: 0
  leaked: 0
  undecided: 0
  kernel_objects_left: 777
  oldest_age_ns: 3149000
  wait_ns: 900
  late_frees: 777
  sites:
    - \"700 × my_flush+0x51 ← my_exit+0x37f [my_module]\"
    - \"77 × my_timer+0x20 [my_module]\"
  advice: \"this kernel's kmem_cache_destroy() does not wait for kfree_rcu(): free with call_rcu() and \
call rcu_barrier() before destroying\"
  ...
ok 2 - my_module.other_cache
not ok 3 - no_module.leaky
  ---
  message: \"destroyed with 5 objects that nobody queued\"
  verdict: \"leaked\"
  cache: \"leaky\"
  queued_by_kfree_rcu: 0
  queued_by_call_rcu: 0
  leaked: 5
  undecided: 0
  kernel_objects_left: 5
  wait_ns: 900
  late_frees: 0
  advice: \"nobody queued these objects: free every object before destroying its cache\"
  ...
ok 4 - krcu.the command succeeded
ok 5 - krcu.a cache was destroyed
ok 6 - krcu.every destroy was seen
# 2 of 3 destroyed caches flagged · exit status 10 (the command's own was 0)
";
    assert_eq!(render(&report(vec![pending(), clean("other_cache", "my_module"), leaked()])), stream);
}

#[test]
fn what_a_destroy_waited_for_is_the_number_that_the_screen_has() {
    let stream = render(&report(vec![waited()]));
    assert!(stream.contains("  waited_for_own: 10000\n  waited_for_own_callbacks: 0\n"), "{stream}");
    assert!(!stream.contains("queued_by"), "{stream}");
}

#[test]
fn a_blind_run_does_not_pass() {
    let stream = "\
TAP version 13
# krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 1,203 lost · 3.20 s
1..4
not ok 1 - my_module.my_cache
  ---
  message: \"cannot be decided\"
  verdict: \"inconclusive\"
  cache: \"my_cache\"
  module: \"my_module\"
  queued_by_kfree_rcu: 0
  queued_by_call_rcu: 0
  undecided: 0
  wait_ns: 900
  late_frees: 0
  notes:
    - \"1200 events were lost because the ring was full\"
    - \"3 events were missed because the probe was already running on that CPU\"
  advice: \"decide it by a run that sees everything: attach before the module is loaded, and with a larger \
--ring-bytes if events were lost\"
  ...
ok 2 - krcu.the command succeeded
ok 3 - krcu.a cache was destroyed
not ok 4 - krcu.every destroy was seen
  ---
  message: \"1 destroy unseen\"
  verdict: \"inconclusive\"
  notes:
    - \"1,200 events found the ring full (enlarge it with --ring-bytes)\"
    - \"3 runs of a probe were skipped by the kernel\"
  ...
# 0 of 1 destroyed cache flagged · 1 inconclusive · 1 destroy unseen
# exit status 11 (the command's own was 0)
";
    assert_eq!(render(&report_with_losses(vec![inconclusive()])), stream);
}

#[test]
fn strictness_decides_what_passes() {
    let points = |stream: String| -> Vec<String> {
        stream.lines().filter(|line| line.contains("ok 1 ")).map(str::to_owned).collect()
    };
    let run = report(vec![older()]);
    assert_eq!(points(render(&run)), ["ok 1 - my_module.old_cache"]);
    assert_eq!(points(render(&strict(run))), ["not ok 1 - my_module.old_cache"]);
}

#[test]
fn a_run_without_a_destroy_skips_that_case_and_tells_how_its_command_ended() {
    let mut run = report(Vec::new());
    run.command_status = 1;
    let stream = "\
TAP version 13
# krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
1..3
not ok 1 - krcu.the command succeeded
  ---
  message: \"its status was 1\"
  verdict: \"command-failed\"
  ...
ok 2 - krcu.a cache was destroyed # SKIP no slab cache was destroyed
ok 3 - krcu.every destroy was seen
# no slab cache was destroyed · exit status 1, the command's own
";
    assert_eq!(render(&run), stream);
}
