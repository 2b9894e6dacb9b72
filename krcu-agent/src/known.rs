//! Known: the verdicts that a person knows of, from the file of `--known`. Such a verdict is shown, and does not count.
//!
//! An entry has a reason and a last day, since an entry without an end hides the next fault of the same place.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context as _, anyhow, ensure};
use krcu_model::{VerdictKind, verdict::About};
use krcu_report::FlatVerdict;
use krcu_trace::meta::Known;
use serde::Deserialize;

/// How an entry is written, for those who wrote it otherwise.
const FORM: &str = "an entry is\n[[known]]\nsignature = \"pending my_module.my_cache\"\nreason = \"why\"\nuntil = 2027-01-31";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    signature: String,
    reason: String,
    until: toml::value::Datetime,
}

/// Reads the entries of a file.
///
/// # Errors
/// When it cannot be read, or an entry is wrong.
pub fn read(path: &Path) -> anyhow::Result<Vec<Known>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    entries(&text, &day_of(SystemTime::now())).with_context(|| format!("{} is wrong", path.display()))
}

/// The entries of this text. `today` is written as `2027-01-31`.
fn entries(text: &str, today: &str) -> anyhow::Result<Vec<Known>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow!("line {line}: {}: {FORM}", error.message())
    })?;
    file.known.into_iter().map(|entry| known(entry, today)).collect()
}

fn known(Entry { signature, reason, until }: Entry, today: &str) -> anyhow::Result<Known> {
    let words: Vec<&str> = signature.split_whitespace().collect();
    let (word, name) = match words.as_slice() {
        [word, name] | [word, name, _] => (*word, *name),
        _ => return Err(anyhow!("`{signature}` is not `VERDICT MODULE.CACHE`: {FORM}")),
    };
    let all = VerdictKind::ALL.map(VerdictKind::word);
    if !all.contains(&word) {
        let nearest = all.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, word));
        let nearest = nearest.unwrap_or_default();
        return Err(anyhow!("`{signature}`: there is no verdict `{word}`; the nearest one is `{nearest}`"));
    }
    ensure!(
        name.contains('.'),
        "`{signature}`: name the module as well, as the report does: `{word} MODULE.{name}`"
    );
    let date = until.date.filter(|_| until.time.is_none());
    let date = date.with_context(|| format!("`{signature}`: `until` is a day, as in until = 2027-01-31"))?;
    ensure!(!reason.trim().is_empty(), "`{signature}` has no reason: say why it does not count");
    let until = date.to_string();
    let expired = until.as_str() < today;
    Ok(Known { signature: words.join(" "), reason, until, expired })
}

/// The day of a moment, as `2027-01-31`.
fn day_of(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string().chars().take("2027-01-31".len()).collect()
}

/// Whether an entry is about this verdict, which is called `word`.
#[must_use]
pub fn matches(entry: &Known, word: &str, verdict: &FlatVerdict) -> bool {
    let mut words = entry.signature.split(' ');
    let is_named = words.next() == Some(word) && words.next() == Some(name(verdict).as_str());
    is_named && words.next().is_none_or(|function| names(verdict, function))
}

/// Whether the evidence of a verdict names a function.
fn names(verdict: &FlatVerdict, function: &str) -> bool {
    let mut stacks = verdict.sites.iter().chain(&verdict.leak_sites).map(|site| &site.stack);
    let is_frame = |frame: &String| frame.split(['+', ' ']).next() == Some(function);
    stacks.any(|stack| stack.iter().any(is_frame))
        || verdict.callbacks.iter().any(|callback| callback.function == function)
}

/// `MODULE.CACHE` of a verdict, as a case and a signature have it, without the number of a life.
#[must_use]
pub fn name(verdict: &FlatVerdict) -> String {
    format!("{}.{}", module_of(verdict), own_name(verdict))
}

/// What stands for the module of a cache whose module is not known.
const NO_MODULE: &str = "no_module";

/// The module of a verdict, or what stands for it.
#[must_use]
pub fn module_of(verdict: &FlatVerdict) -> &str {
    verdict.module.as_deref().filter(|module| !module.is_empty()).unwrap_or(NO_MODULE)
}

/// The name of a verdict in its module.
#[must_use]
pub fn own_name(verdict: &FlatVerdict) -> String {
    match verdict.about {
        // The mark is krcu's own, before the number of a life.
        About::Cache => verdict.name().replace('#', "_"),
        About::Module => "unload".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        format!("{:#}", entries(text, "2026-11-28").unwrap_err())
    }

    #[test]
    fn an_entry_has_a_signature_a_reason_and_a_last_day() {
        let entry = |until: &str| {
            format!(
                "[[known]]\nsignature = \"pending  my_module.my_cache\"\nreason = \"mended in 7.2\"\nuntil = {until}\n"
            )
        };
        let read = entries(&(entry("2026-11-28") + &entry("2026-11-27")), "2026-11-28").unwrap();
        let expired: Vec<bool> = read.iter().map(|known| known.expired).collect();
        assert_eq!(expired, [false, true], "the last day still counts");
        assert_eq!(read[0].signature, "pending my_module.my_cache");
    }

    #[test]
    fn a_wrong_entry_says_how_it_is_written() {
        let with = |signature: &str| {
            wrong(&format!("[[known]]\nsignature = \"{signature}\"\nreason = \"r\"\nuntil = 2027-01-01"))
        };
        assert!(with("pendin m.c").contains("nearest one is `pending`"));
        assert!(with("pending my_cache").contains("pending MODULE.my_cache"));
        assert!(with("pending").contains("[[known]]"));
        let text = "\n[[known]]\nsignature = \"pending m.c\"\nreson = \"r\"\nuntil = 2027-01-01";
        assert!(wrong(text).starts_with("line 4: unknown field `reson`"), "{}", wrong(text));
        let text = "[[known]]\nsignature = \"pending m.c\"\nreason = \" \"\nuntil = 2027-01-01";
        assert!(wrong(text).contains("no reason"));
        let text = "[[known]]\nsignature = \"pending m.c\"\nreason = \"r\"\nuntil = 12:00:00";
        assert!(wrong(text).contains("`until` is a day"));
    }
}
