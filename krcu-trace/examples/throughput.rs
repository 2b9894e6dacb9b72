//! How fast events are written into a trace and read back, and how large they are.
//!
//! ```text
//! cargo run --release -p krcu-trace --example throughput -- [EVENTS]
//! ```
#![expect(clippy::unwrap_used, reason = "what fails here is to be seen")]

use std::{fs, time::Instant};

use krcu_common::{ABI_VERSION, FreePath, QueueForm};
use krcu_model::{
    Event,
    event::{CacheAddress, Cpu, ObjectAddress, Site, Task, Time, What},
};
use krcu_trace::{
    FORMAT, How, Limits, Meta, Reader, Writer,
    meta::{Clock, Kernel, Run, Seen},
};

/// Objects that are queued, and freed in the same order a thousand events later.
fn event(n: u64) -> Event {
    let (object, cache) =
        (ObjectAddress(0xffff_8880_0000_0000 + (n / 2 % 100_000) * 256), CacheAddress(0xffff_8880_1234_5600));
    let what = match n % 2 {
        0 => What::Queued { object, cache, site: Site(3), form: QueueForm::Head },
        _ => What::Freed { object, cache, path: FreePath::Bulk },
    };
    // Times as irregular as those of a machine.
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57;
    Event { time: Time(n * 200 + noise), task: Task(400), cpu: Cpu(u16::from(n % 64 > 31)), what }
}

fn main() {
    let events: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5_000_000);
    let folder = std::env::temp_dir().join(format!("krcu-throughput-{}", std::process::id()));
    let meta = Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "throughput".to_owned(),
        trace: "throughput".to_owned(),
        kernel: Kernel::default(),
        clock: Clock::default(),
        watch: Seen::default(),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let began = Instant::now();
    let mut writer = Writer::create(&folder, meta, Limits::default()).unwrap();
    (0..events).for_each(|n| writer.event(&event(n)));
    writer.finish(How::Exit, Time(events * 200), Run::default()).unwrap();
    let written = began.elapsed().as_secs_f64();
    let reader = Reader::open(&folder).unwrap();
    let began = Instant::now();
    let read = reader
        .events()
        .map(Result::unwrap)
        .fold(0, |count, event| count + u64::from(event.time.0 < u64::MAX));
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(read, events);
    let millions = |seconds: f64| f64::from(u32::try_from(events / 1000).unwrap()) / 1000.0 / seconds;
    let bytes = reader.bytes();
    println!(
        "{events} events: written {:.2} million a second, read {:.2} million a second, {bytes} bytes ({} a hundred events)",
        millions(written),
        millions(seconds),
        bytes * 100 / events
    );
    fs::remove_dir_all(&folder).unwrap();
}
