//! Keys: every key of the configuration, with its default and what it does. The example file, the manual page
//! and the suggestion for a misspelled key come from here.

use krcu_report::words::wrapped;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table and the name, as in `socket.path`.
    pub path: &'static str,
    /// The default, as it is written in the file.
    pub default: &'static str,
    /// Whether a running agent takes a new value on SIGHUP. If another key has changed, the agent says so and
    /// keeps the old value.
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

/// All keys; the keys of one table stand together.
pub const KEYS: &[Key] = &[
    fixed(
        "probes.ring_bytes",
        "\"4M\"",
        "The size of the ring, which holds events until the agent reads them: a power of two, at least 4K, \
         with K, M or G. An event that finds no room is counted as lost. The ring is mapped twice, so the \
         system counts it twice in the agent's resident memory.",
    ),
    fixed(
        "probes.stacks",
        "4096",
        "Room for this many different stacks, a kilobyte of kernel memory each. An event whose stack finds \
         no room is still judged.",
    ),
    fixed(
        "probes.queue_stacks",
        "true",
        "Take the stack of each queueing call. Without it, verdicts do not say where objects were queued.",
    ),
    fixed(
        "probes.alloc_stacks",
        "false",
        "Follow each object from its allocation on, so that a verdict says where a leaked object was \
         allocated. A probe then runs at every allocation and every free in the kernel.",
    ),
    fixed(
        "probes.statistics",
        "false",
        "Make the kernel measure how long each probe runs, as long as the agent runs. Every eBPF program on \
         the host then reads the clock twice in each run. The agent needs CAP_SYS_ADMIN for this, which the \
         unit does not give it. `sysctl kernel.bpf_stats_enabled=1` does the same without the agent.",
    ),
    fixed(
        "socket.path",
        "\"/run/krcu/krcu.sock\"",
        "The path of the socket that `krcu tui` opens; empty \
        for no socket.",
    ),
    fixed(
        "socket.group",
        "\"krcu\"",
        "Root and the members of this group may connect. If there is no such group, only root may.",
    ),
    fixed(
        "socket.clients",
        "32",
        "The highest number of clients at one time. The agent tells one more \
        client so, and disconnects it.",
    ),
    reloaded("socket.every", "\"250ms\"", "The time between two reports, from 50ms to 10s."),
    fixed(
        "metrics.listen",
        "\"127.0.0.1:9747\"",
        "The address that serves the metrics (GET /metrics) and the state of the agent (GET /healthz); \
         empty for neither.",
    ),
    fixed(
        "metrics.connections",
        "16",
        "The highest number of connections at one time; one more closes the oldest.",
    ),
    fixed(
        "metrics.names",
        "[]",
        "The names of this host in requests, such as [\"farm1.example\"]. A request that asks for an IP address, \
         for localhost or for the name that `hostname` prints is answered too. Every other name is refused, \
         because a page in a browser could have been given a name that leads to this port.",
    ),
    fixed(
        "record.folder",
        "\"\"",
        "Keep traces in this folder, for `krcu replay`; empty for no traces. The agent writes them without \
         any privilege, so its own user must own the folder. Traces grow by some four bytes for each object \
         that is queued and each that is freed.",
    ),
    reloaded("record.segment_bytes", "\"64M\"", "Begin a new trace when one has this size; with K, M or G."),
    reloaded("record.segment_time", "\"1h\"", "Begin a new trace when one covers this much time."),
    reloaded(
        "record.sync",
        "\"5s\"",
        "How often what was recorded is written to the disk for certain, from 1s to 1h: after a loss of power, at \
         most the events of this time and of a second more are missing. A thread does it, and the agent never \
         waits for it. A trace that has begun keeps its value.",
    ),
    reloaded(
        "record.total_bytes",
        "\"1G\"",
        "When all traces of this folder together are larger than this, delete the oldest ones, and log each \
         deletion. At least twice segment_bytes.",
    ),
    reloaded(
        "record.keep_flagged",
        "\"\"",
        "Of total_bytes, keep this much for traces that hold a flagged verdict, or the five minutes before and \
         after it: they are deleted after all others. If they need more, the oldest of them is deleted in its \
         turn, and the log says so. Empty for half of total_bytes, which is the most; 0 for none. With \
         log.strict, `waited` and `unordered` count as well. A file `flagged` in the trace's folder has the \
         verdicts.",
    ),
    reloaded("log.level", "\"info\"", "The lowest level that is logged: error, warn, info or debug."),
    reloaded(
        "log.strict",
        "false",
        "Count `waited` and `unordered` as faults too: the agent logs them as warnings.",
    ),
    reloaded(
        "stop.deadline",
        "\"45s\"",
        "How long stopping may take, from 1s to 1h. Half of this time is for detaching, because the kernel \
         waits for each probed function. The agent gives up whatever is not finished in time.",
    ),
];

/// The key with this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether there is a table of this name.
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
        "# krcu agent: every key with its default. A key that is marked [reload] takes effect on SIGHUP.\n",
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
