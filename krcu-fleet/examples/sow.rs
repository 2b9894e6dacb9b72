//! Sows a fleet for tests: `sow FLEET HOSTS DAYS` writes a trace for each host and day, out of what real kernels did.
//!
//! Most traces are golden runs without a fault. [`FAULTS`] golden runs with one are sown by a rule: fault `i` comes up on every
//! host whose number is `i` modulo [`EVERY`], from day `i` modulo DAYS on. `FLEET/sown.json` says how often, where and since when
//! each fault has to be found, by the verdicts that are kept with the kernels' runs. The same numbers give the same fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::Path,
};

use krcu_model::{
    event::Time,
    script::{self, Script},
};
use krcu_ship::{
    done::Done,
    layout::{DONE, Fleet, day_of, place_of},
};
use krcu_trace::{
    FORMAT, How, Limits, Meta, Writer,
    meta::{Clock, Kernel, Module, Run, Seen},
};
use serde_json::{Value, json};

/// Golden runs with a fault.
const FAULTS: usize = 12;
/// Every so many-th host has a fault.
const EVERY: usize = 25;
/// Of the golden runs without a fault every so many-th is taken, and all of arm64, which are few.
const STRIDE: usize = 13;
/// The first day, 2026-11-02, and the length of one.
const FIRST_UTC_NS: u64 = 1_793_577_600_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
/// The day from which on hosts have the second build of the module.
const SECOND_BUILD: usize = 2;

/// A golden run.
struct Golden {
    name: String,
    script: Script,
    release: String,
    /// The verdicts that are faults, as lines of JSON.
    flagged: Vec<Value>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let (Some(fleet), Some(hosts), Some(days)) = (words.next(), words.next(), words.next()) else {
        return Err("sow FLEET HOSTS DAYS".into());
    };
    let (traces, events) = sow(Path::new(&fleet), hosts.parse()?, days.parse()?)?;
    println!("{traces} traces of {events} events");
    Ok(())
}

/// Writes the fleet, and gives back how many traces and events it has.
pub(crate) fn sow(folder: &Path, hosts: usize, days: usize) -> Result<(usize, usize), Box<dyn Error>> {
    let (harmless, faults) = golden()?;
    let fleet = Fleet::new(folder);
    let mut sown: BTreeMap<String, Sown> = BTreeMap::new();
    let mut events = 0;
    for host in 0..hosts {
        for day in 0..days {
            let fault = Some(host % EVERY).filter(|fault| *fault < FAULTS && day >= fault % days);
            let golden = match fault.and_then(|fault| faults.get(fault)) {
                Some(golden) => golden,
                None => harmless.get((host * 7 + day * 3) % harmless.len()).ok_or("no golden run")?,
            };
            let meta = meta(golden, host, day);
            for verdict in &golden.flagged {
                sown.entry(verdict.to_string()).or_default().add(&meta);
            }
            events += golden.script.events.len();
            write(&fleet, golden, meta)?;
        }
    }
    let sown: Vec<Value> = sown.iter().map(|(verdict, sown)| sown.json(verdict)).collect();
    fs::write(folder.join("sown.json"), serde_json::to_string_pretty(&sown)?)?;
    Ok((hosts * days, events))
}

/// Where a fault was sown.
#[derive(Default)]
struct Sown {
    count: u64,
    hosts: BTreeSet<String>,
    first: String,
}

impl Sown {
    fn add(&mut self, meta: &Meta) {
        self.count += 1;
        self.hosts.extend(meta.kernel.host.clone());
        let day = day_of(i64::try_from(meta.clock.realtime_ns).unwrap_or(0));
        if self.first.is_empty() || day < self.first {
            self.first = day;
        }
    }

    fn json(&self, verdict: &str) -> Value {
        let verdict: Value = serde_json::from_str(verdict).unwrap_or_default();
        json!({ "verdict": verdict, "count": self.count, "hosts": self.hosts.len(), "first_day": self.first })
    }
}

/// Golden runs without a fault, and some with one: the first of each pair of a verdict and a cache.
fn golden() -> Result<(Vec<Golden>, Vec<Golden>), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/truth");
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".script").map(str::to_owned));
    }
    names.sort_unstable();
    let (mut harmless, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (place, name) in names.into_iter().enumerate() {
        let told = fs::read_to_string(folder.join(format!("{name}.json")))?;
        let verdicts: Vec<Value> = told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let verdicts: Vec<Value> = verdicts.into_iter().filter(|line| line["kind"] == "verdict").collect();
        let flagged: Vec<Value> = verdicts.iter().filter(|line| line["flagged"] == true).cloned().collect();
        let is_taken = place.is_multiple_of(STRIDE) || name.contains("-arm64-");
        if verdicts.is_empty() || (flagged.is_empty() && !is_taken) {
            continue;
        }
        let is_new =
            flagged.iter().all(|line| seen.insert((line["verdict"].to_string(), line["cache"].to_string())));
        if !flagged.is_empty() && (!is_new || faults.len() >= FAULTS) {
            continue;
        }
        let text = fs::read_to_string(folder.join(format!("{name}.script")))?;
        let release =
            text.lines().find_map(|line| line.split_once(" on Linux ")).map_or("", |(_, rest)| rest);
        let release = release.trim().to_owned();
        let script = script::read(&text).map_err(|error| format!("{name}: {error:?}"))?;
        let to = if flagged.is_empty() { &mut harmless } else { &mut faults };
        to.push(Golden { name, script, release, flagged });
    }
    Ok((harmless, faults))
}

fn meta(golden: &Golden, host: usize, day: usize) -> Meta {
    let build = if day >= SECOND_BUILD { "b2" } else { "a1" };
    let modules =
        vec![Module { name: "krcu_play".to_owned(), build_id: Some(build.repeat(20)), ..Module::default() }];
    let realtime_ns = FIRST_UTC_NS + day as u64 * DAY_NS + host as u64 * 1_000_000_000;
    let attached = golden.script.watch.attached.0;
    Meta {
        format: FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: env!("CARGO_PKG_VERSION").to_owned(),
        trace: format!("boot-{host}-{day}-{attached}-{}", golden.name),
        kernel: Kernel {
            release: golden.release.clone(),
            arch: arch_of(&golden.release).to_owned(),
            host: Some(format!("farm-{host:04}")),
            boot_id: Some(format!("boot-{host}")),
            possible_cpus: golden.script.watch.possible_cpus,
            ..Kernel::default()
        },
        clock: Clock { monotonic_ns: attached, realtime_ns },
        watch: Seen { modules, ..Seen::of(&golden.script.watch) },
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: vec!["rmmod".to_owned()],
        ended: None,
    }
}

/// The architecture of one of Debian's kernels, as `uname -m` prints it.
fn arch_of(release: &str) -> &'static str {
    if release.contains("arm64") { "aarch64" } else { "x86_64" }
}

fn write(fleet: &Fleet, golden: &Golden, meta: Meta) -> Result<(), Box<dyn Error>> {
    let place = place_of(&meta).ok_or("a trace has a time")?;
    let folder = fleet.trace(&place);
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    // Several batches, so that a trace that lost its end still has a beginning.
    let mut writer = Writer::create(&folder, meta, Limits { rows: 64, ..Limits::default() })?;
    golden.script.events.iter().for_each(|event| writer.event(event));
    let end = golden.script.events.last().map_or(Time(0), |event| event.time);
    writer.finish(How::Exit, end, Run { exit_flagged: 10, ..Run::default() })?;
    fs::write(folder.join(DONE), Done::of(&folder)?.text())?;
    Ok(())
}
