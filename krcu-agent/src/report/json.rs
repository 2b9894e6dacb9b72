//! JSON: one object a line, the verdicts first, a summary last.

use std::collections::BTreeMap;

use krcu_model::Verdict;
use serde::Serialize;

use super::Report;
use crate::pipeline::{Account, Losses};

/// Version of the lines below; it changes when a field's meaning does.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct VerdictLine<'a> {
    schema: u32,
    kind: &'static str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    schema: u32,
    kind: &'static str,
    release: &'a str,
    probes: usize,
    events: u64,
    lost: Losses,
    accounts: &'a [Account],
    attach_ns: u64,
    duration_ns: u64,
    verdicts: BTreeMap<&'static str, u64>,
    strict: bool,
    flagged: usize,
    inconclusive: usize,
    command_status: u8,
    exit_status: u8,
}

/// The lines of a report.
///
/// # Errors
/// When a value cannot be put into JSON, which none of these can fail to be.
pub fn render(report: &Report) -> serde_json::Result<String> {
    let mut text = String::new();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for verdict in &report.verdicts {
        *counts.entry(verdict.verdict.word()).or_default() += 1;
        text += &serde_json::to_string(&VerdictLine { schema: SCHEMA, kind: "verdict", verdict })?;
        text.push('\n');
    }
    text += &serde_json::to_string(&SummaryLine {
        schema: SCHEMA,
        kind: "summary",
        release: &report.release,
        probes: report.probes,
        events: report.events,
        lost: report.losses,
        accounts: &report.accounts,
        attach_ns: report.attach_ns,
        duration_ns: report.duration_ns,
        verdicts: counts,
        strict: report.policy.strict,
        flagged: report.flagged(),
        inconclusive: report.open(),
        command_status: report.command_status,
        exit_status: report.exit_status(),
    })?;
    text.push('\n');
    Ok(text)
}
