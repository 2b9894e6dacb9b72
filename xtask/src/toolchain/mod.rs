//! The Rust toolchain: which one is in use, how it gets what it lacks, and what it builds.

pub(crate) mod build;
mod core_source;
pub(crate) mod cross;
mod linker;
pub(crate) mod packages;
pub(crate) mod setup;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::host;
use crate::progress::output_of;

/// The rustc that cargo uses in this repository.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// `1.95.0`.
    pub(crate) release: String,
    /// The first digits of its commit, for nightlies share a release; `unknown` for a distribution's build.
    pub(crate) commit: String,
    /// `x86_64-unknown-linux-gnu`.
    pub(crate) host: String,
    /// Major version of its LLVM.
    pub(crate) llvm_major: u32,
    /// Its folder (`rustc --print sysroot`).
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    /// Asks rustc.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not say what every rustc says.
    pub(crate) fn in_use() -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |argument: &[&str]| {
            output_of(Command::new(&rustc).args(argument).current_dir(host::repository()))
        };
        let text = ask(&["-vV"])?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| anyhow!("`rustc -vV` does not say `{name}`"))
        };
        let llvm = field("LLVM version:")?;
        Ok(Self {
            release: field("release:")?,
            commit: field("commit-hash:")?.chars().take(9).collect(),
            host: field("host:")?,
            llvm_major: llvm
                .split('.')
                .next()
                .and_then(|major| major.parse().ok())
                .ok_or_else(|| anyhow!("rustc's LLVM version is `{llvm}`"))?,
            sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()),
        })
    }
}
