//! Meta: `meta.json`, which says what was recorded where, and how it ended.
//!
//! It is written when the recording begins, with `ended: null`, and replaced as one when it ends. Its first
//! member is a checksum of the file with eight zeros in that place: what was changed afterwards, by a person
//! or by a disk, is not taken for what krcu wrote.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use krcu_model::{Watch, event::Time, script::Word as _, state::Blind};
use serde::{Deserialize, Serialize};

use crate::{FORMAT, Reason, TraceError};

/// The file's name in the folder.
pub const FILE: &str = "meta.json";

/// Most bytes of it: a plan is some ten thousand.
const MOST_BYTES: u64 = 16 << 20;

const HEAD: &str = "{\n  \"crc32\": \"";
const ZEROS: &str = "00000000";

/// All that is known of a recording besides its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of the layout and the columns ([`FORMAT`]).
    pub format: u32,
    /// Version of the events that the probes wrote (`krcu_common::ABI_VERSION`).
    pub abi: u32,
    /// Version of krcu.
    pub krcu: String,
    /// What no other trace is called: in each segment as well.
    pub trace: String,
    /// The kernel and its machine.
    pub kernel: Kernel,
    /// Two clocks at one moment.
    pub clock: Clock,
    /// What the watch knew when it began.
    pub watch: Seen,
    /// Every probe that krcu has, and whether this kernel offered it.
    pub probes: Vec<Probe>,
    /// What cannot be decided on this kernel, one sentence each.
    pub undecidable: Vec<String>,
    /// The command that ran meanwhile, word by word; empty when there was none.
    pub command: Vec<String>,
    /// How it ended; null in a trace whose recorder was killed, or is still at work.
    pub ended: Option<End>,
}

/// The kernel and its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: String,
    /// As `uname -m` prints it.
    pub arch: String,
    /// The machine's name, as `uname -n` prints it.
    pub host: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// The kernel's type information.
    pub btf: Option<Btf>,
    /// CPUs that could ever be present; 0 when not known.
    pub possible_cpus: u32,
    /// Ticks a second, where the kernel's configuration could be read.
    pub hz: Option<u32>,
}

/// What tells one kernel's type information from another's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Btf {
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of `/sys/kernel/btf/vmlinux`, in hexadecimal digits.
    pub crc32: String,
}

/// Two clocks at one moment: what turns the events' times into times of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME, since 1970.
    pub realtime_ns: u64,
}

/// What the watch knew when it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When the last probe was attached.
    pub attached_ns: u64,
    /// What this kernel does not let be seen, in the words of a script.
    pub blind: Vec<String>,
}

/// A probe of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The program.
    pub program: String,
    /// The function or tracepoint.
    pub target: String,
    /// `offered`, `not_needed`, `not_offered` or `not_looked_at`.
    pub offer: String,
    /// Why, where it is not offered.
    pub why: Option<String>,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The command ended.
    Exit,
    /// krcu was told to end by a signal.
    Signal,
    /// The time that was asked for was over.
    Duration,
    /// The events could not be written, or the last of them not waited for: they are not all here.
    CutShort,
}

/// The end of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Why.
    pub how: How,
    /// When the account was closed, on CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// Rows of all segments.
    pub rows: u64,
    /// Segments.
    pub segments: u32,
    /// What the run itself reported: with the events, all that a replay needs to report the same.
    pub run: Run,
}

/// What a run knows besides its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Probes that were attached.
    pub probes: u64,
    /// From the start of krcu until every probe was attached.
    pub attach_ns: u64,
    /// From there to the start of detaching.
    pub duration_ns: u64,
    /// Events not seen.
    pub lost: Losses,
    /// Events that have no site, because there was no room for their stack.
    pub without_site: u64,
    /// What became of everything that the probes saw.
    pub accounts: Vec<Account>,
    /// Status of the command, as a shell reports it.
    pub command_status: u8,
    /// Whether `waited` and `unordered` were faults.
    pub strict: bool,
    /// Exit status when something is flagged.
    pub exit_flagged: u8,
    /// Whether events were to go elsewhere too and are not all there.
    pub events_cut_short: bool,
}

/// Events that were lost or missed, by what the kernel's counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Events that found no room in the ring.
    pub ring_full: u64,
    /// Runs of a probe that the kernel skipped.
    pub probe_missed: u64,
    /// What a map of the probes had no room to remember.
    pub map_full: u64,
    /// Of all these, entries into `kmem_cache_destroy()`.
    pub destroys: u64,
}

/// What became of everything that the probes saw of one kind on one CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The CPU.
    pub cpu: u64,
    /// The kind of event.
    pub kind: String,
    /// All of it.
    pub seen: u64,
    /// Written into the ring.
    pub delivered: u64,
    /// Found no room in the ring.
    pub lost: u64,
    /// Not streamed.
    pub filtered: u64,
}

impl Seen {
    /// What a watch knows, to be kept.
    #[must_use]
    pub fn of(watch: &Watch) -> Seen {
        let blind = watch.blind.iter().map(|blind| blind.word().to_owned()).collect();
        Seen { attached_ns: watch.attached.0, blind }
    }
}

impl Meta {
    /// The watch that the events are of.
    ///
    /// # Errors
    /// When it was blind to something that this version does not know.
    pub fn watch(&self) -> Result<Watch, Reason> {
        let of_word = |word: &String| {
            Blind::of_word(word).ok_or_else(|| Reason::Word { word: word.clone(), column: "blind" })
        };
        Ok(Watch {
            attached: Time(self.watch.attached_ns),
            possible_cpus: self.kernel.possible_cpus,
            blind: self.watch.blind.iter().map(of_word).collect::<Result<_, _>>()?,
        })
    }

    /// The text of the file.
    fn text(&self) -> io::Result<String> {
        let json = serde_json::to_string_pretty(self)?;
        let members = json.strip_prefix("{\n").unwrap_or(&json);
        let zeroed = format!("{HEAD}{ZEROS}\",\n{members}\n");
        let sum = crc32fast::hash(zeroed.as_bytes());
        Ok(format!("{HEAD}{sum:08x}{}", &zeroed[HEAD.len() + ZEROS.len()..]))
    }

    /// Puts it into the folder, in place of the one that was there.
    ///
    /// # Errors
    /// When it cannot be written; then the one that was there still is.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{FILE}.new"));
        let mut file = File::create(&new)?;
        file.write_all(self.text()?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, folder.join(FILE))
    }

    /// Reads it from the folder.
    ///
    /// # Errors
    /// When there is none, or it is not what a krcu of this version wrote.
    pub fn load(folder: &Path) -> Result<Meta, TraceError> {
        let file = folder.join(FILE);
        read(&file).map_err(|reason| reason.of(&file))
    }

    /// Reads it from its text.
    ///
    /// # Errors
    /// When it is not what a krcu of this version wrote.
    pub fn parse(bytes: &[u8]) -> Result<Meta, Reason> {
        let text = str::from_utf8(bytes).map_err(|_| Reason::Text("it is no text"))?;
        let no_sum = Reason::Text("it does not begin with its checksum, as krcu writes it");
        let Some(rest) = text.strip_prefix(HEAD) else { return Err(no_sum) };
        let Some((digits, rest)) = rest.split_at_checked(ZEROS.len()) else { return Err(no_sum) };
        let Ok(told) = u32::from_str_radix(digits, 16) else { return Err(no_sum) };
        // A capital is another byte than was written, though it is the same digit.
        if digits != format!("{told:08x}") {
            return Err(no_sum);
        }
        let mut sum = crc32fast::Hasher::new();
        [HEAD, ZEROS, rest].iter().for_each(|part| sum.update(part.as_bytes()));
        let found = sum.finalize();
        if found != told {
            return Err(Reason::Checksum { told, found });
        }
        // The version first: the members of another one may be others.
        let value: serde_json::Value = serde_json::from_str(text)?;
        let told = |member| value.get(member).map_or_else(|| "none".to_owned(), ToString::to_string);
        let (format, abi) = (told("format"), told("abi"));
        if format != FORMAT.to_string() {
            return Err(Reason::Format { found: format });
        }
        if !crate::is_readable(&abi) {
            return Err(Reason::Abi { found: abi });
        }
        Ok(serde_json::from_value(value)?)
    }
}

fn read(path: &Path) -> Result<Meta, Reason> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Reason::NoMeta),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > MOST_BYTES {
        return Err(Reason::Size { what: "its size", found: size, most: MOST_BYTES });
    }
    Meta::parse(&bytes)
}
