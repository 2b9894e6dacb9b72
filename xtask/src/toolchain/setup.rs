//! `cargo xtask setup`: what a fresh Debian or Ubuntu machine lacks, each step skipped when it is done.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::host;
use crate::progress::{Job, output_of, say};
use crate::toolchain::Toolchain;
use crate::toolchain::core_source::CoreSource;
use crate::toolchain::linker;

/// Packages without which something here fails.
const NEEDED: [(&str, &str); 11] = [
    ("busybox-static", "the userland of test machines"),
    ("debian-archive-keyring", "checks the signatures of Debian's kernels"),
    ("gcc", "builds modules and links programs"),
    ("git", "the rules on the repository's files"),
    ("kmod", "indexes a kernel's modules"),
    ("libc6-dev", "links programs"),
    ("make", "builds modules"),
    ("python3-venv", "programs of others that open a trace, in a test"),
    ("qemu-system-x86", "the test machines"),
    ("xz-utils", "unpacks modules"),
    ("zlib1g-dev", "bpf-linker's LLVM needs it"),
];
/// Packages that are a convenience: installed where the archive has them.
const WELCOME: [&str; 1] = ["bpftool"];

/// Does the steps that are missing, and says nothing about the others. For verbs that need a set-up computer.
///
/// # Errors
///
/// When a step fails: the command, the last lines of its output, what to do.
pub(crate) fn ensure() -> Result<()> {
    host::debian_architecture()?;
    packages()?;
    let toolchain = Toolchain::in_use()?;
    CoreSource::find_or_fetch(&toolchain)?;
    linker::find_or_build(&toolchain)?;
    Ok(())
}

/// The first step alone: the packages.
///
/// # Errors
///
/// When one cannot be installed.
pub(crate) fn ensure_packages() -> Result<()> {
    host::debian_architecture()?;
    packages().map(drop)
}

/// Does every step; a second run does nothing but say so.
///
/// # Errors
///
/// When a step fails: the command, the last lines of its output, what to do.
pub(crate) fn run() -> Result<()> {
    host::debian_architecture()?;
    if !packages()? {
        say("packages: all installed");
    }
    let toolchain = Toolchain::in_use()?;
    match CoreSource::find_or_fetch(&toolchain)? {
        CoreSource::Toolchain => {
            say(&format!("core's source for rustc {}: in the toolchain", toolchain.release));
        }
        CoreSource::Folder(folder) => {
            say(&format!("core's source for rustc {}: {}", toolchain.release, folder.display()));
        }
    }
    let linker = linker::find_or_build(&toolchain)?;
    say(&format!("bpf-linker: {}", linker.display()));
    say("set up");
    Ok(())
}

/// Installs the packages of every build that are missing; says whether there were any.
fn packages() -> Result<bool> {
    install(&NEEDED, &WELCOME)
}

/// Installs those of the needed packages that are missing, and with them those of the welcome ones that the archive has; says
/// whether there were any.
///
/// # Errors
///
/// When one cannot be installed.
pub(crate) fn install(needed: &[(&'static str, &str)], welcome: &[&'static str]) -> Result<bool> {
    let wanted: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
    let mut missing = missing_of(&wanted)?;
    if missing.is_empty() {
        return Ok(false);
    }
    for (name, purpose) in needed {
        if missing.contains(name) {
            say(&format!("package {name} is missing ({purpose})"));
        }
    }
    prepare_sudo()?;
    if !missing.iter().all(|name| has_candidate(name)) {
        apt_get(&["update"], "fetching the package index")?;
    }
    missing.extend(missing_of(welcome)?.into_iter().filter(|name| has_candidate(name)));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().copied());
    let what = format!("installing {}", missing.join(", "));
    if apt_get(&arguments, &what).is_err() {
        // The index names versions that the archive may have replaced since.
        apt_get(&["update"], "fetching the package index")?;
        apt_get(&arguments, &what)?;
    }
    say(&format!("packages: installed {}", missing.join(", ")));
    Ok(true)
}

fn missing_of<'a>(names: &[&'a str]) -> Result<Vec<&'a str>> {
    // dpkg-query fails when it does not know one of the names, and still answers for the others.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status} ${Package}\n"])
        .args(names)
        .stdin(Stdio::null())
        .output()
        .context("starting dpkg-query; this set-up is for Debian and Ubuntu")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    Ok(names.iter().copied().filter(|name| !installed.contains(name)).collect())
}

fn has_candidate(name: &str) -> bool {
    output_of(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", name]))
        .is_ok_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
}

/// Lets sudo ask for a password now, where a person sees it.
fn prepare_sudo() -> Result<()> {
    if host::is_root() {
        return Ok(());
    }
    let status =
        Command::new("sudo").arg("-v").status().context("starting sudo; without it, run this as root")?;
    if !status.success() {
        bail!("packages are installed as root, and sudo refuses");
    }
    Ok(())
}

fn apt_get(arguments: &[&str], what: &str) -> Result<()> {
    Job { what, advice: "does `apt-get update` work on this machine? another apt may be running" }.run(
        host::as_root("env")
            .args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-q"])
            .args(["-o", "DPkg::Lock::Timeout=120"])
            .args(arguments),
    )?;
    Ok(())
}
