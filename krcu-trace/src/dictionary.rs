//! Dictionary: the description of a trace for people, made from the schema.

use std::fmt::Write as _;

use krcu_common::Kind;

use crate::{
    FORMAT,
    schema::{COLUMNS, Type},
};

const HEAD: &str = "\
A trace is a folder `NAME.krcu/`. `krcu record -o NAME.krcu` or `krcu check -o NAME.krcu` writes it.

| file | what is in it |
| --- | --- |
| `events-00000.arrows`, `events-00001.arrows`, … | the table of events, as Arrow IPC streams with zstd. pandas, DuckDB and \
polars open them without conversion. All streams, one after the other, are one table. There is more than one only with \
`--rotate-bytes` or `--rotate-time` |
| `events-00000.index`, … | a text file beside each stream. It has one line for each piece that was handed to the system at once \
(the schema, each batch, the end): the bytes and the rows up to the end of the piece, the CRC-32 of the piece, and the CRC-32 \
of the line so far; all in hexadecimal |
| `meta.json` | where and how the trace was recorded, and how the recording ended: see below |
| `accounted` | one line a second: a time, and the counts up to that time of skipped runs of probes, of events that found no \
room in the ring, and of entries that found no room in the probes' maps; the rows of all streams for which the line vouches; then the \
CRC-32 of the line so far; all in hexadecimal. Before the number of rows was added, lines were without it |

## What is promised

- Rows are in the order in which the run's own verdicts took the events. Gaps are in their places.
- The recorder hands a batch to the system when the batch's first event is a second old, or when the batch has 32,768 rows or \
4 MiB of text. A recorder that is killed loses the events that it had not handed over, and those that waited for a slow disk; a reader \
ignores bytes after the last line of the index.
- A trace of the agent may have a file `flagged`: a line of text for each flagged verdict for which the trace is kept. No reader needs it.
- Streams, indexes and `accounted` are synced every five seconds, or every `record.sync` of the agent, and names of files when they \
are new. If the power is lost, what was not synced may be there in any part. A stream that is shorter than its index is read up to \
its end. A line of `accounted` is taken only if the rows are there for which it vouches; one without a number of rows vouches for \
nothing after the last event.
- `meta.json` has `ended: null` from the start until the recorder writes how it ended. A trace that still has `null` there has no \
goodbye: its replay says so. Everything that depends on events after the last line of `accounted` is then `inconclusive`, and the \
exit status is 11, or that of a flagged verdict. `ended` is on the disk only after everything before it.
- A reader takes a piece only if its checksum is right and its sizes are within bounds (65,536 rows, 64 MiB). A flipped bit, a \
cut file, a missing segment, or a segment of another trace or version is an error that names the file and the place. A checksum \
guards against accidents, not against a person who computes a new one. Such a forged trace can contain false events, but it \
cannot make a reader crash or take unbounded memory.
- A reader of another format or another ABI refuses the trace by its number.

";

/// `docs/trace-format.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = format!(
        "# The format of a trace\n\nFormat {FORMAT}, ABI {}. This page is made from the schema in \
         `krcu-trace/src/schema.rs`, and a test compares the two (`KRCU_BLESS=1` writes the page again).\n\n{HEAD}",
        krcu_common::ABI_VERSION
    );
    text += "## The table of events\n\n| column | type | null | unit | meaning | from |\n| --- | --- | --- | --- | --- | --- |\n";
    for column in COLUMNS {
        let null = if column.nullable { "yes" } else { "no" };
        let holds = match column.holds {
            Type::Words(_) => "dictionary(uint8, utf8)".to_owned(),
            Type::Texts => "list(utf8)".to_owned(),
            other => other.arrow().to_string().to_lowercase(),
        };
        let mut meaning = column.meaning.to_owned();
        if let (Type::Words(words), true) = (column.holds, column.name != "kind") {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let _ = write!(meaning, " One of {}.", words.join(", "));
        }
        let (name, unit, source) = (column.name, column.unit, column.source);
        let _ = writeln!(text, "| `{name}` | {holds} | {null} | {unit} | {meaning} | {source} |");
    }
    text += "\n## The kinds of event\n\n| `kind` | meaning | seen at |\n| --- | --- | --- |\n";
    for kind in Kind::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", kind.word(), kind.meaning(), kind.source());
    }
    text + META
}

const META: &str = "
A kind whose source is \"said by a simulated kernel\" is in no trace of a real kernel.

## `meta.json`

| member | what it is |
| --- | --- |
| `crc32` | the CRC-32 of this file, computed with eight zeros in this place |
| `format`, `abi`, `krcu` | the versions of the layout and the columns, of the probes' events, and of krcu |
| `trace` | the identity of the trace: boot, time of attaching in ns, process. The metadata of each stream's schema has it as `krcu.trace` |
| `kernel` | `release`, `arch`, `host` (`uname -n`), `boot_id`, `btf` (size and CRC-32 of `/sys/kernel/btf/vmlinux`), `possible_cpus`, `hz` (null \
if there is no `/boot/config-RELEASE`) |
| `clock` | `monotonic_ns` and `realtime_ns` of one moment: they turn a `time_ns` into a time of day |
| `watch` | `attached_ns`: when the last probe was attached; `blind`: what this kernel does not let krcu see; `deferring`, where there are any: modules that were loaded then and call `call_rcu()`; `modules`, where there are any: the versions of the modules that were loaded then (`name`, `build_id`, `srcversion`) |
| `probes` | every probe: `program`, `target`, `offer` (`offered`, `not_needed`, `not_offered`, `not_looked_at`), `why` |
| `undecidable` | what krcu cannot decide on this kernel, one sentence each |
| `command` | the command that ran, word by word |
| `ended` | null, or: `how` (`exit` of the command, `signal`, `duration`, or `cut-short` if the events could not be written), `at_ns`, `rows`, \
`segments`, and `run`: what the run reported that does not follow from the events (`probes`, `attach_ns`, `duration_ns`, `lost`, `without_site`, `accounts`, \
`command_status`, `strict`, `exit_flagged`, `events_cut_short`) |
";
