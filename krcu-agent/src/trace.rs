//! Trace: the parts of a trace besides its events. A run writes them; a replay makes the outcome of them.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use krcu_common::{ABI_VERSION, Kind};
use krcu_model::{State, Watch};
use krcu_report::FlatVerdict;
use krcu_trace::{
    FORMAT, How, Meta,
    meta::{Account, Btf, Clock, Kernel, Probe, Run},
};
use nix::{
    sys::utsname::uname,
    time::{ClockId, clock_gettime},
};

use crate::{
    kernel::{
        facts::Facts,
        plan::{Offer, Plan},
    },
    modules,
    outcome::{Outcome, Policy, Setting},
};

/// The head of a trace, without the command.
///
/// # Errors
/// When a clock cannot be read.
pub fn meta(facts: &Facts, plan: &Plan, watch: &Watch) -> anyhow::Result<Meta> {
    let clock = clock()?;
    let boot_id = word_of("/proc/sys/kernel/random/boot_id");
    let boot = boot_id.as_deref().unwrap_or("unknown-boot");
    let trace = format!("{boot}-{}-{}", watch.attached.0, std::process::id());
    Ok(Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: env!("CARGO_PKG_VERSION").to_owned(),
        trace,
        kernel: Kernel {
            release: facts.release.clone().unwrap_or_else(|| "of an unknown release".to_owned()),
            arch: facts.arch.clone(),
            host: host(),
            boot_id,
            btf: btf(),
            possible_cpus: watch.possible_cpus,
            hz: hz(facts.release.as_deref()),
        },
        clock,
        watch: modules::seen(watch),
        probes: plan.probes.iter().map(probe).collect(),
        undecidable: plan.undecidable.clone(),
        command: Vec::new(),
        ended: None,
    })
}

fn clock() -> anyhow::Result<Clock> {
    let read = |id| -> anyhow::Result<u64> {
        let time = clock_gettime(id).context("cannot read the clock")?;
        Ok(u64::try_from(std::time::Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
    };
    Ok(Clock { monotonic_ns: read(ClockId::CLOCK_MONOTONIC)?, realtime_ns: read(ClockId::CLOCK_REALTIME)? })
}

fn word_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn btf() -> Option<Btf> {
    let bytes = fs::read("/sys/kernel/btf/vmlinux").ok()?;
    Some(Btf { bytes: bytes.len() as u64, crc32: format!("{:08x}", crc32fast::hash(&bytes)) })
}

/// The tick rate, from the place where distributions leave the kernel's configuration.
fn hz(release: Option<&str>) -> Option<u32> {
    let config = word_of(&format!("/boot/config-{}", release?))?;
    config.lines().find_map(|line| line.strip_prefix("CONFIG_HZ=")).and_then(|hz| hz.parse().ok())
}

fn probe(probe: &crate::kernel::plan::Probe) -> Probe {
    let (offer, why) = match &probe.offer {
        Offer::Offered => ("offered", None),
        Offer::CouldNotLook(why) => ("not_looked_at", Some(why)),
        Offer::NotNeeded(why) => ("not_needed", Some(why)),
        Offer::NotOffered(why) => ("not_offered", Some(why)),
    };
    Probe {
        program: probe.program.to_owned(),
        target: probe.target.to_owned(),
        offer: offer.to_owned(),
        why: why.cloned(),
    }
}

/// The part of a run's report that does not follow from its events.
#[must_use]
pub fn run(outcome: &Outcome) -> Run {
    Run {
        probes: outcome.probes as u64,
        attach_ns: outcome.attach_ns,
        duration_ns: outcome.duration_ns,
        lost: outcome.losses,
        without_site: outcome.without_site,
        accounts: outcome.accounts.clone(),
        command_status: outcome.command_status,
        strict: outcome.policy.strict,
        exit_flagged: outcome.policy.exit_flagged,
        events_cut_short: outcome.events_cut_short,
        require_destroy: outcome.policy.require_destroy.clone(),
        known: outcome.policy.known.clone(),
        // The writer of the trace has them.
        modules: Vec::new(),
    }
}

/// Where and when the run was whose head this is. `has_command`: whether it had a command, if that is known.
#[must_use]
pub fn setting(meta: &Meta, has_command: bool) -> Setting {
    let Meta { kernel, clock, watch, command, .. } = meta;
    // An anonymous trace has no time of day.
    let began_ns = (clock.realtime_ns > 0)
        .then(|| (clock.realtime_ns + watch.attached_ns).saturating_sub(clock.monotonic_ns));
    Setting {
        run: meta.trace.clone(),
        arch: kernel.arch.clone(),
        host: kernel.host.clone(),
        began_ns,
        command: (has_command || !command.is_empty()).then(|| command.clone()),
    }
}

/// Here and now, for a run that has not begun.
#[must_use]
pub fn here(command: Vec<String>) -> Setting {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    Setting {
        run: format!("{began_ns}-{}", std::process::id()),
        arch: std::env::consts::ARCH.to_owned(),
        host: host(),
        began_ns: Some(began_ns),
        command: Some(command),
    }
}

/// The machine's name, as `uname -n` prints it.
fn host() -> Option<String> {
    uname().ok().and_then(|name| name.nodename().to_str().map(str::to_owned))
}

/// The running kernel's release, for people to read.
#[must_use]
pub fn release() -> String {
    word_of("/proc/sys/kernel/osrelease").unwrap_or_else(|| "of an unknown release".to_owned())
}

/// The outcome of a run, from its own numbers and from the state after its events.
///
/// # Errors
/// When it has an account of a kind of event that this version does not know.
pub fn outcome(meta: &Meta, run: &Run, state: &State, verdicts: Vec<FlatVerdict>) -> anyhow::Result<Outcome> {
    let is_known = |account: &&Account| Kind::of_word(&account.kind).is_some_and(Kind::is_probed);
    if let Some(account) = run.accounts.iter().find(|account| !is_known(account)) {
        bail!("there is no kind of event `{}`", account.kind);
    }
    let ended_by_exit = meta.ended.as_ref().is_some_and(|ended| ended.how == How::Exit);
    Ok(Outcome {
        setting: setting(meta, ended_by_exit),
        release: meta.kernel.release.clone(),
        probes: usize::try_from(run.probes).unwrap_or(usize::MAX),
        events: state.events(),
        losses: run.lost,
        without_site: run.without_site,
        accounts: run.accounts.clone(),
        attach_ns: run.attach_ns,
        duration_ns: run.duration_ns,
        verdicts,
        command_status: run.command_status,
        events_cut_short: run.events_cut_short,
        incomplete: None,
        failed: None,
        policy: Policy {
            strict: run.strict,
            exit_flagged: run.exit_flagged,
            require_destroy: run.require_destroy.clone(),
            known: run.known.clone(),
        },
    })
}
