//! Kernels that are built for a purpose from Debian's sources: with the kernel's own tests, with KASAN, for one processor,
//! with PREEMPT_RT.
//!
//! A kernel is `tinyconfig` and fragments of `xtask/kernels`, one laid upon the other. It is compiled by the compiler of the
//! kernel's Debian release, entered by chroot, and kept in the cache by a digest of the source's version and the fragments. It
//! takes twelve minutes of a processor's time and more. What is kept: the kernel to boot, its modules, `vmlinux` with its
//! debug information, and what modules are built against.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache;
use crate::debian::archive::{Family, TRIXIE, View};
use crate::debian::kernel::{Kernel, Series, compare_versions};
use crate::debian::series::Purpose;
use crate::debian::userland::Userland;
use crate::digest;
use crate::progress::{Job, say};

/// Where the sources come from, and the compiler that is there.
const FAMILY: Family = TRIXIE;
const COMPILER: &str = "gcc-14";
/// What the build of a kernel calls, besides what the build of any module does.
const PACKAGES: [&str; 12] = [
    COMPILER,
    "bc",
    "bison",
    "cpio",
    "dwarves",
    "flex",
    "gzip",
    "libssl-dev",
    "m4",
    "python3-minimal",
    "tar",
    "xz-utils",
];

/// The configuration of a kernel for a purpose: what a later line says of an option overrules an earlier one.
fn fragment(purpose: Purpose) -> String {
    let more = match purpose {
        Purpose::Test => "",
        Purpose::Kasan => include_str!("../../kernels/kasan.config"),
        Purpose::Single => include_str!("../../kernels/single.config"),
        Purpose::Lazy => include_str!("../../kernels/lazy.config"),
        Purpose::Realtime => include_str!("../../kernels/realtime.config"),
    };
    [include_str!("../../kernels/test.config"), more].concat()
}

/// Makes the configuration `$1/build/.config` from `tinyconfig` and `$1/fragment`, builds the kernel in `$1/source`, and puts
/// what is kept below `$1/kept`. `$2` is the number of jobs, `$3` the compiler. The kernel's version is what it says itself.
const BUILD: &str = include_str!("build_kernel.sh");

/// Builds kernels, and says where each is.
///
/// # Errors
///
/// When a series is not one that is built here, and as [`kernel`].
pub(crate) fn build(kernels: &[Series]) -> Result<()> {
    if let Some(packaged) = kernels.iter().find(|series| !series.is_built()) {
        bail!("{packaged} is a kernel of Debian's, which is not built: name a purpose, as in 6.12-test");
    }
    for series in kernels {
        let kernel = Kernel::newest(series)?;
        say(&format!("{series} is {}: {}", kernel.release, kernel.image()?.vmlinuz()?.display()));
    }
    Ok(())
}

/// The kernel of a series for this purpose, built when it is not there yet.
///
/// # Errors
///
/// When its source cannot be had, an option of a fragment does not come out as it is written, or the compiler objects.
pub(crate) fn kernel(series: &Series, number: &str, purpose: Purpose) -> Result<Kernel> {
    let view = View::open(FAMILY)?;
    let (package, version) = source(&view, series, number)?;
    let fragment = fragment(purpose);
    let key = digest::of_text(&format!("{package} {version} {COMPILER}\n{BUILD}{fragment}"))?;
    let folder = cache::folder("built")?.join(format!("{number}-{}-{key}", purpose.name()));
    let fresh = cache::fill_once(&folder, |partial| {
        let work = partial.join("work");
        cache::create_folder(&work)?;
        view.unpack(&[format!("{package}={version}")], &work)?;
        cache::write_file(&work.join("fragment"), fragment.as_bytes())?;
        cache::write_file(&work.join("build.sh"), BUILD.as_bytes())?;
        let userland = Userland::with(FAMILY, &format!("{COMPILER}-kernel"), &PACKAGES)?;
        let jobs = thread::available_parallelism().map_or(1, usize::from).to_string();
        Job {
            what: &format!("building {series} from {package} {version} (ten minutes and more, once)"),
            advice: "the messages above are those of the kernel's build, which runs in a chroot: it needs root or sudo, in a \
                     container the right to mount, and 5 GB of disk",
        }
        .run(
            userland
                .command(&cache::root()?)
                .args(["sh"])
                .arg(work.join("build.sh"))
                .arg(&work)
                .args([&jobs, COMPILER, purpose.name()]),
        )?;
        for name in ["image", "headers"] {
            fs::rename(work.join("kept").join(name), partial.join(name))
                .with_context(|| format!("keeping the {name} of a kernel"))?;
        }
        fs::remove_dir_all(&work).context("removing what building a kernel left")
    })?;
    let release = release_in(&folder)?;
    if fresh {
        say(&format!("kernel {release} is in {}", folder.display()));
    }
    Ok(Kernel::built(release, FAMILY, folder))
}

/// The package with the source of a series, and its newest version: of `7.x`, that of the newest kernel of 7.
fn source(view: &View, series: &Series, number: &str) -> Result<(String, String)> {
    let stem = "linux-source-";
    let mut names: Vec<String> = view
        .names(stem)?
        .into_iter()
        .filter(|name| series.holds(&format!("{}.", &name[stem.len()..])))
        .collect();
    names.sort_by(|left, right| compare_versions(left, right));
    for name in names.iter().rev() {
        if let Some(version) = view.versions(name)?.into_iter().next() {
            return Ok((name.clone(), version));
        }
    }
    bail!("Debian {} has no package {stem}* of series {number}", FAMILY.name)
}

/// The release of the kernel that a folder holds.
fn release_in(folder: &Path) -> Result<String> {
    let modules = folder.join("image/lib/modules");
    let entry = fs::read_dir(&modules).with_context(|| format!("reading {}", modules.display()))?.next();
    let entry =
        entry.ok_or_else(|| anyhow!("{} is empty", modules.display()))?.context("reading a folder")?;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
