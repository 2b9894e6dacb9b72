//! Mutates the text of the kernel's own tracepoints for some seconds and imports what comes of it: no panic, no unbounded
//! memory, and either an error or a script that reads back to its end.
//!
//! ```text
//! cargo run --release -p analysis --example fuzz_import -- SECONDS [SEED]
//! ```
//!
//! It mutates without coverage, by bytes and by words: a word becomes another of the text, or a number that is hard to
//! bear, so that most lines keep their form and get past the first look. The same seed gives the same inputs.
#![expect(clippy::unwrap_used, reason = "what fails here is to be seen")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use krcu_analysis::{import, source::Trace};

/// Every tracepoint that is known, in the forms of the three programs that print them.
const TEXT: &str = "# tracer: nop
cpus=2
CPU:1 [LOST 4321 EVENTS]
insmod-90 [000] .....  10.000001: module_load: krcu_pending OE
insmod-90 [000] .....  10.000100: rcu_kvfree_callback: rcu_preempt rhp=00000000aa000010 func=16 1
insmod-90 (   90) [000] d.h1.  10.000200: rcu_kfree_callback: rcu_preempt rhp=0xaa000050 func=16 2
rcu_pree-16 [001] ..... 10.001000: rcu_grace_period: rcu_preempt 100 start
rmmod-91 [001] .....  10.002000: rcu_barrier: rcu_preempt Begin cpu -1 remaining 0 # 4
rcu_preempt    16 [001] 10.011000123: rcu:rcu_grace_period: rcu_preempt 100 end
rmmod    91 [001] 10.012000: rcu:rcu_barrier: rcu_preempt Inc2 cpu -1 remaining 0 # 4
kworker/0:1-12 [000]  10.020200: rcu_invoke_kvfree_callback: rcu_preempt rhp=00000000aa000010 func=16
kworker/0:1-12 [000]  10.020300: rcu_invoke_kfree_bulk_callback: rcu_preempt bulk=0x00000000bb000000 nr_records=3
a [x] name-7 [001] ..s2.  10.030000: rcu_callback: rcu_preempt rhp=00000000cc000010 func=free_it [m] 3
ksoftirqd/1-21 [001] ..s2.  10.040000: rcu_invoke_callback: rcu_preempt rhp=00000000cc000010 func=free_it
insmod-90 [000] .....  10.050000: kmem_cache_alloc: call_site=f+0x1/0x2 ptr=00000000dd000010 name=x bytes_req=8
insmod-90 [000] .....  10.060000: kmem_cache_free: call_site=f+0x1/0x2 ptr=00000000dd000010 name=x
rmmod-91 [001] .....  10.070000: module_free: krcu_pending
";
/// Words that are hard to bear.
const HARD: [&str; 12] = [
    "",
    "-1",
    "0",
    "18446744073709551615",
    "99999999999999999999",
    "0.0",
    "18446744073.709551615",
    "[4294967296]",
    "\u{e9}\u{1f980}",
    "\"open",
    "back\\slash\\",
    "rhp=ffffffffffffffffff",
];

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

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_u64).max(1);
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = place.join(format!("krcu-fuzz-import-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(seed);
    let (mut inputs, mut imported, mut events) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < until {
        // Where it ends, should it end here.
        let state = random.0;
        inputs += 1;
        match catch_unwind(AssertUnwindSafe(|| one(&folder, &mut random))) {
            Ok(Some(read)) => (imported, events) = (imported + 1, events + read),
            Ok(None) => {}
            Err(_) => {
                eprintln!(
                    "fuzz: input {inputs} failed: its seed is {state}, the text is left in {}",
                    folder.display()
                );
                return ExitCode::FAILURE;
            }
        }
    }
    drop(fs::remove_dir_all(&folder));
    println!(
        "fuzz: {inputs} changed texts, {imported} of them imported and read back, {events} events; next seed {}",
        random.0
    );
    if imported == 0 || imported == inputs { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Imports one changed text; the events of the script, if it became one.
fn one(folder: &Path, random: &mut Random) -> Option<u64> {
    let mut bytes = TEXT.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        if random.below(3) > 0 { change_word(&mut bytes, random) } else { change_bytes(&mut bytes, random) }
    }
    let (text, script) = (folder.join("trace.txt"), folder.join("trace.script"));
    fs::write(&text, &bytes).unwrap();
    import::convert(&text, &script).ok()?;
    let mut events = 0;
    Trace::open(&script)
        .unwrap()
        .read(&mut |_| {
            events += 1;
            true
        })
        .unwrap();
    // An event has a time and a name, so many cannot stand on one line.
    assert!(events <= u64::try_from(bytes.len() / 8 + 1).unwrap(), "{events} events");
    Some(events)
}

/// A word becomes another of the text, or one that is hard to bear.
fn change_word(bytes: &mut Vec<u8>, random: &mut Random) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut words: Vec<&str> = text.split(' ').collect();
    let (place, other) = (random.below(words.len()), random.below(words.len()));
    words[place] = if random.below(2) == 0 { HARD[random.below(HARD.len())] } else { words[other] };
    *bytes = words.join(" ").into_bytes();
}

/// A bit flips, a piece is doubled or taken out, the end is cut off, or a line becomes a long one.
fn change_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let place = random.below(bytes.len());
    let end = (place + random.below(200)).min(bytes.len());
    match random.below(5) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => {
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        2 => drop(bytes.drain(place..end)),
        3 => bytes.truncate(place),
        _ => drop(bytes.splice(place..place, vec![b'x'; random.below(1 << 17)])),
    }
}
