//! Report: one HTML file that needs nothing else to be read.

mod charts;
mod gather;
mod page;
mod svg;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{ask::Needs, load};

/// The style of krcu's pages.
pub const STYLE: &str = include_str!("style.css");

/// Writes the report of a trace.
///
/// # Errors
/// When the trace cannot be read or the file not be written.
pub fn write(trace: &Path, output: Option<&Path>, together: u64) -> Result<()> {
    let loaded = load::load(trace, Needs::ALL, Some(together))?;
    let page = gather::page(&loaded)?;
    let path = output.map_or_else(|| beside(trace), Path::to_owned);
    fs::write(&path, page.html()).with_context(|| format!("{} cannot be written", path.display()))?;
    println!("{}", path.display());
    loaded.is_whole()
}

/// The file of the trace's name in the present folder.
fn beside(trace: &Path) -> PathBuf {
    let name = trace.file_stem().map_or_else(|| "report".into(), ToOwned::to_owned);
    let mut name: std::ffi::OsString = name;
    name.push(".html");
    PathBuf::from(name)
}
