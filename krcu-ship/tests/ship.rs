//! Ship: a trace of a real run is brought to a folder once, DONE comes last, and a run that was ended goes on where it was.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{
    cell::Cell,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::SystemTime,
};

use anyhow::{Result, bail};
use krcu_model::{event::Time, script};
use krcu_ship::{
    destination::Destination,
    done::{Done, Part},
    folder::Folder,
    layout::{DONE, Fleet, Place, place_of},
    sender::{self, Bound, Sent},
};
use krcu_trace::{
    FORMAT, How, Limits, Meta, Writer,
    meta::{Clock, Kernel, Run, Seen},
};
use nix::fcntl::{Flock, FlockArg};

/// A day before the present one.
const ATTACHED_UTC_NS: u64 = 1_793_577_600_000_000_000;

fn bound() -> Bound {
    Bound { bytes: u64::MAX, unfinished: false }
}

/// A trace of this boot.
fn trace(folder: &Path, name: &str, is_ended: bool) -> PathBuf {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    trace_of(folder, name, is_ended, boot.trim())
}

/// A trace of many small segments, so that it has many files.
fn trace_of(folder: &Path, name: &str, is_ended: bool, boot: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-two.script");
    let script = script::read(&fs::read_to_string(golden).unwrap()).unwrap();
    let attached = script.watch.attached.0;
    let meta = Meta {
        format: FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: "0.1.0".to_owned(),
        trace: format!("{boot}-{attached}-{name}"),
        kernel: Kernel {
            host: Some("farm/7".to_owned()),
            boot_id: Some(boot.to_owned()),
            possible_cpus: 2,
            ..Kernel::default()
        },
        clock: Clock { monotonic_ns: attached, realtime_ns: ATTACHED_UTC_NS },
        watch: Seen::of(&script.watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let path = folder.join(format!("{name}.krcu"));
    let limits = Limits { rows: 50, segment_bytes: Some(1), ..Limits::default() };
    let mut writer = Writer::create(&path, meta, limits).unwrap();
    script.events.iter().for_each(|event| writer.event(event));
    if is_ended {
        writer.finish(How::Exit, Time(attached), Run::default()).unwrap();
    }
    path
}

fn place(trace: &Path) -> Place {
    place_of(&Meta::load(trace).unwrap()).unwrap()
}

/// A folder that takes only so many files, and then none, as one whose server has gone.
struct Failing {
    folder: Folder,
    left: Cell<usize>,
}

impl Destination for Failing {
    fn size(&self, path: &str) -> Result<Option<u64>> {
        self.folder.size(path)
    }

    fn read(&self, path: &str) -> Result<Option<String>> {
        self.folder.read(path)
    }

    fn put(&self, path: &str, from: &Path, part: &Part) -> Result<()> {
        let Some(left) = self.left.get().checked_sub(1) else { bail!("the server is gone") };
        self.left.set(left);
        self.folder.put(path, from, part)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        self.folder.write(path, text)
    }
}

#[test]
fn a_run_that_ends_after_any_file_goes_on_from_there_and_done_is_last() {
    let here = tempfile::tempdir().unwrap();
    let trace = trace(here.path(), "one", true);
    let files = Done::of(&trace).unwrap().files.len();
    assert!(files > 10, "{files} files");
    for left in 0..=files {
        let fleet = tempfile::tempdir().unwrap();
        let failing = Failing { folder: Folder::new(fleet.path()).unwrap(), left: Cell::new(left) };
        let there = Fleet::new(fleet.path()).trace(&place(&trace));
        let first = sender::send(&trace, &failing, &mut bound());
        assert_eq!(first.is_ok(), left == files);
        assert_eq!(there.join(DONE).exists(), left == files, "after {left} of {files} files");
        if left < files {
            failing.left.set(files - left);
            let sent = sender::send(&trace, &failing, &mut bound()).unwrap();
            let rest: u64 = Done::of(&trace).unwrap().files[left..].iter().map(|part| part.bytes).sum();
            assert_eq!(sent, Sent::Now(rest), "what was there is not sent again");
        }
        Done::of(&trace).unwrap().check(&there).unwrap();
        // Nothing more may be sent.
        failing.left.set(0);
        assert_eq!(sender::send(&trace, &failing, &mut bound()).unwrap(), Sent::Before);
    }
}

#[test]
fn a_half_of_a_file_is_completed_and_a_wrong_half_is_found() {
    let here = tempfile::tempdir().unwrap();
    let trace = trace(here.path(), "one", true);
    let place = place(&trace);
    let part = Done::of(&trace).unwrap().files.into_iter().max_by_key(|part| part.bytes).unwrap();
    let whole = fs::read(trace.join(&part.name)).unwrap();
    for (is_right, length) in
        [(true, 0), (true, 100), (true, whole.len()), (false, 100), (false, whole.len() + 1)]
    {
        let fleet = tempfile::tempdir().unwrap();
        let there = Fleet::new(fleet.path()).trace(&place);
        fs::create_dir_all(&there).unwrap();
        let half: Vec<u8> = if is_right { whole[..length].to_vec() } else { vec![b'x'; length] };
        fs::write(there.join(format!(".{}.partial", part.name)), half).unwrap();
        let folder = Folder::new(fleet.path()).unwrap();
        // What is longer than the file is thrown away at once, and what has other bytes when they have been compared.
        let first = sender::send(&trace, &folder, &mut bound());
        assert_eq!(first.is_ok(), is_right || length > whole.len());
        sender::send(&trace, &folder, &mut bound()).unwrap();
        Done::of(&trace).unwrap().check(&there).unwrap();
        assert_eq!(Done::of(&there).unwrap(), Done::of(&trace).unwrap(), "no half is left beside the files");
    }
}

#[test]
fn what_is_not_finished_changed_or_beyond_the_bound_is_not_shipped() {
    let (here, fleet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = Folder::new(fleet.path()).unwrap();
    let (one, open) = (trace(here.path(), "one", true), trace(here.path(), "open", false));
    assert_eq!(sender::traces(&[here.path().to_owned()]).unwrap(), [one.clone(), open.clone()]);
    assert_eq!(sender::send(&open, &folder, &mut bound()).unwrap(), Sent::Unfinished);
    let bytes = Done::of(&one).unwrap().bytes();
    let mut small = Bound { bytes: bytes - 1, unfinished: false };
    assert_eq!(sender::send(&one, &folder, &mut small).unwrap(), Sent::Left(bytes));
    let mut enough = Bound { bytes, unfinished: true };
    assert_eq!(sender::send(&one, &folder, &mut enough).unwrap(), Sent::Now(bytes));
    assert_eq!(enough.bytes, 0);
    assert!(matches!(sender::send(&open, &folder, &mut enough).unwrap(), Sent::Left(_)));
    // A host's name stays one part of the path.
    let there = Fleet::new(fleet.path()).trace(&place(&one));
    assert!(there.to_string_lossy().contains("/day=2026-11-02/host=farm%2F7/"), "{}", there.display());
    fs::write(one.join("events-00000.arrows"), b"other").unwrap();
    let error = sender::send(&one, &folder, &mut bound()).unwrap_err().to_string();
    assert!(error.contains("has changed since (events-00000.arrows)"), "{error}");
    let error = Folder::new(&fleet.path().join("absent")).unwrap_err().to_string();
    assert!(error.ends_with("is no folder: create the fleet's folder, or mount it"), "{error}");
}

#[test]
fn a_program_that_waits_ships_when_it_is_told_and_nothing_without_a_word() {
    let (here, fleet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trace = trace(here.path(), "open", false);
    let said = |word: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_krcu-ship"));
        command.arg(&trace).arg("--to").arg(fleet.path()).args(["--unfinished", "--when-told"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(word).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(b""), "ready\n");
    assert!(!fleet.path().join("traces").exists());
    assert!(said(b"now\n").starts_with("ready\nshipped 1 traces,"));
    let there = Fleet::new(fleet.path()).trace(&place(&trace));
    Done::of(&trace).unwrap().check(&there).unwrap();
}

/// A folder that looks at the trace while it is shipped: whether somebody else could ship it as well.
struct Looking {
    folder: Folder,
    trace: PathBuf,
    is_locked: Cell<bool>,
}

impl Destination for Looking {
    fn size(&self, path: &str) -> Result<Option<u64>> {
        self.folder.size(path)
    }

    fn read(&self, path: &str) -> Result<Option<String>> {
        self.is_locked.set(!is_free(&self.trace));
        self.folder.read(path)
    }

    fn put(&self, path: &str, from: &Path, part: &Part) -> Result<()> {
        self.is_locked.set(self.is_locked.get() && !is_free(&self.trace));
        self.folder.put(path, from, part)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        self.is_locked.set(self.is_locked.get() && !is_free(&self.trace));
        self.folder.write(path, text)
    }
}

fn is_free(trace: &Path) -> bool {
    Flock::lock(File::open(trace).unwrap(), FlockArg::LockExclusiveNonblock).is_ok()
}

#[test]
fn nobody_ships_a_trace_that_somebody_ships() {
    let (here, fleet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trace = trace(here.path(), "one", true);
    let looking = Looking {
        folder: Folder::new(fleet.path()).unwrap(),
        trace: trace.clone(),
        is_locked: Cell::new(false),
    };
    assert!(matches!(sender::send(&trace, &looking, &mut bound()).unwrap(), Sent::Now(_)));
    assert!(looking.is_locked.get(), "from the look for DONE until DONE is written");
    assert!(is_free(&trace));
    // Several at once: one ships it, and the others find it there.
    let fleet = tempfile::tempdir().unwrap();
    let sent: Vec<Sent> = thread::scope(|scope| {
        let send = || sender::send(&trace, &Folder::new(fleet.path()).unwrap(), &mut bound()).unwrap();
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(sent.iter().filter(|sent| **sent == Sent::Before).count(), 7, "{sent:?}");
}

#[test]
fn a_trace_of_another_boot_that_is_still_written_is_not_shipped() {
    let (here, fleet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = Folder::new(fleet.path()).unwrap();
    let open = trace_of(here.path(), "received", false, "another-boot");
    assert_eq!(sender::send(&open, &folder, &mut bound()).unwrap(), Sent::Unfinished);
    for entry in fs::read_dir(&open).unwrap() {
        let file = File::options().append(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    assert!(matches!(sender::send(&open, &folder, &mut bound()).unwrap(), Sent::Now(_)));
}

#[test]
fn a_trace_that_is_larger_than_a_run_may_send_fails_the_run_and_keeps_no_other_back() {
    let (here, fleet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let large = trace(here.path(), "large", true);
    let small = trace(here.path(), "small", true);
    let script = large.join("events-00000.arrows");
    File::options().append(true).open(&script).unwrap().write_all(&[0; 4096]).unwrap();
    let most = Done::of(&small).unwrap().bytes();
    assert!(most < Done::of(&large).unwrap().bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_krcu-ship"));
    command.arg(here.path()).arg("--to").arg(fleet.path()).arg("--at-most").arg(most.to_string());
    let output = command.output().unwrap();
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out.starts_with("shipped 1 traces,") && out.ends_with("0 are left for the next run, 1 failed\n"),
        "{out}"
    );
    assert!(error.contains("no run ships it until that is larger"), "{error}");
    Done::of(&small).unwrap().check(&Fleet::new(fleet.path()).trace(&place(&small))).unwrap();
}
