//! Layout: where the traces, the facts and the ledger of a fleet lie.
//!
//! ```text
//! FLEET/traces/day=D/host=H/boot=B/T.krcu/     whole when DONE is there, which is copied last
//! FLEET/facts/v=VERSION/TABLE/day=D/RUN.parquet
//! FLEET/ledger/v=VERSION/day=D/RUN.json        the commit: facts without it do not count
//! ```
//!
//! A trace is known by its place alone, so that one whose files cannot be read has a row of the ledger too.

use std::path::{Path, PathBuf};

use chrono::DateTime;
use krcu_trace::Meta;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// Version of the facts. It changes when a table's columns, or what they mean, change; then every trace is replayed anew, beside
/// the old facts.
pub const VERSION: u32 = 1;
/// The file that says that a trace is whole.
pub const DONE: &str = "DONE";
/// The ending of a trace's folder.
const ENDING: &str = ".krcu";

/// The place of a trace in the fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The day on which it was attached, in UTC, as `2026-11-28`.
    pub day: String,
    /// The host.
    pub host: String,
    /// The boot's identity.
    pub boot: String,
    /// The trace's name, without `.krcu`.
    pub name: String,
}

impl Place {
    /// The folder below `FLEET/traces`, with `/` between its parts.
    #[must_use]
    pub fn folder(&self) -> String {
        let Place { day, host, boot, name } = self;
        format!("day={}/host={}/boot={}/{}{ENDING}", safe(day), safe(host), safe(boot), safe(name))
    }

    /// The place of such a folder; none of a path of another form.
    #[must_use]
    pub fn of_folder(folder: &str) -> Option<Place> {
        let mut parts = folder.split('/');
        let mut next = |prefix: &str| parts.next()?.strip_prefix(prefix).and_then(plain);
        let (day, host, boot) = (next("day=")?, next("host=")?, next("boot=")?);
        let name = plain(parts.next()?.strip_suffix(ENDING)?)?;
        let is_day = day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        (parts.next().is_none() && is_day).then_some(Place { day, host, boot, name })
    }

    /// The number of the run that the trace is of.
    #[must_use]
    pub fn run(&self) -> i64 {
        run(&self.host, &self.boot, &self.name)
    }
}

/// A fleet's folder.
#[derive(Clone, Debug)]
pub struct Fleet(PathBuf);

impl Fleet {
    /// The fleet in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Fleet {
        Fleet(folder.to_owned())
    }

    /// Where all traces are.
    #[must_use]
    pub fn traces(&self) -> PathBuf {
        self.0.join("traces")
    }

    /// The folder of a trace.
    #[must_use]
    pub fn trace(&self, place: &Place) -> PathBuf {
        self.traces().join(place.folder())
    }

    /// Where the facts of this version are.
    #[must_use]
    pub fn facts(&self) -> PathBuf {
        self.0.join("facts").join(format!("v={VERSION}"))
    }

    /// The folder of a table's facts of one day.
    #[must_use]
    pub fn table(&self, table: &str, day: &str) -> PathBuf {
        self.facts().join(table).join(format!("day={day}"))
    }

    /// Where the ledger of this version is.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger").join(format!("v={VERSION}"))
    }

    /// The ledger of one day.
    #[must_use]
    pub fn ledger_of(&self, day: &str) -> PathBuf {
        self.ledger().join(format!("day={day}"))
    }
}

/// A number above 0 that is made of these texts, in this order: 63 bits of their SHA-256, so that every engine holds it in
/// a signed integer.
#[must_use]
pub fn number(texts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let bits = digest.iter().take(8).fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
    i64::try_from(bits >> 1).unwrap_or(i64::MAX).max(1)
}

/// The number of a run.
#[must_use]
pub fn run(host: &str, boot: &str, trace: &str) -> i64 {
    number(&[host, boot, trace])
}

/// What is known of a trace that does not say its host or boot.
const UNKNOWN: &str = "unknown";

/// The place of a trace, by what it says of itself; none of one whose clock says nothing. The recorder gave it a name that no
/// other trace of the boot has, whatever its folder is called.
#[must_use]
pub fn place_of(meta: &Meta) -> Option<Place> {
    let unknown = || UNKNOWN.to_owned();
    Some(Place {
        day: day_of(attached_utc_ns(meta)?),
        host: meta.kernel.host.clone().unwrap_or_else(unknown),
        boot: meta.kernel.boot_id.clone().unwrap_or_else(unknown),
        name: name_of(meta),
    })
}

/// The name of a trace among those of its boot.
#[must_use]
pub fn name_of(meta: &Meta) -> String {
    let boot = meta.kernel.boot_id.as_deref().unwrap_or_default();
    let name = meta.trace.strip_prefix(boot).unwrap_or(&meta.trace).trim_start_matches('-');
    if name.is_empty() { "trace".to_owned() } else { name.to_owned() }
}

/// When the probes were attached, in nanoseconds since 1970; none of a trace whose clock says nothing.
#[must_use]
pub fn attached_utc_ns(meta: &Meta) -> Option<i64> {
    let clock = &meta.clock;
    if clock.realtime_ns == 0 {
        return None;
    }
    let before_monotonic = i128::from(clock.monotonic_ns) - i128::from(meta.watch.attached_ns);
    i64::try_from(i128::from(clock.realtime_ns) - before_monotonic).ok()
}

/// The name of the files of a run, without their ending.
#[must_use]
pub fn file_of(run: i64) -> String {
    format!("{run:016x}")
}

/// The day of a moment in UTC, as `2026-11-28`.
#[must_use]
pub fn day_of(utc_ns: i64) -> String {
    DateTime::from_timestamp_nanos(utc_ns).format("%Y-%m-%d").to_string()
}

/// What is written as `%` and two digits in the name of a file and of a partition.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A name that is one part of a path and of a partition. It does not begin with a dot.
#[must_use]
pub fn safe(name: &str) -> String {
    let safe = utf8_percent_encode(name, ESCAPED).to_string();
    safe.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(safe)
}

/// The name that was made safe.
fn plain(safe: &str) -> Option<String> {
    percent_decode_str(safe).decode_utf8().ok().map(|name| name.into_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_leave_the_folder() {
        for (name, expected) in
            [("farm-7.lab", "farm-7.lab"), ("../etc", "%2E.%2Fetc"), ("a b=c", "a%20b%3Dc")]
        {
            assert_eq!(safe(name), expected);
            let place = Place {
                day: "2026-11-28".to_owned(),
                host: name.to_owned(),
                boot: "b".to_owned(),
                name: name.to_owned(),
            };
            assert_eq!(Place::of_folder(&place.folder()), Some(place));
        }
        for other in ["day=2026-11-28/host=a/boot=b/t", "day=today/host=a/boot=b/t.krcu", "host=a/t.krcu"] {
            assert_eq!(Place::of_folder(other), None);
        }
    }
}
