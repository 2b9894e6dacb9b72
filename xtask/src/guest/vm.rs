//! Boots a test machine, runs one command in it as root, and brings back its output, its files and its status.
//!
//! Output, errors, control lines and `/out` come over virtio-serial ports of their own; the kernel's console goes to
//! a log that is shown only when the machine is lost. A machine ends in one of three ways, and each is told apart: it
//! reported a status; it died (a panic: the kernel is told to reboot at once, and qemu not to); or its time ran out.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, anyhow, bail};

use crate::cache;
use crate::debian::kernel::{Kernel, Series};
use crate::debian::module;
use crate::digest;
use crate::guest::initramfs::{BOOT_UNIT, Contents};
use crate::guest::qemu::{Acceleration, Hardware, Port, Stops};
use crate::guest::stream::{self, Received, Sink};
use crate::host;
use crate::progress::{Job, say, tail_of};
use crate::toolchain::build;

/// Lines of the console that are shown when a machine is lost.
const CONSOLE_LINES: usize = 50;
/// Folders of runs are named by this and the number of the process.
const RUN_FOLDER: &str = "krcu-vm-";
/// How long the last bytes may take after the machine reported its status.
const LAST_BYTES: Duration = Duration::from_secs(30);

/// What to boot and what to run in it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The kernel's series.
    pub(crate) kernel: Series,
    /// Folders of out-of-tree modules; each `NAME.ko` is put at `/modules/NAME.ko`.
    pub(crate) modules: Vec<PathBuf>,
    /// Names of the kernel's own modules, for `modprobe` inside.
    pub(crate) in_tree: Vec<String>,
    /// Files or folders: where they are here and where they are put.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Where the contents of `/out` go; they are dropped when there is no place.
    pub(crate) out: Option<PathBuf>,
    /// One processor whose clock counts instructions (no KVM).
    pub(crate) icount: bool,
    /// Memory, in MiB.
    pub(crate) memory_mib: u32,
    /// Number of processors.
    pub(crate) cpus: u32,
    /// Added to the kernel's command line.
    pub(crate) append: String,
    /// How long the machine may run, from its start. While it waits for a processor of this computer, the time stands still.
    pub(crate) timeout: Duration,
    /// KVM or emulation.
    pub(crate) acceleration: Acceleration,
    /// Shell text, run by `sh` as root.
    pub(crate) command: String,
    /// Whether output is shown as it comes; it is in the [`Outcome`] either way.
    pub(crate) show: bool,
    /// Set when the machine runs the command.
    pub(crate) is_up: Arc<AtomicBool>,
    /// The root of a Debian whose systemd boots and runs the command, in place of busybox.
    pub(crate) debian: Option<PathBuf>,
    /// Sockets of one who stops it.
    pub(crate) stops: Option<Stops>,
}

/// What became of a machine that reported a status.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The command's exit status.
    pub(crate) status: i32,
    /// What it wrote to its standard output.
    pub(crate) stdout: String,
    /// What it wrote to its standard error.
    pub(crate) stderr: String,
    /// The kernel's release.
    pub(crate) release: String,
    /// How the processor was made.
    pub(crate) acceleration: Acceleration,
    /// From qemu's start to the command's.
    pub(crate) boot: Duration,
    /// From qemu's start to its end.
    pub(crate) total: Duration,
}

impl Run {
    /// A run with everything at its default.
    pub(crate) fn new(kernel: Series, command: &str) -> Self {
        Self {
            kernel,
            modules: Vec::new(),
            in_tree: Vec::new(),
            files: Vec::new(),
            out: None,
            icount: false,
            memory_mib: 1024,
            cpus: 2,
            append: String::new(),
            timeout: Duration::from_secs(300),
            acceleration: Acceleration::Auto,
            command: command.to_owned(),
            show: false,
            is_up: Arc::default(),
            debian: None,
            stops: None,
        }
    }

    /// Fetches the kernel, builds the modules, and finds out whether KVM is usable: all that the machine needs besides the
    /// programs.
    ///
    /// # Errors
    ///
    /// When one of these cannot be had.
    pub(crate) fn prepare(&self) -> Result<()> {
        let kernel = &Kernel::newest(&self.kernel)?;
        let vmlinuz = kernel.image()?.vmlinuz()?;
        if !self.icount {
            self.acceleration.settle(kernel.architecture, &vmlinuz)?;
        }
        self.modules.iter().try_for_each(|source| module::build(source, kernel).map(drop))
    }

    /// Boots the machine and waits for its end.
    ///
    /// # Errors
    ///
    /// When something cannot be prepared, and when the machine panics, hangs past the time allowed or is lost: with
    /// the console's last lines and the path of the whole console log.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let kernel = &Kernel::newest(&self.kernel)?;
        let image = &kernel.image()?;
        let vmlinuz = image.vmlinuz()?;
        let architecture = kernel.architecture;
        let acceleration =
            if self.icount { Acceleration::Tcg } else { self.acceleration.settle(architecture, &vmlinuz)? };
        let mut modules = Vec::new();
        for source in &self.modules {
            modules.extend(module::build(source, kernel)?);
        }
        let folder = RunFolder::create(&kernel.release)?;
        let mark = format!("krcu-end-{}", folder.number);
        let initramfs = folder.path.join("initramfs");
        Contents {
            kernel,
            image,
            command: &self.command,
            mark: &mark,
            modules: &modules,
            in_tree: &self.in_tree,
            files: &self.files,
            programs: &build::programs(architecture)?,
            debian: self.debian.as_deref(),
        }
        .write(&initramfs)?;
        let session = Session::listen(&folder.path, &format!("\u{1}{mark}"))?;
        let boot_unit = if self.debian.is_some() { BOOT_UNIT } else { "" };
        let machine = Hardware {
            architecture,
            acceleration,
            icount: self.icount,
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            vmlinuz: &vmlinuz,
            initramfs: &initramfs,
            append: &format!("{boot_unit} {}", self.append),
            folder: &folder.path,
            ports: &session.ports(),
            stops: self.stops.as_ref(),
        };
        let started = Instant::now();
        let mut qemu = Qemu(machine.start()?);
        let ended = session.follow(&mut qemu, self, started);
        qemu.end();
        let ended = ended.map_err(|error| folder.lost(&kernel.release, &error))?;
        if let Some(out) = &self.out {
            cache::create_folder(out)?;
            if ended.out_bytes > 0 {
                Job { what: "unpacking /out", advice: "is the disk full?" }.run(
                    Command::new("tar")
                        .args(["-x", "--no-same-owner", "-f"])
                        .arg(folder.path.join("out.tar"))
                        .arg("-C")
                        .arg(out),
                )?;
            }
        }
        Ok(Outcome {
            status: ended.status,
            stdout: String::from_utf8_lossy(&ended.stdout.bytes).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr.bytes).into_owned(),
            release: kernel.release.clone(),
            acceleration,
            boot: ended.boot,
            total: started.elapsed(),
        })
    }
}

/// A qemu that is killed when nobody waits for it any more.
struct Qemu(Child);

impl Qemu {
    /// How long it has waited for a processor: the thread of those that waited longest, for one thread emulates.
    fn waited(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id()));
        let waited = tasks.into_iter().flatten().filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().nth(1)?.parse().ok()
        });
        Duration::from_nanos(waited.max().unwrap_or(0))
    }

    fn end(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.end();
    }
}

/// The host's ends of the machine's ports.
struct Session {
    folder: PathBuf,
    mark: Vec<u8>,
    stdout: UnixListener,
    stderr: UnixListener,
    control: UnixListener,
}

/// What a whole session brought.
struct Ended {
    status: i32,
    stdout: Received,
    stderr: Received,
    boot: Duration,
    out_bytes: u64,
}

const SOCKETS: [&str; 3] = ["stdout", "stderr", "control"];

impl Session {
    fn listen(folder: &Path, mark: &str) -> Result<Self> {
        let bind = |name: &str| {
            let path = folder.join(name);
            UnixListener::bind(&path).with_context(|| format!("listening on {}", path.display()))
        };
        let [stdout, stderr, control] = SOCKETS;
        Ok(Self {
            stdout: bind(stdout)?,
            stderr: bind(stderr)?,
            control: bind(control)?,
            folder: folder.to_path_buf(),
            mark: mark.as_bytes().to_vec(),
        })
    }

    fn ports(&self) -> Vec<Port> {
        let mut ports: Vec<Port> = SOCKETS.iter().map(|name| Port::Socket(self.folder.join(name))).collect();
        ports.push(Port::File(self.folder.join("out.tar")));
        ports
    }

    /// Waits until the machine reported its status and everything it sent has arrived.
    fn follow(&self, qemu: &mut Qemu, run: &Run, started: Instant) -> Result<Ended> {
        let (stdout_sink, stderr_sink) =
            if run.show { (Sink::Stdout, Sink::Stderr) } else { (Sink::Keep, Sink::Keep) };
        thread::scope(|scope| {
            let (lines, control) = mpsc::channel();
            scope.spawn(move || read_lines(&self.control, &lines));
            let (done, finished) = mpsc::channel();
            let second = done.clone();
            scope.spawn(move || done.send((0, stream::receive(&self.stdout, &self.mark, stdout_sink))));
            scope.spawn(move || second.send((1, stream::receive(&self.stderr, &self.mark, stderr_sink))));
            let report = self.wait_for_report(qemu, &control, (started, run.timeout), &run.is_up);
            let report = report.and_then(|report| self.wait_for_out(&report).map(|()| report));
            let mut streams = [Received::default(), Received::default()];
            let mut waiting = streams.len();
            while waiting > 0 && report.is_ok() {
                let Ok((index, received)) = finished.recv_timeout(LAST_BYTES) else { break };
                if let Some(slot) = streams.get_mut::<usize>(index) {
                    *slot = received;
                }
                waiting -= 1;
            }
            // No reader may be left waiting for a machine that is gone or never came.
            qemu.end();
            for name in SOCKETS {
                drop(UnixStream::connect(self.folder.join(name)));
            }
            let report = report?;
            let [stdout, stderr] = streams;
            if !(stdout.whole && stderr.whole) {
                bail!("the machine reported its status but its output is not whole");
            }
            Ok(Ended {
                status: report.status,
                stdout,
                stderr,
                boot: report.boot,
                out_bytes: report.out_bytes,
            })
        })
    }

    fn wait_for_report(
        &self,
        qemu: &mut Qemu,
        control: &Receiver<String>,
        (started, timeout): (Instant, Duration),
        is_up: &AtomicBool,
    ) -> Result<Ending> {
        let mut report = Ending { status: 0, boot: Duration::ZERO, out_bytes: 0, out_digest: String::new() };
        loop {
            if started.elapsed() > timeout {
                let waited = qemu.waited();
                if started.elapsed() > timeout + waited {
                    let phase = if report.boot.is_zero() {
                        "it never ran the command"
                    } else {
                        "the command still ran"
                    };
                    bail!(
                        "the machine was ended after {} s, in {} of which it waited for a processor: {phase} (--timeout)",
                        (timeout + waited).as_secs(),
                        waited.as_secs()
                    );
                }
            }
            let line = match control.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(status) = qemu.0.try_wait().context("waiting for qemu")?
                        && control.try_recv().is_err()
                    {
                        bail!("{} ({status})", self.why_lost());
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => bail!("{}", self.why_lost()),
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["ready", ..] => {
                    report.boot = started.elapsed();
                    is_up.store(true, Ordering::Relaxed);
                }
                ["out", bytes, digest] => {
                    report.out_bytes = bytes.parse().with_context(|| format!("reading `{line}`"))?;
                    report.out_digest = (*digest).to_owned();
                }
                ["status", status] => {
                    report.status = status.parse().with_context(|| format!("reading `{line}`"))?;
                    return Ok(report);
                }
                _ => bail!("the machine said `{line}`, which is no control line"),
            }
        }
    }

    /// Waits until qemu has written all of `/out`'s archive, and compares its digest.
    fn wait_for_out(&self, report: &Ending) -> Result<()> {
        let path = self.folder.join("out.tar");
        let deadline = Instant::now() + LAST_BYTES;
        let size = || fs::metadata(&path).map_or(0, |metadata| metadata.len());
        while size() < report.out_bytes {
            if Instant::now() > deadline {
                bail!("{} of {} bytes of /out arrived", size(), report.out_bytes);
            }
            thread::sleep(Duration::from_millis(10));
        }
        if report.out_bytes > 0 && digest::of_file(&path)? != report.out_digest {
            bail!("the archive of /out was damaged on its way");
        }
        Ok(())
    }

    fn why_lost(&self) -> &'static str {
        let console = fs::read(self.folder.join("console.log")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        if console.contains("Kernel panic - not syncing") {
            "the kernel panicked"
        } else if console.contains("krcu-init: ") {
            "the machine gave up before the command ran"
        } else {
            "the machine went away without a status"
        }
    }
}

struct Ending {
    status: i32,
    boot: Duration,
    out_bytes: u64,
    out_digest: String,
}

fn read_lines(listener: &UnixListener, lines: &mpsc::Sender<String>) {
    let Ok((socket, _)) = listener.accept() else { return };
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// A folder for one run. Its path is short, as paths of sockets have to be. It is removed after the run; the logs of a lost
/// machine are moved away first.
struct RunFolder {
    path: PathBuf,
    number: String,
}

impl RunFolder {
    fn create(release: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        sweep(&env::temp_dir());
        let path = env::temp_dir().join(format!("{RUN_FOLDER}{number}"));
        fs::create_dir(&path).with_context(|| format!("creating {} for {release}", path.display()))?;
        Ok(Self { path, number })
    }

    /// The error of a lost machine: what happened, the console's last lines, where all of it is.
    fn lost(&self, release: &str, error: &Error) -> Error {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(self.path.join(name)).unwrap_or_default()).replace('\r', "")
        };
        let console = read("console.log");
        let qemu = read("qemu.log");
        let kept = host::target_folder().join("vm").join(format!("console-{release}-{}.log", self.number));
        if let Err(error) = cache::write_file(&kept, console.as_bytes()) {
            say(&format!("the console log could not be kept: {error:#}"));
        }
        let qemu = if qemu.trim().is_empty() {
            String::new()
        } else {
            format!("\nqemu said:\n{}", tail_of(&qemu, 10))
        };
        anyhow!(
            "{error:#}\n{release}: last lines of the console (all of it: {}):\n{}{qemu}",
            kept.display(),
            tail_of(&console, CONSOLE_LINES)
        )
    }
}

/// Removes what killed runs have left: folders with the number of a process that no longer exists.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(RUN_FOLDER).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}
