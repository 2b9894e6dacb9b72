//! Metrics: a report as OpenMetrics text. The number of metrics has a bound, because the report has one.

use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use krcu_model::VerdictKind;
use krcu_report::{BOUNDS_NS, CachePhase, EventWord, Report, SinkState};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::memory;

use super::{
    confine::Confined,
    health::{Health, RecorderHealth},
    published::Published,
};

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How many caches have metrics of their own: those with the most outstanding objects.
const MOST_CACHES: usize = 64;

/// The data of the metrics.
#[derive(Debug)]
struct Source {
    published: Arc<Published>,
    health: Arc<Health>,
}

/// Returns the text.
///
/// # Errors
/// Never: writing a text in memory does not fail.
pub(super) fn text(published: &Arc<Published>, health: &Arc<Health>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("krcu");
    let source = Source { published: Arc::clone(published), health: Arc::clone(health) };
    registry.register_collector(Box::new(source));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = &self.published.report;
        let mut out = Out { encoder: &mut encoder };
        build(&mut out)?;
        events(&mut out, report)?;
        outstanding(&mut out, report)?;
        verdicts(&mut out, report)?;
        waits(&mut out, report)?;
        probes(&mut out, report)?;
        sinks(&mut out, report)?;
        confined(&mut out, &self.health)?;
        tables(&mut out, &self.health)?;
        clients(&mut out, &self.health)
    }
}

/// Where metrics are written.
struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Out<'_, '_> {
    fn family(
        &mut self,
        (name, help): (&str, &str),
        unit: Option<&Unit>,
        kind: MetricType,
        each: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut encoder = self.encoder.encode_descriptor(name, help, unit, kind)?;
        each(&mut encoder)
    }

    #[expect(single_use_lifetimes, reason = "within `impl` it has to have a name")]
    fn counters<'v>(
        &mut self,
        about: (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        self.family(about, None, MetricType::Counter, |encoder| {
            for (value, count) in values {
                one(encoder, [(label, value)], |encoder| ConstCounter::new(count).encode(encoder))?;
            }
            Ok(())
        })
    }

    #[expect(single_use_lifetimes, reason = "within `impl` it has to have a name")]
    fn gauges<'v>(
        &mut self,
        about: (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        self.family(about, None, MetricType::Gauge, |encoder| {
            for (value, now) in values {
                one(encoder, [(label, value)], |encoder| gauge(now).encode(encoder))?;
            }
            Ok(())
        })
    }

    fn counter(&mut self, about: (&str, &str), count: u64) -> fmt::Result {
        self.family(about, None, MetricType::Counter, |encoder| {
            ConstCounter::new(count).encode(encoder.encode_family(&NO_LABELS)?)
        })
    }

    fn gauge(&mut self, about: (&str, &str), unit: Option<&Unit>, now: f64) -> fmt::Result {
        self.family(about, unit, MetricType::Gauge, |encoder| {
            ConstGauge::new(now).encode(encoder.encode_family(&NO_LABELS)?)
        })
    }
}

const NO_LABELS: [(&str, &str); 0] = [];

fn one<const N: usize>(
    encoder: &mut MetricEncoder<'_>,
    labels: [(&str, &str); N],
    encode: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result
where
    for<'l> [(&'l str, &'l str); N]: EncodeLabelSet,
{
    encode(encoder.encode_family(&labels)?)
}

fn gauge(now: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(now).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "seconds, for people: a nanosecond in centuries is no matter")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn build(out: &mut Out<'_, '_>) -> fmt::Result {
    let about = ("build", "The running version of krcu.");
    out.family(about, None, MetricType::Info, |encoder| {
        let info = prometheus_client::metrics::info::Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        info.encode(encoder.encode_family(&NO_LABELS)?)
    })
}

fn events(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    let words = EventWord::ALL.map(|word| (word.word(), report.events.of(word)));
    out.counters(("events", "Events that krcu has taken, by what they are about."), "word", words)?;
    let losses = &report.losses.counted;
    let reasons = [
        ("ring_full", losses.ring_full),
        ("probe_missed", losses.probe_missed),
        ("map_full", losses.map_full),
    ];
    out.counters(("lost_events", "Events that krcu did not see, by reason."), "reason", reasons)?;
    out.counter(
        (
            "lost_destroys",
            "Calls of kmem_cache_destroy() that krcu did not see: their caches have no verdict.",
        ),
        losses.destroys,
    )?;
    if let Some(accounts) = report.accounts {
        let fates =
            [("delivered", accounts.delivered), ("filtered", accounts.filtered), ("lost", accounts.lost)];
        out.counters(
            ("probe_events", "Events that the probes saw, by what happened to them."),
            "fate",
            fates,
        )?;
    }
    out.counter(
        ("siteless_events", "Events that have no site, because there was no room for their stack."),
        report.without_site,
    )?;
    if let Some(ring) = report.ring {
        out.gauge(("ring_size", "Size of the ring."), Some(&Unit::Bytes), exact(ring.bytes))?;
        out.gauge(
            ("ring_used", "The most unread bytes in the ring since the last report."),
            Some(&Unit::Bytes),
            exact(ring.used_bytes),
        )?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes and counts stay far below where a number is not exact")]
fn exact(number: u64) -> f64 {
    number as f64
}

fn outstanding(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    out.gauge(
        (
            "outstanding_objects",
            "Objects of watched caches that kfree_rcu() has queued and whose free has not begun.",
        ),
        None,
        exact(report.outstanding),
    )?;
    if let Some(waiting) = report.callbacks_waiting {
        out.gauge(
            ("callbacks_waiting", "Callbacks of call_rcu() in objects of watched caches that have not run."),
            None,
            exact(waiting),
        )?;
    }
    out.gauge(
        ("oldest_age", "Age of the oldest queued object or waiting callback; 0 if there is none."),
        Some(&Unit::Seconds),
        report.oldest_age_ns.map_or(0.0, seconds),
    )?;
    out.gauge(("caches", "Watched caches."), None, exact(report.caches_total))?;
    let alive =
        report.caches.iter().filter(|cache| cache.phase != CachePhase::Released && !cache.name.is_empty());
    let alive: Vec<_> = alive.take(MOST_CACHES).collect();
    // Two caches of one name would be two samples of one series.
    let mut by_name = std::collections::BTreeMap::<&str, [u64; 3]>::new();
    for cache in &alive {
        let [outstanding, queued, freed] = by_name.entry(&cache.name).or_default();
        *outstanding += cache.outstanding + cache.callbacks_waiting;
        *queued += cache.queued + cache.callbacks;
        *freed += cache.freed;
    }
    let of = |place: usize| {
        by_name.iter().map(move |(name, counts)| (*name, counts.get(place).copied().unwrap_or(0)))
    };
    out.gauges(
        ("cache_outstanding", "Deferred frees that are not done, by cache: the caches with the most."),
        "cache",
        of(0),
    )?;
    out.gauges(("cache_queued", "All deferred frees so far, by cache: the same caches."), "cache", of(1))?;
    out.gauges(("cache_freed", "Deferred frees that are done, by cache: the same caches."), "cache", of(2))
}

fn verdicts(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    let all = VerdictKind::ALL.into_iter();
    let counts = all.map(|kind| (kind.word(), report.verdict_counts.get(&kind).copied().unwrap_or(0)));
    // One may be taken back, when a loss becomes known: no counter.
    out.gauges(("verdicts", "Verdicts so far, by word."), "verdict", counts)?;
    let flagged = report.verdict_counts.iter().filter(|(kind, _)| kind.is_flagged());
    out.gauge(
        ("verdicts_flagged", "Verdicts so far that are faults."),
        None,
        exact(flagged.map(|(_, count)| count).sum()),
    )
}

fn waits(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    out.gauge(
        ("barriers_running", "Barriers and destroys in which a task waits now."),
        None,
        exact(report.barriers_running.len() as u64),
    )?;
    let about = ("wait", "How long finished barriers and destroys took, by function.");
    out.family(about, Some(&Unit::Seconds), MetricType::Histogram, |encoder| {
        for (kind, waits) in &report.waits {
            let mut before = 0;
            let mut buckets = Vec::new();
            let bounds = BOUNDS_NS.map(seconds).into_iter().chain([f64::INFINITY]);
            for (bound, until) in bounds.zip(waits.buckets.iter().chain([&waits.count])) {
                buckets.push((bound, until.saturating_sub(before)));
                before = *until;
            }
            let sum = seconds(waits.sum_ns);
            one(encoder, [("function", kind.function())], |mut encoder| {
                encoder.encode_histogram::<[(&str, &str); 0]>(sum, waits.count, &buckets, None)
            })?;
        }
        Ok(())
    })
}

fn probes(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    if let Some(bytes) = memory::of_probes() {
        let about =
            ("probe_memory", "Memory that the kernel keeps for the probes: programs, maps and the ring.");
        out.gauge(about, Some(&Unit::Bytes), exact(bytes))?;
    }
    let named = || report.probes.iter().map(|probe| probe.program.as_str());
    let missed = named().zip(report.probes.iter().map(|probe| probe.missed));
    out.counters(("probe_missed_runs", "Runs of a probe that the kernel skipped."), "program", missed)?;
    let runs = report.probes.iter().filter_map(|probe| Some((probe.program.as_str(), probe.runs?)));
    out.counters(("probe_runs", "Runs of a probe, if the kernel counts them."), "program", runs)?;
    let times = report.probes.iter().filter_map(|probe| Some((probe.program.as_str(), probe.run_time_ns?)));
    out.family(
        ("probe_run_time", "Time that a probe ran, if the kernel measures it."),
        Some(&Unit::Seconds),
        MetricType::Counter,
        |encoder| {
            for (program, ns) in times {
                one(encoder, [("program", program)], |encoder| {
                    ConstCounter::new(seconds(ns)).encode(encoder)
                })?;
            }
            Ok(())
        },
    )
}

fn sinks(out: &mut Out<'_, '_>, report: &Report) -> fmt::Result {
    let works =
        report.sinks.iter().map(|sink| (sink.name.as_str(), u64::from(sink.state != SinkState::Failed)));
    out.gauges(("sink_up", "Whether a sink works."), "sink", works)?;
    let dropped = report.sinks.iter().map(|sink| (sink.name.as_str(), sink.dropped));
    out.counters(
        ("sink_dropped", "Lines or reports that a sink dropped, and clients that it disconnected."),
        "sink",
        dropped,
    )
}

fn confined(out: &mut Out<'_, '_>, health: &Health) -> fmt::Result {
    let Confined { capabilities, folders, calls } = health.confined.get().copied().unwrap_or_default();
    let given_up = [("capabilities", capabilities), ("folders", folders), ("system_calls", calls)];
    out.gauges(
        ("confined", "Whether the agent has given up what it does not need."),
        "what",
        given_up.map(|(what, is_given_up)| (what, u64::from(is_given_up))),
    )
}

fn tables(out: &mut Out<'_, '_>, health: &Health) -> fmt::Result {
    let fills = health.fills.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let entries = fills.iter().map(|fill| (fill.map, fill.entries));
    out.gauges(
        ("map_entries", "Entries of a table of the probes, counted every ten seconds."),
        "map",
        entries,
    )?;
    let sizes = fills.iter().map(|fill| (fill.map, fill.size));
    out.gauges(("map_size", "The most entries of a table of the probes."), "map", sizes)
}

fn clients(out: &mut Out<'_, '_>, health: &Health) -> fmt::Result {
    let socket = &health.socket;
    out.gauge(("clients", "Clients of the socket."), None, exact(socket.clients.get()))?;
    let dropped = [
        ("too_many", socket.too_many.get()),
        ("slow_hello", socket.slow_hello.get()),
        ("garbage", socket.garbage.get()),
        ("oversized", socket.oversized.get()),
        ("stalled", socket.stalled.get()),
    ];
    out.counters(("clients_dropped", "Clients that were disconnected, by reason."), "reason", dropped)?;
    out.counter(("reports_lost", "Reports that slow clients never got."), socket.reports_lost.get())?;
    let requests = [
        ("served", health.metrics.served.get()),
        ("refused", health.metrics.refused.get()),
        ("broken", health.metrics.broken.get()),
        ("displaced", health.metrics.displaced.get()),
    ];
    out.counters(("requests", "Requests for metrics or health."), "outcome", requests)?;
    traces(out, &health.recorder)
}

fn traces(out: &mut Out<'_, '_>, recorder: &RecorderHealth) -> fmt::Result {
    out.counter(("traces_deleted", "Traces that were deleted to make room."), recorder.deleted.get())?;
    out.counter(
        ("traces_flagged_deleted", "Of these, those that held a flagged verdict or what led to it."),
        recorder.flagged_deleted.get(),
    )?;
    out.counter(
        ("traces_cut_short", "Traces that could not be written to their end."),
        recorder.cut_short.get(),
    )?;
    out.gauge(
        ("traces_flagged", "Traces that hold a flagged verdict or what led to it."),
        None,
        exact(recorder.flagged.get()),
    )?;
    out.gauge(
        ("traces_flagged_size", "The size of these traces."),
        Some(&Unit::Bytes),
        exact(recorder.flagged_bytes.get()),
    )
}
