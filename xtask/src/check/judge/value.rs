//! Holds one value of a verdict or a summary against what it must be.

use serde_json::Value;

use crate::check::scenarios::Want;

/// What is wrong with the accounts of a summary.
pub(super) fn unbalanced(summary: &Value, accounts: &Value) -> Option<String> {
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let accounts = accounts.as_array().filter(|accounts| !accounts.is_empty());
    let Some(accounts) = accounts else { return Some("it has no accounts".to_owned()) };
    let mut delivered = 0;
    for account in accounts {
        let sum = ["delivered", "lost", "filtered"]
            .iter()
            .try_fold(0, |sum, field| Some(sum + number(account, field)?));
        if sum.is_none() || number(account, "seen") != sum {
            return Some(format!("an account is not balanced: {account}"));
        }
        delivered += number(account, "delivered").unwrap_or(0);
    }
    let taken = number(summary, "events");
    (taken != Some(delivered)).then(|| format!("{delivered} events were delivered and {taken:?} taken"))
}

/// Says what was wanted when the value is not that.
pub(super) fn judge_value(
    value: &Value,
    want: Want,
    truth: impl Fn(&str) -> Option<u64>,
    log_lines: impl Fn(&str) -> u64,
) -> Result<(), String> {
    let number = value.as_u64();
    let told = |key| truth(key).ok_or_else(|| format!("the module's {key}, which it did not print"));
    let mut wanted = format!("{want:?}");
    let agrees = match want {
        Want::Text(text) => value.as_str() == Some(text),
        Want::Has(text) => {
            value.as_str().map_or_else(|| value.to_string().contains(text), |value| value.contains(text))
        }
        Want::Number(wanted) => number == Some(wanted),
        Want::AtLeast(wanted) => number.is_some_and(|number| number >= wanted),
        Want::Flag(wanted) => value.as_bool() == Some(wanted),
        Want::Nothing => value.is_null(),
        Want::NumberOrNothing(wanted) => value.is_null() || number == Some(wanted),
        Want::Balanced => false,
        Want::Truth(key) => {
            let told = told(key)?;
            wanted = format!("{told}, the module's {key}");
            number == Some(told)
        }
        Want::LogLines(text) => {
            let lines = log_lines(text);
            wanted = format!("{lines}, the kernel's lines");
            number == Some(lines)
        }
        Want::TruthBetween(low, high) => {
            let range = told(low)?..=told(high)?;
            wanted = format!("{range:?}, the module's {low} and {high}");
            number.is_some_and(|number| range.contains(&number))
        }
    };
    if agrees { Ok(()) } else { Err(wanted) }
}

/// What a module printed about a cache: `NAME: truth cache=CACHE KEY=NUMBER …`.
pub(super) fn truth_of(log: &str, cache: &str, key: &str) -> Option<u64> {
    let named = format!("cache={cache}");
    let line =
        log.lines().find(|line| line.contains(": truth ") && line.split(' ').any(|word| word == named))?;
    line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.trim().parse().ok())
}
