//! JSON: one object a line, the verdicts first, a summary last.

use std::collections::BTreeMap;

use krcu_model::event::Losses;
use krcu_report::FlatVerdict;
use krcu_trace::meta::Account;
use serde::Serialize;

use crate::outcome::{Incomplete, Outcome};

/// Version of the lines below; it changes when a field's meaning does.
pub const SCHEMA: u32 = 2;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct VerdictLine<'a> {
    /// Version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    schema: u32,
    /// `verdict`.
    #[cfg_attr(test, schemars(extend("const" = "verdict")))]
    kind: &'static str,
    #[serde(flatten)]
    verdict: &'a FlatVerdict,
    /// Why this verdict does not count, if it is known; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SummaryLine<'a> {
    /// Version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    schema: u32,
    /// `summary`.
    #[cfg_attr(test, schemars(extend("const" = "summary")))]
    kind: &'static str,
    /// The kernel's release.
    release: &'a str,
    /// Probes that were attached.
    probes: usize,
    /// Events taken.
    events: u64,
    /// Events not seen.
    lost: Losses,
    /// Events that do not say where they came from, because there was no room for their stack.
    without_site: u64,
    /// What became of everything that the probes saw, by CPU and kind.
    accounts: &'a [Account],
    /// From the start of krcu until every probe was attached.
    attach_ns: u64,
    /// From there to the start of detaching.
    duration_ns: u64,
    /// How many verdicts of each word.
    verdicts: BTreeMap<&'static str, u64>,
    /// Whether `waited` and `unordered` count as faults.
    strict: bool,
    /// Why these are not all events of the run: only in the replay of a trace that ends before its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<Incomplete>,
    /// Caches that had to be destroyed and were not; an empty name stands for any cache. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_destroyed: Option<Vec<&'a str>>,
    /// What is to be said of the entries of known verdicts; absent if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_remarks: Option<Vec<String>>,
    /// Why krcu failed; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a str>,
    /// Verdicts that are faults.
    flagged: usize,
    /// Verdicts that leave open what was asked.
    inconclusive: usize,
    /// Status of the command, as a shell reports it.
    command_status: u8,
    /// Status of krcu.
    exit_status: u8,
}

/// The lines of a report.
///
/// # Errors
/// Never: every value can be written as JSON.
pub fn render(outcome: &Outcome) -> serde_json::Result<String> {
    let mut text = String::new();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for verdict in &outcome.verdicts {
        *counts.entry(verdict.verdict.word()).or_default() += 1;
        text += &serde_json::to_string(&VerdictLine {
            schema: SCHEMA,
            kind: "verdict",
            verdict,
            known: outcome.known(verdict).map(|known| known.reason.as_str()),
        })?;
        text.push('\n');
    }
    text += &serde_json::to_string(&SummaryLine {
        schema: SCHEMA,
        kind: "summary",
        release: &outcome.release,
        probes: outcome.probes,
        events: outcome.events,
        lost: outcome.losses,
        without_site: outcome.without_site,
        accounts: &outcome.accounts,
        attach_ns: outcome.attach_ns,
        duration_ns: outcome.duration_ns,
        verdicts: counts,
        strict: outcome.policy.strict,
        incomplete: outcome.incomplete,
        not_destroyed: some(outcome.not_destroyed().collect()),
        known_remarks: some(outcome.known_remarks()),
        failed: outcome.failed.as_deref(),
        flagged: outcome.flagged(),
        inconclusive: outcome.open(),
        command_status: outcome.command_status,
        exit_status: outcome.exit_status(),
    })?;
    text.push('\n');
    Ok(text)
}

/// A list, if it has something in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::{SummaryLine, VerdictLine};

    /// The committed schema is the one of the types. After a change that is meant, run the test with
    /// `KRCU_BLESS=1`, and raise `SCHEMA` if a field changed its meaning or went away.
    #[test]
    fn the_committed_schema_is_that_of_the_lines() {
        let lines = [
            ("verdict", schemars::schema_for!(VerdictLine<'_>)),
            ("summary", schemars::schema_for!(SummaryLine<'_>)),
        ];
        for (kind, schema) in lines {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{kind}.schema.json"));
            if std::env::var_os("KRCU_BLESS").is_some() {
                let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
                fs::write(&path, text).unwrap();
            }
            // The order of the keys depends on what else is built with it.
            let committed: Option<Value> =
                fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
            assert!(
                committed == Some(schema.to_value()),
                "{} is not the schema of the types",
                path.display()
            );
        }
    }
}
