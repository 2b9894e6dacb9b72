//! Mutates a small trace for some seconds and reads what comes of it: no panic, no unbounded memory, and either an error
//! or events of this format.
//!
//! ```text
//! cargo run --release -p krcu-trace --example fuzz_trace -- SECONDS [SEED]
//! ```
//!
//! It is a mutational driver without coverage: on a stable compiler nothing tells it which branch an input took. What it
//! does instead is to put right every checksum after half of its changes, so that they get past them and to
//! the look at the sizes, to Arrow, and to the rows. The same seed gives the same inputs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here is to be seen")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use krcu_common::ABI_VERSION;
use krcu_model::{Event, event::Time, script};
use krcu_trace::{
    FORMAT, How, Limits, Meta, Reader, Writer,
    meta::{Kernel, Run, Seen},
};

/// Some of each: text, numbers, words, lists.
const EVENTS: &str = r#"krcu-script 1
1 1@0 cache_created cache=0x1000 name="mine" object_size=64 refcount=1 asked_name="mine" site=3
2 1@0 site site=3 frame="f+0x1/0x2 [mod]" frame="g"
3 1@1 queued object=0x20 cache=0x1000 site=3
4 1@1 callback_queued object=0x21 cache=0x1000 function=0x7 text="mod"
5 0@0 gap reason=ring_full events=3 from=1 until=2 cache=0x1000
6 1@0 freed object=0x20 cache=0x1000 path=bulk
7 1@0 batch_freed path=bulk
8 1@0 destroy_begin cache=0x1000 name="mine" refcount=1 comm="rmmod" site=3
9 1@0 shutdown_begin cache=0x1000 rcu_works_flushed=4
10 1@0 shutdown_end empty=no objects=7 listed=2
11 1@0 grace_begin expedited=yes
"#;

/// xorshift64*: the same seed, the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// A file of the trace, as it is without changes.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_u64).max(1);
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = place.join(format!("krcu-fuzz-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    let originals = corpus(&folder);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(seed);
    let (mut inputs, mut accepted) = (0_u64, 0_u64);
    while Instant::now() < until {
        // Where it ends, should it end here.
        let state = random.0;
        inputs += 1;
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&folder, &originals, &mut random)));
        match outcome {
            Ok(events) => accepted += u64::from(events),
            Err(_) => {
                eprintln!(
                    "fuzz: input {inputs} panicked: its seed is {state}, the trace is left in {}",
                    folder.display()
                );
                return ExitCode::FAILURE;
            }
        }
    }
    drop(fs::remove_dir_all(&folder));
    println!(
        "fuzz: {inputs} changed traces read, {accepted} of them to the end, no panic; next seed {}",
        random.0
    );
    if inputs == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn corpus(folder: &Path) -> Vec<Original> {
    let script = script::read(EVENTS).unwrap();
    let meta = Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "fuzz".to_owned(),
        trace: "fuzz".to_owned(),
        kernel: Kernel::default(),
        clock: krcu_trace::meta::Clock::default(),
        watch: Seen::of(&script.watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let mut writer = Writer::create(folder, meta, Limits { rows: 6, ..Limits::default() }).unwrap();
    script.events.iter().for_each(|event: &Event| writer.event(event));
    writer.finish(How::Exit, Time(12), Run::default()).unwrap();
    let mut originals: Vec<Original> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| Original { bytes: fs::read(&path).unwrap(), path })
        .collect();
    originals.sort_by(|a, b| a.path.cmp(&b.path));
    originals
}

/// Changes one file, reads the trace, and puts the file back; says whether the trace was read to its end.
fn one(folder: &Path, originals: &[Original], random: &mut Random) -> bool {
    let stream = originals.iter().position(|file| file.path.extension().is_some_and(|name| name == "arrows"));
    let put_right = random.below(4) > 0;
    let chosen = if put_right { stream.unwrap() } else { random.below(originals.len()) };
    let file = &originals[chosen];
    let mut bytes = file.bytes.clone();
    for _ in 0..=random.below(4) {
        change(&mut bytes, random, put_right);
    }
    fs::write(&file.path, &bytes).unwrap();
    let index =
        originals.iter().find(|file| file.path.extension().is_some_and(|name| name == "index")).unwrap();
    if put_right {
        fs::write(&index.path, checksums(&index.bytes, &bytes)).unwrap();
    }
    let mut read = 0;
    let whole = Reader::open(folder).is_ok_and(|reader| {
        reader.events().all(|event| {
            read += 1;
            event.is_ok()
        })
    });
    // No input of this size holds more than a reader takes of one batch a chunk.
    assert!(read <= 2 * Limits::MOST_ROWS, "{read} rows");
    fs::write(&file.path, &file.bytes).unwrap();
    fs::write(&index.path, &index.bytes).unwrap();
    whole
}

/// One change; where the size is to stay, so that the index still fits.
fn change(bytes: &mut Vec<u8>, random: &mut Random, keep_size: bool) {
    let place = random.below(bytes.len());
    let interesting = [0, 1, 0x7f, 0x80, 0xff, 0xfe];
    match random.below(if keep_size { 4 } else { 6 }) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes[place] = interesting[random.below(interesting.len())],
        2 => {
            // A number of eight bytes becomes one that is hard to bear.
            let values = [u64::MAX, 1 << 63, 1 << 40, 0x7fff_ffff, 0xffff_ffff, 1 << 31, 65_537, 0];
            let value = values[random.below(values.len())].to_le_bytes();
            let place = place & !7;
            bytes.iter_mut().skip(place).zip(value).for_each(|(byte, new)| *byte = new);
        }
        3 => {
            let (from, length) = (random.below(bytes.len()), random.below(64));
            let copied: Vec<u8> = bytes.iter().skip(from).take(length).copied().collect();
            bytes.iter_mut().skip(place).zip(copied).for_each(|(byte, new)| *byte = new);
        }
        4 => bytes.truncate(place),
        _ => {
            let tail = bytes.split_off(place);
            bytes.push(tail.first().copied().unwrap_or(0));
            bytes.extend(tail);
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

/// The lines of an index with the checksums of these bytes.
fn checksums(index: &[u8], stream: &[u8]) -> String {
    let mut before = 0;
    let mut text = String::new();
    for line in String::from_utf8_lossy(index).lines() {
        let end = usize::from_str_radix(&line[..16], 16).expect("an index begins with a number");
        let fields = format!("{} {:08x} ", &line[..33], crc32fast::hash(&stream[before..end]));
        text += &format!("{fields}{:08x}\n", crc32fast::hash(fields.as_bytes()));
        before = end;
    }
    text
}
