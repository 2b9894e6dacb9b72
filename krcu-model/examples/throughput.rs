//! How fast events become beliefs: decode, order and step on one core, at growing numbers of
//! outstanding objects, beside a bare hash table that is told the same objects.
//!
//! A benchmark, not a test. `cargo xtask bench` runs it; the budget is the design's.

use std::{collections::HashMap, fs, hint::black_box, time::Instant};

use krcu_common::{
    Kind,
    decode::{Body, decode},
    wire::{BatchFreed, Freed, Header, Queued},
};
use krcu_model::{Event, Order, State, Watch, event::Time};
use zerocopy::IntoBytes;

/// Events a second that the design asks for.
const BUDGET: f64 = 10e6;
/// CPUs that write the stream.
const CPUS: usize = 4;
/// Caches that the objects are of.
const CACHES: u64 = 8;
/// Objects that one call frees: about a page of pointers.
const BATCH: u64 = 500;
/// Events measured at each size.
const EVENTS: u64 = 4_000_000;

/// Records as the ring holds them, one behind the other.
struct Stream {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    sequences: [u64; CPUS],
}

impl Stream {
    fn push(&mut self, turn: u64, kind: Kind, body: &[u8]) {
        let cpu = usize::try_from(turn).unwrap_or(0) % CPUS;
        let sequence = &mut self.sequences[cpu];
        let header = Header {
            time_ns: self.ends.len() as u64,
            sequence: *sequence,
            task: 100 + u32::try_from(cpu).unwrap_or(0),
            cpu: u16::try_from(cpu).unwrap_or(0),
            kind: kind as u8,
            reserved: 0,
        };
        *sequence += 1;
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
    }

    /// Objects are queued on every CPU in turn and freed in batches, oldest first, so that about
    /// `outstanding` of them are queued at any time.
    fn new(outstanding: u64) -> Stream {
        let mut stream = Stream { bytes: Vec::new(), ends: Vec::new(), sequences: [0; CPUS] };
        let address = |object: u64| 0xffff_8880_0000_0000 + (object % (4 * outstanding)) * 128;
        let cache = |object: u64| 0xffff_8881_0000_0000 + object / BATCH % CACHES * 256;
        let (mut queued, mut freed) = (0, 0);
        while (stream.ends.len() as u64) < EVENTS + outstanding {
            let body = Queued { object: address(queued), cache: cache(queued), site: 0, headless: 0 };
            stream.push(queued, Kind::Queued, body.as_bytes());
            queued += 1;
            if queued - freed == outstanding + BATCH {
                let turn = freed / BATCH;
                for object in freed..freed + BATCH {
                    let body = Freed { object: address(object), cache: cache(object), path: 1, reserved: 0 };
                    stream.push(turn, Kind::Freed, body.as_bytes());
                }
                freed += BATCH;
                stream.push(turn, Kind::BatchFreed, BatchFreed { path: 1, reserved: 0 }.as_bytes());
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
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn model(stream: &Stream) -> Result<(State, f64), Box<dyn std::error::Error>> {
    let watch = Watch { attached: Time(0), possible_cpus: 4, blind: Vec::new() };
    let (mut order, mut state) = (Order::new(Time(0)), State::new(watch));
    let begin = Instant::now();
    for record in stream.records() {
        let (header, body) = decode(record)?;
        if order.accept(header.cpu, header.sequence, Time(header.time_ns))?.is_some() {
            return Err("the synthetic stream has a hole".into());
        }
        state.step(Event::from_wire(&header, &body));
    }
    Ok((state, begin.elapsed().as_secs_f64()))
}

/// The peer: decodes too, and keeps objects and nothing else.
fn bare_table(stream: &Stream) -> Result<f64, Box<dyn std::error::Error>> {
    let mut table: HashMap<u64, u64> = HashMap::new();
    let begin = Instant::now();
    for record in stream.records() {
        match decode(record)? {
            (header, Body::Queued(queued)) => {
                table.insert(queued.object, header.time_ns);
            }
            (_, Body::Freed(freed, _)) => {
                table.remove(&freed.object);
            }
            _ => {}
        }
    }
    black_box(&table);
    Ok(begin.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("decode, order, step on one core; budget {:.0} million events a second", BUDGET / 1e6);
    for outstanding in [10_000, 100_000, 1_000_000] {
        let stream = Stream::new(outstanding);
        let before = resident();
        let (state, model_s) = model(&stream)?;
        let bytes = resident().saturating_sub(before);
        let peer_s = bare_table(&stream)?;
        #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
        let (events, held) = (stream.ends.len() as f64, state.outstanding() as f64);
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let bytes_each = bytes as f64 / held;
        println!(
            "{:>9} outstanding: {:>5.1} M/s, {:.2} of the budget; a bare hash table {:>5.1} M/s, ratio {:.2}; {:>4.0} bytes an object",
            outstanding,
            events / model_s / 1e6,
            events / model_s / BUDGET,
            events / peer_s / 1e6,
            peer_s / model_s,
            bytes_each,
        );
    }
    Ok(())
}
