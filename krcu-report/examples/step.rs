//! How fast events become beliefs: decode and step on one core, as the agent's pipeline calls them, at growing numbers of
//! outstanding objects, beside a bare hash table that is told the same objects.
//!
//! A benchmark, not a test. `cargo xtask bench` runs it; the budget is the design's.

use std::{
    alloc::{GlobalAlloc, System},
    collections::HashMap,
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use krcu_common::{
    Kind,
    decode::{Body, Chosen, decode},
    wire::{BatchFreed, Freed, Grace, Header, Queued},
};
use krcu_model::{Event, State, Watch, event::Time};
use krcu_report::{Bounds, Outside, Reporter};
use zerocopy::IntoBytes;

/// Events a second that the design asks for.
const BUDGET: f64 = 10e6;
/// CPUs that write the stream.
const CPUS: u64 = 4;
/// Caches that the objects are of.
const CACHES: u64 = 8;
/// Objects that one call frees: about a page of pointers.
const BATCH: u64 = 500;
/// Events measured of each stream, after it has been filled.
const EVENTS: u64 = 2_000_000;
/// Times that each figure is measured; the best is printed, for other programs only ever slow it down.
const RUNS: u32 = 15;
/// Bytes of a page, and so of a slab.
const PAGE_BYTES: u64 = 4096;
/// Objects of a slab.
const SLAB: u64 = 32;

/// Where the objects lie that are queued one after the other.
#[derive(Clone, Copy)]
enum Layout {
    /// As a slab allocator hands them out: each CPU from its own slab, in an order of the slab's own.
    Slabs,
    /// Anywhere: no two in a row share a slab. The worst that a workload can do.
    Scattered,
}

impl Layout {
    fn name(self) -> &'static str {
        match self {
            Layout::Slabs => "by slab",
            Layout::Scattered => "scattered",
        }
    }

    /// Address of the object that a CPU queues as its `turn`th; there are `slots` addresses, a power of two.
    fn address(self, cpu: u64, turn: u64, slots: u64) -> u64 {
        let slab = turn / SLAB * CPUS + cpu;
        let slot = match self {
            // Thirteen is odd: the objects of a slab take turns in another order than that of their addresses.
            Layout::Slabs => slab * SLAB + (turn * 13 + slab) % SLAB,
            Layout::Scattered => scatter(turn * CPUS + cpu, slots),
        };
        0xffff_8880_0000_0000 + slot % slots * (PAGE_BYTES / SLAB)
    }
}

/// One number below `slots` for another, in no order that shows.
fn scatter(number: u64, slots: u64) -> u64 {
    let shift = slots.ilog2() / 2;
    let (mask, odd) = (slots - 1, 0x9e37_79b9_7f4a_7c15);
    let number = number & mask;
    let number = (number ^ (number >> shift)).wrapping_mul(odd) & mask;
    (number ^ (number >> shift)).wrapping_mul(odd) & mask
}

/// Records as the ring holds them, one behind the other.
struct Stream {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    sequences: Vec<u64>,
    /// Records that only fill it: what comes behind them is measured.
    fill: usize,
}

impl Stream {
    fn push(&mut self, cpu: u64, kind: Kind, body: &[u8]) {
        let number = u16::try_from(cpu).unwrap_or(0);
        let sequence = &mut self.sequences[usize::from(number)];
        // A worker on each CPU frees; whatever else runs there queues.
        let task = if kind == Kind::Queued { 100 } else { 200 } + u32::from(number);
        let header = Header {
            time_ns: self.ends.len() as u64,
            sequence: *sequence,
            task,
            cpu: number,
            kind: kind as u8,
            reserved: 0,
        };
        *sequence += 1;
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
    }

    /// Objects are queued on every CPU in turn. When a CPU has `outstanding / CPUS` and a batch, its worker frees
    /// the oldest batch.
    fn new(outstanding: u64, layout: Layout) -> Stream {
        let sequences = (0..CPUS).map(|_| 0).collect();
        let mut stream = Stream { bytes: Vec::new(), ends: Vec::new(), sequences, fill: 0 };
        let slots = (4 * outstanding).next_power_of_two();
        let address = |cpu, turn| layout.address(cpu, turn, slots);
        let cache = |turn: u64| 0xffff_8881_0000_0000 + turn / BATCH % CACHES * 256;
        let held = outstanding / CPUS;
        for turn in 0.. {
            if stream.fill > 0 && (stream.ends.len() - stream.fill) as u64 >= EVENTS {
                break;
            }
            for cpu in 0..CPUS {
                let body = Queued { object: address(cpu, turn), cache: cache(turn), site: 0, form: 0 };
                stream.push(cpu, Kind::Queued, body.as_bytes());
            }
            if (turn + 1).is_multiple_of(BATCH) {
                // What is freed has waited for several grace periods.
                for kind in [Kind::GraceEnd, Kind::GraceBegin] {
                    stream.push(0, kind, Grace { gp_seq: 0, expedited: 0, reserved: 0 }.as_bytes());
                }
            }
            if turn + 1 == held {
                stream.fill = stream.ends.len();
            }
            let Some(freed) = (turn + 1).checked_sub(held + BATCH).filter(|freed| freed % BATCH == 0) else {
                continue;
            };
            for cpu in 0..CPUS {
                for turn in freed..freed + BATCH {
                    let body = Freed { object: address(cpu, turn), cache: cache(turn), path: 1, reserved: 0 };
                    stream.push(cpu, Kind::Freed, body.as_bytes());
                }
                stream.push(cpu, Kind::BatchFreed, BatchFreed { path: 1, reserved: 0 }.as_bytes());
            }
        }
        stream
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().filter_map(move |end| {
            let record = self.bytes.get(from..*end);
            from = *end;
            record
        })
    }

    /// Records that are measured.
    fn measured(&self) -> usize {
        self.ends.len() - self.fill
    }
}

/// The system's allocator, and how many bytes of it are in use.
struct Counting;

static BYTES_IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        BYTES_IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        BYTES_IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Nanoseconds an event, and what the model believes in the end.
fn model(stream: &Stream) -> Result<(f64, State), Box<dyn std::error::Error>> {
    // Nothing is out of sight, so every promise is held against every event.
    let watch = Watch { attached: Time(0), possible_cpus: 4, ..Watch::default() };
    let mut state = State::new(watch);
    let event_ns = measured(stream, |record| {
        let (header, body) = decode(record)?;
        state.step(Event::from_wire(&header, &body));
        Ok(())
    })?;
    if !state.violations().is_empty() {
        return Err("the synthetic stream breaks a promise".into());
    }
    Ok((event_ns, state))
}

/// The same with a reporter that sees each event before; and nanoseconds that a report then takes, when the oldest
/// object of each cache is searched for, and when it is still the one that was found last time.
#[expect(clippy::cast_precision_loss, reason = "as below")]
fn reported(stream: &Stream) -> Result<[f64; 3], Box<dyn std::error::Error>> {
    let watch = Watch { attached: Time(0), possible_cpus: 4, ..Watch::default() };
    let (mut state, mut reporter) = (State::new(watch), Reporter::default());
    let event_ns = measured(stream, |record| {
        let (header, body) = decode(record)?;
        let event = Event::from_wire(&header, &body);
        reporter.see(&event, &state);
        state.step(event);
        Ok(())
    })?;
    let mut report_ns = || {
        let begin = Instant::now();
        black_box(reporter.report(&state, Time(u64::MAX), Outside::default(), Bounds::ALL));
        begin.elapsed().as_nanos() as f64
    };
    Ok([event_ns, report_ns(), report_ns()])
}

/// The peer: decodes too, and keeps objects in the standard library's table and nothing else.
fn bare_table(stream: &Stream) -> Result<f64, Box<dyn std::error::Error>> {
    let mut table: HashMap<u64, u64> = HashMap::new();
    let event_ns = measured(stream, |record| {
        match decode(record)? {
            (header, Body::Queued(Chosen(queued, _))) => {
                table.insert(queued.object, header.time_ns);
            }
            (_, Body::Freed(Chosen(freed, _))) => {
                table.remove(&freed.object);
            }
            _ => {}
        }
        Ok(())
    })?;
    black_box(&table);
    Ok(event_ns)
}

/// Nanoseconds an event, without those that fill the stream.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn measured(
    stream: &Stream,
    mut take: impl FnMut(&[u8]) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut records = stream.records();
    records.by_ref().take(stream.fill).try_for_each(&mut take)?;
    let begin = Instant::now();
    records.try_for_each(&mut take)?;
    Ok(begin.elapsed().as_nanos() as f64 / stream.measured() as f64)
}

fn line(outstanding: u64, layout: Layout) -> Result<(), Box<dyn std::error::Error>> {
    let stream = Stream::new(outstanding, layout);
    let (mut model_ns, mut peer_ns, mut bytes_each) = (f64::INFINITY, f64::INFINITY, 0.0);
    for _ in 0..RUNS {
        let before = BYTES_IN_USE.load(Ordering::Relaxed);
        let (event_ns, state) = model(&stream)?;
        let bytes = BYTES_IN_USE.load(Ordering::Relaxed).saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let each = bytes as f64 / state.outstanding() as f64;
        bytes_each = each;
        model_ns = event_ns.min(model_ns);
        peer_ns = bare_table(&stream)?.min(peer_ns);
    }
    let (model_rate, peer_rate) = (1e9 / model_ns, 1e9 / peer_ns);
    println!(
        "{outstanding:>11}  {:<9}  {:>8.1} M/s  {:>11.2}  {:>8.1} M/s  {:>13.2}  {bytes_each:>6.0} bytes",
        layout.name(),
        model_rate / 1e6,
        model_rate / BUDGET,
        peer_rate / 1e6,
        model_rate / peer_rate,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("decode + step on one core, best of {RUNS}; budget {:.0} M events/s", BUDGET / 1e6);
    println!(
        "peer: decode, and insert and remove in a std HashMap; memory: what the model has allocated, by a counting allocator"
    );
    println!("outstanding  objects           model  of the budget          peer  of the peer  memory each");
    for outstanding in [10_000, 100_000, 1_000_000] {
        for layout in [Layout::Slabs, Layout::Scattered] {
            line(outstanding, layout)?;
        }
    }
    println!();
    println!("with a reporter beside the state: events, and what one report takes");
    println!("outstanding  objects           model  a report  the oldest being known");
    for outstanding in [10_000, 1_000_000] {
        let stream = Stream::new(outstanding, Layout::Slabs);
        let mut best = [f64::INFINITY; 3];
        for _ in 0..RUNS {
            let figures = reported(&stream)?;
            best.iter_mut().zip(figures).for_each(|(best, figure)| *best = figure.min(*best));
        }
        let [event_ns, first_ns, next_ns] = best;
        let (rate, first, next) = (1e3 / event_ns, first_ns / 1e6, next_ns / 1e6);
        println!("{outstanding:>11}  by slab    {rate:>8.1} M/s  {first:>5.2} ms  {next:>19.2} ms");
    }
    Ok(())
}
