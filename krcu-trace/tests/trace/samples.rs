//! Samples: a trace's metadata, events of every kind, and folders to put them into.
#![expect(clippy::unwrap_used, reason = "a sample that cannot be made is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use krcu_common::ABI_VERSION;
use krcu_model::{
    Event,
    event::{Losses, Time},
    script,
};
use krcu_trace::{
    FORMAT, How, Limits, Meta, Reader, TraceError, Writer,
    meta::{Account, Btf, Clock, Kernel, Known, Probe, Run, Seen},
};

/// An event of every kind, with every field, each different from what it is when it says nothing.
pub(crate) const EVERY_KIND: &str = r#"krcu-script 1
watch attached=5 possible_cpus=2 blind=frees,callback_runs
10 1@0 cache_created cache=0xffff888000001000 name="a \"b\" \\c\n" object_size=64 refcount=-1 asked_name="other" site=3
11 2@1 destroy_begin cache=0xffff888000001000 name="é" object_size=4294967295 refcount=2 comm="rm mod" site=4 counted=yes
12 2@1 shutdown_begin cache=0x1 rcu_works_flushed=4294967295
13 2@1 shutdown_end empty=yes
14 2@1 shutdown_end
15 2@1 shutdown_end empty=no objects=7 listed=2
16 2@65535 cache_released cache=0x1
17 4294967295@0 queued object=0x20 cache=0x1 site=5
18 1@0 queued object=0x20 cache=0x1 headless=yes
19 1@0 queued object=0xffffffffffffffff cache=0x1 site=5 nolock=yes
20 1@0 callback_queued object=0x20 cache=0x1 function=0xffffffffc0000010 text="mod" site=6
21 1@0 callback_queued object=0x21 cache=0x1
21 1@0 callback_queued object=0x22 cache=0x1 flavour=srcu domain=0xffffffffc0001000 site=6
21 1@0 work_ran object=0x22
21 1@0 work_runs object=0x22 function=0xffffffffc0000010
22 1@0 callback_runs object=0x20 cache=0x1
23 1@0 function function=0xffffffffc0000010 symbol="f+0x0/0x2 [mod]"
24 1@0 freed_at_once object=0x20 cache=0x1
25 1@0 freed object=0x20 cache=0x1 path=sheaf
26 1@0 freed object=0x20 cache=0x1 path=bulk
27 1@0 freed object=0x20 cache=0x1 path=single
28 1@0 batch_freed path=callback
29 1@0 barrier_begin barrier=rcu rcu_works_flushed=1
30 1@0 barrier_begin barrier=kvfree
31 1@0 barrier_end barrier=kvfree_on_cache cache=0x1
32 1@0 barrier_end barrier=rcu
32 1@0 barrier_end barrier=srcu of=0xffffffffc0001000
33 1@0 module_loaded name="mod"
34 1@0 module_going name="mod"
34 1@0 module_freed name=""
35 1@0 site site=7 frame="f+0x1/0x2 [mod]" frame="g"
36 1@0 site site=8
37 1@0 gap reason=probe_missed events=3 from=1 until=2
38 1@0 gap reason=ring_full events=3 from=1 until=2 cache=0x1
39 1@0 gap reason=map_full events=3 from=1 until=2 grace=yes
39 1@0 gap reason=probe_missed events=3 from=1 until=2 queueing=yes
40 1@0 gap reason=not_in_trace events=0 from=1 until=18446744073709551615
41 1@0 grace_begin
42 1@0 grace_begin expedited=yes
43 1@0 grace_end
44 1@0 grace_end expedited=yes
45 1@0 allocated object=0x20 cache=0x1 site=9
46 1@0 queue_returned object=0x20
47 1@0 callback_ran object=0x20 text="mod"
48 1@0 callback_ran object=0x20
49 1@0 read_lock object=0x20 cache=0x1
50 1@0 read_lock
51 1@0 read_unlock
52 1@0 lingers cache=0x1
53 1@0 reported cache=0x1
54 1@0 destruction_awaited cache=0x1
55 1@0 destruction_awaited
56 1@0 slabs_freed cache=0x1
18446744073709551615 1@0 quiet
"#;

pub(crate) fn every_kind() -> Vec<Event> {
    script::read(EVERY_KIND).unwrap().events
}

pub(crate) fn meta() -> Meta {
    Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "0.1.0".to_owned(),
        trace: "6d0c1f0a-5".to_owned(),
        kernel: Kernel {
            release: "6.1.0-test".to_owned(),
            arch: "x86_64".to_owned(),
            host: Some("box".to_owned()),
            boot_id: Some("6d0c1f0a".to_owned()),
            btf: Some(Btf { bytes: 7, crc32: "00000001".to_owned() }),
            possible_cpus: 2,
            hz: None,
        },
        clock: Clock { monotonic_ns: 5, realtime_ns: 1_700_000_000_000_000_000 },
        watch: Seen::of(&script::read(EVERY_KIND).unwrap().watch),
        probes: vec![Probe {
            program: "queued".to_owned(),
            target: "kvfree_call_rcu".to_owned(),
            offer: "offered".to_owned(),
            why: None,
        }],
        undecidable: vec![],
        command: vec!["rmmod".to_owned(), "mod".to_owned()],
        ended: None,
    }
}

pub(crate) fn run() -> Run {
    let account = Account { cpu: 1, kind: "queued".to_owned(), seen: 4, delivered: 1, lost: 2, filtered: 1 };
    Run {
        probes: 14,
        attach_ns: 1,
        duration_ns: 2,
        lost: Losses { ring_full: 1, probe_missed: 2, map_full: 3, destroys: 0 },
        without_site: 4,
        accounts: vec![account],
        command_status: 3,
        strict: true,
        exit_flagged: 10,
        events_cut_short: false,
        require_destroy: vec!["my_cache".to_owned()],
        known: vec![Known {
            signature: "pending my_module.my_cache".to_owned(),
            reason: "why".to_owned(),
            until: "2027-01-31".to_owned(),
            expired: true,
        }],
        // The writer fills them in.
        modules: vec![],
    }
}

/// A folder of this test alone, removed with all that is in it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        // In memory, where there is such a place: some tests write a file ten thousand times.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = place.join(format!("krcu-trace-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A trace of these events that ended well.
pub(crate) fn written(name: &str, events: &[Event], limits: Limits) -> Folder {
    killed(name, events, limits, |writer| {
        writer.finish(How::Exit, Time(99), run()).unwrap();
    })
}

/// A trace of these events, and what is done with its writer then.
pub(crate) fn killed(name: &str, events: &[Event], limits: Limits, then: impl FnOnce(Writer)) -> Folder {
    let folder = Folder::new(name);
    let mut writer = Writer::create(&folder.0, meta(), limits).unwrap();
    events.iter().for_each(|event| writer.event(event));
    then(writer);
    folder
}

/// All of its events, or what is wrong with it.
pub(crate) fn read(folder: &Path) -> Result<Vec<Event>, TraceError> {
    Reader::open(folder)?.events().collect()
}
