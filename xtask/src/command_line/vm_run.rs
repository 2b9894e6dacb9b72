//! `cargo xtask vm run`: its options, and what they mean.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::architecture::Architecture;
use crate::command_line::Kernels;
use crate::debian::kernel::Series;
use crate::debian::packaged;
use crate::guest::qemu::Acceleration;
use crate::guest::vm::Run;
use crate::progress::say;
use crate::toolchain::build::{self, Programs};
use crate::toolchain::setup;

/// Options of `vm run`.
#[derive(Args)]
pub(super) struct VmRun {
    /// The series of the kernel: 6.1, 6.12, 6.18, or 7.x for the newest 7. 6.12-rt or 6.12-generic is another
    /// flavour of Debian's, 6.12-arm64 another architecture, 7.x-arm64-16k both. `all` runs the four series, one
    /// after the other.
    #[arg(long, value_name = "SERIES")]
    kernel: Kernels,
    /// Build nothing: use the last build.
    #[arg(long)]
    no_build: bool,
    /// A Debian package whose programs are put into the machine's /bin, with their libraries; repeat the
    /// option for more.
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// A folder with an out-of-tree module (Kbuild and C sources); its NAME.ko is put at /modules/NAME.ko.
    #[arg(long, value_name = "DIR")]
    module: Vec<PathBuf>,
    /// A module of the kernel package, for `modprobe` in the machine; several are separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    in_tree: Vec<String>,
    /// A file or folder that is copied into the machine, to /files/NAME, or to GUEST with PATH=GUEST.
    #[arg(long, value_name = "PATH[=GUEST]")]
    file: Vec<String>,
    /// The folder that gets the contents of the machine's /out.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Emulate one processor whose clock counts instructions: the same work always gives the same figures.
    #[arg(long)]
    icount: bool,
    /// The memory of the machine.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// The number of processors of the machine.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    cpus: u32,
    /// A text to add to the kernel's command line.
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// How long the machine may run, including the boot.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Whether to use KVM or emulation.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Acceleration::Auto)]
    accel: Acceleration,
    /// The command for the machine's shell; several words are joined with spaces.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl VmRun {
    /// Boots the kernels.
    ///
    /// # Errors
    ///
    /// When nothing can be built, or a machine does not start.
    pub(super) fn run(self) -> Result<ExitCode> {
        let series = self.kernel.series()?;
        let architectures: BTreeSet<Architecture> = series.iter().map(Series::architecture).collect();
        if self.no_build {
            for architecture in &architectures {
                if build::programs(*architecture)?.is_empty() {
                    bail!("nothing is built yet for {}: leave --no-build out", architecture.debian());
                }
            }
        } else {
            setup::ensure()?;
            for architecture in &architectures {
                build::build_for(*architecture, "release", Programs::of(*architecture))?;
            }
        }
        let mut status = 0;
        for kernel in &series {
            let mut files: Vec<_> = self.file.iter().map(|text| file_and_place(text)).collect();
            for name in &self.package {
                files.extend(packaged::package(kernel.architecture(), name)?);
            }
            let out = self
                .out
                .as_ref()
                .map(|out| if series.len() > 1 { out.join(kernel.to_string()) } else { out.clone() });
            let run = Run {
                modules: self.module.clone(),
                in_tree: self.in_tree.clone(),
                files,
                out,
                icount: self.icount,
                memory_mib: self.memory,
                cpus: self.cpus,
                append: self.append.clone(),
                timeout: Duration::from_secs(self.timeout),
                acceleration: self.accel,
                show: true,
                ..Run::new(kernel.clone(), &self.command.join(" "))
            };
            let outcome = match run.run() {
                Ok(outcome) => outcome,
                // The other kernels are run all the same.
                Err(error) if series.len() > 1 => {
                    say(&format!("{kernel}: {error:#}"));
                    status = if status == 0 { 1 } else { status };
                    continue;
                }
                Err(error) => return Err(error),
            };
            say(&format!(
                "{} ({}): up in {:.1} s, {:.1} s in all, status {}",
                outcome.release,
                outcome.acceleration.name(),
                outcome.boot.as_secs_f32(),
                outcome.total.as_secs_f32(),
                outcome.status
            ));
            // Of several kernels the first status that is not 0.
            status = if status == 0 { outcome.status } else { status };
        }
        Ok(ExitCode::from(u8::try_from(status).context("a status is 0 to 255")?))
    }
}

/// `PATH=GUEST`, or `PATH` for `/files/NAME`.
fn file_and_place(text: &str) -> (PathBuf, String) {
    if let Some((path, place)) = text.rsplit_once('=')
        && place.starts_with('/')
    {
        return (PathBuf::from(path), place.to_owned());
    }
    let path = PathBuf::from(text);
    let name = path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
    (path, format!("/files/{name}"))
}
