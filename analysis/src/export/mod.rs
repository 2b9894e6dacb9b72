//! Export: the tables for other programs.

pub(crate) mod dataset;
mod ipc;
mod perfetto;
mod proto;

use std::path::Path;

use anyhow::Result;

use crate::{ask::Needs, cli::ExportKind, load};

/// Writes the tables of a trace.
///
/// # Errors
/// When the trace cannot be read, or the files not be written.
pub fn export(trace: &Path, kind: ExportKind, output: &Path) -> Result<()> {
    let loaded = load::load(trace, Needs::ALL, None)?;
    match kind {
        ExportKind::Parquet => dataset::parquet(&loaded, output),
        ExportKind::Csv => dataset::csv(&loaded, output),
        ExportKind::Ipc => ipc::write(&loaded, output),
        ExportKind::Perfetto => perfetto::write(&loaded, output),
    }?;
    loaded.is_whole()
}
