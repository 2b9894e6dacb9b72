//! The qemu command line, and the choice between KVM and emulation.
//!
//! That `/dev/kvm` can be opened, even that a machine can be made, says little: nested or emulated virtualisation
//! may run a thousand times slower than no KVM at all. The only probe that means anything is a boot, so the first
//! use after this computer started boots the very kernel to an init that powers off, against a deadline.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::ValueEnum;

use crate::architecture::Architecture;
use crate::cache;
use crate::debian::packaged;
use crate::guest::cpio::Cpio;
use crate::host;
use crate::progress::say;

/// What a machine of an architecture is made of.
struct Board {
    /// qemu's program.
    program: &'static str,
    /// The package that it is in.
    package: &'static str,
    /// The machine and the processor. Signing pointers as the architecture has it takes half of an emulated processor's
    /// time; this qemu may sign them in its own way.
    arguments: &'static [&'static str],
    /// The first serial port, as the kernel calls it.
    console: &'static str,
}

impl Board {
    const fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Amd64 => Self {
                program: "qemu-system-x86_64",
                package: "qemu-system-x86",
                arguments: &["-cpu", "max"],
                console: "ttyS0",
            },
            Architecture::Arm64 => Self {
                program: "qemu-system-aarch64",
                package: "qemu-system-arm",
                arguments: &["-M", "virt", "-cpu", "max,pauth-impdef=on"],
                console: "ttyAMA0",
            },
        }
    }
}

/// A kernel that KVM really runs is up in about one second; emulation takes three.
const KVM_DEADLINE: Duration = Duration::from_secs(8);

/// How the machine's processors are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acceleration {
    /// KVM if a real boot shows that it works, otherwise emulation.
    Auto,
    /// KVM, without that test.
    Kvm,
    /// Emulation of all processors in one thread, in turns. The kernel sets breakpoints when probes come and
    /// go. With a thread for each processor, we saw a processor loop for ever, or crash, at a breakpoint that
    /// another processor had removed.
    Tcg,
}

impl Acceleration {
    /// Settles `Auto` by a probe whose answer holds until this computer is started again.
    ///
    /// # Errors
    ///
    /// When the probe's answer cannot be kept, or KVM is asked for where it cannot be.
    pub(crate) fn settle(self, architecture: Architecture, vmlinuz: &Path) -> Result<Self> {
        if !architecture.is_ours() {
            if self == Self::Kvm {
                bail!(
                    "KVM runs processors of this computer's architecture only, not {}",
                    architecture.debian()
                );
            }
            return Ok(Self::Tcg);
        }
        if self != Self::Auto {
            return Ok(self);
        }
        if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Tcg);
        }
        let boot_id =
            fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading this boot's id")?;
        let answer = cache::folder("kvm")?.join(boot_id.trim());
        match fs::read_to_string(&answer).as_deref() {
            Ok("usable") => return Ok(Self::Kvm),
            Ok(_) => return Ok(Self::Tcg),
            Err(_) => say("probing KVM by a boot (once until this computer restarts)"),
        }
        let usable = boots_under_kvm(vmlinuz)?;
        say(if usable { "KVM is usable" } else { "KVM did not boot a kernel in time: emulating instead" });
        cache::write_file(&answer, if usable { b"usable" } else { b"unusable" })?;
        Ok(if usable { Self::Kvm } else { Self::Tcg })
    }

    /// How a person calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kvm => "KVM",
            Self::Tcg => "emulated",
        }
    }
}

/// One machine to be started.
pub(crate) struct Hardware<'a> {
    /// What the kernel runs on.
    pub(crate) architecture: Architecture,
    /// KVM or emulation, settled.
    pub(crate) acceleration: Acceleration,
    /// Whether the machine's clock counts executed instructions.
    pub(crate) icount: bool,
    /// Number of processors.
    pub(crate) cpus: u32,
    /// Memory, in MiB.
    pub(crate) memory_mib: u32,
    /// The kernel.
    pub(crate) vmlinuz: &'a Path,
    /// The initramfs.
    pub(crate) initramfs: &'a Path,
    /// Added to the kernel's command line.
    pub(crate) append: &'a str,
    /// The folder of its console log and of the sockets and files that its ports lead to.
    pub(crate) folder: &'a Path,
    /// Sockets, then files, in the order of the ports' numbers.
    pub(crate) ports: &'a [Port],
    /// Where qemu connects to, if the machine is stopped from outside.
    pub(crate) stops: Option<&'a Stops>,
}

/// Sockets of one who stops the machine and reads its memory. He listens on them before the machine is started.
#[derive(Debug, Clone)]
pub(crate) struct Stops {
    /// The machine's second serial port.
    pub(crate) serial: PathBuf,
    /// qemu's own monitor ([`crate::guest::monitor`]).
    pub(crate) monitor: PathBuf,
}

/// One way between the machine and us.
pub(crate) enum Port {
    /// A socket that we listen on.
    Socket(PathBuf),
    /// A file that qemu writes.
    File(PathBuf),
}

impl Hardware<'_> {
    /// The console log's path.
    pub(crate) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// Starts qemu; it dies with the thread that calls this.
    ///
    /// # Errors
    ///
    /// When qemu is not installed.
    pub(crate) fn start(&self) -> Result<Child> {
        let mut command = self.command()?;
        let log = fs::File::create(self.folder.join("qemu.log")).context("creating qemu's log")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let program = Board::of(self.architecture).program;
        command.spawn().with_context(|| format!("starting {program}; run `cargo xtask setup`"))
    }

    fn command(&self) -> Result<Command> {
        let Board { program, package, arguments, console } = Board::of(self.architecture);
        let qemu = host::find_program(program).ok_or_else(|| {
            anyhow!("{program} is missing: run `cargo xtask setup`, or install the package {package}")
        })?;
        // setpriv asks the kernel to kill qemu when we are killed: no machine is ever left behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
        match (self.acceleration, self.icount) {
            // What the machine takes from outside, its clock and its randomness, must repeat too.
            (_, true) => command
                .args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1"])
                .args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]),
            (Acceleration::Kvm, false) => command.args(["-accel", "kvm", "-smp", &self.cpus.to_string()]),
            (_, false) => command.args(["-accel", "tcg,thread=single", "-smp", &self.cpus.to_string()]),
        };
        let log = format!("file:{}", self.console().display());
        let repeat = if self.icount { "nokaslr norandmaps " } else { "" };
        let append = format!("console={console} panic=-1 oops=panic quiet {repeat}{}", self.append);
        command
            .args(arguments)
            .args(["-m", &self.memory_mib.to_string()])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"])
            .args(["-serial", &log, "-append", &append])
            .arg("-kernel")
            .arg(self.vmlinuz)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-device", "virtio-serial-pci,max_ports=8"]);
        if let Some(Stops { serial, monitor }) = self.stops {
            let socket = |id: &str, path: &Path| format!("socket,id={id},path={}", path.display());
            command.args(["-chardev", &socket("stops", serial), "-serial", "chardev:stops"]).args([
                "-chardev",
                &socket("monitor", monitor),
                "-mon",
                "chardev=monitor,mode=control",
            ]);
        }
        for (index, port) in self.ports.iter().enumerate() {
            let number = index + 1;
            let backend = match port {
                Port::Socket(path) => format!("socket,id=port{number},path={}", path.display()),
                Port::File(path) => format!("file,id=port{number},path={}", path.display()),
            };
            let device = format!("virtserialport,chardev=port{number},nr={number},name=krcu.{number}");
            command.args(["-chardev", &backend, "-device", &device]);
        }
        Ok(command)
    }
}

fn boots_under_kvm(vmlinuz: &Path) -> Result<bool> {
    let folder = env::temp_dir().join(format!("krcu-kvm-{}", process::id()));
    cache::create_folder(&folder)?;
    let initramfs = folder.join("initramfs");
    let busybox = packaged::busybox(Architecture::default())?;
    let mut cpio = Cpio::new(Vec::new());
    cpio.character_device("/dev/console", 5, 1)?;
    cpio.copy("/bin/busybox", &busybox)?;
    cpio.file(
        "/init",
        0o755,
        b"#!/bin/busybox sh\n/bin/busybox echo krcu-probe-up\n/bin/busybox poweroff -f\n",
    )?;
    cache::write_file(&initramfs, &cpio.finish()?)?;
    let machine = Hardware {
        architecture: Architecture::default(),
        acceleration: Acceleration::Kvm,
        icount: false,
        cpus: 1,
        memory_mib: 256,
        vmlinuz,
        initramfs: &initramfs,
        append: "",
        folder: &folder,
        ports: &[],
        stops: None,
    };
    let mut child = machine.start()?;
    let deadline = Instant::now() + KVM_DEADLINE;
    while Instant::now() < deadline && child.try_wait().context("waiting for qemu")?.is_none() {
        thread::sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    drop(child.wait());
    let up = fs::read_to_string(machine.console()).is_ok_and(|text| text.contains("krcu-probe-up"));
    drop(fs::remove_dir_all(&folder));
    Ok(up)
}
