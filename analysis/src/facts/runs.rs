//! Runs: what a trace says of itself, as rows.

use krcu_model::{script::Word as _, state::Blind};
use krcu_ship::layout;
use krcu_trace::How;

use super::words;
use crate::source::Meta;

/// What was counted while the trace was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Events, without losses.
    pub events: u64,
    /// Events that were not seen.
    pub lost: u64,
    /// When the first and the last event were, in nanoseconds from the attach.
    pub span_ns: (i64, i64),
    /// Whether a part of the trace is damaged.
    pub damaged: bool,
}

/// The trace's name among those of its boot; of a text, what its file is called, without the ending.
#[must_use]
pub fn name(meta: &Meta) -> String {
    match &meta.recorded {
        Some(told) => layout::name_of(told),
        None => stem(meta),
    }
}

/// What the trace's folder or file is called, without the ending.
#[must_use]
pub fn stem(meta: &Meta) -> String {
    meta.path.file_stem().map_or_else(|| "trace".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The number of the run.
#[must_use]
pub fn number(meta: &Meta) -> i64 {
    layout::run(&meta.host, &meta.boot, &name(meta))
}

/// The row of a trace.
#[must_use]
pub fn row(meta: &Meta, counted: &Counted) -> words::Run {
    let told = meta.recorded.as_deref();
    let (first, last) = counted.span_ns;
    words::Run {
        run: number(meta),
        trace: name(meta),
        host: meta.host.clone(),
        boot: meta.boot.clone(),
        kernel: meta.release.clone(),
        arch: told.map(|told| told.kernel.arch.clone()).unwrap_or_default(),
        btf: told.and_then(|told| told.kernel.btf.as_ref()).map(|btf| btf.crc32.clone()),
        cpus: meta.watch.possible_cpus,
        attached_utc_ns: told.and_then(layout::attached_utc_ns),
        krcu: told.map(|told| told.krcu.clone()),
        ended: ended(told).to_owned(),
        damaged: counted.damaged,
        events: counted.events,
        lost: counted.lost,
        span_ns: u64::try_from(last.saturating_sub(first)).unwrap_or(0),
        blind: meta.watch.blind.iter().map(|blind: &Blind| blind.word()).collect::<Vec<_>>().join(" "),
    }
}

/// The rows of the modules whose versions the trace knows.
#[must_use]
pub fn modules(meta: &Meta) -> Vec<words::Module> {
    let Some(told) = meta.recorded.as_deref() else { return Vec::new() };
    let since_attach = |at: u64| {
        let after = i128::from(at) - i128::from(told.watch.attached_ns);
        i64::try_from(after).unwrap_or(i64::MAX)
    };
    let row = |module: &krcu_trace::meta::Module| words::Module {
        module: module.name.clone(),
        build_id: module.build_id.clone(),
        srcversion: module.srcversion.clone(),
        loaded_at_ns: module.loaded_at_ns.map(since_attach),
    };
    let later = told.ended.iter().flat_map(|end| &end.run.modules);
    told.watch.modules.iter().chain(later).map(row).collect()
}

fn ended(told: Option<&krcu_trace::Meta>) -> &'static str {
    match told.map(|told| told.ended.as_ref().map(|end| end.how)) {
        None => "unsaid",
        Some(None) => "no-goodbye",
        Some(Some(How::Exit)) => "exit",
        Some(Some(How::Signal)) => "signal",
        Some(Some(How::Duration)) => "duration",
        Some(Some(How::CutShort)) => "cut-short",
    }
}
