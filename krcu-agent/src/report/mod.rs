//! Report: what people and programs see of an [`Outcome`].

use crate::outcome::Outcome;

pub mod json;
pub mod junit;
pub mod tap;
pub mod text;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A screen for people.
    Text,
    /// One JSON object in each line.
    Json,
    /// The Test Anything Protocol, with one test point for each verdict.
    Tap,
    /// JUnit's XML, with one test case for each verdict.
    Junit,
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
        }
    }

    /// The report of a run in this format.
    ///
    /// # Errors
    /// Never: every value can be written as JSON and XML.
    pub fn render(self, outcome: &Outcome) -> anyhow::Result<String> {
        match self {
            Format::Text => Ok(text::render(outcome)),
            Format::Json => Ok(json::render(outcome)?),
            Format::Tap => Ok(tap::render(outcome)),
            Format::Junit => Ok(junit::render(outcome)?),
        }
    }
}
