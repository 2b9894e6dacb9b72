//! The command line of `krcu`, in one place: help, completions and man pages come from here.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::{check, doctor};

/// Says, for every slab cache that is destroyed, whether deferred frees were still outstanding.
#[derive(Debug, Parser)]
#[command(name = "krcu", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `krcu` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command and judge every slab cache that is destroyed meanwhile
    Check(check::Options),
    /// Say what this kernel offers and what will be undecidable; attaches nothing
    Doctor(doctor::Options),
    /// What another program does: `krcu NAME` runs `krcu-NAME`, as `krcu analyze` runs `krcu-analyze`
    #[command(external_subcommand)]
    External(Vec<OsString>),
}
