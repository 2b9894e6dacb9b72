//! Packs what a test machine boots into: busybox, the krcu programs, modules, files, and the command to run; or a Debian
//! with systemd in place of the first two.
//!
//! Nothing is compressed: the archive is read from memory by qemu, and unpacking costs more than copying.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::architecture::Architecture;
use crate::debian::intree::{InTree, modules_dep};
use crate::debian::kernel::{Image, Kernel};
use crate::debian::packaged;
use crate::guest::cpio::Cpio;
use crate::host;
use crate::progress::output_of;

/// What the first process of the machine does.
const INIT: &str = include_str!("init.sh");
/// What runs the command.
const HAND_OVER: &str = include_str!("hand_over.sh");
/// The same for a systemd, which is told to boot into this unit.
const UNIT: &str = "[Unit]\nDescription=The command of a test machine\n\n[Service]\nType=exec\n\
    Environment=PATH=/usr/bin:/usr/sbin:/busybox HOME=/root TERM=dumb LC_ALL=C.UTF-8\n\
    ExecStart=/busybox/busybox sh /hand-over\n";
/// On the kernel's command line of a machine with systemd.
pub(crate) const BOOT_UNIT: &str = "systemd.unit=hand-over.service";
/// Large folders of a Debian that no machine reads.
const UNREAD: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/share/fish",
    "usr/share/zsh",
];
/// The kernel's own modules for the channels to the host.
const CHANNEL_MODULES: [&str; 2] = ["virtio_pci", "virtio_console"];
/// Folders that are mounted on or written to.
const FOLDERS: [&str; 9] = ["dev", "proc", "sys", "tmp", "run", "root", "out", "modules", "files"];

/// Everything that goes into one machine.
pub(crate) struct Contents<'a> {
    /// The kernel to be booted.
    pub(crate) kernel: &'a Kernel,
    /// Its files.
    pub(crate) image: &'a Image,
    /// The shell text that is run as root.
    pub(crate) command: &'a str,
    /// What ends each output stream.
    pub(crate) mark: &'a str,
    /// Built modules; `NAME.ko` becomes `/modules/NAME.ko`.
    pub(crate) modules: &'a [PathBuf],
    /// Names of the kernel's own modules, for `modprobe`.
    pub(crate) in_tree: &'a [String],
    /// Files: where they are here, and where they shall be there.
    pub(crate) files: &'a [(PathBuf, String)],
    /// Programs for `/bin`; a Debian gets none.
    pub(crate) programs: &'a [PathBuf],
    /// The root of a Debian whose systemd is the first process, as busybox is otherwise.
    pub(crate) debian: Option<&'a Path>,
}

impl Contents<'_> {
    /// Writes the archive.
    ///
    /// # Errors
    ///
    /// When something that belongs in it cannot be read, or the archive not be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let mut cpio = Cpio::new(BufWriter::new(file));
        match self.debian {
            Some(root) => self.systemd(&mut cpio, root)?,
            None => {
                self.busybox(&mut cpio, "/bin")?;
                self.programs(&mut cpio)?;
                cpio.file("/init", 0o755, INIT.as_bytes())?;
                cpio.file(
                    "/etc/passwd",
                    0o644,
                    b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
                )?;
                cpio.file("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
            }
        }
        for folder in FOLDERS {
            cpio.folder(folder)?;
        }
        cpio.character_device("/dev/console", 5, 1)?;
        cpio.file("/hand-over", 0o755, HAND_OVER.as_bytes())?;
        cpio.file("/command", 0o644, self.command.as_bytes())?;
        cpio.file("/mark", 0o644, self.mark.as_bytes())?;
        for module in self.modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            cpio.copy(&format!("/modules/{name}"), module)?;
        }
        for (from, to) in self.files {
            cpio.copy(to, from)?;
        }
        self.in_tree(&mut cpio)?;
        cpio.finish()?;
        Ok(())
    }

    /// A Debian: its own programs are found first, and busybox's where it has none.
    fn systemd(&self, cpio: &mut Cpio<impl Write>, root: &Path) -> Result<()> {
        cpio.tree(root, &UNREAD)?;
        self.busybox(cpio, "/busybox")?;
        cpio.file("/etc/systemd/system/hand-over.service", 0o644, UNIT.as_bytes())?;
        cpio.link("/init", "usr/lib/systemd/systemd")
    }

    fn busybox(&self, cpio: &mut Cpio<impl Write>, folder: &str) -> Result<()> {
        let busybox = packaged::busybox(self.kernel.architecture)?;
        cpio.copy(&format!("{folder}/busybox"), &busybox)?;
        // It says by itself what it can do. One that does not run here can do the same: both are Debian's.
        let lister = packaged::busybox(Architecture::default())?;
        for applet in output_of(Command::new(lister).arg("--list"))?.lines().filter(|name| *name != "busybox")
        {
            cpio.link(&format!("{folder}/{applet}"), "busybox")?;
        }
        Ok(())
    }

    fn programs(&self, cpio: &mut Cpio<impl Write>) -> Result<()> {
        for program in self.programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            cpio.copy(&format!("/bin/{name}"), program)?;
        }
        // bpftool is a convenience, and there is no static one: it brings its libraries.
        if let Some(bpftool) = real_bpftool().filter(|_| self.kernel.architecture.is_ours()) {
            cpio.copy("/sbin/bpftool", &bpftool)?;
            for library in libraries_of(&bpftool) {
                cpio.copy(&library.to_string_lossy(), &library)?;
            }
        }
        Ok(())
    }

    fn in_tree(&self, cpio: &mut Cpio<impl Write>) -> Result<()> {
        let in_tree = InTree::read(self.image)?;
        let mut names: Vec<String> = CHANNEL_MODULES.map(str::to_owned).to_vec();
        names.extend_from_slice(self.in_tree);
        let files = in_tree.closure(&names)?;
        let folder = format!("/lib/modules/{}", self.kernel.release);
        for file in &files {
            cpio.file(&format!("{folder}/{}", file.path), 0o644, &in_tree.contents(file)?)?;
        }
        cpio.file(&format!("{folder}/modules.dep"), 0o644, modules_dep(&files).as_bytes())
    }
}

/// bpftool itself; what Ubuntu has in its place is a script that looks for the running kernel's own.
fn real_bpftool() -> Option<PathBuf> {
    let found = host::find_program("bpftool")?;
    let mut start = [0_u8; 4];
    File::open(&found).ok()?.read_exact(&mut start).ok()?;
    (start == *b"\x7fELF").then_some(found)
}

/// The shared libraries that the dynamic linker names for a program, itself included.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let text = output_of(Command::new("ldd").arg(program)).unwrap_or_default();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
