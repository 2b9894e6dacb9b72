//! The tarball in a machine that has nothing but a shell: its program is put into an initramfs as README.md says, behind the
//! archive that was there, and watches a command.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::debian::kernel::{Kernel, Series};
use crate::debian::packaged;
use crate::guest::cpio::Cpio;
use crate::guest::qemu::{Acceleration, Hardware};
use crate::progress::{Job, say, tail_of};

/// The kernel that is booted.
const SERIES: &str = "6.12";
/// The first process: what a farm's would do, and then krcu.
const INIT: &str = "#!/bin/busybox sh\n\
    /bin/busybox mkdir -p /proc /sys\n\
    /bin/busybox mount -t proc proc /proc\n\
    /bin/busybox mount -t sysfs sys /sys\n\
    /bin/busybox mount -t tracefs tracefs /sys/kernel/tracing\n\
    /usr/bin/krcu check -- /bin/busybox true >/dev/console 2>&1\n\
    /bin/busybox echo krcu-bare: $? >/dev/console\n\
    /bin/busybox poweroff -f\n";
/// What the machine says when krcu has watched the command.
const WATCHED: &str = "krcu-bare: 0";
/// How long the machine may take; one of another architecture is emulated.
const DEADLINE: Duration = Duration::from_secs(600);

/// Boots a machine with the program of a tarball.
///
/// # Errors
///
/// When the tarball does not unpack, the machine does not end, or krcu fails in it: with the end of its console.
pub(crate) fn try_tarball(architecture: Architecture, tarball: &Path, folder: &Path) -> Result<()> {
    let series = if architecture.is_ours() {
        SERIES.to_owned()
    } else {
        format!("{SERIES}-{}", architecture.debian())
    };
    let kernel = Kernel::newest(&series.parse::<Series>()?)?;
    let vmlinuz = kernel.image()?.vmlinuz()?;
    let folder = folder.join(format!("bare-{}", architecture.debian()));
    cache::create_folder(&folder)?;
    let initramfs = initramfs(architecture, tarball, &folder)?;
    let machine = Hardware {
        architecture,
        acceleration: Acceleration::Auto.settle(architecture, &vmlinuz)?,
        icount: false,
        cpus: 1,
        memory_mib: 512,
        vmlinuz: &vmlinuz,
        initramfs: &initramfs,
        append: "",
        folder: &folder,
        ports: &[],
        stops: None,
    };
    let mut child = machine.start()?;
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline && child.try_wait().context("waiting for qemu")?.is_none() {
        thread::sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    drop(child.wait());
    let said = fs::read_to_string(machine.console()).unwrap_or_default().replace('\r', "");
    if !said.contains(WATCHED) {
        bail!(
            "krcu did not watch a command in a bare initramfs of {}:\n{}",
            kernel.release,
            tail_of(&said, 20)
        );
    }
    say(&format!("{} works in a bare initramfs of {}", tarball.display(), kernel.release));
    fs::remove_dir_all(&folder).context("removing what a machine was made of")
}

/// The farm's own archive, and behind it one with the program.
fn initramfs(architecture: Architecture, tarball: &Path, folder: &Path) -> Result<PathBuf> {
    let overlay = folder.join("overlay");
    cache::create_folder(&overlay)?;
    Job { what: "unpacking the tarball", advice: "is tar installed?" }.run(
        Command::new("tar").arg("-xzf").arg(tarball).arg("-C").arg(&overlay).arg("--strip-components=1"),
    )?;
    let path = folder.join("initramfs");
    let mut farm = Cpio::new(Vec::new());
    farm.character_device("/dev/console", 5, 1)?;
    farm.copy("/bin/busybox", &packaged::busybox(architecture)?)?;
    farm.file("/init", 0o755, INIT.as_bytes())?;
    cache::write_file(&path, &farm.finish()?)?;
    let behind = OpenOptions::new().append(true).open(&path).context("opening an initramfs again")?;
    let mut more = Cpio::new(behind);
    more.copy("/usr/bin/krcu", &overlay.join("usr/bin/krcu"))?;
    more.finish()?;
    Ok(path)
}
