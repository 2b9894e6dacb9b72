//! Writes a trace of so many invented events, for benchmarks: `generate EVENTS NAME.krcu [HOST]`. With a host, it says where and
//! when it was recorded, so that it has a place in a fleet.
//!
//! One cache after the other is created, filled and destroyed: 507 objects, as many as an array of `kfree_rcu()` holds,
//! are queued on each of two CPUs in turn and freed together after a grace period; the destroy finds the last array
//! outstanding and waits for it, but every tenth does not wait. The same number gives the same events.

use std::{env, error::Error, path::Path};

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event,
    event::{CacheAddress, CacheFacts, Cpu, Leftover, ObjectAddress, Site, Task, Time, What},
};
use krcu_trace::{FORMAT, How, Limits, Meta, Writer, meta};

/// Objects that are freed together.
const ARRAY: u64 = 507;
/// Arrays of a cache.
const ARRAYS: u64 = 10;
/// Every so many-th destroy does not wait.
const HASTY: u64 = 10;
/// Who queues and destroys, who frees, and who runs grace periods.
const TASKS: [Task; 3] = [Task(400), Task(12), Task(16)];
/// Nanoseconds from one event to the next, in the mean.
const STEP_NS: u64 = 1000;

/// When a trace with a host was recorded: 2026-11-02.
const RECORDED_UTC_NS: u64 = 1_793_577_600_000_000_000;

struct Run {
    writer: Writer,
    time: Time,
    events: u64,
}

impl Run {
    fn says(&mut self, task: Task, cpu: u16, what: What) {
        // Times as irregular as those of a machine.
        let noise = self.events.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        self.time = Time(self.time.0 + STEP_NS / 2 + noise);
        self.events += 1;
        self.writer.event(&Event { time: self.time, task, cpu: Cpu(cpu), what });
    }

    fn queue(&mut self, cache: CacheAddress, array: u64) {
        let cpu = u16::from(array % 2 == 1);
        for object in objects(cache, array) {
            self.says(TASKS[0], cpu, What::Queued { object, cache, site: Site(2), form: QueueForm::Head });
        }
    }

    fn grace(&mut self) {
        self.says(TASKS[2], 0, What::GraceBegin { expedited: false });
        self.says(TASKS[2], 0, What::GraceEnd { expedited: false });
    }

    fn free(&mut self, cache: CacheAddress, array: u64) {
        for object in objects(cache, array) {
            self.says(TASKS[1], 0, What::Freed { object, cache, path: FreePath::Bulk });
        }
        self.says(TASKS[1], 0, What::BatchFreed { path: FreePath::Bulk });
    }

    fn life_of(&mut self, number: u64) {
        let [watcher, ..] = TASKS;
        let cache = CacheAddress(0xffff_8881_0000_0000 + number * 512);
        let facts = CacheFacts { name: format!("cache_{number}"), object_size: 128, refcount: 1 };
        let asked_name = facts.name.clone();
        self.says(watcher, 0, What::CacheCreated { cache, facts: facts.clone(), asked_name, site: Site(1) });
        for array in 0..ARRAYS {
            self.queue(cache, array);
            if let Some(before) = array.checked_sub(1) {
                self.grace();
                self.free(cache, before);
            }
        }
        let comm = "rmmod".to_owned();
        self.says(watcher, 1, What::DestroyBegin { cache, facts, site: Site(3), comm, counted: false });
        if number.is_multiple_of(HASTY) {
            self.says(watcher, 1, What::ShutdownBegin { cache, rcu_works_flushed: 0 });
            let left = Some(Leftover { objects: ARRAY, listed: ARRAY % 32 });
            self.says(watcher, 1, What::ShutdownEnd { empty: Some(false), left });
            self.grace();
            self.free(cache, ARRAYS - 1);
        } else {
            let barrier = BarrierKind::Kvfree;
            self.says(
                watcher,
                1,
                What::BarrierBegin { barrier, rcu_works_flushed: 0, site: Site(0), comm: String::new() },
            );
            self.grace();
            self.free(cache, ARRAYS - 1);
            self.says(watcher, 1, What::BarrierEnd { barrier, cache: None, of: 0 });
            self.says(watcher, 1, What::ShutdownBegin { cache, rcu_works_flushed: 4 });
            self.says(watcher, 1, What::ShutdownEnd { empty: Some(true), left: None });
            self.says(watcher, 1, What::CacheReleased { cache });
        }
    }
}

/// The objects of an array; arrays share no addresses while both are outstanding, as slabs would not.
fn objects(cache: CacheAddress, array: u64) -> impl Iterator<Item = ObjectAddress> {
    let first = 0xffff_8880_0000_0000 + (cache.0 % (1 << 20)) * (1 << 11) + array % 2 * ARRAY * 128;
    (0..ARRAY).map(move |place| ObjectAddress(first + place * 128))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (events, folder, host) = match arguments.as_slice() {
        [events, folder] => (events, folder, None),
        [events, folder, host] => (events, folder, Some(host.clone())),
        _ => return Err("usage: generate EVENTS NAME.krcu [HOST]".into()),
    };
    let wanted: u64 = events.parse()?;
    let watch = krcu_model::Watch { attached: Time(0), possible_cpus: 2, ..krcu_model::Watch::default() };
    let meta = Meta {
        format: FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: env!("CARGO_PKG_VERSION").to_owned(),
        trace: format!("{wanted} invented events"),
        clock: meta::Clock { realtime_ns: host.as_ref().map_or(0, |_| RECORDED_UTC_NS), monotonic_ns: 0 },
        kernel: meta::Kernel { possible_cpus: 2, host, ..meta::Kernel::default() },
        watch: meta::Seen::of(&watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let writer = Writer::create(Path::new(folder), meta, Limits::default())?;
    let mut run = Run { writer, time: Time(0), events: 0 };
    for (site, frame) in
        [(1, "init+0x10/0x20 [mod]"), (2, "put+0x20/0x30 [mod]"), (3, "exit+0x30/0x40 [mod]")]
    {
        let frames = vec![frame.to_owned(), "do_syscall_64+0x5d/0x90".to_owned()];
        run.says(TASKS[0], 0, What::Site { site: Site(site), frames });
    }
    let mut number = 0;
    while run.events < wanted {
        run.life_of(number);
        number += 1;
    }
    let (events, time) = (run.events, run.time);
    run.writer.finish(How::Exit, time, meta::Run { exit_flagged: 10, ..meta::Run::default() })?;
    println!("{events} events, {number} caches");
    Ok(())
}
