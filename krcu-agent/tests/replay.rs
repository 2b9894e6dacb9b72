//! A trace of a real kernel's events replays to the report of its run; one without a goodbye decides what ended before
//! the last account, and says that the rest is not known. The golden runs of the truth table, on four kernels, are each
//! written into a trace: their replay prints what the run printed.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use krcu_agent::{
    anonymise::{Numbers, TASK, anonymise, in_place},
    outcome::{Incomplete, Outcome, Policy, Setting},
    replay::replay,
    report::Format,
    trace,
};
use krcu_common::ABI_VERSION;
use krcu_model::{
    State,
    event::{Losses, Time, What},
    script::{self, Script},
};
use krcu_report::{FlatVerdict, verdicts};
use krcu_trace::{
    Accounted, FORMAT, How, Limits, Meta, Reader, Writer,
    meta::{Account, Clock, Kernel, Known, Seen},
};

/// What krcu saw on Linux 6.1 while a module with two caches came and went: one destroyed with deferred frees
/// outstanding, one without.
fn two() -> Script {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-two.script");
    script::read(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Any outcome that such a run could have given besides its events.
fn live(script: &Script) -> Outcome {
    live_of(&script.replay())
}

fn live_of(state: &State) -> Outcome {
    Outcome {
        setting: Setting::default(),
        release: "6.1.0-test".to_owned(),
        probes: 23,
        events: state.events(),
        losses: Losses { ring_full: 2, probe_missed: 1, map_full: 4, destroys: 0 },
        without_site: 3,
        accounts: vec![Account {
            cpu: 1,
            kind: "queued".to_owned(),
            seen: 9,
            delivered: 4,
            lost: 2,
            filtered: 3,
        }],
        attach_ns: 700_000_000,
        duration_ns: 471_000_000,
        verdicts: verdicts(state),
        command_status: 7,
        events_cut_short: false,
        incomplete: None,
        failed: None,
        policy: Policy { strict: true, exit_flagged: 33, ..Policy::default() },
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn written(name: &str, script: &Script, then: impl FnOnce(Writer)) -> Folder {
    let path = std::env::temp_dir().join(format!("krcu-replay-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    let meta = Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "0.1.0".to_owned(),
        trace: name.to_owned(),
        kernel: Kernel {
            release: "6.1.0-test".to_owned(),
            arch: "x86_64".to_owned(),
            host: Some("test-host".to_owned()),
            possible_cpus: script.watch.possible_cpus,
            ..Kernel::default()
        },
        clock: Clock { monotonic_ns: script.watch.attached.0, realtime_ns: 1_796_000_000_000_000_000 },
        watch: Seen::of(&script.watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: vec!["rmmod".to_owned()],
        ended: None,
    };
    let mut writer = Writer::create(&path, meta, Limits { rows: 100, ..Limits::default() }).unwrap();
    script.events.iter().for_each(|event| writer.event(event));
    then(writer);
    Folder(path)
}

fn replayed(folder: &Folder) -> Outcome {
    replay(&Reader::open(&folder.0).unwrap()).unwrap().0
}

#[test]
fn a_replay_is_the_run_byte_for_byte_in_every_format() {
    let script = two();
    let mut live = live(&script);
    live.setting = Setting {
        run: "whole".to_owned(),
        arch: "x86_64".to_owned(),
        host: Some("test-host".to_owned()),
        began_ns: Some(1_796_000_000_000_000_000),
        command: Some(vec!["rmmod".to_owned()]),
    };
    // What was required and known is as much a part of the run as its strictness.
    live.policy.require_destroy = vec!["no_such_cache".to_owned()];
    live.policy.known = vec![Known {
        signature: "pending krcu_two.krcu_two_left".to_owned(),
        reason: "the test's own".to_owned(),
        until: "2027-01-31".to_owned(),
        expired: false,
    }];
    let trace = written("whole", &script, |writer| {
        writer.finish(How::Exit, Time(u64::MAX), trace::run(&live)).unwrap();
    });
    let replayed = replayed(&trace);
    for format in Format::value_variants() {
        assert_eq!(format.render(&replayed).unwrap(), format.render(&live).unwrap());
    }
    assert_eq!(replayed.exit_status(), 33);
}

/// The runs of the truth table that are kept, by their names, with the lines of verdicts that krcu printed on the kernel.
fn golden() -> Vec<(String, Script, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/truth");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    paths.sort();
    let read = |path: PathBuf| {
        let script = script::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let printed = fs::read_to_string(path.with_extension("json")).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), script, printed)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_golden_run_prints_the_same_after_a_trace() {
    let runs = golden();
    assert!(runs.len() > 200, "{} runs", runs.len());
    for (name, script, printed) in runs {
        let state = script.replay();
        let live = live_of(&state);
        let trace = written(&format!("golden-{name}"), &script, |writer| {
            writer.finish(How::Exit, Time(u64::MAX), trace::run(&live)).unwrap();
        });
        let reader = Reader::open(&trace.0).unwrap();
        let events: Vec<_> = reader.events().map(Result::unwrap).collect();
        assert_eq!(events, script.events, "{name}: the events of the trace");
        let json = Format::Json.render(&replay(&reader).unwrap().0).unwrap();
        assert_eq!(json, Format::Json.render(&live).unwrap(), "{name}: the report");
        let verdicts: String = json
            .lines()
            .filter(|line| line.contains("\"kind\":\"verdict\""))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(verdicts, printed, "{name}: what krcu printed on the kernel");
    }
}

#[test]
fn without_a_goodbye_what_ended_before_the_last_account_is_decided() {
    let script = two();
    let words = |outcome: &Outcome| -> Vec<&str> {
        outcome.verdicts.iter().map(|verdict| verdict.verdict.word()).collect()
    };
    let told = words(&live(&script));
    assert_eq!(told.len(), 2, "the module has two caches");
    let ends: Vec<Time> = script
        .events
        .iter()
        .filter(|event| matches!(event.what, What::ShutdownEnd { .. }))
        .map(|event| event.time)
        .collect();
    let (first, last) = (ends[0], *ends.last().unwrap());
    // Accounted for until when, and how many of the two can be decided.
    let cases =
        [(None, 0), (Some(Time(first.0 - 1)), 0), (Some(Time(last.0 - 1)), 1), (Some(Time(last.0 + 1)), 2)];
    for (until, decided) in cases {
        let trace = written("no_goodbye", &script, |mut writer| {
            // Every event is with the system; what is not known is what the kernel skipped.
            writer.tick(Time(u64::MAX));
            if let Some(at) = until {
                writer.account(Accounted { at, ..Accounted::default() });
            }
        });
        let outcome = replayed(&trace);
        assert_eq!(outcome.incomplete, Some(Incomplete::NoGoodbye));
        let words = words(&outcome);
        for (place, word) in words.iter().enumerate() {
            let expected = if place < decided { told[place] } else { "inconclusive" };
            assert_eq!(*word, expected, "destroy {place}, accounted until {until:?}");
        }
        let text = Format::Text.render(&outcome).unwrap();
        assert!(text.contains("ends without a goodbye"), "{text}");
        assert_ne!(outcome.exit_status(), 0);
    }
}

#[test]
fn a_loss_that_was_counted_and_not_placed_leaves_everything_before_the_count_open() {
    let script = two();
    let trace = written("counted", &script, |mut writer| {
        writer.tick(Time(u64::MAX));
        writer.account(Accounted { at: Time(u64::MAX - 1), missed: 1, ..Accounted::default() });
    });
    let outcome = replayed(&trace);
    assert_eq!(outcome.losses.probe_missed, 1);
    assert!(outcome.verdicts.iter().all(|verdict| verdict.verdict.word() == "inconclusive"));
}

#[test]
fn a_trace_that_is_cut_short_says_so_and_fails() {
    let script = two();
    let live = live(&script);
    let trace = written("cut_short", &script, |writer| {
        writer.finish(How::CutShort, Time(u64::MAX), trace::run(&live)).unwrap();
    });
    let outcome = replayed(&trace);
    assert_eq!(outcome.incomplete, Some(Incomplete::CutShort));
    assert_eq!(outcome.exit_status(), 1);
}

#[test]
fn a_damaged_end_takes_nothing_from_what_was_written_before_it() {
    let script = two();
    let live = live(&script);
    // The last bytes of a file are turned over, as a power cut leaves them.
    let damage = |trace: &Folder, file: &str, bytes: usize| {
        let path = trace.0.join(file);
        let mut content = fs::read(&path).unwrap();
        let begin = content.len().saturating_sub(bytes);
        content[begin..].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(&path, content).unwrap();
    };
    let ended = |writer: Writer| writer.finish(How::Exit, Time(u64::MAX), trace::run(&live)).unwrap();
    let killed = |mut writer: Writer| {
        let at = Time(1);
        writer.account(Accounted { at, ..Accounted::default() });
        writer.account(Accounted { at: Time(u64::MAX - 1), ..Accounted::default() });
    };
    type Case<'a> = (&'a str, usize, &'a dyn Fn(Writer), Incomplete);
    let cases: [Case<'_>; 5] = [
        ("events-00000.arrows", 2000, &ended, Incomplete::Damaged),
        ("events-00000.index", 20, &ended, Incomplete::Damaged),
        ("events-00000.arrows", 2000, &killed, Incomplete::NoGoodbye),
        ("events-00000.index", 20, &killed, Incomplete::NoGoodbye),
        ("accounted", 20, &killed, Incomplete::NoGoodbye),
    ];
    for (place, (file, bytes, then, incomplete)) in cases.into_iter().enumerate() {
        let trace = written(&format!("damaged-{place}"), &script, then);
        damage(&trace, file, bytes);
        let (outcome, damage) = replay(&Reader::open(&trace.0).unwrap()).unwrap();
        let damage = damage.unwrap().to_string();
        assert!(damage.contains(file), "{place}: {damage}");
        assert_eq!(outcome.incomplete, Some(incomplete), "{place}");
        let most = script.events.len() as u64;
        assert!((1..=most).contains(&outcome.events), "{place}: {} of {most} events", outcome.events);
        // What is decided is decided as the run did. The only account that can be read vouches for nothing.
        let words: Vec<&str> = outcome.verdicts.iter().map(|verdict| verdict.verdict.word()).collect();
        for (word, told) in words.iter().zip(&live.verdicts) {
            assert!(*word == told.verdict.word() || *word == "inconclusive", "{place}: {words:?}");
        }
        assert!(
            file != "accounted" || words.iter().all(|word| *word == "inconclusive"),
            "{place}: {words:?}"
        );
        assert_ne!(outcome.exit_status(), 0, "{place}");
        let text = Format::Text.render(&outcome).unwrap();
        assert!(text.contains("what came after is not known"), "{place}: {text}");
    }
    // What cannot be read at all is an error, whatever its end says.
    let trace = written("damaged-first", &script, ended);
    damage(&trace, "events-00000.arrows", usize::MAX);
    assert!(replay(&Reader::open(&trace.0).unwrap()).is_err());
}

/// Everything that a trace of this folder has in its files.
fn bytes(folder: &Path) -> Vec<u8> {
    fs::read_dir(folder).unwrap().flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn an_anonymous_trace_has_the_verdicts_of_its_original_after_the_same_renaming() {
    for (name, script, _) in golden() {
        let live = live_of(&script.replay());
        let trace = written(&format!("named-{name}"), &script, |writer| {
            writer.finish(How::Exit, Time(u64::MAX), trace::run(&live)).unwrap();
        });
        let to = Folder(trace.0.with_extension("anonymous"));
        drop(fs::remove_dir_all(&to.0));
        anonymise(&trace.0, &to.0).unwrap();
        // The renaming, of the events of the original.
        let numbers = Numbers::of(script.events.iter().cloned());
        let mut renamed = State::new(script.watch.clone());
        script.events.iter().for_each(|event| renamed.step(numbers.renumbered(event.clone())));
        let renamed = Format::Json.render(&live_of(&renamed)).unwrap();
        let anonymous = Format::Json.render(&replayed(&to)).unwrap();
        assert_eq!(anonymous, renamed, "{name}");
        // Apart from the names of tasks it is what the run said.
        let mut told: Vec<FlatVerdict> = live.verdicts.clone();
        for verdict in &mut told {
            let comm = &mut verdict.destroyed_by.comm;
            if !comm.is_empty() {
                TASK.clone_into(comm);
            }
            if let Some(lucky) = verdict.lucky_barrier.as_mut().filter(|lucky| !lucky.comm.is_empty()) {
                TASK.clone_into(&mut lucky.comm);
            }
        }
        assert_eq!(replayed(&to).verdicts, told, "{name}");
    }
}

#[test]
fn an_anonymous_trace_names_nobody_and_no_address() {
    let script = two();
    let live = live(&script);
    let trace = written("secret", &script, |writer| {
        writer.finish(How::Exit, Time(u64::MAX), trace::run(&live)).unwrap();
    });
    let mut meta = Meta::load(&trace.0).unwrap();
    meta.kernel.host = Some("my-host".to_owned());
    meta.kernel.boot_id = Some("my-boot".to_owned());
    meta.command = vec!["my-command".to_owned()];
    meta.store(&trace.0).unwrap();
    in_place(&trace.0).unwrap();
    let all = String::from_utf8_lossy(&bytes(&trace.0)).into_owned();
    for word in ["my-host", "test-host", "my-boot", "my-command", "secret"] {
        assert!(!all.contains(word), "{word}");
    }
    for event in Reader::open(&trace.0).unwrap().events() {
        let line = script::line(&event.unwrap());
        assert!(!line.contains("ffff") && !line.contains("rmmod"), "{line}");
    }
    // Only the owner can read a trace.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&trace.0), 0o700);
    for entry in fs::read_dir(&trace.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
