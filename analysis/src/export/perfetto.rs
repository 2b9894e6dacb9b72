//! Perfetto: a trace for its viewer. A track a CPU with the batches that were freed on it, a track a cache with its destroys
//! and a counter of what was outstanding, a track a task that waited, with its barriers.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use polars::prelude::*;

use super::proto::Message;
use crate::{
    ask,
    load::Loaded,
    tables::{Tables, collect},
};

/// Fields of `TracePacket`.
mod packet {
    pub(super) const TIMESTAMP: u32 = 8;
    pub(super) const SEQUENCE: u32 = 10;
    pub(super) const TRACK_EVENT: u32 = 11;
    pub(super) const TRACK_DESCRIPTOR: u32 = 60;
}

/// Fields of `TrackEvent`, and its types.
mod event {
    pub(super) const ANNOTATION: u32 = 4;
    pub(super) const TYPE: u32 = 9;
    pub(super) const TRACK: u32 = 11;
    pub(super) const CATEGORY: u32 = 22;
    pub(super) const NAME: u32 = 23;
    pub(super) const COUNTER: u32 = 30;
    pub(super) const SLICE_BEGIN: u64 = 1;
    pub(super) const SLICE_END: u64 = 2;
    pub(super) const COUNTER_VALUE: u64 = 4;
}

/// Fields of `TrackDescriptor` and of `DebugAnnotation`.
mod track {
    pub(super) const UUID: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const PARENT: u32 = 5;
    pub(super) const COUNTER: u32 = 8;
    pub(super) const VALUE_UINT: u32 = 3;
    pub(super) const VALUE_TEXT: u32 = 6;
    pub(super) const VALUE_NAME: u32 = 10;
}

/// Something that lasted.
#[derive(Clone, Debug, Default)]
struct Slice {
    begin_ns: i64,
    end_ns: i64,
    category: &'static str,
    name: String,
    counts: Vec<(&'static str, u64)>,
    words: Vec<(&'static str, String)>,
}

/// Writes the file.
pub(super) fn write(loaded: &Loaded, output: &Path) -> Result<()> {
    let file = File::create(output).with_context(|| format!("{} cannot be written", output.display()))?;
    let mut out = Out { file: BufWriter::new(file), next: 1, begin_ns: loaded.span_ns.0 };
    let until = loaded.span_ns.1;
    let tables = &loaded.tables;
    out.group("CPUs", batches(tables)?)?;
    out.group("caches", destroys(tables, until)?)?;
    out.group("waiting tasks", barriers(tables, until)?)?;
    out.counters(tables)?;
    out.file.flush().with_context(|| format!("writing {}", output.display()))
}

struct Out {
    file: BufWriter<File>,
    next: u64,
    /// The first event of the trace, which is the viewer's 0: no time is below it.
    begin_ns: i64,
}

impl Out {
    fn packet(&mut self, packet: Message) -> Result<()> {
        let packet = packet.number(packet::SEQUENCE, 1);
        // `Trace.packet`.
        let framed = Message::default().message(1, &packet);
        self.file.write_all(framed.as_bytes()).context("writing a packet")
    }

    fn track(&mut self, name: &str, parent: Option<u64>, is_counter: bool) -> Result<u64> {
        let uuid = self.next;
        self.next += 1;
        let mut track = Message::default().number(track::UUID, uuid).text(track::NAME, name);
        if let Some(parent) = parent {
            track = track.number(track::PARENT, parent);
        }
        if is_counter {
            track = track.message(track::COUNTER, &Message::default());
        }
        self.packet(Message::default().message(packet::TRACK_DESCRIPTOR, &track))?;
        Ok(uuid)
    }

    fn at(&self, at_ns: i64) -> Message {
        let after = u64::try_from(at_ns - self.begin_ns).unwrap_or(0);
        Message::default().number(packet::TIMESTAMP, after)
    }

    fn group(&mut self, name: &str, tracks: BTreeMap<String, Vec<Slice>>) -> Result<()> {
        if tracks.is_empty() {
            return Ok(());
        }
        let group = self.track(name, None, false)?;
        for (name, slices) in tracks {
            for lane in lanes(slices) {
                let track = self.track(&name, Some(group), false)?;
                lane.iter().try_for_each(|end| match end {
                    End::Begin(slice) => self.begin(track, slice),
                    End::End(at_ns) => {
                        let event = Message::default()
                            .number(event::TYPE, event::SLICE_END)
                            .number(event::TRACK, track);
                        let packet = self.at(*at_ns).message(packet::TRACK_EVENT, &event);
                        self.packet(packet)
                    }
                })?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, track: u64, slice: &Slice) -> Result<()> {
        let mut event = Message::default()
            .number(event::TYPE, event::SLICE_BEGIN)
            .number(event::TRACK, track)
            .text(event::CATEGORY, slice.category)
            .text(event::NAME, &slice.name);
        for (name, count) in &slice.counts {
            let told = Message::default().text(track::VALUE_NAME, name).number(track::VALUE_UINT, *count);
            event = event.message(event::ANNOTATION, &told);
        }
        for (name, words) in &slice.words {
            let told = Message::default().text(track::VALUE_NAME, name).text(track::VALUE_TEXT, words);
            event = event.message(event::ANNOTATION, &told);
        }
        let packet = self.at(slice.begin_ns).message(packet::TRACK_EVENT, &event);
        self.packet(packet)
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
            let event = Message::default()
                .number(event::TYPE, event::COUNTER_VALUE)
                .number(event::TRACK, track)
                .signed(event::COUNTER, counts[row].unwrap_or(0));
            let packet = self.at(times[row].unwrap_or(0)).message(packet::TRACK_EVENT, &event);
            self.packet(packet)?;
        }
        Ok(())
    }
}

fn batches(tables: &Tables) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(tables.scan("batches")?.sort(["first_at_ns"], SortMultipleOptions::default()))?;
    let (begins, lasts) = (signed(&frame, "first_at_ns")?, signed(&frame, "last_at_ns")?);
    let (returns, cpus) = (signed(&frame, "returned_at_ns")?, unsigned(&frame, "cpu")?);
    let (objects, paths) = (unsigned(&frame, "objects")?, texts(&frame, "path")?);
    let (tasks, unknown) = (unsigned(&frame, "task")?, unsigned(&frame, "unknown")?);
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let begin_ns = begins[row].unwrap_or(0);
        tracks.entry(format!("CPU {:>3}", cpus[row])).or_default().push(Slice {
            begin_ns,
            end_ns: returns[row].or(lasts[row]).unwrap_or(begin_ns),
            category: "batch",
            name: format!(
                "free {} ({})",
                objects[row] + unknown[row],
                paths[row].clone().unwrap_or_default()
            ),
            counts: vec![("objects", objects[row]), ("unknown", unknown[row]), ("task", tasks[row])],
            words: Vec::new(),
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
    let outstanding = unsigned(&frame, "outstanding_at_look")?;
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        let begin_ns = begins[row].unwrap_or(0);
        let word = words[row].clone().unwrap_or_default();
        let slices = tracks.entry(named(&names[row], caches[row])).or_default();
        slices.push(Slice {
            begin_ns,
            // One that only dropped a reference is over at once.
            end_ns: ends[row].or(looks[row]).unwrap_or(if word == "alias" { begin_ns } else { until }),
            category: "destroy",
            name: format!("kmem_cache_destroy(): {word}"),
            counts: vec![("outstanding at the look", outstanding[row])],
            words: vec![("verdict", word), ("task", comms[row].clone().unwrap_or_default())],
        });
    }
    Ok(tracks)
}

fn barriers(tables: &Tables, until: i64) -> Result<BTreeMap<String, Vec<Slice>>> {
    let frame = collect(tables.scan("barriers")?.sort(["begin_at_ns"], SortMultipleOptions::default()))?;
    let (begins, ends) = (signed(&frame, "begin_at_ns")?, signed(&frame, "end_at_ns")?);
    let (barriers, causes) = (texts(&frame, "barrier")?, texts(&frame, "cause")?);
    let (tasks, outstanding) = (unsigned(&frame, "task")?, unsigned(&frame, "outstanding")?);
    let freed = unsigned(&frame, "freed_meanwhile")?;
    let mut tracks: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for row in 0..frame.height() {
        tracks.entry(format!("task {}", tasks[row])).or_default().push(Slice {
            begin_ns: begins[row].unwrap_or(0),
            end_ns: ends[row].unwrap_or(until),
            category: "barrier",
            name: barriers[row].clone().unwrap_or_default(),
            counts: vec![("outstanding", outstanding[row]), ("freed meanwhile", freed[row])],
            words: vec![("cause", causes[row].clone().unwrap_or_default())],
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
