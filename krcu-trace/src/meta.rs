//! Meta: `meta.json`, which says what was recorded, where, and how the recording ended.
//!
//! It is written when the recording begins, with `ended: null`, and replaced as a whole when the recording ends.
//! Its first member is a checksum of the file with eight zeros in the place of the checksum. So krcu detects
//! if a person or a disk has changed the file later.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use krcu_model::{
    Watch,
    event::{Losses, Time},
    script::Word as _,
    state::Blind,
};
use serde::{Deserialize, Serialize};

use crate::{
    FORMAT, Reason, TraceError,
    disk::{Direct, Disk},
};

/// The file's name in the folder.
pub const FILE: &str = "meta.json";

/// The most bytes that it may have. A plan has some ten thousand.
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
    /// The unique name of the trace, which each segment has too.
    pub trace: String,
    /// The kernel and its machine.
    pub kernel: Kernel,
    /// Two clocks at one moment.
    pub clock: Clock,
    /// What the watch knew when it began.
    pub watch: Seen,
    /// Every probe that krcu has, and whether this kernel offered it.
    pub probes: Vec<Probe>,
    /// What cannot be decided on this kernel, with one sentence for each thing.
    pub undecidable: Vec<String>,
    /// The words of the command that ran meanwhile; empty if there was none.
    pub command: Vec<String>,
    /// How the recording ended; null if its recorder was killed or is still running.
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
    /// Ticks per second, if the kernel's configuration could be read.
    pub hz: Option<u32>,
}

/// The identity of the kernel's type information.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Btf {
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of `/sys/kernel/btf/vmlinux`, in hexadecimal digits.
    pub crc32: String,
}

/// The version of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// The build-id of `/sys/module/NAME/notes/.note.gnu.build-id`, in hexadecimal digits; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// `/sys/module/NAME/srcversion`; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srcversion: Option<String>,
    /// When it was loaded, on CLOCK_MONOTONIC; absent if it was there when the recording began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_at_ns: Option<u64>,
}

/// Two clocks at one moment, to convert the times of events into times of day.
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
    /// What cannot be seen on this kernel, in the words of a script.
    pub blind: Vec<String>,
    /// Modules that were loaded then and whose text calls `call_rcu()`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferring: Vec<String>,
    /// The versions of the modules that were loaded then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Module>,
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
    /// Why it is not offered, if it is not.
    pub why: Option<String>,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The command ended.
    Exit,
    /// A signal told krcu to end.
    Signal,
    /// The time that the user asked for was over.
    Duration,
    /// Events could not be written, or krcu could not wait for the last ones, so some are missing.
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
    /// What the run itself reported. A replay needs this and the events to give the same report.
    pub run: Run,
}

/// What a run knows besides its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Probes that were attached.
    pub probes: u64,
    /// From the start of krcu until every probe was attached.
    pub attach_ns: u64,
    /// From there until detaching began.
    pub duration_ns: u64,
    /// Events not seen.
    pub lost: Losses,
    /// Events without a site, because there was no room for their stack.
    pub without_site: u64,
    /// What happened to everything that the probes saw, by kind and CPU.
    pub accounts: Vec<Account>,
    /// Status of the command, as a shell reports it.
    pub command_status: u8,
    /// Whether `waited` and `unordered` were faults.
    pub strict: bool,
    /// Exit status when something is flagged.
    pub exit_flagged: u8,
    /// Whether a second output of the events was asked for and is incomplete.
    pub events_cut_short: bool,
    /// The caches that had to be destroyed; an empty name stands for any cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_destroy: Vec<String>,
    /// The verdicts that did not count, because they were known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// The versions of the modules that were loaded meanwhile, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Module>,
}

/// A verdict that a person knows of, and that does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// `VERDICT MODULE.CACHE`, and the name of a function if the verdict must name it.
    pub signature: String,
    /// Why it does not count.
    pub reason: String,
    /// The last day on which it does not count, as `2027-01-31`.
    pub until: String,
    /// Whether that day was over when the run began. Then the verdict counts.
    #[serde(default)]
    pub expired: bool,
}

/// What became of everything that the probes saw of one kind on one CPU:
/// `seen = delivered + lost + filtered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Account {
    /// The CPU.
    #[cfg_attr(feature = "schema", schemars(with = "usize"))]
    pub cpu: u64,
    /// The kind of event.
    pub kind: String,
    /// All of it: the sum of these.
    pub seen: u64,
    /// Written into the ring.
    pub delivered: u64,
    /// Found no room in the ring.
    pub lost: u64,
    /// Not streamed: of caches that are never destroyed, or of no cache.
    pub filtered: u64,
}

impl Seen {
    /// The part of a watch that a trace keeps.
    #[must_use]
    pub fn of(watch: &Watch) -> Seen {
        let blind = watch.blind.iter().map(|blind| blind.word().to_owned()).collect();
        Seen { attached_ns: watch.attached.0, blind, deferring: watch.deferring.clone(), modules: Vec::new() }
    }
}

impl Meta {
    /// The watch to which the events belong.
    ///
    /// # Errors
    /// When something could not be seen that this version does not know.
    pub fn watch(&self) -> Result<Watch, Reason> {
        let of_word = |word: &String| {
            Blind::of_word(word).ok_or_else(|| Reason::Word { word: word.clone(), column: "blind" })
        };
        Ok(Watch {
            attached: Time(self.watch.attached_ns),
            possible_cpus: self.kernel.possible_cpus,
            blind: self.watch.blind.iter().map(of_word).collect::<Result<_, _>>()?,
            deferring: self.watch.deferring.clone(),
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

    /// Writes it into the folder, and replaces the one that was there.
    ///
    /// # Errors
    /// When it cannot be written. Then the old one is still there.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        self.store_on(&Direct, folder)
    }

    /// The same by this disk. When it returns, the new one is on the disk.
    pub(crate) fn store_on(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{FILE}.new"));
        let file = disk.file(&new)?;
        file.append(self.text()?.as_bytes())?;
        file.sync()?;
        disk.rename(&new, &folder.join(FILE))?;
        disk.sync_folder(folder)
    }

    /// Reads it from the folder.
    ///
    /// # Errors
    /// When there is none, or a krcu of this version did not write it.
    pub fn load(folder: &Path) -> Result<Meta, TraceError> {
        let file = folder.join(FILE);
        read(&file).map_err(|reason| reason.of(&file))
    }

    /// Reads it from its text.
    ///
    /// # Errors
    /// When a krcu of this version did not write it.
    pub fn parse(bytes: &[u8]) -> Result<Meta, Reason> {
        let text = str::from_utf8(bytes).map_err(|_| Reason::Text("it is no text"))?;
        let no_sum = Reason::Text("it does not begin with its checksum, as krcu writes it");
        let Some(rest) = text.strip_prefix(HEAD) else { return Err(no_sum) };
        let Some((digits, rest)) = rest.split_at_checked(ZEROS.len()) else { return Err(no_sum) };
        let Ok(told) = u32::from_str_radix(digits, 16) else { return Err(no_sum) };
        // A capital digit has the same value, but it is not the byte that was written.
        if digits != format!("{told:08x}") {
            return Err(no_sum);
        }
        let mut sum = crc32fast::Hasher::new();
        [HEAD, ZEROS, rest].iter().for_each(|part| sum.update(part.as_bytes()));
        let found = sum.finalize();
        if found != told {
            return Err(Reason::Checksum { told, found });
        }
        // Checks the version first, because another version may have other members.
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
