//! Files: what is written for a person and for other programs, read back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser as _;
use krcu_analysis::{
    ask::{self, Needs},
    cli::{Cli, ExportKind, Narrow},
    compare, export, import, load, run,
    show::Format,
    tables::{NAMES, collect},
};
use polars::prelude::*;

fn trace(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces").join(format!("{name}.script"))
}

fn analyze(words: &[&str]) -> anyhow::Result<()> {
    run::run(&Cli::try_parse_from([&["krcu-analyze"], words].concat()).unwrap())
}

#[test]
fn a_report_is_one_file_that_fetches_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    analyze(&["report", trace("6.1-pending").to_str().unwrap(), "-o", page.to_str().unwrap()]).unwrap();
    let html = fs::read_to_string(&page).unwrap();
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(place("<b class=\"bad\">1 PENDING</b>") < place("<dl class=\"facts\">"), "the counts come first");
    for absent in ["http:", "https:", "<script", "src=", "href=", "@import", "url(", "NaN", "inf"] {
        assert!(!html.replace("http-equiv", "").contains(absent), "{absent}");
    }
    // By the module's source: 777 objects are queued and none is freed when the destroy looks.
    for told in [
        "PENDING",
        "krcu_pending",
        "777 deferred frees when it looked",
        "6.1.0-56-cloud-amd64",
        "No event of this trace is known to be missing",
    ] {
        assert!(html.contains(told), "{told}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    // Four pictures, each for two widths, but that this kernel's destroy has no barrier to show.
    assert!(html.matches("role=\"img\"").count() >= 6);
    // The destroy has its label, in each width, and each axis its name.
    assert_eq!(html.matches(">krcu_pending: PENDING</text>").count(), 2);
    for axis in [
        "deferred frees that wait",
        "time since the probes were attached",
        "time from kfree_rcu() to the free",
    ] {
        assert!(html.matches(&format!(">{axis}</text>")).count() >= 2, "{axis}");
    }
    assert!(html.contains("<rect class=\"grace"), "grace periods are there");
    assert!(!html.contains("class=\"stroke broken"), "nothing was handed to call_rcu()");
}

#[test]
fn callbacks_are_in_the_pictures_and_in_their_table() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let requeues = trace("truth/7.x-callback_requeues");
    analyze(&["report", requeues.to_str().unwrap(), "-o", page.to_str().unwrap()]).unwrap();
    let html = fs::read_to_string(&page).unwrap();
    // By its script 20 callbacks hand 20 objects to kfree_rcu().
    for told in [
        "<dt>callbacks</dt><dd>20</dd>",
        "class=\"stroke broken",
        "callbacks of a (broken line)",
        "From call_rcu() to the callback",
        ">time from call_rcu() or its like to the run</text>",
    ] {
        assert!(html.contains(told), "{told}");
    }
    let rows = folder.path().join("rows.csv");
    analyze(&["callbacks", requeues.to_str().unwrap(), "--format", "csv", "-o", rows.to_str().unwrap()])
        .unwrap();
    let rows = fs::read_to_string(&rows).unwrap();
    let row = rows.lines().nth(1).unwrap();
    assert!(row.starts_with("krcu_play_requeue_callback,krcu_play,a,call_rcu(),20,20,"), "{rows}");
}

#[test]
fn a_data_set_is_by_host_and_boot_and_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for name in ["6.12-two", "6.12-pending"] {
        analyze(&["export", trace(name).to_str().unwrap(), "--to", "parquet", "-o", path]).unwrap();
    }
    let objects = folder.path().join("objects/host=unknown/boot=unknown");
    let rows: Vec<usize> = ["6%2E12-pending.parquet", "6.12-pending.parquet", "6.12-two.parquet"]
        .iter()
        .filter_map(|name| fs::File::open(objects.join(name)).ok())
        .map(|file| ParquetReader::new(file).finish().unwrap().height())
        .collect();
    // By the modules' sources.
    assert_eq!(rows, [777, 300]);
    analyze(&["export", trace("6.12-two").to_str().unwrap(), "--to", "csv", "-o", path]).unwrap();
    let csv = fs::read_to_string(folder.path().join("objects.csv")).unwrap();
    assert_eq!(csv.lines().count(), 301);
}

/// As much of protobuf as the encoding's documentation says, to read what was written: fields by number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Result<u64, &[u8]>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        if key & 7 == 1 {
            let (fixed, rest) = bytes.split_at(8);
            fields.push((key >> 3, Ok(u64::from_le_bytes(fixed.try_into().unwrap()))));
            bytes = rest;
            continue;
        }
        let value = varint(&mut bytes);
        match key & 7 {
            0 => fields.push((key >> 3, Ok(value))),
            2 => {
                let (inner, rest) = bytes.split_at(usize::try_from(value).unwrap());
                fields.push((key >> 3, Err(inner)));
                bytes = rest;
            }
            other => panic!("wire type {other}"),
        }
    }
    fields
}

fn number(message: &[(u64, Result<u64, &[u8]>)], field: u64) -> Option<u64> {
    message.iter().find(|(number, _)| *number == field).and_then(|(_, value)| value.ok())
}

fn bytes<'a>(message: &[(u64, Result<u64, &'a [u8]>)], field: u64) -> Option<&'a [u8]> {
    message.iter().find(|(number, _)| *number == field).and_then(|(_, value)| value.err())
}

#[test]
fn perfetto_gets_tracks_slices_that_close_and_counters_that_end_at_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.perfetto-trace");
    analyze(&[
        "export",
        trace("6.12-two").to_str().unwrap(),
        "--to",
        "perfetto",
        "-o",
        path.to_str().unwrap(),
    ])
    .unwrap();
    let trace = fs::read(&path).unwrap();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let (mut open, mut last, mut count) = (BTreeMap::new(), BTreeMap::new(), 0);
    let (mut snapshots, mut arrows) = (Vec::new(), BTreeMap::new());
    for (field, packet) in fields(&trace) {
        assert_eq!(field, 1, "a trace is packets");
        let packet = fields(packet.unwrap_err());
        if let Some(snapshot) = bytes(&packet, 6) {
            let clock = fields(bytes(&fields(snapshot), 1).unwrap());
            snapshots.push((number(&clock, 1).unwrap(), number(&clock, 2).unwrap()));
            continue;
        }
        if let Some(track) = bytes(&packet, 60) {
            let track = fields(track);
            let name = String::from_utf8(bytes(&track, 2).unwrap().to_vec()).unwrap();
            assert!(names.insert(number(&track, 1).unwrap(), name).is_none(), "one track, one number");
            continue;
        }
        let event = fields(bytes(&packet, 11).unwrap());
        let track = number(&event, 11).unwrap();
        assert!(names.contains_key(&track), "a track is told before its events");
        assert!(
            number(&packet, 8).unwrap() >= snapshots[0].1,
            "each event has a time, of the clock that is told"
        );
        assert_eq!(number(&packet, 58), Some(3), "CLOCK_MONOTONIC");
        for (_, flow) in event.iter().filter(|(field, _)| *field == 47) {
            let name = String::from_utf8(bytes(&event, 23).unwrap().to_vec()).unwrap();
            arrows.entry(flow.unwrap()).or_insert_with(Vec::new).push((number(&packet, 8).unwrap(), name));
        }
        match number(&event, 9).unwrap() {
            1 => *open.entry(track).or_insert(0) += 1,
            2 => *open.entry(track).or_insert(0) -= 1,
            4 => {
                count += 1;
                last.insert(names[&track].clone(), number(&event, 30).unwrap());
            }
            other => panic!("an event of type {other}"),
        }
    }
    assert!(open.len() >= 4 && open.values().all(|open| *open == 0), "{open:?}");
    assert_eq!(last, BTreeMap::from([("outstanding krcu_two_pending #1".to_owned(), 0)]));
    assert!(count > 300);
    // As the first line of the trace has it: `watch attached=…`, and the first event is later.
    let script = fs::read_to_string(self::trace("6.12-two")).unwrap();
    let attached = script.split("attached=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0].0, 3);
    assert!(snapshots[0].1.abs_diff(attached.parse().unwrap()) < 1_000_000_000, "{snapshots:?} {attached}");
    // The first destroy waits by two barriers for the one batch; the second one waits for nothing.
    for told in arrows.values_mut() {
        told.sort();
    }
    let joined = |flow: u64| arrows[&flow].iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>();
    assert_eq!(
        joined(1),
        ["kmem_cache_destroy(): waited", "kvfree_rcu_barrier", "rcu_barrier", "free 300 (bulk)"]
    );
    assert_eq!(joined(2), ["kmem_cache_destroy(): clean", "kvfree_rcu_barrier"]);
    for name in [
        "grace periods",
        "CPUs",
        "caches",
        "waiting tasks",
        "krcu_two_pending #1",
        "krcu_two_correct #0",
        "CPU   1",
    ] {
        assert!(names.values().any(|known| known == name), "{name} in {names:?}");
    }
}

#[test]
fn the_kernels_own_text_becomes_a_trace_that_says_what_it_cannot_decide() {
    let folder = tempfile::tempdir().unwrap();
    let (text, script) = (folder.path().join("trace.txt"), folder.path().join("trace.script"));
    fs::write(
        &text,
        "# tracer: nop\n\
         insmod-90 [000] .....  10.000001: module_load: krcu_pending OE\n\
         insmod-90 [000] .....  10.000100: rcu_kvfree_callback: rcu_preempt rhp=00000000aa000010 func=16 1\n\
         insmod-90 [000] .....  10.000200: rcu_kvfree_callback: rcu_preempt rhp=00000000aa000050 func=16 2\n\
         rcu_pree-16 [001] ..... 10.001000: rcu_grace_period: rcu_preempt 100 start\n\
         rmmod-91 [001] .....  10.002000: rcu_barrier: rcu_preempt Begin cpu -1 remaining 0 # 4\n\
         rcu_pree-16 [001] ..... 10.011000: rcu_grace_period: rcu_preempt 100 end\n\
         rmmod-91 [001] .....  10.012000: rcu_barrier: rcu_preempt Inc2 cpu -1 remaining 0 # 4\n\
         kworker/0:1-12 [000] .....  10.020200: rcu_invoke_kvfree_callback: rcu_preempt rhp=00000000aa000010 func=16\n\
         CPU:0 [LOST 5 EVENTS]\n",
    )
    .unwrap();
    import::import(&text, &script).unwrap();
    let loaded = load::load(&script, Needs::ALL, None).unwrap();
    assert_eq!(loaded.meta.undecidable.len(), import::CANNOT.len());
    let rows = |table: &str| collect(loaded.tables.scan(table).unwrap()).unwrap();
    let objects = rows("objects");
    assert_eq!(objects.height(), 2);
    // 10.020200 less 10.000100; the other was not seen freed.
    let ages: Vec<Option<u64>> = objects.column("age_ns").unwrap().u64().unwrap().iter().collect();
    assert_eq!(ages, [Some(20_100_000), None]);
    let waits: Vec<Option<u64>> = rows("barriers").column("wait_ns").unwrap().u64().unwrap().iter().collect();
    assert_eq!(waits, [Some(10_000_000)]);
    assert_eq!(rows("gaps").column("events").unwrap().u64().unwrap().get(0), Some(5));
    assert_eq!(rows("verdicts").height(), 0);
    fs::write(&text, "nothing here\n").unwrap();
    assert!(
        import::import(&text, &script)
            .unwrap_err()
            .to_string()
            .contains("none of its 1 lines tells an event")
    );
}

#[test]
fn an_answer_is_narrowed_to_a_cache_sorted_by_a_column_and_cut() {
    let loaded = load::load(&trace("6.12-two"), Needs::CACHES, None).unwrap();
    let names = |narrow: Narrow| -> Result<Vec<String>, String> {
        let frame = collect(ask::caches(&loaded.tables).unwrap()).unwrap();
        let frame = ask::narrow(frame, &narrow).map_err(|error| error.to_string())?;
        Ok(frame.column("name").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect())
    };
    let asked = |cache: Option<&str>, sort: Option<&str>, top| Narrow {
        cache: cache.map(str::to_owned),
        sort: sort.map(str::to_owned),
        top,
    };
    // The order of their lives; of the second one 300 objects were queued.
    assert_eq!(names(asked(None, None, None)).unwrap(), ["krcu_two_correct", "krcu_two_pending"]);
    assert_eq!(names(asked(None, Some("queued"), None)).unwrap(), ["krcu_two_pending", "krcu_two_correct"]);
    assert_eq!(names(asked(None, Some("age_max_ns"), Some(1))).unwrap(), ["krcu_two_pending"]);
    assert_eq!(names(asked(Some("correct"), None, None)).unwrap(), ["krcu_two_correct"]);
    assert_eq!(names(asked(Some(".*"), None, None)).unwrap(), [] as [&str; 0], "a text, not an expression");
    assert!(names(asked(None, Some("nothing"), None)).unwrap_err().contains("it has cache, name, module"));
    let batches = load::load(&trace("6.12-two"), Needs::BATCHES, None).unwrap();
    let frame = collect(ask::batches(&batches.tables).unwrap()).unwrap();
    assert!(
        ask::narrow(frame, &asked(Some("two"), None, None)).is_err(),
        "a batch has objects of many caches"
    );
}

#[test]
fn what_cost_the_most_is_one_screen() {
    let mut out = Vec::new();
    let narrow = Narrow { top: Some(2), ..Narrow::default() };
    run::worst(&trace("6.12-two"), &narrow, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().count() <= 24, "{text}");
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    // The trace has one wait of 25.6 ms and one of 41.6 us, and one cache with objects: 300 of 128 bytes.
    assert!(place("25.6 ms") < place("the stacks that queue the most"), "{text}");
    assert!(!text.contains("41.6 µs"), "the third wait is not among two: {text}");
    assert!(place("the caches of which") < place("38,400"), "{text}");
}

#[test]
fn an_arrow_file_has_the_rows_of_its_table() {
    let folder = tempfile::tempdir().unwrap();
    export::export(&trace("6.12-two"), ExportKind::Ipc, folder.path()).unwrap();
    let loaded = load::load(&trace("6.12-two"), Needs::ALL, None).unwrap();
    for name in NAMES {
        let file = fs::File::open(folder.path().join(format!("{name}.arrow"))).unwrap();
        let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
        let columns: Vec<String> =
            reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
        let frame = collect(loaded.tables.scan(name).unwrap()).unwrap();
        assert_eq!(rows, frame.height(), "{name}");
        // Every table that leaves says of which run it is.
        assert_eq!(columns[0], "run", "{name}");
        let own: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
        let own = own.strip_prefix(&["run"]).unwrap_or(&own);
        assert_eq!(columns[1..], *own, "{name}");
    }
}

#[test]
fn what_differs_most_comes_first() {
    let mut out = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("compared.html");
    let traces = [trace("6.1-pending"), trace("6.12-pending")];
    let traces = [traces[0].as_path(), traces[1].as_path()];
    compare::compare(traces, Format::Text, Some(&page), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let changes: Vec<&str> = text.lines().filter(|line| line.contains(" → ")).collect();
    assert!(
        matches!(changes.as_slice(), [change] if change.contains(" pending → waited ") && change.ends_with(" ms")),
        "one line, with the wait: {text}"
    );
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("of ")).skip(1).collect();
    // The same module is pending on the one kernel and waited for on the other; all else follows from that.
    let mut verdicts: Vec<&str> = lines[..2].iter().map(|line| line[45..63].trim()).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["verdict pending", "verdict waited"], "{text}");
    assert!(lines.iter().any(|line| line.contains("queued") && line.ends_with("same")), "{text}");
    let html = fs::read_to_string(&page).unwrap();
    // The same line, and two pictures, each for two widths.
    assert!(html.contains("krcu_pending: pending → <b>waited "), "{html}");
    assert_eq!(html.matches("role=\"img\"").count(), 4, "{html}");
    // The one's fault is red, and the other one is as long as the axis: nothing else waits.
    assert_eq!(html.matches("<rect class=\"bar bad\"").count(), 2, "{html}");
}
