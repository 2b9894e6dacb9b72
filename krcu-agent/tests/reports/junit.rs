//! JUnit: whole files, beside the reports that they are of.

use krcu_agent::report::junit::render;
use krcu_report::FlatVerdict;

use crate::samples::{clean, inconclusive, leaked, older, report, report_with_losses, strict, waited};

fn properties(lost: [u64; 3], exit_status: u8) -> String {
    let [ring_full, probe_missed, destroys] = lost;
    format!(
        "        <properties>
            <property name=\"kernel_release\" value=\"6.1.0-56-cloud-amd64\"/>
            <property name=\"arch\" value=\"x86_64\"/>
            <property name=\"probes\" value=\"16\"/>
            <property name=\"events\" value=\"1604\"/>
            <property name=\"lost_ring_full\" value=\"{ring_full}\"/>
            <property name=\"lost_probe_missed\" value=\"{probe_missed}\"/>
            <property name=\"lost_destroys\" value=\"{destroys}\"/>
            <property name=\"strict\" value=\"false\"/>
            <property name=\"command_status\" value=\"0\"/>
            <property name=\"exit_status\" value=\"{exit_status}\"/>
        </properties>
"
    )
}

#[test]
fn a_fault_is_a_failure_and_what_passed_has_its_evidence_where_there_is_some() {
    let file = format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites tests=\"6\" skipped=\"0\" failures=\"1\" errors=\"0\">
    <testsuite name=\"krcu check\" tests=\"6\" skipped=\"0\" errors=\"0\" failures=\"1\" time=\"3.204\" timestamp=\"2026-11-29T16:53:20Z\" hostname=\"test-host\">
{}        <testcase name=\"leaky\" classname=\"krcu.no_module\" time=\"0.000\">
            <failure message=\"destroyed with 5 objects that nobody queued\" type=\"leaked\">
LEAKED        leaky  destroyed with 5 objects that nobody queued
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              the kernel    counts 5 objects left
              what to do    nobody queued these objects: free every object before destroying its
                            cache
</failure>
        </testcase>
        <testcase name=\"other_cache\" classname=\"krcu.my_module\" time=\"0.000\"/>
        <testcase name=\"my_cache\" classname=\"krcu.my_module\" time=\"0.038\">
            <system-out>
waited        my_cache  the destroy waited 38.2 ms for 10,000 deferred frees               my_module
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  10,000   CPU 1: 10,000
                            10,000 × my_flush+0x51 [my_module]
              ordering      by the barrier inside the destroy; 2 grace periods ended meanwhile; it
                            waited for 3 deferred frees of other watched caches as well
              the kernel    found every slab empty
              what to do    safe here; this exit path needs a kernel whose kmem_cache_destroy()
                            waits (mainline: 6.12 and later)
</system-out>
        </testcase>
        <testcase name=\"the command succeeded\" classname=\"krcu\" time=\"3.204\"/>
        <testcase name=\"a cache was destroyed\" classname=\"krcu\" time=\"0.000\"/>
        <testcase name=\"every destroy was seen\" classname=\"krcu\" time=\"0.000\"/>
    </testsuite>
</testsuites>
",
        properties([0, 0, 0], 10)
    );
    assert_eq!(render(&report(vec![leaked(), clean("other_cache", "my_module"), waited()])).unwrap(), file);
}

#[test]
fn a_blind_run_is_an_error_and_says_what_it_lost() {
    let file = format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites tests=\"4\" skipped=\"0\" failures=\"0\" errors=\"2\">
    <testsuite name=\"krcu check\" tests=\"4\" skipped=\"0\" errors=\"2\" failures=\"0\" time=\"3.204\" timestamp=\"2026-11-29T16:53:20Z\" hostname=\"test-host\">
{}        <testcase name=\"my_cache\" classname=\"krcu.my_module\" time=\"0.000\">
            <error message=\"cannot be decided\" type=\"inconclusive\">
inconclusive  my_cache  cannot be decided                                                  my_module
              why           1200 events were lost because the ring was full
                            3 events were missed because the probe was already running on that CPU
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  23 in all
              the kernel    found every slab empty
              what to do    decide it by a run that sees everything: attach before the module is
                            loaded, and with a larger --ring-bytes if events were lost
</error>
        </testcase>
        <testcase name=\"the command succeeded\" classname=\"krcu\" time=\"3.204\"/>
        <testcase name=\"a cache was destroyed\" classname=\"krcu\" time=\"0.000\"/>
        <testcase name=\"every destroy was seen\" classname=\"krcu\" time=\"0.000\">
            <error message=\"1 destroy unseen\" type=\"inconclusive\">
1,200 events found the ring full (enlarge it with --ring-bytes)
3 runs of a probe were skipped by the kernel
</error>
        </testcase>
        <system-err>
1,200 events found the ring full (enlarge it with --ring-bytes)
3 runs of a probe were skipped by the kernel
</system-err>
    </testsuite>
</testsuites>
",
        properties([1_200, 3, 1], 11)
    );
    assert_eq!(render(&report_with_losses(vec![inconclusive()])).unwrap(), file);
}

#[test]
fn names_from_the_kernel_cannot_break_the_file() {
    let hostile = FlatVerdict { cache: "</testcase>\u{1b}\"&\n".to_owned(), ..clean("", "a<b") };
    let case = "        <testcase name=\"&lt;/testcase&gt;\u{fffd}&quot;&amp;\n\" classname=\"krcu.a&lt;b\" time=\"0.000\"/>\n";
    let file = render(&report(vec![hostile])).unwrap();
    assert!(file.contains(case), "{file}");
    let read = quick_junit::Report::deserialize_from_str(&file).unwrap();
    let read = &read.test_suites[0].test_cases[0];
    assert_eq!(
        (read.name.trim_end(), read.classname.as_deref()),
        ("</testcase>\u{fffd}\"&", Some("krcu.a<b"))
    );
}

#[test]
fn strictness_decides_what_passes() {
    let run = report(vec![older()]);
    assert!(
        render(&run).unwrap().contains("name=\"old_cache\" classname=\"krcu.my_module\" time=\"0.000\"/>")
    );
    let file = render(&strict(run)).unwrap();
    assert!(file.contains("tests=\"4\" skipped=\"0\" errors=\"1\" failures=\"0\""), "{file}");
    assert!(
        file.contains(
            "<error message=\"empty, maybe by luck: older than the probes\" type=\"inconclusive\">"
        ),
        "{file}"
    );
}
