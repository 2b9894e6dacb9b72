//! Report: what people and programs see of an [`Outcome`].

use std::path::PathBuf;

use crate::outcome::Outcome;

mod alike;
pub(crate) mod cases;
pub mod json;
pub mod junit;
pub mod kcidb;
pub mod ktap;
pub mod options;
pub mod tap;
pub mod text;
mod view;

pub use view::View;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A screen for people.
    Text,
    /// One JSON object in each line.
    Json,
    /// The Test Anything Protocol, with one test point for each case.
    Tap,
    /// JUnit's XML, with one test case for each case.
    Junit,
    /// The kernel's dialect of TAP, with one test for each module.
    Ktap,
    /// A document for the kernel's common database of results.
    Kcidb,
}

impl Format {
    /// The ending of the name of a file in this format.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Format::Text => "txt",
            Format::Json => "json",
            Format::Tap => "tap",
            Format::Junit => "xml",
            Format::Ktap => "ktap",
            Format::Kcidb => "kcidb.json",
        }
    }

    /// The report of a run in this format.
    ///
    /// # Errors
    /// Never: every value can be written as JSON and XML.
    pub fn render(self, outcome: &Outcome) -> anyhow::Result<String> {
        self.render_for(outcome, &View::default())
    }

    /// The same, for this view.
    ///
    /// # Errors
    /// As [`Format::render`].
    pub fn render_for(self, outcome: &Outcome, view: &View) -> anyhow::Result<String> {
        match self {
            Format::Text => Ok(text::render_for(outcome, view)),
            Format::Json => Ok(json::render(outcome)?),
            Format::Tap => Ok(tap::render(outcome)),
            Format::Junit => Ok(junit::render(outcome)?),
            Format::Ktap => Ok(ktap::render(outcome)),
            Format::Kcidb => Ok(kcidb::render(outcome, view)?),
        }
    }
}

/// A format and the file to write it to, as `FORMAT=FILE`.
///
/// # Errors
/// How it is written.
pub fn also(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, path) = text.split_once('=').ok_or("write FORMAT=FILE, as in junit=krcu.xml")?;
    let format = <Format as clap::ValueEnum>::from_str(format, false).map_err(|_| {
        let all = <Format as clap::ValueEnum>::value_variants();
        let names: Vec<String> = all
            .iter()
            .filter_map(|format| Some(clap::ValueEnum::to_possible_value(format)?.get_name().to_owned()))
            .collect();
        format!("there is no format `{format}`: there are {}", names.join(", "))
    })?;
    if path.is_empty() {
        return Err("no file is named: write FORMAT=FILE, as in junit=krcu.xml".to_owned());
    }
    Ok((format, path.into()))
}
