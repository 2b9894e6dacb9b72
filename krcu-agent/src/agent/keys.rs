//! Keys: every key of the configuration, with its default and what it does. The example file, the manual
//! page and the search for the key that was meant come from here.

use krcu_report::words::wrapped;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its table and its name, as in `socket.path`.
    pub path: &'static str,
    /// Its default, as it is written in the file.
    pub default: &'static str,
    /// Whether a running agent takes a new value on SIGHUP; it says so of the others and keeps theirs.
    pub reload: bool,
    /// What it does, in sentences.
    pub doc: &'static str,
}

const fn fixed(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, default, reload: false, doc }
}

const fn reloaded(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, default, reload: true, doc }
}

/// All of them, those of one table behind each other.
pub const KEYS: &[Key] = &[
    fixed(
        "probes.ring_bytes",
        "\"4M\"",
        "Room for events that wait to be read; a power of two of pages, with K, M or G. What finds none is counted as lost. The system counts it twice in the agent's resident memory, for it is mapped twice.",
    ),
    fixed(
        "probes.stacks",
        "4096",
        "Room for this many different stacks, a kilobyte of the kernel's memory each. An event that finds none is judged all the same.",
    ),
    fixed(
        "probes.queue_stacks",
        "true",
        "Take the stack of each queueing call. Without it verdicts name no site.",
    ),
    fixed(
        "probes.alloc_stacks",
        "false",
        "Follow each object from its allocation, so that a leaked one is told with its place. Every allocation and free of the kernel then passes a probe.",
    ),
    fixed(
        "probes.statistics",
        "false",
        "Have the kernel measure how long each probe runs, as long as the agent does. It costs every program of the host two readings of the clock, and needs CAP_SYS_ADMIN, which the unit does not give. `sysctl kernel.bpf_stats_enabled=1` does the same for as long as you look.",
    ),
    fixed("socket.path", "\"/run/krcu/krcu.sock\"", "Where `krcu tui` finds the agent; empty for no socket."),
    fixed(
        "socket.group",
        "\"krcu\"",
        "Who may connect, besides root: members of this group. Where there is no such group, root alone.",
    ),
    fixed("socket.clients", "32", "Clients at once; one more is told so and let go."),
    reloaded("socket.every", "\"250ms\"", "Time between two reports; from 50ms to 10s."),
    fixed(
        "metrics.listen",
        "\"127.0.0.1:9747\"",
        "Where the metrics are served, by GET of /metrics, and whether the agent is well, by GET of /healthz; empty for neither.",
    ),
    fixed("metrics.connections", "16", "Connections at once; one more waits."),
    fixed(
        "record.folder",
        "\"\"",
        "Keep traces in this folder, which `krcu replay` reads; empty for none. It is written without any privilege, so it is \
         to be a folder of the agent's own user. Traces grow by some four bytes for each object queued and each object freed.",
    ),
    reloaded("record.segment_bytes", "\"64M\"", "Begin a new trace when one is this large; with K, M or G."),
    reloaded("record.segment_time", "\"1h\"", "Begin a new trace when one covers this much time."),
    reloaded(
        "record.total_bytes",
        "\"1G\"",
        "Delete the oldest traces of this folder when all together are larger; each is said in the log. At least twice \
         segment_bytes.",
    ),
    reloaded("log.level", "\"info\"", "What is logged: error, warn, info or debug."),
    reloaded(
        "log.strict",
        "false",
        "Take `waited` and `unordered` for faults too: they are logged as warnings.",
    ),
    reloaded(
        "stop.deadline",
        "\"30s\"",
        "How long stopping may take, from 1s to 1h: half of it detaching, where the kernel waits for each probed function; what is not \
         finished by then is given up.",
    ),
];

/// The key with this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether a table is called that.
#[must_use]
pub fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.path.split('.').next() == Some(name))
}

/// The key or table that was probably meant.
#[must_use]
pub fn nearest(path: &str) -> Option<&'static str> {
    let tables = KEYS.iter().filter_map(|key| key.path.split_once('.')).map(|(table, _)| table);
    let names: Vec<&'static str> =
        if path.contains('.') { KEYS.iter().map(|key| key.path).collect() } else { tables.collect() };
    let far = |name: &&str| strsim::damerau_levenshtein(name, path);
    let best = names.into_iter().min_by_key(far)?;
    // The same name in another table is as near as can be.
    let name = path.rsplit('.').next().unwrap_or(path);
    let same = KEYS.iter().map(|key| key.path).find(|known| known.rsplit('.').next() == Some(name));
    let is_near = far(&best) <= 1 + path.len() / 4;
    if is_near { Some(best) } else { same }
}

/// The file with every key at its default, each with what it does.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# krcu agent: every key, each at its default. What is marked [reload] takes effect on SIGHUP.\n",
    );
    let mut table = "";
    for key in KEYS {
        let (in_table, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if in_table != table {
            text += &format!("\n[{in_table}]\n");
            table = in_table;
        }
        let mark = if key.reload { "[reload] " } else { "" };
        for line in wrapped(["# "; 2], &format!("{mark}{}", key.doc), 98) {
            text += &format!("{line}\n");
        }
        text += &format!("{name} = {}\n", key.default);
    }
    text
}
