//! Screens: the whole text of a report, as a person sees it, beside the report that it is of.

use krcu_agent::{
    outcome::Outcome,
    report::{
        View,
        text::{render, render_for},
    },
};
use krcu_report::FlatVerdict;

use crate::samples::{
    alias, clean, inconclusive, leaked, older, pending, report, report_with_losses, strict, unordered, waited,
};

/// Columns of a screen.
const WIDTH: usize = 100;

#[track_caller]
fn shows(report: &Outcome, screen: &str) {
    let text = render(report);
    assert_eq!(text, screen, "\n{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert_eq!(line.trim_end(), line, "blanks at the end of a line");
    }
}

#[test]
fn a_fault_has_its_evidence_and_what_was_clean_one_line() {
    shows(
        &report(vec![pending(), clean("other_cache", "my_module")]),
        "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
      1 PENDING · 1 clean

PENDING       my_cache  destroyed with 777 deferred frees outstanding                      my_module
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  777   oldest 3.14 ms   CPU 0: 700, CPU 1: 77
                            700 × my_flush+0x51 ← my_exit+0x37f [my_module]
                            77 × my_timer+0x20 [my_module]
              ordering      no barrier that covers kfree_rcu() stands before the destroy; the
                            rcu_barrier() 812 µs before it does not cover it
              the kernel    counts 777 objects left; its report lists the 29 on partial slabs; 777
                            deferred frees landed later, the last 21.4 ms after
              what to do    this kernel's kmem_cache_destroy() does not wait for kfree_rcu(): free
                            with call_rcu() and call rcu_barrier() before destroying

clean         other_cache                                                                  my_module
1 of 2 destroyed caches flagged · exit status 10 (the command's own was 0)
",
    );
}

#[test]
fn a_destroy_that_waited_is_loud_only_when_strict() {
    let evidence = "              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  10,000   CPU 1: 10,000
                            10,000 × my_flush+0x51 [my_module]
              ordering      by the barrier inside the destroy; 2 grace periods ended meanwhile; it
                            waited for 3 deferred frees of other watched caches as well
              the kernel    found every slab empty
              what to do    safe here; this exit path needs a kernel whose kmem_cache_destroy()
                            waits (mainline: 6.12 and later)
";
    let screen = |word: &str, conclusion: &str| {
        format!(
            "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
      1 {word}

{word}        my_cache  the destroy waited 38.2 ms for 10,000 deferred frees               my_module
{evidence}
{conclusion}
"
        )
    };
    let run = report(vec![waited()]);
    let passed = "0 of 1 destroyed cache flagged · exit status 0, the command's own";
    shows(&run, &screen("waited", passed));
    let failed = "1 of 1 destroyed cache flagged · exit status 10 (the command's own was 0)";
    shows(&strict(run), &screen("WAITED", failed));
}

#[test]
fn a_race_won_by_luck_is_as_loud_as_a_leak() {
    shows(
        &report(vec![unordered(), leaked()]),
        "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
      1 LEAKED · 1 UNORDERED

LEAKED        leaky  destroyed with 5 objects that nobody queued
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              the kernel    counts 5 objects left
              what to do    nobody queued these objects: free every object before destroying its
                            cache

UNORDERED     lucky_cache  nothing outstanding, by luck: the last free was 400 ms before   my_module
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  1 in all
                            last from my_put+0x18 [my_module]
              ordering      no barrier that covers kfree_rcu() stands between the last one and the
                            destroy
              the kernel    found every slab empty
              what to do    the race exists and was won by luck: no barrier on this path covers
                            kfree_rcu(); free with call_rcu() and call rcu_barrier() before
                            destroying, or need a kernel whose destroy waits

1 of 2 destroyed caches flagged · exit status 10 (the command's own was 0)
",
    );
}

#[test]
fn losses_are_on_top_in_the_verdict_and_in_the_conclusion() {
    shows(
        &report_with_losses(vec![inconclusive()]),
        "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 1,203 lost · 3.20 s
      1,200 events found the ring full (enlarge it with --ring-bytes)
      3 runs of a probe were skipped by the kernel
      1 inconclusive

inconclusive  my_cache  cannot be decided                                                  my_module
              why           1200 events were lost because the ring was full
                            3 events were missed because the probe was already running on that CPU
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              queued by     kfree_rcu  23 in all
              the kernel    found every slab empty
              what to do    decide it by a run that sees everything: attach before the module is
                            loaded, and with a larger --ring-bytes if events were lost

0 of 1 destroyed cache flagged · 1 inconclusive · 1 destroy unseen
exit status 11 (the command's own was 0)
",
    );
}

#[test]
fn what_needs_no_doing_has_a_line_each() {
    shows(
        &report(vec![alias(), clean("other_cache", "my_module"), older()]),
        "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
      1 alias · 2 clean

alias         kmalloc-64  has my_inode merged into it: only a reference was dropped        my_module
clean         other_cache                                                                  my_module
clean         old_cache  empty, maybe by luck: older than the probes                       my_module
0 of 3 destroyed caches flagged · exit status 0, the command's own
",
    );
}

#[test]
fn under_strict_an_unknown_order_is_not_called_clean() {
    shows(
        &strict(report(vec![older()])),
        "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s
      1 inconclusive

inconclusive  old_cache  empty, maybe by luck: older than the probes                       my_module
              why           nothing was left, but what was queued before the probes were attached is
                            not known to be ordered: attach before the module is loaded to know
              destroyed by  rmmod[412] in my_exit+0x384 [my_module], 1.20 s into the run
              the kernel    found every slab empty
              what to do    nothing to do for this run; with --strict, attach before the module is
                            loaded

0 of 1 destroyed cache flagged · 1 inconclusive · exit status 11 (the command's own was 0)
",
    );
}

#[test]
fn a_run_that_destroyed_nothing_says_so_and_one_that_may_have_says_no_such_thing() {
    let headline = "krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events";
    let mut nothing = report(Vec::new());
    nothing.command_status = 3;
    shows(
        &nothing,
        &format!(
            "{headline}, 0 lost · 3.20 s

no slab cache was destroyed · exit status 3, the command's own
"
        ),
    );
    shows(
        &report_with_losses(Vec::new()),
        &format!(
            "{headline}, 1,203 lost · 3.20 s
      1,200 events found the ring full (enlarge it with --ring-bytes)
      3 runs of a probe were skipped by the kernel

no slab cache was seen to be destroyed · 1 destroy unseen · exit status 11 (the command's own was 0)
"
        ),
    );
}

#[test]
fn a_clause_that_finds_no_room_goes_below() {
    let shared = FlatVerdict { aliases: Vec::new(), ..alias() };
    let long = FlatVerdict { cache: "a_cache_of_a_driver_with_a_long_name".to_owned(), ..unordered() };
    let text = render(&report(vec![shared, long]));
    for expected in [
        "
alias         kmalloc-64                                                                   my_module
              the cache is merged with another and stays for it; this dropped a reference
",
        "
UNORDERED     a_cache_of_a_driver_with_a_long_name                                         my_module
              nothing outstanding, by luck: the last free was 400 ms before
",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

/// Eight caches of which the same is to be said.
fn flows() -> Vec<FlatVerdict> {
    let flow = |number: u64| FlatVerdict {
        cache: format!("flow{number}"),
        wait_ns: Some(number * 10_000_000),
        ..waited()
    };
    (1..=8).map(flow).collect()
}

#[test]
fn verdicts_that_are_alike_are_told_once_and_what_counts_comes_first() {
    let all = [flows(), vec![clean("other_cache", "my_module"), unordered(), leaked()]].concat();
    let text = render(&report(all));
    let told: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("              ") && !line.is_empty()).collect();
    assert_eq!(
        told,
        [
            "krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 1,604 events, 0 lost · 3.20 s",
            "      1 LEAKED · 1 UNORDERED · 8 waited · 1 clean",
            "LEAKED        leaky  destroyed with 5 objects that nobody queued",
            "UNORDERED     lucky_cache  nothing outstanding, by luck: the last free was 400 ms before   my_module",
            "8 × waited    10.0 ms to 80.0 ms: flow1 … flow8                                            my_module",
            "clean         other_cache                                                                  my_module",
            "1 of 11 destroyed caches flagged · exit status 10 (the command's own was 0)",
        ],
        "{text}"
    );
    assert!(
        text.contains("for example   flow8: the destroy waited 80.0 ms for 10,000 deferred frees\n"),
        "the evidence is that of the longest\n{text}"
    );
    assert_eq!(text.matches("what to do").count(), 3, "{text}");
    // Where something else is to be said of one, it is told by itself.
    let mut flows = flows();
    flows[3].advice = "something else".to_owned();
    let text = render(&report(flows));
    assert!(
        text.contains("\n7 × waited    10.0 ms to 80.0 ms: flow1 … flow8 ")
            && text.contains("\nwaited        flow4 ")
    );
}

#[test]
fn a_view_leaves_out_what_needs_no_doing_and_has_the_width_and_the_colours_of_its_terminal() {
    let run = report([flows(), vec![leaked()]].concat());
    let text = render_for(&run, &View { flagged: true, columns: 70, ..View::default() });
    assert!(text.contains("1 LEAKED · 8 waited\n"), "it counts all\n{text}");
    assert!(!text.contains("flow1"), "{text}");
    assert!(text.lines().skip(1).all(|line| line.chars().count() <= 70), "{text}");
    let coloured = render_for(&run, &View { colour: true, ..View::default() });
    assert!(coloured.contains("\n\u{1b}[1m\u{1b}[31mLEAKED\u{1b}[0m        leaky"), "{coloured:?}");
    let mut plain = coloured;
    for code in ["\u{1b}[1m", "\u{1b}[31m", "\u{1b}[36m", "\u{1b}[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, render(&run), "colours change nothing else");
}
