//! Dictionary: the description of a trace for people, made from the schema.

use std::fmt::Write as _;

use krcu_common::Kind;

use crate::{
    FORMAT,
    schema::{COLUMNS, Type},
};

const HEAD: &str = "\
A trace is a folder, `NAME.krcu/`, that `krcu record -o NAME.krcu` or `krcu check -o NAME.krcu` writes.

| file | what it is |
| --- | --- |
| `events-00000.arrows`, `events-00001.arrows`, … | the table of events, as Arrow IPC streams with zstd; pandas, DuckDB and \
polars open them as they are. One after the other they are one table; a second one is there only where `--rotate-bytes` or \
`--rotate-time` asked for it |
| `events-00000.index`, … | beside each stream: a line for each piece that was handed to the system at once (the schema, each batch, \
the end), with the bytes and the rows up to its end, the CRC-32 of the piece, and the CRC-32 of the line so far; hexadecimal |
| `meta.json` | what was recorded where, and how it ended: see below |
| `accounted` | a line a second: a time, the runs of probes that the kernel had skipped, the events that had found no room and what the \
probes' maps had had no room for until then, and the CRC-32 of the line so far; hexadecimal |

## What is promised

- Rows are in the order in which the run's own verdicts took the events, with the gaps in their places.
- A batch is handed to the system when its first event is a second old, or when it has 32,768 rows or 4 MiB of text. A recorder that \
is killed loses what it had not handed over: the piece behind the last line of the index is left by the reader. What the kernel \
had not put on the disk when the whole machine stopped is lost too; a stream that is shorter than its index is read up to there.
- `meta.json` has `ended: null` from the start until the recorder says how it ended. A trace with `null` there has no \
goodbye: its replay says so, everything that depends on what came after the last line of `accounted` is `inconclusive`, and the \
exit status is 11 or that of a flag.
- A piece is read only if its checksum is right, and what it asks for is within bounds (65,536 rows, 64 MiB): a flipped bit, a \
cut file, a missing segment, a segment of another trace or of another version is an error that names the file and the \
place. A checksum guards against accidents, not against someone who computes it anew; such a trace can say what it likes, and \
still not make a reader crash or take unbounded memory.
- A reader of another format or of another ABI refuses the trace by its number.

";

/// `docs/trace-format.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = format!(
        "# The format of a trace\n\nFormat {FORMAT}, ABI {}. Made from the schema in `krcu-trace/src/schema.rs`; \
         a test holds it to that (`KRCU_BLESS=1` writes it anew).\n\n{HEAD}",
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
Kinds that only a simulated kernel says are in no trace of a real one.

## `meta.json`

| member | what it is |
| --- | --- |
| `crc32` | CRC-32 of the file with eight zeros in this place |
| `format`, `abi`, `krcu` | versions: of the layout and the columns, of the probes' events, of krcu |
| `trace` | what no other trace is called: boot, time of attaching in ns, process. In the metadata of each stream's schema as `krcu.trace` |
| `kernel` | `release`, `arch`, `host` (`uname -n`), `boot_id`, `btf` (size and CRC-32 of `/sys/kernel/btf/vmlinux`), `possible_cpus`, `hz` (null \
when `/boot/config-RELEASE` is not there) |
| `clock` | `monotonic_ns` and `realtime_ns` of one moment: what turns `time_ns` into a time of day |
| `watch` | `attached_ns`, when the last probe was attached; `blind`, what this kernel does not let be seen |
| `probes` | every probe: `program`, `target`, `offer` (`offered`, `not_needed`, `not_offered`, `not_looked_at`), `why` |
| `undecidable` | what cannot be decided on this kernel, one sentence each |
| `command` | the command that ran, word by word |
| `ended` | null, or: `how` (`exit` of the command, `signal`, `duration`, `cut-short` when the events could not be written), `at_ns`, `rows`, \
`segments`, and `run`: what the run itself reported besides what follows from the events (`probes`, `attach_ns`, `duration_ns`, `lost`, `without_site`, `accounts`, \
`command_status`, `strict`, `exit_flagged`, `events_cut_short`) |
";
