//! Diagnostics: prints the probes' own messages on standard error, if an option asks for them.

use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use crate::{probe::Probes, say::say};

/// The place where the diagnostics go.
struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        say(format_args!("probe: {}", record.args()));
    }

    fn flush(&self) {}
}

/// The reader of the diagnostics.
pub struct ProbeLog(EbpfLogger<ToStderr>);

impl ProbeLog {
    /// A reader for these probes.
    ///
    /// # Errors
    /// When their ring cannot be mapped.
    pub fn of(probes: &mut Probes) -> anyhow::Result<ProbeLog> {
        Ok(ProbeLog(probes.take_log(ToStderr)?))
    }

    /// Prints the messages that have come.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}
