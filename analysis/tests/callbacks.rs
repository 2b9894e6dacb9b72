//! Callbacks: their latencies in real traces are what plain loops over the lines say, and each end of a life has its word.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod lines;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use krcu_analysis::{
    ask::{self, Needs},
    load,
    tables::collect,
};
use polars::prelude::*;

use lines::field;

/// Traces of the truth table in which callbacks run: in tasks and in interrupts, of one cache and of two, some of which queue
/// works or are queued again.
const TRACES: [&str; 6] = [
    "6.1-callback_pending",
    "6.18-callback_lucky",
    "7.x-callback_two_caches",
    "7.x-callback_requeues",
    "7.x-handed_on",
    "6.12-rcu_work_other_flushed",
];

fn trace(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../krcu-model/tests/traces/truth")
        .join(format!("{name}.script"))
}

/// Of the callbacks of `call_rcu()` that return: from the call to the begin of the run, and from there to the return. All idle
/// tasks have number 0, so their CPU tells them apart.
fn lives_of_lines(text: &str) -> Vec<(u64, u64)> {
    let (mut waiting, mut running, mut lives) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(time), Some(place), Some(what)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Ok(time) = time.parse::<u64>() else { continue };
        let task = if place.starts_with("0@") { place } else { place.split('@').next().unwrap() };
        match what {
            "callback_queued" if field(line, "flavour").is_none() => {
                waiting.insert(field(line, "object").unwrap(), time);
            }
            "callback_runs" => {
                if let Some(queued) = waiting.remove(field(line, "object").unwrap()) {
                    running.insert(task, (queued, time));
                }
            }
            "batch_freed" if field(line, "path") == Some("callback") => {
                if let Some((queued, began)) = running.remove(task) {
                    lives.push((began - queued, time - began));
                }
            }
            _ => {}
        }
    }
    lives.sort_unstable();
    lives
}

#[test]
fn latencies_are_what_the_lines_say() {
    let mut seen = 0;
    for name in TRACES {
        let expected = lives_of_lines(&fs::read_to_string(trace(name)).unwrap());
        let loaded = load::load(&trace(name), Needs::CALLBACKS, None).unwrap();
        let returned = col("end").eq(lit("returned")).and(col("queued_with").eq(lit("call_rcu()")));
        let rows = collect(loaded.tables.scan("callbacks").unwrap().filter(returned)).unwrap();
        let (latency, run) = (rows.column("latency_ns").unwrap(), rows.column("run_ns").unwrap());
        let spans = latency.u64().unwrap().iter().flatten().zip(run.u64().unwrap().iter().flatten());
        let mut found: Vec<(u64, u64)> = spans.collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        seen += expected.len();
    }
    // By their scripts each queues 20, but for the one of `queue_rcu_work()`.
    assert!(seen >= 100, "{seen}");
}

/// A module's callback of `call_rcu()`, one of `call_srcu()`, one that is queued again, one that never runs, and a work of
/// `queue_rcu_work()`: begin and end of each are known by hand.
const SCRIPT: &str = "\
krcu-script 1
watch attached=1000 possible_cpus=2
1000 5@0 module_loaded name=\"m\"
1010 5@0 site site=1 frame=\"kmem_cache_create+0x1/0x2\" frame=\"m_init+0x1/0x2 [m]\"
1020 5@0 cache_created cache=0x10 name=\"c\" object_size=64 refcount=1 asked_name=\"c\" site=1
1030 5@0 function function=0x900 symbol=\"m_free+0x0/0x10 [m]\"
1040 5@0 function function=0x910 symbol=\"m_work+0x0/0x10 [m]\"
1200 5@0 callback_queued object=0x100 cache=0x10 function=0x900 site=0
1250 5@0 callback_queued object=0x140 cache=0x10 function=0x900 flavour=srcu domain=0x77 site=0
1260 5@0 callback_queued object=0x180 cache=0x10 function=0x910 flavour=rcu_work domain=0x5000 site=0
1300 7@1 grace_begin
2000 7@1 grace_end
2500 0@1 callback_runs object=0x100 cache=0x10
2600 0@1 batch_freed path=callback
2700 0@1 callback_runs object=0x180 cache=0x10
2710 0@1 batch_freed path=callback
3000 0@1 callback_runs object=0x140 cache=0x10
3050 0@1 batch_freed path=callback
3300 9@0 work_runs object=0x180 function=0x910
3310 9@0 work_ran object=0x180
3400 5@0 callback_queued object=0x1c0 cache=0x10 function=0x900 site=0
3500 5@0 callback_queued object=0x1c0 cache=0x10 function=0x900 site=0
";

#[test]
fn each_kind_and_each_end_of_a_life_has_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.script");
    fs::write(&path, SCRIPT).unwrap();
    let loaded = load::load(&path, Needs::CALLBACKS, None).unwrap();
    let rows = collect(loaded.tables.scan("callbacks").unwrap()).unwrap();
    let text = |name: &str| -> Vec<String> {
        rows.column(name).unwrap().str().unwrap().iter().map(|text| text.unwrap_or("-").to_owned()).collect()
    };
    let span =
        |name: &str| -> Vec<Option<u64>> { rows.column(name).unwrap().u64().unwrap().iter().collect() };
    assert_eq!(
        text("queued_with"),
        ["call_rcu()", "call_srcu()", "queue_rcu_work()", "call_rcu()", "call_rcu()"]
    );
    assert_eq!(text("function"), ["m_free", "m_free", "m_work", "m_free", "m_free"]);
    assert_eq!(text("end"), ["returned", "returned", "returned", "requeued", "waiting"]);
    // 2500 − 1200, 3000 − 1250, 3300 − 1260.
    assert_eq!(span("latency_ns"), [Some(1300), Some(1750), Some(2040), None, None]);
    assert_eq!(span("run_ns"), [Some(100), Some(50), Some(10), None, None]);
    // The grace period ends 1000 after the attach; srcu has its own.
    let graces: Vec<Option<i64>> = rows.column("grace_over_at_ns").unwrap().i64().unwrap().iter().collect();
    assert_eq!(graces, [Some(1000), None, Some(1000), None, None]);
    let sums = collect(ask::callbacks(&loaded.tables, false).unwrap()).unwrap();
    let queued: Vec<u64> = sums.column("queued").unwrap().u64().unwrap().iter().flatten().collect();
    // m_free by call_rcu() three times, then one each.
    assert_eq!(queued, [3, 1, 1]);
    let cache: Vec<Option<&str>> = sums.column("cache").unwrap().str().unwrap().iter().collect();
    assert_eq!(cache, [Some("c"); 3]);
    assert_eq!(sums.column("latency_max_ns").unwrap().u64().unwrap().get(0), Some(1300));
}
