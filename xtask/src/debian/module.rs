//! Builds out-of-tree kernel modules for a kernel of Debian's, once per content.
//!
//! The sources are copied, links followed, to a folder in the cache that is named by a digest of their contents and
//! of the kernel's release. The kernel's own build tools come with its headers; where this computer's C library is too
//! old for them, everything runs inside a [`Userland`] of the kernel's own Debian release.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::debian::kernel::Kernel;
use crate::debian::userland::Userland;
use crate::digest;
use crate::host;
use crate::progress::{Job, output_of, say};

/// Builds the module in `source` for a kernel and gives back its `.ko` files.
///
/// # Errors
///
/// When there is no Kbuild or Makefile, the kernel has no headers, or the compiler objects.
pub(crate) fn build(source: &Path, kernel: &Kernel) -> Result<Vec<PathBuf>> {
    if !["Kbuild", "Makefile"].iter().any(|name| source.join(name).is_file()) {
        bail!("{} is no module: it has neither Kbuild nor Makefile", source.display());
    }
    let source = source.canonicalize().with_context(|| format!("finding {}", source.display()))?;
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let key = digest::of_folder(&source, &kernel.identity())?;
    let folder = cache::folder("modules")?.join(&kernel.release).join(format!("{name}-{key}"));
    if !folder.exists() {
        let headers = kernel.headers()?;
        let build = headers.join("usr/src").join(kernel.headers_name());
        let tools = Tools::for_headers(kernel, &headers, &build)?;
        let fresh = cache::fill_once(&folder, |partial| {
            copy_sources(&source, partial)?;
            tools.make(&name, kernel, &build, partial)
        })?;
        if fresh {
            say(&format!("built {name} for {}", kernel.release));
        }
    }
    let modules = modules_in(&folder)?;
    if modules.is_empty() {
        bail!("{} built no .ko file: does its Kbuild name one in obj-m?", source.display());
    }
    Ok(modules)
}

/// What compiles a module.
enum Tools {
    /// This computer's compiler, by its name.
    Here(String),
    /// The compiler of a Debian release, unpacked beside us; the headers name it.
    There(Userland),
}

impl Tools {
    /// This computer's own tools, if the kernel's programs run here and its compiler is no older than the one that built the
    /// kernel: an older one does not know all of the kernel's options. Else the tools of the kernel's Debian release.
    fn for_headers(kernel: &Kernel, headers: &Path, build: &Path) -> Result<Self> {
        let wanted = wanted_compiler(build)?;
        let prefix = kernel.architecture.compiler_prefix();
        let here = [wanted.as_str(), "gcc"].map(|name| format!("{prefix}{name}"));
        let here = here.into_iter().find(|name| host::find_program(name).is_some());
        if let Some(compiler) = here
            && gcc_major(&compiler)? >= major_of(&wanted)?
            && runs_here(headers)?
        {
            return Ok(Self::Here(compiler));
        }
        Self::of_release(kernel, &wanted)
    }

    fn of_release(kernel: &Kernel, wanted: &str) -> Result<Self> {
        let family = kernel.family()?;
        let compiler = format!("{}{wanted}", kernel.architecture.compiler_prefix());
        let userland = match kernel.architecture {
            Architecture::Amd64 => Userland::open(family, wanted)?,
            // Debian's names for packages: the architecture comes last, and no underscore is in it.
            Architecture::Arm64 => {
                let libraries = kernel.architecture.libraries();
                let packages = [format!("{wanted}-{libraries}"), format!("binutils-{libraries}")];
                Userland::with(family, &compiler, &packages.each_ref().map(String::as_str))?
            }
        };
        Ok(Self::There(userland))
    }

    fn make(&self, name: &str, kernel: &Kernel, build: &Path, folder: &Path) -> Result<()> {
        let mut arguments = vec![
            "-C".to_owned(),
            build.display().to_string(),
            format!("M={}", folder.display()),
            // Nothing here reads a module's type information, and writing it wants one more program.
            "CONFIG_DEBUG_INFO_BTF_MODULES=".to_owned(),
            "modules".to_owned(),
        ];
        if !kernel.architecture.is_ours() {
            // The headers of older kernels do not name what precedes the names of the compiler's programs.
            arguments.push(format!("CROSS_COMPILE={}", kernel.architecture.compiler_prefix()));
        }
        let what = format!("building {name} for {}", kernel.release);
        let advice = match self {
            Self::Here(_) => {
                "the messages above are the compiler's; the sources are those of the module's folder"
            }
            Self::There(_) => {
                "the messages above are the compiler's, unless it never ran: this kernel's own compiler is entered \
                 by chroot, which needs root or sudo, and in a container the right to mount"
            }
        };
        let job = Job { what: &what, advice };
        match self {
            Self::Here(compiler) => {
                job.run(Command::new("make").args(arguments).arg(format!("CC={compiler}")))?
            }
            Self::There(userland) => {
                let cache = cache::root()?;
                job.run(userland.command(&cache).arg("make").args(arguments))?
            }
        };
        Ok(())
    }
}

/// The compiler that the headers' Makefile names: `gcc-12`.
fn wanted_compiler(build: &Path) -> Result<String> {
    let path = build.join(".kernelvariables");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let line = text.lines().find(|line| line.starts_with("CC ") || line.starts_with("CC="));
    let name =
        line.and_then(|line| line.rsplit(')').next()).map(str::trim).filter(|name| name.starts_with("gcc"));
    name.map(str::to_owned).ok_or_else(|| anyhow!("{} names no gcc", path.display()))
}

/// `gcc-12` → 12.
fn major_of(name: &str) -> Result<u32> {
    name.trim_start_matches("gcc-").parse().with_context(|| format!("the headers want the compiler {name}"))
}

fn gcc_major(compiler: &str) -> Result<u32> {
    let text = output_of(Command::new(compiler).arg("-dumpversion"))?;
    let major = text.trim().split('.').next().unwrap_or_default();
    major.parse().with_context(|| format!("{compiler} says that its version is {text}"))
}

/// Whether the programs that come with the headers run on this computer.
fn runs_here(headers: &Path) -> Result<bool> {
    let tools = headers.join("usr/lib");
    for entry in fs::read_dir(&tools).with_context(|| format!("reading {}", tools.display()))? {
        let modpost = entry.context("reading a folder")?.path().join("scripts/mod/modpost");
        if modpost.exists() {
            // Without arguments modpost does nothing; a loader that lacks its C library says so by status 1.
            let status = Command::new(&modpost)
                .current_dir(env::temp_dir())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            return Ok(status.is_ok_and(|status| status.success()));
        }
    }
    bail!("no modpost below {}", tools.display())
}

fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    cache::create_folder(to)?;
    for path in digest::files_below(from)? {
        let relative = path.strip_prefix(from).context("a file outside its folder")?;
        let target = to.join(relative);
        if let Some(parent) = target.parent() {
            cache::create_folder(parent)?;
        }
        fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
    }
    Ok(())
}

fn modules_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = digest::files_below(folder)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "ko"))
        .collect();
    found.sort();
    Ok(found)
}
