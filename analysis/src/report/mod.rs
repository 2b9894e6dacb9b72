//! Report: one HTML file that needs nothing else to be read.

mod charts;
pub mod compared;
mod gather;
mod page;
mod svg;
mod timeline;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use krcu_report::words::is_hidden;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{ask::Needs, load};

/// The style of krcu's pages.
const STYLE: &str = include_str!("style.css");

/// A page of krcu's, whole: its title, what it has besides the style of all pages, and what it shows. A control character is
/// not allowed in one, and nobody sees a hidden one.
#[must_use]
pub fn document(title: &str, own_style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "krcu: " (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(own_style)) }
            }
            body { main { (body) } }
        }
        "\n"
    };
    page.into_string().replace(|c: char| is_hidden(c) && c != '\n', "\u{fffd}")
}

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
