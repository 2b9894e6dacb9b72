//! Outside: the parts of a report that do not come from the state: counters, the ring, and the probes with their
//! cost.

use std::{fs, os::fd::OwnedFd, time::Instant};

use krcu_common::Fate;
use krcu_report::{Accounts, Outside, ProbeRow, ProbeState, Ring, SinkRow};

use crate::{
    kernel::plan::{Offer, Plan},
    losses::{FILTERED, Reading},
    probe::{self, Probes},
};

/// Reads these parts, and remembers those that need not be read for each report.
pub(super) struct Reader {
    ring_bytes: u64,
    /// The highest number of unread bytes in the ring since the last report.
    ring_peak: u64,
    /// While this is open, the kernel measures how long programs run.
    statistics: Option<OwnedFd>,
    read: Option<(Instant, bool)>,
}

/// The file that says whether the kernel measures all programs.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// How often the file is read, in seconds.
const LOOK_EVERY_S: u64 = 1;

impl Reader {
    /// A reader for a ring of this size.
    ///
    /// # Errors
    /// When statistics are wanted, and the kernel refuses them.
    pub(super) fn new(ring_bytes: u32, statistics: bool) -> anyhow::Result<Reader> {
        let statistics = if statistics { Some(probe::statistics()?) } else { None };
        Ok(Reader { ring_bytes: u64::from(ring_bytes), ring_peak: 0, statistics, read: None })
    }

    /// Notes how many bytes are unread in the ring now.
    pub(super) fn see(&mut self, used: Option<u64>) {
        self.ring_peak = self.ring_peak.max(used.unwrap_or(0));
    }

    /// Returns these parts of a report.
    pub(super) fn outside(&mut self, probes: &Probes, reading: &Reading, sinks: Vec<SinkRow>) -> Outside {
        let (delivered, lost) = (reading.all(Fate::Delivered), reading.all(Fate::LostRing));
        let filtered = FILTERED.into_iter().map(|fate| reading.all(fate)).sum();
        let accounts = Accounts { seen: delivered + filtered + lost, delivered, filtered, lost };
        let ring = Ring { bytes: self.ring_bytes, used_bytes: std::mem::take(&mut self.ring_peak) };
        let are_measured = self.are_measured();
        Outside {
            accounts: Some(accounts),
            losses: Some(reading.losses()),
            ring: Some(ring),
            without_site: reading.all(Fate::NoSite),
            probes: rows(probes, reading, are_measured),
            sinks,
        }
    }

    fn are_measured(&mut self) -> bool {
        if self.statistics.is_some() {
            return true;
        }
        if let Some((when, are)) = self.read
            && when.elapsed().as_secs() < LOOK_EVERY_S
        {
            return are;
        }
        let are = fs::read_to_string(SWITCH).is_ok_and(|text| text.trim() == "1");
        self.read = Some((Instant::now(), are));
        are
    }
}

fn rows(probes: &Probes, reading: &Reading, are_measured: bool) -> Vec<ProbeRow> {
    let costs = if are_measured { probes.costs() } else { Vec::new() };
    let plan: &Plan = probes.plan();
    plan.probes
        .iter()
        .map(|probe| {
            let (state, why) = match &probe.offer {
                Offer::Offered => (ProbeState::Attached, None),
                Offer::CouldNotLook(_) => (ProbeState::Attached, None),
                Offer::NotNeeded(why) => (ProbeState::NotNeeded, Some(why.clone())),
                Offer::NotOffered(why) => (ProbeState::NotOffered, Some(why.clone())),
            };
            let cost =
                costs.iter().find(|(program, _)| *program == probe.program).and_then(|(_, cost)| *cost);
            let mut misses = reading.misses.iter().flatten();
            let missed =
                misses.find(|(program, _)| *program == probe.program).and_then(|(_, missed)| *missed);
            ProbeRow {
                program: probe.program.to_owned(),
                function: probe.target.to_owned(),
                way: probe.attach.name().to_owned(),
                state,
                why,
                runs: cost.map(|(runs, _)| runs),
                run_time_ns: cost.map(|(_, ns)| ns),
                missed: missed.unwrap_or(0),
            }
        })
        .collect()
}
