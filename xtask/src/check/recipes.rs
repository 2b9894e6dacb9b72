//! The recipes of `docs/ci.md`: virtme-ng boots a Debian kernel and runs two modules under krcu, as `contrib/ci/vng` says;
//! the parsers of others read the reports of that run, and the other recipes are run with them (`recipes.py`).

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::check::peers;
use crate::check::retries::{self, Reason};
use crate::check::tally::Tally;
use crate::debian::archive::{TRIXIE, View};
use crate::debian::kernel::Kernel;
use crate::debian::module;
use crate::host;
use crate::progress::{output_of, say, tail_of};
use crate::toolchain::build;

/// The kernel that is booted: the first cloud kernel of Debian's with virtiofs built in.
const SERIES: &str = "6.12";
/// The modules, in the order in which they come and go.
const MODULES: [&str; 2] = ["krcu_pending", "krcu_leak"];
/// krcu's status: one of them leaks.
const STATUS: i32 = 10;
/// The folder in the cache that the Python packages are installed in, by what they are.
const PARSERS: &str = "recipes-parsers-1";
/// virtme-ng, and those who read reports. Pinned, so that a run means the same tomorrow.
const PACKAGES: [&str; 7] = [
    "virtme-ng==1.42",
    "tuxlava==0.28.0",
    "junitparser==5.0.3",
    "tap.py==3.2.1",
    "kcidb-io==141",
    "pyyaml==6.0.4",
    "check-jsonschema==0.39.0",
];

/// Tries them. A machine that is lost is booted once more.
///
/// # Errors
///
/// When something cannot be had, or a recipe does not do what the document says.
pub(crate) fn run(tally: &Tally) -> Result<()> {
    let python = peers::python(PARSERS, &PACKAGES)?;
    let bin = python.parent().context("a program lies in a folder")?;
    let farm = farm()?;
    let kernel = Kernel::newest(&SERIES.parse()?)?;
    for name in MODULES {
        for file in module::build(&host::repository().join("modules").join(name), &kernel)? {
            copy_into(&file, &farm)?;
        }
    }
    let commands = MODULES.map(|name| format!("insmod ./{name}.ko && rmmod {name}")).join("; ");
    let mut vng = Command::new(host::repository().join("contrib/ci/vng/run.sh"));
    vng.arg(kernel.image()?.vmlinuz()?).arg(&farm).arg(commands);
    vng.env("VNG_OPTIONS", "--disable-kvm --disable-microvm --verbose");
    vng.env("PATH", path(&[bin, virtiofsd()?.as_path()])?);
    let mut boot = || {
        say(&format!("booting {} by virtme-ng", kernel.release));
        vng.output().context("starting contrib/ci/vng/run.sh")
    };
    let mut booted = boot()?;
    if !farm.join("status").exists() {
        say(&format!("recipes once more: {}\n{}", Reason::Lost.words(), said(&booted)));
        tally.tried_again(Reason::Lost);
        retries::keep("check recipes", Reason::Lost)?;
        booted = boot()?;
    }
    if booted.status.code() != Some(STATUS) {
        bail!("contrib/ci/vng/run.sh: {}\n{}", booted.status, said(&booted));
    }
    let mut tried = Command::new(&python);
    tried.arg(host::repository().join("xtask/src/check/recipes.py")).arg(host::repository()).arg(&farm);
    print!("{}", output_of(tried.env("PATH", path(&[bin])?))?);
    Ok(())
}

/// The end of what a run of virtme-ng said, with the console.
fn said(booted: &Output) -> String {
    tail_of(&String::from_utf8_lossy(&[booted.stdout.as_slice(), &booted.stderr].concat()), 50)
}

/// A fresh folder with krcu in it.
fn farm() -> Result<PathBuf> {
    let farm = host::target_folder().join("recipes");
    if farm.is_dir() {
        fs::remove_dir_all(&farm).with_context(|| format!("removing {}", farm.display()))?;
    }
    cache::create_folder(&farm)?;
    let programs = build::programs(Architecture::default())?;
    let krcu = programs.iter().find(|path| path.ends_with("krcu"));
    copy_into(krcu.ok_or_else(|| anyhow!("krcu is not built"))?, &farm)?;
    Ok(farm)
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name)).with_context(|| format!("copying {}", file.display()))?;
    Ok(())
}

fn path(folders: &[&Path]) -> Result<std::ffi::OsString> {
    let given = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf()).chain(env::split_paths(&given));
    env::join_paths(folders).context("a folder's name has a colon")
}

/// The folder of a `virtiofsd` that runs here: Debian 12 has an older one, which virtme-ng refuses. It is started with the
/// libraries that it was built for.
fn virtiofsd() -> Result<PathBuf> {
    let folder = cache::folder("recipes-virtiofsd")?;
    let root = folder.join(TRIXIE.name);
    cache::fill_once(&root, |partial| View::open(TRIXIE)?.unpack_with_dependencies(&["virtiofsd"], partial))?;
    let starter = folder.join("virtiofsd");
    let root = root.display();
    let libraries = format!("{root}/usr/lib/x86_64-linux-gnu");
    let text = format!(
        "#!/bin/sh\nexec {libraries}/ld-linux-x86-64.so.2 --library-path {libraries} {root}/usr/libexec/virtiofsd \"$@\"\n"
    );
    cache::write_file(&starter, text.as_bytes())?;
    fs::set_permissions(&starter, fs::Permissions::from_mode(0o755))
        .context("making a program of virtiofsd")?;
    Ok(folder)
}
