//! Fleet: a sown fleet is replayed and asked in this process. What has to be found follows from the rule by which faults
//! were sown, and from the verdicts that are kept with the kernels' runs.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use krcu_analysis::fleet::{
    compact,
    facts::{self, Look, Replayed},
    ledger::Outcome,
};
use krcu_fleet::{
    ask::{self, answer::Answer, engine, question::Ask, regressions},
    prune::{self, Kept},
    replay::plan::{places, plan},
    report,
};
use krcu_ship::{
    done::Done,
    layout::{DONE, Fleet, Place},
};
use serde_json::Value;

#[expect(dead_code, reason = "the example is a program of its own as well")]
#[path = "../examples/sow.rs"]
mod sow;

/// Hosts, and days.
const SIZE: (usize, usize) = (25, 2);
/// Questions to each table of which an answer could change.
const COMPARED: [Ask; 4] = [Ask::FirstSeen, Ask::Barriers, Ask::Sites, Ask::Runs];

struct Sown {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

impl Sown {
    fn new() -> Sown {
        let folder = tempfile::tempdir().unwrap();
        sow::sow(folder.path(), SIZE.0, SIZE.1).unwrap();
        Sown { fleet: Fleet::new(folder.path()), folder }
    }

    fn places(&self) -> Vec<Place> {
        places(&self.fleet).unwrap().into_iter().map(|(_, place)| place.unwrap()).collect()
    }

    /// How many were replayed, by their outcome.
    fn replay(&self, again: bool) -> BTreeMap<Outcome, usize> {
        let mut replayed = BTreeMap::new();
        for place in self.places() {
            if let Replayed::New(entry) = facts::replay(&self.fleet, &place, again).unwrap() {
                *replayed.entry(entry.outcome).or_default() += 1;
            }
        }
        replayed
    }

    fn ask(&self, ask: Ask) -> Answer {
        engine::ask(&ask.question(&[]).unwrap(), &ask::facts(&self.fleet, None).unwrap()).unwrap()
    }

    fn digests(&self) -> Vec<String> {
        COMPARED.into_iter().map(|ask| self.ask(ask).digest()).collect()
    }

    /// The first trace of a host.
    fn trace_of(&self, host: &str) -> (Place, PathBuf) {
        let place = self.places().into_iter().find(|place| place.host == host).unwrap();
        let folder = self.fleet.trace(&place);
        (place, folder)
    }

    /// The longest trace of all other hosts: it has several batches, so that a cut leaves some.
    fn longest_but_of(&self, hosts: &[&str]) -> PathBuf {
        let others = self.places().into_iter().filter(|place| !hosts.contains(&place.host.as_str()));
        let traces = others.map(|place| self.fleet.trace(&place));
        traces.max_by_key(|trace| fs::metadata(trace.join("events-00000.arrows")).unwrap().len()).unwrap()
    }
}

/// The functions of a verdict of a kernel's run, by the frames as the kernel printed them.
fn function(frame: &Value) -> String {
    let frame = frame.as_str().unwrap_or("-");
    frame.split(['+', '.', ' ']).next().unwrap_or("-").to_owned()
}

#[test]
fn every_sown_fault_is_found_once_with_its_count_its_hosts_and_its_first_day() {
    let sown = Sown::new();
    let traces = SIZE.0 * SIZE.1;
    assert_eq!(sown.replay(false), BTreeMap::from([(Outcome::Whole, traces)]));
    let text = fs::read_to_string(sown.folder.path().join("sown.json")).unwrap();
    let faults: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut expected: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for fault in &faults {
        let verdict = &fault["verdict"];
        let sites =
            if verdict["leak_sites"][0].is_null() { &verdict["sites"] } else { &verdict["leak_sites"] };
        let text = |name: &str| verdict[name].as_str().filter(|text| !text.is_empty()).unwrap_or("-");
        let signature = format!(
            "{} {}.{} {} {}",
            text("verdict"),
            text("module"),
            text("cache"),
            function(&verdict["destroyed_by"]["stack"][0]),
            function(&sites[0]["stack"][0]),
        );
        let day = fault["first_day"].as_str().unwrap().to_owned();
        let (count, first) = expected.entry(signature).or_insert_with(|| (0, day.clone()));
        *count += fault["count"].as_i64().unwrap();
        *first = day.min(first.clone());
    }
    assert!(expected.len() >= 8, "{expected:?}");
    let flagged = sown.ask(Ask::Flagged);
    let found: BTreeMap<String, (i64, String)> = flagged
        .rows()
        .map(|row| {
            let day = row.text("example").strip_prefix("day=").unwrap()[..10].to_owned();
            (row.text("signature").to_owned(), (row.number("verdicts").unwrap(), day))
        })
        .collect();
    assert_eq!(found.len(), flagged.len(), "a signature is one row");
    assert_eq!(found, expected);
    let runs: i64 = sown.ask(Ask::Runs).rows().map(|row| row.number("runs").unwrap()).sum();
    assert_eq!(usize::try_from(runs).unwrap(), traces);
    let by = Ask::Runs.question(&["kernel".to_owned(), "arch".to_owned()]).unwrap();
    let runs = engine::ask(&by, &ask::facts(&sown.fleet, None).unwrap()).unwrap();
    assert!(runs.rows().any(|row| row.text("arch") == "aarch64"));
    assert!(
        runs.rows().all(|row| row.text("kernel").contains("arm64") == (row.text("arch") == "aarch64")),
        "a kernel of Debian's for arm64 runs there and nowhere else"
    );
    // What is clean in one version and faulty in another is told of both.
    for row in regressions::of(&sown.ask(Ask::Regressions)).rows() {
        let of_cache = |other: &ask::answer::Row<'_>| {
            (other.text("module"), other.text("cache")) == (row.text("module"), row.text("cache"))
        };
        let all = sown.ask(Ask::Regressions).only(of_cache);
        let faulty = all.rows().filter(|row| row.number("flagged").unwrap() > 0).count();
        assert!(faulty > 0 && faulty < all.len());
    }
    // The sown days are older than a minute.
    let error = ask::facts(&sown.fleet, Some(Duration::from_secs(60))).unwrap_err().to_string();
    assert!(error.ends_with("and the newest one is of 2026-11-03: name a longer --since"), "{error}");
    every_row_says_where_and_when(&sown);
    let page = sown.folder.path().join("fleet.html");
    report::write(&sown.fleet, None, &page).unwrap();
    let html = fs::read_to_string(&page).unwrap();
    for signature in expected.keys() {
        assert!(html.contains(signature), "{signature}");
    }
    for absent in ["http:", "https:", "<script", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(absent), "{absent}");
    }
    // Of what is not flagged, all is older than nothing.
    let kept = Kept { traces: Duration::ZERO, flagged: Duration::from_secs(1 << 32), facts: Duration::ZERO };
    let old = prune::old(&sown.fleet, &kept).unwrap();
    let faulty: i64 = faults.iter().map(|fault| fault["hosts"].as_i64().unwrap()).max().unwrap();
    assert!(faulty > 0 && !old.traces.is_empty() && old.traces.len() < traces);
    let flagged_traces: Vec<String> = flagged.rows().map(|row| row.text("example").to_owned()).collect();
    assert!(flagged_traces.iter().all(|trace| old.traces.iter().all(|(path, _)| !path.ends_with(trace))));
    // It is named first, and deleted when that is asked for; the facts say what they said.
    prune::run(&sown.fleet, &kept, false).unwrap();
    assert!(old.traces.iter().all(|(path, _)| path.exists()));
    prune::run(&sown.fleet, &kept, true).unwrap();
    assert!(old.traces.iter().all(|(path, _)| !path.exists()));
    assert_eq!(sown.places().len(), traces - old.traces.len());
    assert_eq!(sown.ask(Ask::Flagged).digest(), flagged.digest());
}

/// A row that people are shown has its kernels, machines, versions of krcu, and the time.
fn every_row_says_where_and_when(sown: &Sown) {
    let all =
        [Ask::Flagged, Ask::FirstSeen, Ask::Regressions, Ask::Barriers, Ask::Sites, Ask::Losses, Ask::Runs];
    for ask in all {
        let question = ask.question(&[]).unwrap();
        let names: Vec<&str> = question.columns().iter().map(|(name, _)| *name).collect();
        for name in ["kernel", "arch", "krcu"] {
            let both = [format!("{name}_least"), format!("{name}_most")];
            let has_both = both.iter().all(|of| names.contains(&of.as_str()));
            assert!(names.contains(&name) || has_both, "{ask:?} hides what {name} its rows are of");
            assert!(
                !names.contains(&name) || question.keys.iter().any(|key| key.1 == name),
                "{ask:?}: one of several"
            );
        }
        for row in sown.ask(ask).rows() {
            let (first, last) = (row.number("first_utc_ns").unwrap(), row.number("last_utc_ns").unwrap());
            assert!(first <= last && first >= 1_793_577_600_000_000_000, "{ask:?}");
        }
    }
}

#[test]
fn a_trace_is_replayed_once_and_a_bad_one_is_a_row() {
    let sown = Sown::new();
    let traces = SIZE.0 * SIZE.1;
    // One whose copy lost its end, one whose recording did, one that was no trace, and one that is under way.
    let (_, copy) = sown.trace_of("farm-0013");
    let recording = sown.longest_but_of(&["farm-0013", "farm-0015", "farm-0016", "farm-0020"]);
    let (_, nothing) = sown.trace_of("farm-0015");
    let (_, late) = sown.trace_of("farm-0016");
    let whole = fs::read(copy.join("events-00000.arrows")).unwrap();
    for trace in [&copy, &recording] {
        let events = trace.join("events-00000.arrows");
        let bytes = fs::read(&events).unwrap();
        fs::write(&events, &bytes[..bytes.len() * 3 / 4]).unwrap();
    }
    fs::write(nothing.join("meta.json"), "{}").unwrap();
    for trace in [&recording, &nothing] {
        fs::write(trace.join(DONE), Done::of(trace).unwrap().text()).unwrap();
    }
    fs::rename(late.join(DONE), late.join(".DONE")).unwrap();
    let expected = [(Outcome::Whole, traces - 4), (Outcome::Damaged, 1), (Outcome::Refused, 2)];
    assert_eq!(sown.replay(false), BTreeMap::from(expected));
    assert_eq!(sown.replay(false), BTreeMap::new());
    let digests = sown.digests();
    fs::rename(late.join(".DONE"), late.join(DONE)).unwrap();
    assert_eq!(plan(&sown.fleet, false, 1).unwrap().due(), 1);
    assert_eq!(sown.replay(false), BTreeMap::from([(Outcome::Whole, 1)]));
    assert_ne!(sown.digests(), digests);
    // A copy that was made anew.
    fs::write(copy.join("events-00000.arrows"), whole).unwrap();
    assert_eq!(sown.replay(true), BTreeMap::from([(Outcome::Whole, 1), (Outcome::Refused, 1)]));
    let digests = sown.digests();
    compacting_changes_nothing(&sown, &digests);
    losing_facts_or_ledger_changes_nothing(&sown, &digests);
}

fn compacting_changes_nothing(sown: &Sown, digests: &[String]) {
    let facts = sown.fleet.facts();
    let is_file = |entry: &walkdir::DirEntry| entry.file_type().is_file();
    let files =
        || walkdir::WalkDir::new(&facts).into_iter().filter(|entry| is_file(entry.as_ref().unwrap())).count();
    let before = files();
    let mut gone = 0;
    for day in ["2026-11-02", "2026-11-03"] {
        gone += compact::compact(&sown.fleet, day).unwrap();
        assert_eq!(compact::compact(&sown.fleet, day).unwrap(), 0);
    }
    assert_eq!(gone, before);
    assert_eq!(files(), 16, "a file for each of 8 tables and 2 days");
    assert_eq!(sown.digests(), digests);
    assert_eq!(sown.replay(false), BTreeMap::new());
}

fn losing_facts_or_ledger_changes_nothing(sown: &Sown, digests: &[String]) {
    // A trace that becomes another one is taken out of the day's file, and the others stay in it: their traces may be gone.
    let (place, folder) = sown.trace_of("farm-0020");
    fs::write(folder.join("more"), "x").unwrap();
    fs::write(folder.join(DONE), Done::of(&folder).unwrap().text()).unwrap();
    assert!(matches!(facts::replay(&sown.fleet, &place, false).unwrap(), Replayed::New(_)));
    assert!(matches!(facts::look(&sown.fleet, &place, false).unwrap(), Look::Known(_)));
    assert_eq!(sown.digests(), digests);
    assert_eq!(sown.replay(false), BTreeMap::new());
    // A day's file that was cut: no question reads it, and all that was in it is replayed again.
    let day =
        fs::read_dir(sown.fleet.table("verdicts", "2026-11-02")).unwrap().map(|file| file.unwrap().path());
    cut(&day.filter(|file| file.to_string_lossy().contains("/day-")).max().unwrap());
    let error = ask::facts(&sown.fleet, None).unwrap_err().to_string();
    assert!(
        error.contains(".parquet is not there as the ledger says: run `krcu fleet replay` again"),
        "{error}"
    );
    assert!(sown.replay(false).values().sum::<usize>() > 10);
    assert_eq!(sown.digests(), digests);
    // A file that was cut, and one that is gone.
    let of_day = |table: &str| -> Vec<PathBuf> {
        let folder = sown.fleet.table(table, "2026-11-02");
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| !file.file_name().unwrap().to_string_lossy().starts_with("day-"));
        files.sort_unstable();
        files
    };
    cut(&of_day("verdicts")[3]);
    fs::remove_file(&of_day("runs")[5]).unwrap();
    assert_eq!(sown.replay(false), BTreeMap::from([(Outcome::Whole, 2)]));
    assert_eq!(sown.digests(), digests);
    // Facts of which the ledger says nothing do not count.
    let orphan = of_day("verdicts")[0].with_file_name("ffffffffffffffff.parquet");
    fs::copy(&of_day("verdicts")[0], orphan).unwrap();
    assert_eq!(sown.digests(), digests);
    fs::remove_dir_all(sown.fleet.ledger()).unwrap();
    assert_eq!(sown.replay(false).values().sum::<usize>(), SIZE.0 * SIZE.1);
    assert_eq!(sown.digests(), digests);
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_question_that_cannot_be_so_grouped_says_how_it_can() {
    let error = Ask::Barriers.question(&["module".to_owned()]).unwrap_err();
    assert_eq!(error, "`barriers` is not by \"module\": it may be by kernel, arch, krcu, host, day");
    let folder = tempfile::tempdir().unwrap();
    let facts = ask::facts(&Fleet::new(folder.path()), None).unwrap();
    let Err(error) = engine::ask(&Ask::Runs.question(&[]).unwrap(), &facts) else {
        panic!("nothing is no answer")
    };
    assert!(error.to_string().contains("run `krcu fleet replay` first"), "{error}");
}

#[test]
fn a_fleet_of_refused_traces_says_why_they_were_refused() {
    let sown = Sown::new();
    for place in sown.places() {
        fs::write(sown.fleet.trace(&place).join(DONE), "no list").unwrap();
        assert!(matches!(facts::replay(&sown.fleet, &place, false).unwrap(), Replayed::New(_)));
    }
    let error = ask::facts(&sown.fleet, None).unwrap_err().to_string();
    assert!(
        error.starts_with("every trace of these days was refused, the first, day=2026-11-02/"),
        "{error}"
    );
    assert!(error.contains("because: DONE is not one that krcu wrote"), "{error}");
}
