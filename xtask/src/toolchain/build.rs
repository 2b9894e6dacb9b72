//! Builds the eBPF object and, with it inside, the agent as one static file; and what runs beside it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::host;
use crate::progress::{command_line, say};
use crate::toolchain::Toolchain;
use crate::toolchain::core_source::{CARGO_VARIABLE, CoreSource};
use crate::toolchain::cross;
use crate::toolchain::linker;

/// The crate of the probes, a workspace of its own.
pub(crate) const EBPF_CRATE: &str = "krcu-ebpf";
const EBPF_TARGET: &str = "bpfel-unknown-none";
/// Programs for people.
pub(crate) const PROGRAMS: [&str; 5] = ["krcu", "krcu-tui", ANALYZE, "krcu-fleet", "krcu-ship"];
/// The one that needs polars.
pub(crate) const ANALYZE: &str = "krcu-analyze";
/// Those that are large, since they need polars: no machine that is booted gets them.
const LARGE: [&str; 2] = [ANALYZE, "krcu-fleet"];

/// Flags for rustc; one may have a space in it.
const ENCODED_FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";

/// Flags that put fixed names in the place of this computer's folders. So what is built names nobody's home, and two builds
/// in two folders give the same bytes. The last one that fits holds, and the target folder may be in the repository.
fn without_folders(toolchain: &Toolchain) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec![remapped(&toolchain.sysroot, "/rust"), remapped(&host::repository(), "/krcu")];
    flags.extend(home.map(|home| remapped(&home, "/cargo")));
    flags.push(remapped(&host::target_folder(), "/target"));
    flags
}

fn remapped(folder: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", folder.display())
}

/// Where the eBPF object is put for the agent.
pub(crate) fn object_path() -> PathBuf {
    host::target_folder().join("krcu-ebpf.o")
}

/// Builds the eBPF object.
///
/// # Errors
///
/// When core's source or the linker cannot be had, or the probes do not compile.
pub(crate) fn ebpf() -> Result<PathBuf> {
    cargo(&mut ebpf_cargo(&["build"], &[])?)?;
    let object = object_path();
    let built = host::target_folder().join("ebpf").join(EBPF_TARGET).join("release").join(EBPF_CRATE);
    copy_if_changed(&built, &object)?;
    Ok(object)
}

/// The lints of the probes, for their own target.
///
/// # Errors
///
/// When core's source or the linker cannot be had.
pub(crate) fn ebpf_lints() -> Result<Command> {
    ebpf_cargo(&["clippy"], &["--", "-D", "warnings"])
}

fn ebpf_cargo(verb: &[&str], rest: &[&str]) -> Result<Command> {
    let toolchain = Toolchain::in_use()?;
    let source = CoreSource::find_or_fetch(&toolchain)?;
    let linker = linker::find_or_build(&toolchain)?;
    // debuginfo=2 is what the linker makes the type information from. The third BPF processor (every kernel since
    // 5.12 has it) is the first whose atomic addition gives back the old value, which numbering events needs.
    let linker = format!("linker={}", linker.display());
    let flags = ["-C", "debuginfo=2", "-C", "target-cpu=v3", "-C", "link-arg=--btf", "-C", &linker];
    let mut flags: Vec<String> = flags.map(str::to_owned).into();
    flags.extend(without_folders(&toolchain));
    if let CoreSource::Folder(library) = &source {
        flags.push(remapped(library, "/rust/library"));
    }
    let mut command = Command::new("cargo");
    command
        .args(verb)
        .args(["--quiet", "--release", "--target", EBPF_TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(host::target_folder().join("ebpf"))
        .args(rest)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(ENCODED_FLAGS, flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(host::repository().join(EBPF_CRATE));
    if let CoreSource::Folder(library) = &source {
        command.env(CARGO_VARIABLE, library);
    }
    Ok(command)
}

/// Which programs of the workspace are built; all are linked statically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Programs {
    /// `krcu` alone.
    Agent,
    /// What people run on a test host, and the replay of events that the tests ask for.
    All,
}

impl Programs {
    /// What the test machines of an architecture get: with another one than this computer's, the agent.
    pub(crate) fn of(architecture: Architecture) -> Self {
        if architecture.is_ours() { Self::All } else { Self::Agent }
    }
}

/// Builds the eBPF object and the programs, static, and answers where the programs are.
///
/// # Errors
///
/// When one of them does not compile.
pub(crate) fn all(profile: &str) -> Result<Vec<PathBuf>> {
    build(profile, Programs::All)
}

/// The same, of some programs.
///
/// # Errors
///
/// When one of them does not compile.
pub(crate) fn build(profile: &str, programs: Programs) -> Result<Vec<PathBuf>> {
    build_for(Architecture::default(), profile, programs)
}

/// The same, for an architecture; what a build for another one than this computer's needs is fetched.
///
/// # Errors
///
/// When something cannot be had, or does not compile.
pub(crate) fn build_for(
    architecture: Architecture,
    profile: &str,
    programs: Programs,
) -> Result<Vec<PathBuf>> {
    if !architecture.is_ours() {
        cross::ensure(architecture)?;
    }
    let object = ebpf()?;
    let toolchain = Toolchain::in_use()?;
    let target = target(architecture, &toolchain);
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".to_owned()];
    flags.extend(without_folders(&toolchain));
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", profile, "--target", &target, "-p", "krcu-agent"]);
    command.envs(cross::linker(architecture));
    if programs == Programs::All {
        command.args(["-p", "krcu-tui", "-p", "krcu-ship", "-p", "krcu-report", "--bins"]).args([
            "--example",
            "replay",
            "--example",
            "outstanding",
        ]);
    }
    cargo(
        command
            .env(ENCODED_FLAGS, flags.join("\u{1f}"))
            .env("KRCU_EBPF_OBJECT", &object)
            .current_dir(host::repository()),
    )?;
    programs_of(architecture, profile)
}

/// What rustc builds for: for this computer's architecture, what it names itself.
fn target(architecture: Architecture, toolchain: &Toolchain) -> String {
    if architecture.is_ours() { toolchain.host.clone() } else { architecture.target().to_owned() }
}

/// Builds what asks traces, and puts it beside the other programs, where `krcu analyze` looks for it. It is linked as a person
/// would have it linked, so the tests and a person compile polars once together.
///
/// # Errors
///
/// When it does not compile.
pub(crate) fn analyze(profile: &str) -> Result<PathBuf> {
    cargo(by_hand().args(["build", "--profile", profile, "-p", "analysis", "--bin", ANALYZE]))?;
    let program = folder_of(Architecture::default(), profile)?.join(ANALYZE);
    let built = host::target_folder().join(folder_name(profile)).join(ANALYZE);
    let folder = program.parent().context("a program lies in a folder")?;
    cache::create_folder(folder)?;
    fs::copy(&built, &program).with_context(|| format!("copying {}", built.display()))?;
    Ok(program)
}

/// Builds the programs for people, beside each other, and says where they are.
///
/// # Errors
///
/// When one of them does not compile.
pub(crate) fn for_people(profile: &str, no_analyze: bool) -> Result<()> {
    let mut programs = all(profile)?;
    if !no_analyze {
        programs.push(analyze(profile)?);
    }
    for program in programs {
        say(&format!("built {}", program.display()));
    }
    Ok(())
}

/// An example of the reports' crate that replays events, from the last build of all programs.
///
/// # Errors
///
/// When rustc does not say what its host is.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    Ok(folder_of(Architecture::default(), "release")?.join("examples").join(name))
}

/// The programs that the last build left, for a machine's `/bin`.
///
/// # Errors
///
/// When rustc does not say what its host is.
pub(crate) fn programs(architecture: Architecture) -> Result<Vec<PathBuf>> {
    programs_of(architecture, "release")
}

fn programs_of(architecture: Architecture, profile: &str) -> Result<Vec<PathBuf>> {
    let folder = folder_of(architecture, profile)?;
    let is_wanted = |name: &&&str| !LARGE.contains(name);
    let programs = PROGRAMS.iter().filter(is_wanted).map(|name| folder.join(name));
    Ok(programs.filter(|path| path.is_file()).collect())
}

fn folder_of(architecture: Architecture, profile: &str) -> Result<PathBuf> {
    let target = target(architecture, &Toolchain::in_use()?);
    Ok(host::target_folder().join(target).join(folder_name(profile)))
}

/// Where cargo puts what it builds by a profile.
fn folder_name(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}

/// Builds the client of the agent's socket for test machines: one source file without a crate, linked statically.
///
/// # Errors
///
/// When it does not compile.
pub(crate) fn peer(architecture: Architecture) -> Result<PathBuf> {
    // Machines that are made ready at the same time must not find it half written.
    static BUILT: Mutex<BTreeSet<Architecture>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let source = host::repository().join("xtask/src/guest/peer.rs");
    let folder = host::target_folder();
    let peer = if architecture.is_ours() {
        folder.join("peer")
    } else {
        folder.join(format!("peer-{}", architecture.debian()))
    };
    if built.contains(&architecture) {
        return Ok(peer);
    }
    let mut command = Command::new("rustc");
    command.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static"]);
    if !architecture.is_ours() {
        command.args(["--target", architecture.target(), "-C"]);
        command.arg(format!("linker={}", cross::compiler(architecture)));
    }
    cargo(command.arg("-o").arg(&peer).arg(&source))?;
    built.insert(architecture);
    Ok(peer)
}

/// A command of low priority: machines that are emulated beside it have deadlines.
#[must_use]
pub(crate) fn in_the_background(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", program]);
    command
}

/// Cargo with the environment that a person gives it. Cargo has given variables to xtask, and a build script far below polars
/// depends on them: with them, all of polars would be compiled again each time that a person and xtask build it in turns.
#[must_use]
pub(crate) fn by_hand() -> Command {
    let mut command = in_the_background("cargo");
    let is_given = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for name in env::vars_os().map(|(name, _)| name).filter(is_given) {
        command.env_remove(name);
    }
    command.current_dir(host::repository());
    command
}

/// Runs cargo with its own progress in sight.
///
/// # Errors
///
/// When it cannot be started or fails; why, it has said itself.
pub(crate) fn cargo(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    let status = command.status().with_context(|| format!("starting `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status}); its messages are above");
    }
    Ok(())
}

/// Leaves the file's time alone when nothing changed, so that cargo does not rebuild the agent for it.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let contents = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    cache::write_file(to, &contents)
}
