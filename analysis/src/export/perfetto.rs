//! Perfetto: a trace for its viewer. A track a CPU with the batches that were freed on it, a track a cache with its destroys
//! and a counter of what was outstanding, a track a task that waited, with its barriers, a track with the grace periods. Arrows
//! lead from a destroy to its barriers and to the batches that freed the cache's objects while it waited. Times are those of
//! CLOCK_MONOTONIC, and a clock snapshot says so: the file can be merged with a trace of ftrace's that has a snapshot as well.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use polars::prelude::*;
use prost::Message as _;

use super::proto::{
    Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, MONOTONIC, Trace, TracePacket, TrackDescriptor,
    TrackEvent,
    Type::{self, Counter, SliceBegin, SliceEnd},
};
use crate::{
    ask,
    load::Loaded,
    tables::{Tables, collect},
};

/// Something that lasted, and what is told of it where it begins.
#[derive(Debug, Default)]
struct Slice {
    begin_ns: i64,
    end_ns: i64,
    told: TrackEvent,
}

/// Writes the file.
pub(super) fn write(loaded: &Loaded, output: &Path) -> Result<()> {
    let file = File::create(output).with_context(|| format!("{} cannot be written", output.display()))?;
    let mut out = Out { file: BufWriter::new(file), next: 1, attached_ns: loaded.meta.watch.attached.0 };
    let until = loaded.span_ns.1;
    let tables = &loaded.tables;
    out.clock(loaded.span_ns.0)?;
    out.group("CPUs", batches(tables)?)?;
    out.group("RCU", graces(tables, until)?)?;
    out.group("caches", destroys(tables, until)?)?;
    out.group("waiting tasks", barriers(tables, until)?)?;
    out.counters(tables)?;
    out.file.flush().with_context(|| format!("writing {}", output.display()))
}

struct Out {
    file: BufWriter<File>,
    next: u64,
    /// The moment from which the tables count, in nanoseconds of CLOCK_MONOTONIC.
    attached_ns: u64,
}

impl Out {
    fn packet(&mut self, packet: TracePacket) -> Result<()> {
        let packet = TracePacket { trusted_packet_sequence_id: Some(1), ..packet };
        let trace = Trace { packet: vec![packet] };
        self.file.write_all(&trace.encode_to_vec()).context("writing a packet")
    }

    /// Says what the clock of all times is.
    fn clock(&mut self, at_ns: i64) -> Result<()> {
        let timestamp = Some(self.attached_ns.saturating_add_signed(at_ns));
        let clocks = vec![Clock { clock_id: Some(MONOTONIC), timestamp }];
        let snapshot = ClockSnapshot { clocks, primary_trace_clock: Some(MONOTONIC) };
        self.packet(TracePacket { clock_snapshot: Some(snapshot), ..TracePacket::default() })
    }

    fn track(&mut self, name: &str, parent_uuid: Option<u64>, is_counter: bool) -> Result<u64> {
        let uuid = self.next;
        self.next += 1;
        let counter = is_counter.then_some(CounterDescriptor {});
        let track = TrackDescriptor { uuid: Some(uuid), name: Some(name.to_owned()), parent_uuid, counter };
        self.packet(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })?;
        Ok(uuid)
    }

    fn event(&mut self, at_ns: i64, track: u64, of: Type, event: TrackEvent) -> Result<()> {
        let event = TrackEvent { r#type: Some(of.into()), track_uuid: Some(track), ..event };
        self.packet(TracePacket {
            timestamp: Some(self.attached_ns.saturating_add_signed(at_ns)),
            timestamp_clock_id: Some(MONOTONIC),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    fn group(&mut self, name: &str, tracks: BTreeMap<String, Vec<Slice>>) -> Result<()> {
        if tracks.is_empty() {
            return Ok(());
        }
        let group = self.track(name, None, false)?;
        for (name, slices) in tracks {
            for lane in lanes(slices) {
                let track = self.track(&name, Some(group), false)?;
                lane.into_iter().try_for_each(|end| match end {
                    End::Begin(slice) => self.event(slice.begin_ns, track, SliceBegin, slice.told),
                    End::End(at_ns) => self.event(at_ns, track, SliceEnd, TrackEvent::default()),
                })?;
            }
        }
        Ok(())
    }

    fn counters(&mut self, tables: &Tables) -> Result<()> {
        let frame = collect(ask::outstanding::changes(tables)?)?;
        let (caches, names) = (unsigned(&frame, "cache")?, texts(&frame, "cache_name")?);
        let (times, counts) = (signed(&frame, "at_ns")?, signed(&frame, "outstanding")?);
        let mut tracks: BTreeMap<u64, u64> = BTreeMap::new();
        for row in 0..frame.height() {
            let track = match tracks.get(&caches[row]) {
                Some(track) => *track,
                None => {
                    let name = format!("outstanding {}", named(&names[row], caches[row]));
                    let track = self.track(&name, None, true)?;
                    tracks.insert(caches[row], track);
                    track
                }
            };
            let count = TrackEvent { counter_value: Some(counts[row].unwrap_or(0)), ..TrackEvent::default() };
            self.event(times[row].unwrap_or(0), track, Counter, count)?;
        }
        Ok(())
    }
}

fn told<const N: usize>(category: &str, name: String, details: [DebugAnnotation; N]) -> TrackEvent {
    TrackEvent {
        categories: vec![category.to_owned()],
        name: Some(name),
        debug_annotations: details.into(),
        ..TrackEvent::default()
    }
}

fn batches(tables: &Tables) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(tables.scan("batches")?.sort(["first_at_ns"], SortMultipleOptions::default()))?;
    let (begins, lasts) = (signed(&frame, "first_at_ns")?, signed(&frame, "last_at_ns")?);
    let (returns, cpus) = (signed(&frame, "returned_at_ns")?, unsigned(&frame, "cpu")?);
    let (objects, paths) = (unsigned(&frame, "objects")?, texts(&frame, "path")?);
    let (tasks, unknown) = (unsigned(&frame, "task")?, unsigned(&frame, "unknown")?);
    let (numbers, mut flows) = (unsigned(&frame, "batch")?, flows(tables)?);
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let begin_ns = begins[row].unwrap_or(0);
        let path = paths[row].as_deref().unwrap_or_default();
        let details = [
            DebugAnnotation::number("objects", objects[row]),
            DebugAnnotation::number("unknown", unknown[row]),
            DebugAnnotation::number("task", tasks[row]),
        ];
        tracks.entry(format!("CPU {:>3}", cpus[row])).or_default().push(Slice {
            begin_ns,
            end_ns: returns[row].or(lasts[row]).unwrap_or(begin_ns),
            told: TrackEvent {
                flow_ids: flows.remove(&numbers[row]).unwrap_or_default(),
                ..told("batch", format!("free {} ({path})", objects[row] + unknown[row]), details)
            },
        });
    }
    Ok(tracks)
}

/// The number of a destroy's arrows; 0 is none.
fn flow(destroy: u64) -> u64 {
    destroy + 1
}

/// By batch: the destroys that waited while it freed objects of their caches.
fn flows(tables: &Tables) -> Result<BTreeMap<u64, Vec<u64>>> {
    let waits = tables
        .scan("destroys")?
        .select([col("destroy"), col("cache"), col("begin_at_ns"), col("look_at_ns").alias("until_ns")])
        .filter(col("until_ns").is_not_null());
    let freed = tables
        .scan("objects")?
        .filter(col("batch").is_not_null().and(col("freed_at_ns").is_not_null()))
        .group_by([col("cache"), col("batch")])
        .agg([col("freed_at_ns").max()]);
    let is_meanwhile =
        col("freed_at_ns").gt_eq(col("begin_at_ns")).and(col("freed_at_ns").lt_eq(col("until_ns")));
    let joined = waits
        .join(freed, [col("cache")], [col("cache")], JoinArgs::new(JoinType::Inner))
        .filter(is_meanwhile)
        .sort(["destroy", "batch"], SortMultipleOptions::default());
    let frame = collect(joined)?;
    let mut flows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (batch, destroy) in unsigned(&frame, "batch")?.into_iter().zip(unsigned(&frame, "destroy")?) {
        flows.entry(batch).or_default().push(flow(destroy));
    }
    Ok(flows)
}

/// Normal and expedited grace periods, on a track each.
fn graces(tables: &Tables, until: i64) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(tables.scan("graces")?.filter(col("begin_at_ns").is_not_null()))?;
    let (begins, ends) = (signed(&frame, "begin_at_ns")?, signed(&frame, "end_at_ns")?);
    let expedited = frame.column("expedited")?.bool()?;
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let name = if expedited.get(row) == Some(true) { "expedited grace periods" } else { "grace periods" };
        tracks.entry(name.to_owned()).or_default().push(Slice {
            begin_ns: begins[row].unwrap_or(0),
            end_ns: ends[row].unwrap_or(until),
            told: told("grace", "grace period".to_owned(), []),
        });
    }
    Ok(tracks)
}

fn destroys(tables: &Tables, until: i64) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(ask::destroys(tables)?)?;
    let (begins, ends) = (signed(&frame, "begin_at_ns")?, signed(&frame, "end_at_ns")?);
    let looks = signed(&frame, "look_at_ns")?;
    let (caches, names) = (unsigned(&frame, "cache")?, texts(&frame, "cache_name")?);
    let (words, comms) = (texts(&frame, "verdict")?, texts(&frame, "comm")?);
    let (outstanding, numbers) = (unsigned(&frame, "outstanding_at_look")?, unsigned(&frame, "destroy")?);
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let begin_ns = begins[row].unwrap_or(0);
        let word = words[row].as_deref().unwrap_or_default();
        let details = [
            DebugAnnotation::number("outstanding at the look", outstanding[row]),
            DebugAnnotation::text("verdict", word),
            DebugAnnotation::text("task", comms[row].as_deref().unwrap_or_default()),
        ];
        tracks.entry(named(&names[row], caches[row])).or_default().push(Slice {
            begin_ns,
            // One that only dropped a reference is over at once.
            end_ns: ends[row].or(looks[row]).unwrap_or(if word == "alias" { begin_ns } else { until }),
            told: TrackEvent {
                flow_ids: vec![flow(numbers[row])],
                ..told("destroy", format!("kmem_cache_destroy(): {word}"), details)
            },
        });
    }
    Ok(tracks)
}

fn barriers(tables: &Tables, until: i64) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(tables.scan("barriers")?.sort(["begin_at_ns"], SortMultipleOptions::default()))?;
    let (begins, ends) = (signed(&frame, "begin_at_ns")?, signed(&frame, "end_at_ns")?);
    let (barriers, causes) = (texts(&frame, "barrier")?, texts(&frame, "cause")?);
    let (tasks, outstanding) = (unsigned(&frame, "task")?, unsigned(&frame, "outstanding")?);
    let (freed, of_destroy) = (unsigned(&frame, "freed_meanwhile")?, signed(&frame, "destroy")?);
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let details = [
            DebugAnnotation::number("outstanding", outstanding[row]),
            DebugAnnotation::number("freed meanwhile", freed[row]),
            DebugAnnotation::text("cause", causes[row].as_deref().unwrap_or_default()),
        ];
        tracks.entry(format!("task {}", tasks[row])).or_default().push(Slice {
            begin_ns: begins[row].unwrap_or(0),
            end_ns: ends[row].unwrap_or(until),
            told: TrackEvent {
                flow_ids: of_destroy[row]
                    .and_then(|number| u64::try_from(number).ok())
                    .map(flow)
                    .into_iter()
                    .collect(),
                ..told("barrier", barriers[row].clone().unwrap_or_default(), details)
            },
        });
    }
    Ok(tracks)
}

/// One end of a slice.
enum End {
    Begin(Slice),
    End(i64),
}

/// Slices on as many tracks as it takes that those of each lie in or beside one another, as the viewer has them.
fn lanes(mut slices: Vec<Slice>) -> Vec<Vec<End>> {
    // The longer of two that begin together is the outer one.
    slices.sort_by(|one, other| one.begin_ns.cmp(&other.begin_ns).then(other.end_ns.cmp(&one.end_ns)));
    let mut lanes: Vec<(Vec<End>, Vec<i64>)> = Vec::new();
    for slice in slices {
        let end_ns = slice.end_ns.max(slice.begin_ns);
        for (ends, open) in &mut lanes {
            while let Some(last) = open.pop_if(|last| *last <= slice.begin_ns) {
                ends.push(End::End(last));
            }
        }
        let fits = lanes.iter().position(|(_, open)| open.last().is_none_or(|outer| *outer >= end_ns));
        let place = fits.unwrap_or_else(|| {
            lanes.push((Vec::new(), Vec::new()));
            lanes.len() - 1
        });
        lanes[place].0.push(End::Begin(slice));
        lanes[place].1.push(end_ns);
    }
    let closed = lanes.into_iter().map(|(mut ends, mut open)| {
        while let Some(last) = open.pop() {
            ends.push(End::End(last));
        }
        ends
    });
    closed.collect()
}

fn named(name: &Option<String>, cache: u64) -> String {
    match name.as_deref() {
        None | Some("") => format!("cache #{cache}"),
        Some(name) => format!("{name} #{cache}"),
    }
}

fn texts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<String>>> {
    Ok(frame.column(name)?.str()?.iter().map(|text| text.map(str::to_owned)).collect())
}

fn unsigned(frame: &DataFrame, name: &str) -> PolarsResult<Vec<u64>> {
    Ok(frame.column(name)?.cast(&DataType::UInt64)?.u64()?.iter().map(Option::unwrap_or_default).collect())
}

fn signed(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<i64>>> {
    Ok(frame.column(name)?.cast(&DataType::Int64)?.i64()?.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_that_cross_are_on_two_tracks_and_each_is_closed_in_order() {
        let slice = |begin_ns, end_ns| Slice { begin_ns, end_ns, ..Slice::default() };
        let lanes = lanes(vec![slice(0, 10), slice(2, 5), slice(4, 12), slice(10, 11)]);
        let told = |lane: &Vec<End>| -> Vec<i64> {
            // A beginning as it is, an end below 0.
            lane.iter()
                .map(|end| match end {
                    End::Begin(slice) => slice.begin_ns,
                    End::End(at) => -at,
                })
                .collect()
        };
        assert_eq!(lanes.iter().map(told).collect::<Vec<_>>(), [vec![0, 2, -5, -10, 10, -11], vec![4, -12]]);
    }
}
