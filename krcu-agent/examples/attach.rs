//! Loads and attaches every probe that this kernel offers, says what became of each, and detaches.
//!
//! For a test machine: `attach [seconds]`. Exits with 1 when anything planned was not attached.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use krcu_agent::kernel::{Facts, Plan};
use krcu_agent::probe::{LoadOptions, Probes};
use krcu_common::{Fate, Kind, count, decode};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attach: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<bool> {
    let wait = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let begin = Instant::now();
    let facts = Facts::gather(Path::new("/"));
    let gathered = begin.elapsed();
    let plan = Plan::of(&facts);
    let planned = plan.probes.iter().filter(|probe| probe.is_planned()).count();
    let begin = Instant::now();
    let mut probes = Probes::load(plan, LoadOptions::default())?;
    let loaded = begin.elapsed();
    println!("facts {gathered:?}, load and attach {loaded:?}, {} of {planned} attached", probes.attached());
    for error in probes.withdrawn() {
        println!("withdrawn: {error}");
    }
    thread::sleep(Duration::from_secs(wait));
    let mut ring = probes.take_ring()?;
    let misses = probes.recursion_misses();
    let begin = Instant::now();
    let whole = probes.attached() == planned;
    probes.detach()?;
    println!("detach {:?}", begin.elapsed());
    let mut events = 0_u32;
    while let Some(item) = ring.next() {
        let (header, body) = decode(&item)?;
        if events < 12 {
            println!("{} cpu {} task {} {body:x?}", header.sequence, header.cpu, header.task);
        }
        events += 1;
    }
    println!("{events} events, numbers {:?}", probes.sequences()?);
    let counters = probes.counters()?;
    for kind in Kind::ALL {
        let of = |fate| {
            counters.iter().filter_map(|cpu| cpu.get(count::counter(kind, fate) as usize)).sum::<u64>()
        };
        if of(Fate::Seen) > 0 {
            let fates: Vec<String> = Fate::ALL.iter().map(|fate| format!("{fate:?} {}", of(*fate))).collect();
            println!("{:<15} {}", kind.name(), fates.join(", "));
        }
    }
    println!("misses {misses:?}");
    Ok(whole)
}
