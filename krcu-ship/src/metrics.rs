//! Metrics: what a run did, as a file for the textfile collector of Prometheus' node exporter. So no port is open between runs.

use std::{fmt::Write as _, fs, io, path::Path};

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Traces that were shipped now.
    pub shipped: u64,
    /// Traces that were shipped before.
    pub before: u64,
    /// Traces whose recorder may still be at work.
    pub unfinished: u64,
    /// Traces that the bound left for the next run.
    pub left: u64,
    /// Bytes of these.
    pub left_bytes: u64,
    /// Traces that could not be shipped.
    pub failed: u64,
    /// Bytes that were sent.
    pub sent_bytes: u64,
}

impl Counts {
    /// The text.
    #[must_use]
    pub fn text(&self, now_seconds: u64) -> String {
        let mut text = String::from(
            "# HELP krcu_ship_traces Traces by what the last run of krcu ship did with them.\n\
             # TYPE krcu_ship_traces gauge\n",
        );
        for (outcome, count) in [
            ("shipped", self.shipped),
            ("before", self.before),
            ("unfinished", self.unfinished),
            ("left", self.left),
            ("failed", self.failed),
        ] {
            let _ = writeln!(text, "krcu_ship_traces{{outcome=\"{outcome}\"}} {count}");
        }
        for (name, help, value) in [
            ("krcu_ship_sent_bytes", "Bytes that the last run sent.", self.sent_bytes),
            ("krcu_ship_left_bytes", "Bytes of the traces that the bound left.", self.left_bytes),
            ("krcu_ship_last_run_timestamp_seconds", "When the last run ended.", now_seconds),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
        text
    }

    /// Writes the file as a whole, as the collector asks for.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn write(&self, path: &Path, now_seconds: u64) -> io::Result<()> {
        let partial = path.with_extension("partial");
        fs::write(&partial, self.text(now_seconds))?;
        fs::rename(&partial, path)
    }
}
