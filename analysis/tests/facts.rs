//! Facts: the tables of real traces, held to plain loops over the lines of their text and to the model's own verdicts.

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

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let mut traces: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    traces.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    traces.sort();
    assert!(traces.len() >= 20, "the model's traces are here");
    traces
}

/// What lines say: the ages at their free of objects that were seen queued, and how many were not freed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lives {
    ages_ns: Vec<u64>,
    not_freed: u64,
    again: u64,
}

/// An object is its address from `queued` to the next `freed` of that address.
fn lives_of_lines(text: &str) -> Lives {
    let (mut queued, mut lives) = (BTreeMap::new(), Lives::default());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(time), Some(_), Some(what)) = (words.next(), words.next(), words.next()) else { continue };
        let Ok(time) = time.parse::<u64>() else { continue };
        match what {
            "queued" => {
                let before = queued.insert(field(line, "object").unwrap(), time);
                lives.again += u64::from(before.is_some());
            }
            "freed" => {
                if let Some(since) = queued.remove(field(line, "object").unwrap()) {
                    lives.ages_ns.push(time - since);
                }
            }
            _ => {}
        }
    }
    lives.not_freed = queued.len() as u64;
    lives.ages_ns.sort_unstable();
    lives
}

#[test]
fn the_lives_of_objects_are_what_the_lines_say() {
    let mut seen = 0;
    for path in traces() {
        let expected = lives_of_lines(&fs::read_to_string(&path).unwrap());
        let loaded = load::load(&path, Needs::ALL, None).unwrap();
        let objects = loaded.tables.scan("objects").unwrap();
        let sums = objects.clone().select([
            col("end").eq(lit("outstanding")).sum().alias("not_freed"),
            col("end").eq(lit("requeued")).sum().alias("again"),
        ]);
        let sums = collect(sums).unwrap();
        let number =
            |name: &str| -> u64 { sums.column(name).unwrap().get(0).unwrap().try_extract().unwrap() };
        let ages = collect(objects.select([col("age_ns")])).unwrap();
        let mut found = Lives {
            ages_ns: ages.column("age_ns").unwrap().u64().unwrap().iter().flatten().collect(),
            not_freed: number("not_freed"),
            again: number("again"),
        };
        found.ages_ns.sort_unstable();
        assert_eq!(found, expected, "{}", path.display());
        seen += expected.ages_ns.len();
    }
    // By the modules' sources most of them queue 300 or 777 objects.
    assert!(seen > 5000, "{seen}");
}

#[test]
fn a_quantile_is_the_age_of_an_object_and_at_most_the_width_of_a_class_above_the_exact_one() {
    let mut groups = 0;
    for path in traces() {
        let ages = lives_of_lines(&fs::read_to_string(&path).unwrap()).ages_ns;
        let loaded = load::load(&path, Needs::ALL, None).unwrap();
        // All objects of a trace together: they are freed in one way.
        let frame = collect(ask::objects(&loaded.tables, ask::By::Path, false).unwrap()).unwrap();
        let freed = frame.column("freed").unwrap().u64().unwrap();
        let Some(row) = (0..frame.height()).find(|row| freed.get(*row) == Some(ages.len() as u64)) else {
            continue;
        };
        for (name, per_hundred) in
            [("age_p50_ns", 50), ("age_p90_ns", 90), ("age_p99_ns", 99), ("age_max_ns", 100)]
        {
            let found = frame.column(name).unwrap().u64().unwrap().get(row).unwrap();
            let exact = ages[(ages.len() * per_hundred).div_ceil(100) - 1];
            assert!(ages.contains(&found) && found >= exact, "{name} of {}", path.display());
            // Two to the power of a sixty-fourth.
            assert!((found + 1) * 1000 <= (exact + 1) * 1011, "{name} of {}", path.display());
            assert!(per_hundred < 100 || found == exact, "{name} of {}", path.display());
        }
        groups += 1;
    }
    assert!(groups >= 10, "{groups}");
}

#[test]
fn verdicts_are_those_of_the_live_run() {
    for path in traces() {
        let script = krcu_model::script::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected: Vec<(String, u64, u64)> = krcu_report::verdicts(&script.replay())
            .into_iter()
            .map(|verdict| {
                (verdict.verdict.word().to_owned(), verdict.queued_by_kfree_rcu, verdict.late_frees)
            })
            .collect();
        let loaded = load::load(&path, Needs::ALL, None).unwrap();
        let frame = collect(ask::verdicts(&loaded.tables).unwrap()).unwrap();
        let words = frame.column("verdict").unwrap().str().unwrap();
        let queued = frame.column("queued_by_kfree_rcu").unwrap().u64().unwrap();
        let late = frame.column("late_frees").unwrap().u64().unwrap();
        let found: Vec<(String, u64, u64)> = (0..frame.height())
            .map(|row| (words.get(row).unwrap().to_owned(), queued.get(row).unwrap(), late.get(row).unwrap()))
            .collect();
        assert_eq!(found, expected, "{}", path.display());
        assert!(!expected.is_empty());
    }
}

/// How many objects of its cache each destroy has outstanding when it looks (when it is entered, if it never does), by
/// going through the lines: a cache is its address from one creation to the next.
fn at_destroys(text: &str) -> Vec<u64> {
    let (mut queued, mut lives) = (BTreeMap::new(), BTreeMap::<&str, u64>::new());
    let (mut open, mut found) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(task), Some(what)) = (words.next(), words.next(), words.next()) else { continue };
        let task = task.split('@').next().unwrap();
        let cache = field(line, "cache").map(|cache| (cache, lives.get(cache).copied().unwrap_or(0)));
        let of = |queued: &BTreeMap<&str, (&str, u64)>, cache| {
            queued.values().filter(|of| **of == cache).count() as u64
        };
        match what {
            "cache_created" if field(line, "refcount") == Some("1") => {
                *lives.entry(field(line, "cache").unwrap()).or_default() += 1;
            }
            "queued" => {
                queued.insert(field(line, "object").unwrap(), cache.unwrap());
            }
            "freed" => {
                queued.remove(field(line, "object").unwrap());
            }
            "destroy_begin" => {
                open.insert(task, found.len());
                found.push(of(&queued, cache.unwrap()));
            }
            "shutdown_begin" => found[open[task]] = of(&queued, cache.unwrap()),
            _ => {}
        }
    }
    found
}

#[test]
fn what_was_outstanding_at_a_destroy_follows_from_the_lives() {
    let mut destroys = 0;
    for path in traces() {
        let loaded = load::load(&path, Needs::ALL, None).unwrap();
        let counted = collect(ask::outstanding::at_destroy(&loaded.tables).unwrap()).unwrap();
        let counted: Vec<u64> =
            counted.column("outstanding").unwrap().u64().unwrap().iter().flatten().collect();
        let expected = at_destroys(&fs::read_to_string(&path).unwrap());
        assert_eq!(counted, expected, "{}", path.display());
        destroys += expected.len();
    }
    assert!(destroys >= 20);
}

#[test]
fn batches_and_barriers_add_up() {
    for path in traces() {
        let loaded = load::load(&path, Needs::ALL, None).unwrap();
        let of = |table: &str, expr: Expr| -> u64 {
            let frame =
                collect(loaded.tables.scan(table).unwrap().select([expr.cast(DataType::UInt64)])).unwrap();
            frame.columns()[0].get(0).unwrap().try_extract().unwrap()
        };
        let in_batches = of("batches", col("objects").sum());
        assert_eq!(in_batches, of("objects", col("freed_at_ns").count()), "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        let begun =
            text.lines().filter(|line| line.split(' ').nth(2) == Some("barrier_begin")).count() as u64;
        let seen = of("barriers", col("barrier").neq(lit("inside-destroy")).sum());
        assert_eq!(seen, begun, "{}", path.display());
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.script");
    let complaint = |text: &[u8]| {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", load::load(&path, Needs::ALL, None).unwrap_err());
        error.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(complaint(b"hello\n"), "FILE: this is no trace: its first line is not `krcu-script 1`");
    assert!(
        complaint(b"krcu-script 1\nwatch attached=0\n1 1@0 nothing_known\n").starts_with("FILE: line 3: ")
    );
    assert_eq!(complaint(&[b'x'; 100_000]), "FILE: line 1: it is longer than 65536 bytes");
    assert_eq!(complaint(b"krcu-script 1\n\xff\xfe\n"), "FILE: line 2: it is not UTF-8");
    let many = format!("krcu-script 1\nwatch attached=0\n{}1 1@0 what\n", "1 1@0 quiet\n".repeat(9000));
    assert!(complaint(many.as_bytes()).starts_with("FILE: line 9003: "), "{}", complaint(many.as_bytes()));
    let missing = folder.path().join("none");
    assert!(format!("{:#}", load::load(&missing, Needs::ALL, None).unwrap_err()).contains("none: "));
}
