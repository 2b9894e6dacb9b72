//! Configuration: the values of the keys, from a file and from options. Options override the file.

use std::{
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::{Table, Value};

use super::keys;
use crate::{disk::SYNC_EVERY, probe::STACKS, quantity};

/// The file that is read if no other one is named.
pub const PATH: &str = "/etc/krcu/agent.toml";
/// The most bytes of a file.
const MOST_BYTES: u64 = 1 << 20;
/// The longest that stopping may take.
const LONGEST_STOP: Duration = Duration::from_secs(3600);
/// The longest time between two syncs.
const LONGEST_SYNC: Duration = Duration::from_secs(3600);

/// The whole configuration. [`keys::KEYS`] says what each key does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The probes.
    pub probes: Probes,
    /// The socket.
    pub socket: Socket,
    /// The metrics.
    pub metrics: Metrics,
    /// The recorder.
    pub record: Record,
    /// The log.
    pub log: Log,
    /// How it stops.
    pub stop: Stop,
}

/// `[probes]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Probes {
    /// Bytes of the ring.
    #[serde(deserialize_with = "ring_bytes")]
    pub ring_bytes: u32,
    /// The number of different stacks that there is room for.
    pub stacks: u32,
    /// Whether each queueing call's stack is taken.
    pub queue_stacks: bool,
    /// Whether objects are followed from their allocation.
    pub alloc_stacks: bool,
    /// Whether the kernel measures the probes.
    pub statistics: bool,
}

/// `[socket]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Socket {
    /// The path of the socket; no socket if this is empty.
    pub path: PathBuf,
    /// The group whose members may connect.
    pub group: String,
    /// The highest number of clients at one time.
    pub clients: usize,
    /// Time between two reports.
    #[serde(deserialize_with = "span")]
    pub every: Duration,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// The address; no metrics if there is none.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// The highest number of connections at one time.
    pub connections: usize,
    /// The names that the port is asked by, besides addresses, `localhost` and the host's own name.
    pub names: Vec<String>,
}

/// `[record]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The folder of the traces; no traces if this is empty.
    pub folder: PathBuf,
    /// The highest size of one trace, in bytes.
    #[serde(deserialize_with = "size")]
    pub segment_bytes: u64,
    /// The longest time that one trace covers.
    #[serde(deserialize_with = "span")]
    pub segment_time: Duration,
    /// The time between two syncs of a trace.
    #[serde(deserialize_with = "span")]
    pub sync: Duration,
    /// The highest size of all traces together, in bytes.
    #[serde(deserialize_with = "size")]
    pub total_bytes: u64,
    /// How many of these bytes are for traces with flagged verdicts; half of them if it is not said.
    #[serde(deserialize_with = "size_or_none")]
    pub keep_flagged: Option<u64>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Lines below this level are not logged.
    pub level: Level,
    /// Whether `waited` and `unordered` are faults.
    pub strict: bool,
}

/// `[stop]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Stop {
    /// How long stopping may take. For each probed function the kernel waits for a grace period of Tasks RCU.
    #[serde(deserialize_with = "span")]
    pub deadline: Duration,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The administrator has to do something.
    Error,
    /// The administrator should know this.
    Warn,
    /// The normal course of events.
    Info,
    /// For developers of krcu.
    Debug,
}

impl Default for Probes {
    fn default() -> Probes {
        let ring_bytes = 4 << 20;
        Probes { ring_bytes, stacks: STACKS, queue_stacks: true, alloc_stacks: false, statistics: false }
    }
}

impl Default for Socket {
    fn default() -> Socket {
        Socket {
            path: PathBuf::from("/run/krcu/krcu.sock"),
            group: "krcu".to_owned(),
            clients: 32,
            every: Duration::from_millis(250),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9747))), connections: 16, names: Vec::new() }
    }
}

impl Default for Record {
    fn default() -> Record {
        Record {
            folder: PathBuf::new(),
            segment_bytes: 64 << 20,
            segment_time: Duration::from_secs(3600),
            sync: SYNC_EVERY,
            total_bytes: 1 << 30,
            keep_flagged: None,
        }
    }
}

impl Record {
    /// How many bytes are for traces with flagged verdicts.
    pub(super) fn flagged_bytes(&self) -> u64 {
        self.keep_flagged.unwrap_or(self.total_bytes / 2)
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { level: Level::Info, strict: false }
    }
}

impl Default for Stop {
    fn default() -> Stop {
        Stop { deadline: Duration::from_secs(45) }
    }
}

/// What is wrong with a configuration, in one line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// It is not TOML, or a value is of another kind.
    #[error("{from}: {why}")]
    Wrong {
        /// The file and the line, or the option.
        from: String,
        /// Why.
        why: String,
    },
    /// There is no such key.
    #[error("{from}: there is no key `{key}`{}", meant.map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default())]
    Unknown {
        /// The file or the option.
        from: String,
        /// The key.
        key: String,
        /// The known key with the nearest spelling.
        meant: Option<&'static str>,
    },
}

impl Config {
    /// Reads the file, if there is one, and then the options, which override it. An option is `(key, value)`,
    /// written as in the file.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn load(file: Option<&Path>, options: &[(String, String)]) -> Result<Config, ConfigError> {
        let read = |path: &Path| {
            read(path).map_err(|error| ConfigError::Read { path: path.into(), why: error.to_string() })
        };
        let (from, text) = match file {
            Some(path) => (path.display().to_string(), read(path)?),
            None if Path::new(PATH).exists() => (PATH.to_owned(), read(Path::new(PATH))?),
            None => (PATH.to_owned(), String::new()),
        };
        Config::of(&from, &text, options)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of(from: &str, text: &str, options: &[(String, String)]) -> Result<Config, ConfigError> {
        let wrong = |error: &toml::de::Error| wrong(from, text, error);
        let mut table: Table = text.parse().map_err(|error| wrong(&error))?;
        known(from, &table)?;
        // By itself first, so that an error is told with its line, and of the file only what is wrong in it.
        toml::from_str::<Config>(text).map_err(|error| wrong(&error))?.check(from)?;
        for (key, value) in options {
            let from = format!("--set {key}={value}");
            set(&mut table, &from, key, value)?;
        }
        let config: Config = table.try_into().map_err(|error: toml::de::Error| {
            let why = error.message().to_owned();
            ConfigError::Wrong { from: "the options".to_owned(), why }
        })?;
        config.check("the options")
    }

    fn check(self, from: &str) -> Result<Config, ConfigError> {
        let wrong = |why: &str| Err(ConfigError::Wrong { from: from.to_owned(), why: why.to_owned() });
        if !(Duration::from_millis(50)..=Duration::from_secs(10)).contains(&self.socket.every) {
            return wrong("socket.every is a time from 50ms to 10s");
        }
        if !(1..=1 << 20).contains(&self.probes.stacks) {
            return wrong("probes.stacks is a number from 1 to 1048576");
        }
        if !(1..=1024).contains(&self.socket.clients) || !(1..=1024).contains(&self.metrics.connections) {
            return wrong("socket.clients and metrics.connections are numbers from 1 to 1024");
        }
        // A trace may grow to twice its bound before it ends.
        if self.record.segment_bytes < 1 << 20 || self.record.total_bytes / 2 < self.record.segment_bytes {
            return wrong("record.segment_bytes is at least 1M, and record.total_bytes at least twice that");
        }
        if self.record.flagged_bytes() > self.record.total_bytes / 2 {
            return wrong("record.keep_flagged is at most half of record.total_bytes; 0 keeps none");
        }
        let second = Duration::from_secs(1);
        if !(second..=LONGEST_STOP).contains(&self.stop.deadline) || self.record.segment_time < second {
            return wrong("stop.deadline is a time from 1s to 1h, and record.segment_time at least 1s");
        }
        if !(second..=LONGEST_SYNC).contains(&self.record.sync) {
            return wrong("record.sync is a time from 1s to 1h");
        }
        Ok(self)
    }

    /// Takes those values of a new configuration that can change while the agent runs. Returns the keys whose
    /// new values take effect only with the next start.
    pub fn reload(&mut self, new: &Config) -> Vec<&'static str> {
        self.socket.every = new.socket.every;
        self.record.segment_bytes = new.record.segment_bytes;
        self.record.segment_time = new.record.segment_time;
        self.record.sync = new.record.sync;
        self.record.total_bytes = new.record.total_bytes;
        self.record.keep_flagged = new.record.keep_flagged;
        self.log = new.log.clone();
        self.stop = new.stop.clone();
        let differ = [
            ("probes.ring_bytes", self.probes.ring_bytes != new.probes.ring_bytes),
            ("probes.stacks", self.probes.stacks != new.probes.stacks),
            ("probes.queue_stacks", self.probes.queue_stacks != new.probes.queue_stacks),
            ("probes.alloc_stacks", self.probes.alloc_stacks != new.probes.alloc_stacks),
            ("probes.statistics", self.probes.statistics != new.probes.statistics),
            ("socket.path", self.socket.path != new.socket.path),
            ("socket.group", self.socket.group != new.socket.group),
            ("socket.clients", self.socket.clients != new.socket.clients),
            ("metrics.listen", self.metrics.listen != new.metrics.listen),
            ("metrics.connections", self.metrics.connections != new.metrics.connections),
            ("metrics.names", self.metrics.names != new.metrics.names),
            ("record.folder", self.record.folder != new.record.folder),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// Refuses names that are no keys.
fn known(from: &str, table: &Table) -> Result<(), ConfigError> {
    for (name, value) in table {
        match value {
            Value::Table(inner) if keys::is_table(name) => {
                for key in inner.keys() {
                    known_key(from, &format!("{name}.{key}"))?;
                }
            }
            _ => return Err(unknown(from, name)),
        }
    }
    Ok(())
}

fn known_key(from: &str, path: &str) -> Result<(), ConfigError> {
    if keys::find(path).is_some() { Ok(()) } else { Err(unknown(from, path)) }
}

fn unknown(from: &str, name: &str) -> ConfigError {
    let from = from.to_owned();
    if keys::is_table(name) {
        return ConfigError::Wrong { from, why: format!("`{name}` is a table, [{name}], and no key") };
    }
    // In quotation marks a point is part of a name.
    let key = if keys::find(name).is_some() { format!("\"{name}\"") } else { name.to_owned() };
    ConfigError::Unknown { from, key, meant: keys::nearest(name) }
}

/// Puts one value into its table. A text needs no quotation marks.
fn set(table: &mut Table, from: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    known_key(from, key)?;
    let quoted = || Value::String(value.to_owned());
    let is_text = keys::find(key).is_some_and(|key| key.default.starts_with('"'));
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut one| one.remove("value"));
    let value = match parsed {
        Some(value) if !is_text || value.is_str() => value,
        _ => quoted(),
    };
    let (in_table, name) = key.split_once('.').unwrap_or(("", key));
    let inner = table.entry(in_table).or_insert_with(|| Value::Table(Table::new()));
    match inner {
        Value::Table(inner) => {
            inner.insert(name.to_owned(), value);
            Ok(())
        }
        _ => Err(ConfigError::Wrong { from: from.to_owned(), why: format!("`{in_table}` is no table") }),
    }
}

fn wrong(from: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
    let from = line.map_or_else(|| from.to_owned(), |line| format!("{from}, line {line}"));
    let why = error.message().split('\n').next().unwrap_or_default().to_owned();
    ConfigError::Wrong { from, why }
}

/// Reads a file, which may be any.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {} KiB", MOST_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

fn ring_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    quantity::ring_bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    quantity::span(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    quantity::size(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn size_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { quantity::size(&text).map(Some).map_err(D::Error::custom) }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom("an address is IP:PORT, as in \"127.0.0.1:9747\""))
}
