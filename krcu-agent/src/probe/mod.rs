//! Probe: loads the probes of a plan into the kernel, attaches them, and detaches them.
//!
//! Besides `source` and `diagnostics`, only this folder knows aya. All programs are loaded before the first one is
//! attached, so a program that the kernel refuses does no harm. They are attached in the order of the plan, which
//! [`catalog`](crate::kernel::catalog) explains, and detached in another order. If a required probe fails, all are
//! detached. If an optional probe fails, it is withdrawn from the plan, which then says what cannot be decided.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::Program;
use aya::{Btf, Ebpf, EbpfLoader, Endianness, Pod};
use aya_log::EbpfLogger;
use krcu_common::count::{LINE_WORDS, LINES, ROW_WORDS, ROWS, SEQUENCE, counter, delivered, known};
use krcu_common::{Fate, Kind};
use log::Log;
use tokio::sync::watch;
use zerocopy::IntoBytes;

use crate::kernel::Plan;
use crate::kernel::btf;
use crate::kernel::catalog::{Attach, Leaving};
use crate::kernel::plan::Probe;

mod error;
mod fill;
mod layout;
mod link;
mod patch;

pub use error::LoadError;
pub use fill::Fill;
use link::Links;

/// The compiled probes; `build.rs` says where they come from.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("KRCU_EBPF_OBJECT"));

/// The read-only data of the probes that holds their configuration.
const CONFIG: &str = "CONFIG";
/// The kernel's type information.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The map of the ring that every event goes through.
const EVENTS: &str = "EVENTS";
/// The per-CPU array that counts what happened to each run.
const COUNTS: &str = "COUNTERS";
/// The map of the lines, in which every event is counted.
const COUNT_LINES: &str = ".bss.lines";

/// The lines of all CPUs.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Lines([[u64; LINE_WORDS]; LINES]);

// SAFETY: it consists of words, and every bit pattern of a word is a number.
unsafe impl Pod for Lines {}

/// The per-CPU array of one element that counts the losses.
const LOSSES: &str = "LOSSES";
/// The hash map of what was lost, by [`krcu_common::count::loss_key`].
const LOST: &str = "LOST";
/// The table of stacks.
const STACK_TABLE: &str = "STACKS";
/// The hash map of the stacks whose frames were sent.
const SITES: &str = "SITES";
/// The global that counts how often an address may have got another meaning: the epoch.
const MODULE_EPOCH: &str = ".bss.epoch";
/// What the agent adds to the epoch. A module that goes at the same moment adds one, so no epoch comes twice.
const NEW_EPOCH: u32 = 1 << 16;

/// The options of the probes.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Bytes of the ring; rounded up to a power of two of pages.
    pub ring_bytes: u32,
    /// Whether each queueing call's stack is taken.
    pub queue_stacks: bool,
    /// Whether the probes write diagnostics of their own.
    pub probe_log: bool,
    /// Room for this many stacks, of a kilobyte each; at least one.
    pub stacks: u32,
}

/// Room for this many stacks, unless an option says otherwise.
pub const STACKS: u32 = 4096;

/// The probes in the kernel. Dropping them detaches them.
pub struct Probes {
    /// The attached programs.
    links: Links,
    ebpf: Ebpf,
    plan: Plan,
    withdrawn: Vec<LoadError>,
}

impl Probes {
    /// Loads and attaches the probes of a plan.
    ///
    /// # Errors
    /// When the plan refuses, or a required probe cannot be loaded or attached. Then no probe stays in the kernel.
    pub fn load(plan: Plan, options: LoadOptions) -> Result<Probes, LoadError> {
        if let Some(refusal) = plan.refusals.first() {
            return Err(LoadError::Refused(refusal.clone()));
        }
        let btf = types_of_targets(&plan)?;
        let mut ebpf = load_object(&plan, options, &btf)?;
        layout::check(&mut ebpf)?;
        let mut probes = Probes { links: Links::new(), ebpf, plan, withdrawn: Vec::new() };
        probes.each_planned(|ebpf, _, job| {
            let program = job.program_of(ebpf)?;
            link::load(program, job.target, &btf).map_err(|cause| job.failed(cause))
        })?;
        probes.each_planned(|ebpf, links, job| {
            let program = job.program_of(ebpf)?;
            let link = link::attach(program).map_err(|cause| job.failed(cause))?;
            links.push(job.leaves, link);
            Ok(())
        })?;
        crate::memory::not_needed(OBJECT);
        Ok(probes)
    }

    /// Does one step for every probe of the plan. An optional probe that fails is withdrawn from the plan.
    fn each_planned(
        &mut self,
        mut step: impl FnMut(&mut Ebpf, &mut Links, Job) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let planned: Vec<(Job, bool)> = self
            .plan
            .probes
            .iter()
            .filter(|probe| probe.is_planned())
            .map(|probe| {
                let Probe { program, target, attach, leaves, required, .. } = *probe;
                (Job { program, target, attach, leaves }, required)
            })
            .collect();
        for (job, required) in planned {
            match step(&mut self.ebpf, &mut self.links, job) {
                Ok(()) => {}
                Err(error) if required => return Err(error),
                Err(error) => {
                    self.plan.withdraw(job.program, error.headline());
                    self.withdrawn.push(error);
                }
            }
        }
        Ok(())
    }

    /// The plan as it was carried out: probes that failed are not offered in it.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Why optional probes were withdrawn, with what the verifier said.
    #[must_use]
    pub fn withdrawn(&self) -> &[LoadError] {
        &self.withdrawn
    }

    /// How many programs are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.links.len()
    }

    /// Takes the ring; this is possible once. The ring can still be read after the probes are detached.
    ///
    /// # Errors
    /// When it was taken before, or cannot be mapped.
    pub fn take_ring(&mut self) -> Result<RingBuf<MapData>, LoadError> {
        let map = self.ebpf.take_map(EVENTS).ok_or(LoadError::Absent { what: "map", name: EVENTS })?;
        RingBuf::try_from(map).map_err(|cause| LoadError::Map { name: EVENTS, cause: Box::new(cause) })
    }

    /// Takes the reader of the probes' own diagnostics, which writes them to `logger`.
    ///
    /// # Errors
    /// When it was taken before, or the object writes none.
    pub fn take_log<Logger: Log>(&mut self, logger: Logger) -> Result<EbpfLogger<Logger>, LoadError> {
        EbpfLogger::init_with_logger(&mut self.ebpf, logger)
            .map_err(|cause| LoadError::Log { cause: Box::new(cause) })
    }

    /// What happened to the runs so far: for each possible CPU, every row of [`krcu_common::count`] in its order,
    /// with the counts of its line added.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn counters(&self) -> Result<Vec<Vec<u64>>, LoadError> {
        self.with_lines(self.rows()?).map(|(counters, _)| counters)
    }

    /// The rows, without the counts of the lines.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn rows(&self) -> Result<Vec<Vec<u64>>, LoadError> {
        let map = self.per_cpu::<[u64; ROW_WORDS as usize]>(COUNTS)?;
        let mut by_cpu: Vec<Vec<u64>> = Vec::new();
        for row in 0..ROWS {
            let rows =
                map.get(&row, 0).map_err(|cause| LoadError::Map { name: COUNTS, cause: Box::new(cause) })?;
            by_cpu.resize_with(rows.len(), Vec::new);
            for (cpu, row) in by_cpu.iter_mut().zip(rows.iter()) {
                cpu.extend_from_slice(row);
            }
        }
        Ok(by_cpu)
    }

    /// Adds the counts of the lines to the rows. Returns how many events had a number at that moment, because the
    /// lines have both.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn with_lines(&self, mut rows: Vec<Vec<u64>>) -> Result<(Vec<Vec<u64>>, u64), LoadError> {
        let lines = self.lines()?;
        for (cpu, line) in rows.iter_mut().zip(lines.0) {
            for kind in Kind::PROBED {
                let counts = [(Some(delivered(kind)), Fate::Delivered), (known(kind), Fate::FilteredKmalloc)];
                for (word, fate) in counts {
                    let count = word.and_then(|word| line.get(word)).copied().unwrap_or(0);
                    if let Some(place) = cpu.get_mut(counter(kind, fate) as usize) {
                        *place += count;
                    }
                }
            }
        }
        Ok((rows, numbers(&lines).sum()))
    }

    /// For each CPU, the number that its next event gets. That is the number of events that it had.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn sequences(&self) -> Result<Vec<u64>, LoadError> {
        Ok(numbers(&*self.lines()?).collect())
    }

    fn lines(&self) -> Result<Box<Lines>, LoadError> {
        let failed = |cause| LoadError::Map { name: COUNT_LINES, cause: Box::new(cause) };
        let map = self.ebpf.map(COUNT_LINES).ok_or(LoadError::Absent { what: "map", name: COUNT_LINES })?;
        let map: Array<&MapData, Lines> = Array::try_from(map).map_err(failed)?;
        map.get(&0, 0).map(Box::new).map_err(failed)
    }

    /// How often anything was lost, for any reason. It is one number, so that it can be read often. The counters and
    /// [`Probes::lost`] have the details by the time that it rises.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn losses(&self) -> Result<u64, LoadError> {
        Ok(self.first_of(LOSSES)?.into_iter().fold(0, u64::wrapping_add))
    }

    /// How many events were lost about objects of known caches, by [`krcu_common::count::loss_key`].
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn lost(&self) -> Result<BTreeMap<u64, u64>, LoadError> {
        let failed = |cause| LoadError::Map { name: LOST, cause: Box::new(cause) };
        let map = self.ebpf.map(LOST).ok_or(LoadError::Absent { what: "map", name: LOST })?;
        let map: HashMap<&MapData, u64, u64> = HashMap::try_from(map).map_err(failed)?;
        map.iter().map(|entry| entry.map_err(failed)).collect()
    }

    /// Makes the probes send the frames of each stack, and the symbol of each callback, once more with its next event.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn name_again(&mut self) -> Result<(), LoadError> {
        let failed = |cause| LoadError::Map { name: MODULE_EPOCH, cause: Box::new(cause) };
        let map =
            self.ebpf.map_mut(MODULE_EPOCH).ok_or(LoadError::Absent { what: "map", name: MODULE_EPOCH })?;
        let mut map: Array<&mut MapData, u32> = Array::try_from(map).map_err(failed)?;
        let epoch = map.get(&0, 0).map_err(failed)?;
        map.set(0, epoch.wrapping_add(NEW_EPOCH), 0).map_err(failed)
    }

    /// How often the kernel skipped each program because it was running on that CPU already (`recursion_misses` of its
    /// fdinfo). `None` if the kernel does not say.
    #[must_use]
    pub fn recursion_misses(&self) -> Vec<(&'static str, Option<u64>)> {
        let loaded = self.plan.probes.iter().filter(|probe| probe.is_planned());
        loaded.map(|probe| (probe.program, self.misses_of(probe.program))).collect()
    }

    fn misses_of(&self, program: &str) -> Option<u64> {
        let fd = self.ebpf.program(program)?.fd().ok()?.as_fd().as_raw_fd();
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
        value.trim().parse().ok()
    }

    /// How often each program has run, and for how many nanoseconds, by the kernel's own statistics. All are zero while
    /// the statistics are off.
    #[must_use]
    pub fn costs(&self) -> Vec<(&'static str, Option<(u64, u64)>)> {
        let loaded = self.plan.probes.iter().filter(|probe| probe.is_planned());
        loaded.map(|probe| (probe.program, self.cost_of(probe.program))).collect()
    }

    fn cost_of(&self, program: &str) -> Option<(u64, u64)> {
        let info = self.ebpf.program(program)?.info().ok()?;
        let ns = u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX);
        Some((info.run_count(), ns))
    }

    /// The one element of a per-CPU array, for each possible CPU.
    fn first_of(&self, name: &'static str) -> Result<Vec<u64>, LoadError> {
        let values = self.per_cpu::<u64>(name)?.get(&0, 0);
        Ok(values.map_err(|cause| LoadError::Map { name, cause: Box::new(cause) })?.to_vec())
    }

    fn per_cpu<T: Pod>(&self, name: &'static str) -> Result<PerCpuArray<&MapData, T>, LoadError> {
        let map: &Map = self.ebpf.map(name).ok_or(LoadError::Absent { what: "map", name })?;
        PerCpuArray::try_from(map).map_err(|cause| LoadError::Map { name, cause: Box::new(cause) })
    }

    /// Begins to detach every probe, in the groups of [`Leaving`]. The result says how many are still attached.
    /// Each takes the kernel tens of milliseconds, or seconds if some task does not sleep. Programs and maps stay, so
    /// the ring can be drained and the counters read after the last event.
    pub fn detach(&mut self) -> watch::Receiver<usize> {
        self.links.release()
    }
}

/// For each CPU, how many events have a number.
fn numbers(lines: &Lines) -> impl Iterator<Item = u64> {
    lines.0.iter().filter_map(|line| line.get(SEQUENCE)).copied()
}

/// Makes the kernel measure how long programs run, as long as the result is kept. Needs `CAP_SYS_ADMIN`.
///
/// # Errors
/// When the kernel refuses.
pub fn statistics() -> Result<OwnedFd, LoadError> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|cause| LoadError::Statistics { cause })
}

/// One probe of the plan, as a step needs it.
#[derive(Clone, Copy)]
struct Job {
    program: &'static str,
    target: &'static str,
    attach: Attach,
    leaves: Leaving,
}

impl Job {
    fn program_of<'a>(&self, ebpf: &'a mut Ebpf) -> Result<&'a mut Program, LoadError> {
        ebpf.program_mut(self.program).ok_or(LoadError::Absent { what: "program", name: self.program })
    }

    fn failed(self, cause: aya::programs::ProgramError) -> LoadError {
        LoadError::of_program(self.program, self.target, self.attach, cause)
    }
}

/// The kernel's type information as far as attaching needs it: the numbers of the functions and tracepoints of the plan. aya
/// reads all names for each program; the kernel has some fifty thousand.
fn types_of_targets(plan: &Plan) -> Result<Btf, LoadError> {
    let targets: Vec<&str> = plan.probes.iter().map(|probe| probe.target).collect();
    let tracepoints: Vec<String> = targets.iter().map(|target| format!("btf_trace_{target}")).collect();
    let names: BTreeSet<&str> = targets.into_iter().chain(tracepoints.iter().map(String::as_str)).collect();
    let failed = |cause: Box<dyn StdError + Send + Sync>| LoadError::Btf { cause };
    let bytes = fs::read(BTF).map_err(|cause| failed(cause.into()))?;
    let types = btf::Btf::parse(bytes).map_err(|cause| failed(cause.into()))?;
    Btf::parse(&types.only(&names), Endianness::default()).map_err(|cause| failed(cause.into()))
}

fn load_object(plan: &Plan, options: LoadOptions, btf: &Btf) -> Result<Ebpf, LoadError> {
    let mut config = plan.config;
    config.queue_stacks = u32::from(options.queue_stacks);
    config.probe_log = u32::from(options.probe_log);
    // Events that can wait wake the reader when this many bytes are in the ring.
    config.wake_bytes = (options.ring_bytes / 8).min(256 << 10);
    let patched = patch::object(OBJECT, &config);
    let object = patched.as_bytes().get(..OBJECT.len()).unwrap_or(OBJECT);
    EbpfLoader::new()
        .btf(Some(btf))
        .override_global(CONFIG, config.as_bytes(), true)
        .map_max_entries(EVENTS, options.ring_bytes)
        .map_max_entries(STACK_TABLE, options.stacks)
        // The kernel numbers stacks below the next power of two.
        .map_max_entries(SITES, options.stacks.next_power_of_two())
        .load(object)
        .map_err(|cause| LoadError::Object { cause: Box::new(cause) })
}
