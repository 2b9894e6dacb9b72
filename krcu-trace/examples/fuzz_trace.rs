//! Changes a small trace, and reads what comes of it: `fuzz_trace trace|meta SECONDS [SEED]`. No panic, no unbounded memory,
//! and either an error or events of this format.
//!
//! A changed stream gets the right checksums in its index, so that it gets past them and to the look at the sizes, to Arrow, and
//! to the rows. A changed `meta.json` gets its own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here is to be seen")]

#[path = "../../fuzz/guided.rs"]
mod guided;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
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

/// A file of the trace, as it is without changes.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn main() -> ExitCode {
    let target = std::env::args().nth(1).unwrap_or_default();
    if target == "meta" {
        let seed = serde_json::to_vec_pretty(&meta(&script::read(EVENTS).unwrap())).unwrap();
        return guided::main("meta", vec![seed], |bytes| {
            if let Ok(meta) = Meta::parse(&summed(bytes)) {
                drop((meta.watch(), serde_json::to_string(&meta).unwrap()));
            }
        });
    }
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = place.join(format!("krcu-fuzz-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    let originals = corpus(&folder);
    let of = |extension: &str| {
        originals.iter().find(|file| file.path.extension().is_some_and(|name| name == extension)).unwrap()
    };
    let (stream, index) = (of("arrows"), of("index"));
    let status = guided::main("trace", vec![stream.bytes.clone()], |bytes| {
        fs::write(&stream.path, bytes).unwrap();
        fs::write(&index.path, checksums(&index.bytes, bytes)).unwrap();
        let mut read = 0;
        if let Ok(salvage) = Reader::open(&folder).unwrap().salvage() {
            read = salvage.count();
        }
        // No input of this size holds more than a reader takes of one batch a chunk.
        assert!(read <= 2 * Limits::MOST_ROWS, "{read} rows");
    });
    drop(fs::remove_dir_all(&folder));
    status
}

/// A text of `meta.json` with its checksum: the first member is put before the others.
fn summed(members: &[u8]) -> Vec<u8> {
    let members = members.strip_prefix(b"{\n").unwrap_or(members);
    let mut text = [b"{\n  \"crc32\": \"00000000\",\n", members].concat();
    let sum = format!("{:08x}", crc32fast::hash(&text));
    text[14..22].copy_from_slice(sum.as_bytes());
    text
}

fn meta(script: &script::Script) -> Meta {
    Meta {
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
    }
}

fn corpus(folder: &Path) -> Vec<Original> {
    let script = script::read(EVENTS).unwrap();
    let mut writer = Writer::create(folder, meta(&script), Limits { rows: 6, ..Limits::default() }).unwrap();
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

/// The lines of an index with the checksums of these bytes. The last piece ends where the bytes end.
fn checksums(index: &[u8], stream: &[u8]) -> String {
    let mut before = 0;
    let mut text = String::new();
    let index = String::from_utf8_lossy(index);
    let last = index.lines().count() - 1;
    for (place, line) in index.lines().enumerate() {
        let told = usize::from_str_radix(&line[..16], 16).expect("an index begins with a number");
        let end = if place == last { stream.len() } else { told.min(stream.len()) };
        let fields = format!("{end:016x} {} {:08x} ", &line[17..33], crc32fast::hash(&stream[before..end]));
        text += &format!("{fields}{:08x}\n", crc32fast::hash(fields.as_bytes()));
        before = end;
    }
    text
}
