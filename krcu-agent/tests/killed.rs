//! A recorder that is killed with SIGKILL at any moment leaves a trace that reads up to some event, and that says so.
//!
//! The recorder is this program, started again: the writer of traces with its queue, its thread and the real disk, without
//! probes. `KRCU_KILLS` says how often it is killed; `cargo xtask reliability` asks for a thousand.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails is a failed test")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use krcu_agent::disk::Queued;
use krcu_common::{ABI_VERSION, FreePath};
use krcu_model::{
    Event,
    event::{CacheAddress, Cpu, ObjectAddress, Task, Time, What},
};
use krcu_trace::{
    Accounted, FORMAT, Limits, Meta, Reader, Writer,
    disk::{Direct, Disk as _},
    meta,
};

/// The variable by which this program knows that it is the recorder, with the folder.
const FOLDER: &str = "KRCU_KILLED_FOLDER";
/// Nanoseconds between two events.
const EVERY: u64 = 1_000_000;

fn event(number: u64) -> Event {
    Event {
        time: Time(number * EVERY),
        task: Task(7),
        cpu: Cpu(0),
        what: What::Freed { object: ObjectAddress(number), cache: CacheAddress(1), path: FreePath::Bulk },
    }
}

/// Records for ever, and prints a line for each account.
fn recorder(folder: &Path) -> ! {
    let meta = Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "a test".to_owned(),
        trace: "killed".to_owned(),
        kernel: meta::Kernel::default(),
        clock: meta::Clock::default(),
        watch: meta::Seen::default(),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let limits = Limits {
        rows: 300,
        segment_bytes: Some(50_000),
        sync: Some(Duration::from_secs(2)),
        ..Limits::default()
    };
    let disk = Arc::new(Queued::start(Arc::new(Direct)).unwrap());
    let mut writer = Writer::create_on(disk.clone(), folder, meta, limits).unwrap();
    // As a run does before it watches: from here on there is a trace.
    disk.settle().unwrap();
    for number in 1.. {
        writer.event(&event(number));
        if number % 1000 == 0 {
            let at = Time(number * EVERY);
            writer.account(Accounted { at, missed: number / 1000, ..Accounted::default() });
            println!("account");
        }
    }
    unreachable!("it is killed before that")
}

#[test]
fn a_recorder_that_is_killed_at_any_moment_leaves_what_it_had_written() {
    if let Some(folder) = env::var_os(FOLDER) {
        recorder(&PathBuf::from(folder));
    }
    let kills = env::var("KRCU_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12_u64);
    let folder = env::temp_dir().join(format!("krcu-killed-{}", std::process::id()));
    let (mut empty, mut rows) = (0, 0);
    for kill in 0..kills {
        drop(fs::remove_dir_all(&folder));
        let name = "a_recorder_that_is_killed_at_any_moment_leaves_what_it_had_written";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It goes on while this reads, so that the kill meets it anywhere.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = usize::try_from(kill * 7 % 40).unwrap() + 1;
        let seen = lines.map(Result::unwrap).filter(|line| line.ends_with("account")).take(wanted).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, wanted);
        let read = judge(&folder);
        empty += u64::from(read == 0);
        rows += read;
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(rows > kills * 100, "{rows} rows after {kills} kills");
    println!(
        "figure: kill -9 of the recorder's writer | {kills} moments | {rows} rows read in all, {empty} traces without \
         rows, each said that it has no end or no description | 0"
    );
}

/// The rows that can be read.
fn judge(folder: &Path) -> u64 {
    let reader = match Reader::open(folder) {
        // The thread that writes had not got to it.
        Err(error) if error.to_string().contains("meta.json") && !folder.join("meta.json").exists() => {
            return 0;
        }
        opened => opened.unwrap(),
    };
    assert!(reader.meta().ended.is_none());
    let mut salvage = reader.salvage().unwrap();
    let (mut rows, mut missed, mut unknown) = (0, 0, None);
    for read in salvage.by_ref() {
        match &read.what {
            What::Gap(gap) if gap.until == Time(u64::MAX) => unknown = Some(gap.from),
            What::Gap(gap) => missed += gap.events,
            _ => {
                rows += 1;
                assert_eq!(read, event(rows));
            }
        }
    }
    assert!(salvage.damage().is_none(), "{:?}", salvage.damage());
    let unknown = unknown.expect("it does not say that its end is not known");
    assert!(unknown < event(rows + 1).time, "{rows} rows, and unknown is {unknown:?} on");
    assert_eq!(missed, unknown.0 / (1000 * EVERY), "the skipped runs up to the last account");
    rows
}
