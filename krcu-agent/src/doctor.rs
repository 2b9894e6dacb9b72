//! `krcu doctor`: says what this kernel offers, what krcu cannot decide on it, and what to do. Attaches nothing.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;
use krcu_report::words::shown;
use serde::Serialize;

use crate::error::Refusal;
use crate::kernel::plan::Probe;
use crate::kernel::{Facts, Plan};

mod text;

pub use text::page;

/// Options of `krcu doctor`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The format of the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The format of the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One screen for a person.
    Text,
    /// One JSON object on one line.
    Json,
}

/// The JSON form.
#[derive(Serialize)]
struct Findings<'a> {
    /// Version of this form.
    schema: u32,
    /// "doctor".
    kind: &'static str,
    /// Whether `krcu check` can run.
    ready: bool,
    /// Why not: one sentence for each reason. The first one is the most important.
    refusals: Vec<String>,
    /// The same reasons, by name.
    refusal_details: &'a [Refusal],
    /// What cannot be decided on this kernel.
    undecidable: &'a [String],
    /// Every probe.
    probes: &'a [Probe],
    /// The facts that the rest follows from.
    facts: &'a Facts,
}

/// Looks at the running kernel and prints the findings. Returns whether `krcu check` can run.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let facts = Facts::gather(Path::new("/"));
    let plan = Plan::of(&facts);
    let findings = match options.format {
        Format::Text => page(&facts, &plan).lines().map(|line| format!("{}\n", shown(line))).collect(),
        Format::Json => json(&facts, &plan)?,
    };
    io::stdout().write_all(findings.as_bytes()).context("cannot write the findings")?;
    Ok(plan.refusals.is_empty())
}

/// The findings as one JSON object on one line.
///
/// # Errors
/// Those of serde; a real plan causes none.
pub fn json(facts: &Facts, plan: &Plan) -> anyhow::Result<String> {
    let findings = Findings {
        schema: 1,
        kind: "doctor",
        ready: plan.refusals.is_empty(),
        refusals: plan.refusals.iter().map(ToString::to_string).collect(),
        refusal_details: &plan.refusals,
        undecidable: &plan.undecidable,
        probes: &plan.probes,
        facts,
    };
    let mut line = serde_json::to_string(&findings).context("cannot put the findings into JSON")?;
    line.push('\n');
    Ok(line)
}
