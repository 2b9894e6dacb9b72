//! Reports of golden traces: their totals against what is counted in the traces' text, their verdicts against what
//! the kernels' runs are kept with.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use krcu_model::{
    State, VerdictKind,
    event::{Losses, Time},
    script,
};
use krcu_report::{
    Accounts, Ask, BOUNDS_NS, Bounds, CachePhase, Detail, FlatVerdict, Held, Histogram, Holder, Line,
    LossRow, Outside, Report, Reporter, WaitKind, WaitsFor, verdicts,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces")
}

fn text(name: &str) -> String {
    let path = folder().join(format!("{name}.script"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything up to an event of this word for the first time, which is not taken; all of it without a word.
fn until(name: &str, word: Option<&str>) -> (State, Reporter, Vec<String>) {
    let text = text(name);
    let script = script::read(&text).unwrap();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    assert_eq!(lines.len(), script.events.len());
    let end =
        word.and_then(|word| lines.iter().position(|line| word_of(line) == word)).unwrap_or(lines.len());
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events.into_iter().take(end) {
        reporter.see(&event, &state);
        state.step(event);
    }
    (state, reporter, lines[..end].to_vec())
}

/// The third word of a script's line.
fn word_of(line: &str) -> &str {
    line.split(' ').nth(2).unwrap()
}

fn time_of(line: &str) -> u64 {
    line.split(' ').next().unwrap().parse().unwrap()
}

fn last_time(lines: &[String]) -> Time {
    Time(lines.iter().map(|line| time_of(line)).max().unwrap())
}

fn report(name: &str, word: Option<&str>) -> (Report, State, Vec<String>) {
    let (state, mut reporter, lines) = until(name, word);
    let report = reporter.report(&state, last_time(&lines), Outside::default(), Bounds::ALL);
    (report, state, lines)
}

fn count(lines: &[String], word: &str) -> u64 {
    lines.iter().filter(|line| word_of(line) == word).count() as u64
}

#[test]
fn events_by_word_are_what_the_trace_has() {
    for name in ["6.1-pending", "6.12-pending", "6.12-two", "6.1-call_rcu"] {
        let (report, state, lines) = report(name, None);
        let events = report.events;
        let of = |words: &[&str]| words.iter().map(|word| count(&lines, word)).sum::<u64>();
        assert_eq!(events.queue, of(&["queued", "callback_queued"]), "{name}");
        assert_eq!(events.free, of(&["freed", "freed_at_once", "callback_runs"]), "{name}");
        assert_eq!(events.grace, of(&["grace_begin", "grace_end"]), "{name}");
        assert_eq!(events.barrier, of(&["barrier_begin", "barrier_end"]), "{name}");
        assert_eq!(events.total(), lines.len() as u64 - count(&lines, "gap"), "{name}");
        assert_eq!(events.total(), state.events(), "{name}");
    }
}

#[test]
fn a_module_that_queues_and_destroys_is_seen_to_do_so() {
    // The module queues 777 objects of 128 bytes, and its destroy on 6.1 does not wait.
    let (at_destroy, _, lines) = report("6.1-pending", Some("destroy_begin"));
    let freed = count(&lines, "freed");
    assert_eq!((at_destroy.outstanding, freed), (777, 0));
    let [row] = at_destroy.caches.as_slice() else { panic!("{:?}", at_destroy.caches) };
    assert_eq!((row.name.as_str(), row.module.as_deref()), ("krcu_pending", Some("krcu_pending")));
    assert_eq!((row.queued, row.freed, row.outstanding, row.object_bytes), (777, 0, 777, 128));
    assert_eq!((row.phase, at_destroy.verdicts.len()), (CachePhase::Live, 0));
    let first = lines.iter().find(|line| word_of(line) == "queued").unwrap();
    let age = last_time(&lines).0 - time_of(first);
    assert_eq!((row.oldest_age_ns, at_destroy.oldest_age_ns), (Some(age), Some(age)));

    let (end, ..) = report("6.1-pending", None);
    let [row] = end.caches.as_slice() else { panic!("{:?}", end.caches) };
    assert_eq!((row.phase, row.freed, row.outstanding, row.destroy), (CachePhase::Failed, 777, 0, Some(0)));
    assert_eq!((end.outstanding, end.oldest_age_ns), (0, None));
    assert_eq!(end.verdict_counts, BTreeMap::from([(VerdictKind::Pending, 1)]));
}

#[test]
fn who_waits_in_a_destroy_is_told_with_what_it_waits_for() {
    // On 6.12 the destroy calls kvfree_rcu_barrier(); at the first free since, all 777 are still outstanding.
    let (state, mut reporter, lines) = until("6.12-pending", Some("freed"));
    let now = last_time(&lines);
    let report = reporter.report(&state, now, Outside::default(), Bounds::ALL);
    assert_eq!(report.verdicts, [], "a destroy that waits has no verdict");
    let kinds: Vec<WaitKind> = report.barriers_running.iter().map(|row| row.call.kind).collect();
    assert_eq!(kinds, [WaitKind::Destroy, WaitKind::KvfreeRcuBarrier]);
    for (row, word) in report.barriers_running.iter().zip([" destroy_begin ", "barrier=kvfree"]) {
        let begin = lines.iter().find(|line| line.contains(word)).unwrap();
        assert_eq!(row.since_ns, now.0 - time_of(begin));
        assert_eq!((row.own_outstanding, row.other_outstanding, row.at_begin), (777, 0, 777), "{row:?}");
        assert_eq!(
            (row.call.cache.as_deref(), row.call.comm.as_deref()),
            (Some("krcu_pending"), Some("rmmod"))
        );
        assert_eq!(row.call.inside_destroy, row.call.kind == WaitKind::KvfreeRcuBarrier);
        assert!(!row.end_may_be_unseen);
    }
}

#[test]
fn why_somebody_waits_is_told_with_the_oldest_object_and_the_grace_periods() {
    let (state, mut reporter, lines) = until("6.12-pending", Some("freed"));
    let now = last_time(&lines);
    let report = reporter.report(&state, now, Outside::default(), Bounds::ALL);
    // All that is queued are 777 objects of 128 bytes, of one cache, by the exit function.
    assert_eq!(report.outstanding_bytes, Some(777 * 128));
    let queued = lines.iter().find(|line| word_of(line) == "queued").unwrap();
    let (task, _) = queued.split(' ').nth(1).unwrap().split_once('@').unwrap();
    // The first grace period after that is over; what it held is at the worker since.
    let since = lines.iter().filter(|line| time_of(line) > time_of(queued));
    let mut since = since.skip_while(|line| word_of(line) != "grace_begin");
    let ended = since.find(|line| word_of(line) == "grace_end").unwrap();
    for row in &report.barriers_running {
        let WaitsFor { holders, bytes, oldest } = &row.waits_for;
        assert_eq!(holders, &[Holder { cache: "krcu_pending".to_owned(), objects: 777 }]);
        assert_eq!(*bytes, 777 * 128);
        let oldest = oldest.as_ref().unwrap();
        assert_eq!((oldest.cache.as_str(), oldest.task.to_string().as_str()), ("krcu_pending", task));
        assert_eq!(oldest.age_ns, now.0 - time_of(queued));
        assert!(oldest.stack.iter().any(|frame| frame.contains("krcu_pending_flush")), "{:?}", oldest.stack);
        assert_eq!(oldest.held, Some(Held::Worker { since_ns: now.0 - time_of(ended) }));
    }
    let grace = report.grace.unwrap();
    assert_eq!(grace.over, count(&lines, "grace_end"));
    // At the first free, no grace period runs, or the last one that began.
    let running = count(&lines, "grace_begin") > count(&lines, "grace_end");
    let last = lines.iter().rfind(|line| word_of(line) == "grace_begin").unwrap();
    assert_eq!(grace.running_ns, running.then(|| now.0 - time_of(last)));
}

#[test]
fn waits_that_are_over_are_as_long_as_the_trace_says() {
    let (report, _, lines) = report("6.12-pending", None);
    let time = |word: &str| time_of(lines.iter().find(|line| word_of(line) == word).unwrap());
    let wait = time("shutdown_begin") - time("destroy_begin");
    let destroy = report.barriers_finished.iter().find(|row| row.call.kind == WaitKind::Destroy).unwrap();
    assert_eq!((destroy.wait_ns, destroy.call.cache.as_deref()), (wait, Some("krcu_pending")));
    let histogram = &report.waits[&WaitKind::Destroy];
    assert_eq!((histogram.count, histogram.sum_ns, histogram.longest_ns), (1, wait, wait));
    assert_eq!(report.barriers_running, []);
    // The verdict of the same destroy, which its own code comes to, says the same.
    assert_eq!(report.verdicts[0].verdict.wait_ns, Some(wait));
}

/// The verdicts that a file has, one a line.
fn kept(name: &str) -> Vec<FlatVerdict> {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let lines = text.lines().filter(|line| line.contains("\"kind\":\"verdict\""));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_kept_run_reports_the_verdicts_that_it_is_kept_with() {
    let files = fs::read_dir(folder().join("truth")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        files.filter_map(|name| Some(format!("truth/{}", name.to_str()?.strip_suffix(".script")?))).collect();
    names.sort();
    assert!(names.len() > 120, "{}", names.len());
    for name in names {
        let (report, state, _) = report(&name, None);
        let kept = kept(&name);
        let mut counts: BTreeMap<VerdictKind, u64> = BTreeMap::new();
        kept.iter().for_each(|verdict| *counts.entry(verdict.verdict).or_default() += 1);
        assert_eq!(report.verdict_counts, counts, "{name}");
        let sorted = |mut all: Vec<FlatVerdict>| {
            all.sort_by_key(|verdict| (verdict.destroyed_at_ns, verdict.cache.clone(), verdict.verdict));
            all
        };
        let told: Vec<FlatVerdict> = report.verdicts.iter().map(|row| row.verdict.clone()).collect();
        assert_eq!(sorted(told), sorted(kept), "{name}");
        assert_eq!(report.verdicts.len(), verdicts(&state).len(), "{name}");
        let of_rows: u64 = report.caches.iter().map(|row| row.outstanding).sum();
        assert_eq!(report.outstanding, of_rows, "{name}: all caches are listed");
    }
}

#[test]
fn a_line_reads_as_it_was_written() {
    let (state, mut reporter, lines) = until("6.12-two", None);
    let report = reporter.report(&state, last_time(&lines), Outside::default(), Bounds::ALL);
    let question = reporter.question(&state, 0).unwrap();
    assert!(reporter.question(&state, 1_000_000).is_none(), "there is no such destroy");
    for (line, start) in [
        (Line::Report(Box::new(report)), "{\"kind\":\"report\",\"schema\":3,"),
        (Line::Question(Box::new(question)), "{\"kind\":\"question\",\"schema\":3,"),
    ] {
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.starts_with(start), "{}", &text[..60]);
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}

#[test]
fn a_client_asks_in_one_of_three_ways() {
    for (detail, text) in [
        (Detail::Overview, r#"{"kind":"hello","schema":3,"detail":"overview"}"#),
        (Detail::All, r#"{"kind":"hello","schema":3,"detail":"all"}"#),
        (Detail::Destroy(3), r#"{"kind":"hello","schema":3,"detail":{"destroy":3}}"#),
    ] {
        assert_eq!(serde_json::to_string(&Ask::new(detail)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Ask>(text).unwrap(), Ask::new(detail));
    }
    for text in [
        r#"{"kind":"report","schema":3,"detail":"all"}"#,
        r#"{"schema":3,"detail":"all"}"#,
        r#"{"kind":"hello","schema":3,"detail":"everything"}"#,
        r#"{"kind":"hello","schema":3,"detail":{"destroy":-1}}"#,
        "[]",
    ] {
        serde_json::from_str::<Ask>(text).expect_err(text);
    }
}

#[test]
fn what_lists_hold_is_bounded_and_the_rest_is_counted() {
    // One cache after the other at one address, each destroyed while it is empty.
    let mut text = "krcu-script 1\nwatch attached=0 possible_cpus=1\n".to_owned();
    for number in 0..700_u64 {
        let at = 1000 + number * 100;
        text += &format!(
            "{at} 7@0 cache_created cache=0x1000 name=\"c{number}\" refcount=1\n\
             {} 7@0 destroy_begin cache=0x1000 name=\"c{number}\" refcount=1 comm=\"rmmod\"\n\
             {} 7@0 shutdown_begin cache=0x1000\n\
             {} 7@0 shutdown_end empty=yes\n\
             {} 7@0 cache_released cache=0x1000\n",
            at + 10,
            at + 20,
            at + 30,
            at + 40
        );
    }
    let script = script::read(&text).unwrap();
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    let now = Time(100_000);
    for (bounds, verdicts, barriers) in [(Bounds::OVERVIEW, 8, 16), (Bounds::ALL, 64, 64)] {
        let report = reporter.report(&state, now, Outside::default(), bounds);
        assert_eq!((report.verdicts.len(), report.barriers_finished.len()), (verdicts, barriers));
        assert_eq!(report.verdict_counts, BTreeMap::from([(VerdictKind::Clean, 700)]));
        assert_eq!(report.verdicts[0].verdict.cache, "c699", "the newest comes first");
        assert_eq!((report.caches_total, report.caches[0].name.as_str()), (0, "c699"));
        assert_eq!(report.caches[0].phase, CachePhase::Released);
        assert_eq!(report.waits[&WaitKind::Destroy].count, 700);
        assert_eq!(report.waits[&WaitKind::Destroy].sum_ns, 7000, "ten nanoseconds each");
    }
}

#[test]
fn a_loss_is_counted_by_its_reason_and_what_the_kernel_counts_goes_before() {
    let text = "krcu-script 1\nwatch attached=100 possible_cpus=1\n\
         200 7@0 barrier_begin barrier=rcu\n\
         300 0@0 gap reason=ring_full events=5 from=150 until=250\n\
         400 0@0 gap reason=map_full events=2 from=150 until=350\n";
    let script = script::read(text).unwrap_or_else(|error| panic!("{error}"));
    let (mut state, mut reporter) = (State::new(script.watch.clone()), Reporter::default());
    for event in script.events {
        reporter.see(&event, &state);
        state.step(event);
    }
    let told = reporter.report(&state, Time(500), Outside::default(), Bounds::OVERVIEW);
    let counted = Losses { ring_full: 5, map_full: 2, ..Losses::default() };
    assert_eq!(told.losses, LossRow { counted, not_in_trace: false, last_at_ns: Some(250) });
    assert_eq!(counted.total(), 7);
    assert!(told.barriers_running[0].end_may_be_unseen, "its end may be among the five");
    let counted = Losses { ring_full: 6, destroys: 1, ..Losses::default() };
    let accounts = Accounts { seen: 10, delivered: 3, filtered: 1, lost: 6 };
    let outside = Outside { losses: Some(counted), accounts: Some(accounts), ..Outside::default() };
    let told = reporter.report(&state, Time(500), outside, Bounds::OVERVIEW);
    assert_eq!(told.losses, LossRow { counted, not_in_trace: false, last_at_ns: Some(250) });
    assert_eq!((told.accounts, told.seq, told.at_ns), (Some(accounts), 1, 400));
}

#[test]
fn a_bucket_counts_what_took_as_long_as_its_bound() {
    let mut histogram = Histogram::default();
    for wait_ns in [0, 100_000, 100_001, 20_000_000_000, 20_000_000_001] {
        histogram.add(wait_ns);
    }
    assert_eq!((histogram.buckets[0], histogram.buckets[1]), (2, 3));
    assert_eq!((histogram.buckets[BOUNDS_NS.len() - 1], histogram.count), (4, 5));
    let counts = histogram.counts();
    assert_eq!((counts.len(), counts[0], counts[1], counts[15], counts[16]), (17, 2, 1, 1, 1));
    assert_eq!(counts.iter().sum::<u64>(), 5);
}
