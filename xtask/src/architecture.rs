//! Architectures of test machines: how Debian, Rust, the compiler's package and qemu call each of them.
//!
//! krcu is built on amd64. What another architecture needs besides is fetched when one of its kernels is asked for, and not
//! before.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An architecture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Architecture {
    /// The one that krcu is built on.
    #[default]
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Debian's name, which the name of a kernel has in it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What `uname -m` says, which file names of ours have in them.
    pub(crate) const fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What rustc builds for.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What a folder of Debian's libraries is called.
    pub(crate) const fn libraries(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// The name of the C library's dynamic loader.
    pub(crate) const fn loader(self) -> &'static str {
        match self {
            Self::Amd64 => "ld-linux-x86-64.so.2",
            Self::Arm64 => "ld-linux-aarch64.so.1",
        }
    }

    /// What precedes the names of the compiler's programs on this computer: nothing for its own architecture.
    pub(crate) const fn compiler_prefix(self) -> &'static str {
        match self {
            Self::Amd64 => "",
            Self::Arm64 => "aarch64-linux-gnu-",
        }
    }

    /// Whether programs of it run on this computer.
    pub(crate) fn is_ours(self) -> bool {
        self == Self::default()
    }
}
