//! `cargo xtask bench kernel`: what krcu's probes cost the kernel that they are attached to, beside bpftrace's.
//!
//! Counted are instructions, not time: the machine is emulated with a clock that every executed instruction advances by
//! one (qemu's `-icount shift=0`), so a figure is the same on every computer and in every run. The module `krcu_cost`
//! reads that clock around each of 256 calls with interrupts disabled and prints the median; everything between the
//! two reads counts, the traced function itself, trampolines, the kernel's bookkeeping for a program, the program. The
//! same module runs with nothing attached, under krcu without and with stacks, and beside a bpftrace that counts the
//! calls of the same functions in one line; what a call costs more than with nothing attached is the tracer's cost.
//! With nothing attached it runs twice, at the beginning and at the end: that both give the same figures is what
//! makes the others worth reading.
//!
//! What the kernel does around a program, whatever that does, is most of what a small one costs. So bpftrace is attached once
//! more with a line that does nothing: below that figure nobody comes. What krcu has between it and bpftrace's count
//! to find the cache of an object is some twenty instructions.
//!
//! Below are stretches that sleep, on a clock that goes on while the processor is idle (the emulator skips that time). How
//! much of one was not idle is what the kernel's own account says, which 7.x keeps to a tick.
//!
//! Nothing fails by a figure; a budget that is missed is said.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::check::scenarios::SERIES;
use crate::debian::bpftrace;
use crate::debian::kernel::Series;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::say;
use crate::toolchain::build;
use crate::toolchain::setup;

/// The module that measures.
const MODULE: &str = "krcu_cost";
/// How long a machine may run: compiling bpftrace's one line is most of it.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Who is attached while the module measures, in the order of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tracer {
    /// Nobody.
    Nobody,
    /// `krcu check --no-stacks`.
    Krcu,
    /// `krcu check`.
    KrcuStacks,
    /// bpftrace, counting calls.
    Bpftrace,
    /// bpftrace, doing nothing at each call.
    BpftraceEmpty,
    /// Nobody, once more.
    NobodyAgain,
}

impl Tracer {
    const ALL: [Self; 6] =
        [Self::Nobody, Self::Krcu, Self::KrcuStacks, Self::Bpftrace, Self::BpftraceEmpty, Self::NobodyAgain];

    /// Its name in the machine's output.
    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Krcu => "krcu",
            Self::KrcuStacks => "krcu_stacks",
            Self::Bpftrace => "bpftrace",
            Self::BpftraceEmpty => "bpftrace_empty",
            Self::NobodyAgain => "nobody_again",
        }
    }

    /// Counts that bpftrace keeps for it.
    fn counts(self) -> usize {
        match self {
            Self::Bpftrace => 2,
            _ => 0,
        }
    }

    /// Whether it has to be attached to both functions, or to none.
    fn is_attached(self) -> bool {
        !matches!(self, Self::Nobody | Self::NobodyAgain)
    }
}

/// What krcu may cost, in terms of bpftrace's cost for the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    /// Fewer instructions: the call is filtered out.
    Fewer,
    /// At most twice as many: the call is streamed.
    Twice,
}

impl Budget {
    fn text(self) -> &'static str {
        match self {
            Self::Fewer => "< 1",
            Self::Twice => "<= 2",
        }
    }

    fn is_met(self, krcu: i64, bpftrace: i64) -> bool {
        match self {
            Self::Fewer => krcu < bpftrace,
            Self::Twice => krcu <= bpftrace * 2,
        }
    }
}

/// Calls: the module's key, what it is for people, the budget.
const CALLS: [(&str, &str, Budget); 5] = [
    ("kfree_rcu_kmalloc", "kfree_rcu() of kmalloc memory, filtered out", Budget::Fewer),
    ("kfree_rcu_large", "  the same on a slab of several pages", Budget::Fewer),
    ("kfree_rcu_cache", "kfree_rcu() of a cache's object, streamed", Budget::Twice),
    ("call_rcu_kmalloc", "call_rcu() of kmalloc memory, filtered out", Budget::Fewer),
    ("call_rcu_module", "  the same with a callback of a module, streamed", Budget::Twice),
];

/// Stretches that may sleep: the module's key and what it is for people.
const STRETCHES: [(&str, &str); 2] = [
    ("destroy_empty", "kmem_cache_destroy() of an empty cache"),
    ("exit_path", "exit path with 256 objects queued"),
];

/// Grace periods: the module's key and what they are for people.
const GRACE: [(&str, &str); 2] =
    [("grace", "grace periods a second"), ("expedited", "expedited grace periods a second")];

/// What runs in the machine. `places` are the two functions as far as somebody is attached to them.
const GUEST: &str = r#"
log=/run/measured
cat >/run/measure <<'END'
grep -oE '^(kvfree_call_rcu|call_rcu) ' /sys/kernel/tracing/enabled_functions | sort | tr -d '\n' >/run/places
dmesg -c >/dev/null
insmod /modules/krcu_cost.ko && rmmod krcu_cost || exit 1
dmesg | grep -o 'krcu_cost: .*' >/run/measured
END
tell() {
	echo "tracer $1: $(cat /run/places)"
	cat /run/measured
}
krcu() {
	name=$1
	shift
	# What krcu leaves open (11) is no failure of the measurement.
	command krcu check "$@" --format json --report /run/report -- sh /run/measure || [ $? = 11 ] || return 1
	tell $name
	grep '"kind":"summary"' /run/report
}
sh /run/measure || exit 1
tell nobody
krcu krcu --no-stacks || exit 1
krcu krcu_stacks || exit 1
bpftrace() {
	BPFTRACE -e "$2" >/run/counted 2>&1 &
	tries=0
	until [ "$(grep -cE '^(kvfree_call_rcu|call_rcu) ' /sys/kernel/tracing/enabled_functions)" = 2 ]; do
		tries=$((tries + 1))
		if [ $tries -gt 3000 ] || ! kill -0 $!; then cat /run/counted >&2; return 1; fi
		usleep 100000
	done
	sh /run/measure || return 1
	kill -INT $!
	wait $!
	tell $1
	grep '^@' /run/counted || true
}
once='fentry:kvfree_call_rcu { @queued = count(); } fentry:call_rcu { @called = count(); }'
empty='fentry:kvfree_call_rcu { $nothing = 0; } fentry:call_rcu { $nothing = 0; }'
bpftrace bpftrace "$once" || exit 1
bpftrace bpftrace_empty "$empty" || exit 1
sh /run/measure || exit 1
tell nobody_again
exit 0
"#;

/// Calls of `kvfree_call_rcu()` that the module makes at least: four rows.
const QUEUED_CALLS: u64 = 1024;
/// Calls of `call_rcu()` that it makes at least: two rows.
const CALLED_CALLS: u64 = 512;

/// What krcu says of itself, as far as it matters here.
#[derive(serde::Deserialize)]
struct Summary {
    events: u64,
    lost: Lost,
}

/// Events that krcu did not see.
#[derive(serde::Deserialize)]
struct Lost {
    ring_full: u64,
}

/// Figures of one machine: by tracer and the module's key.
type Figures = BTreeMap<(Tracer, String), i64>;

/// Measures on each of these series, or on all where none is named, and prints the tables.
///
/// # Errors
///
/// When something cannot be built, booted or read, or when a tracer was not attached where it should have been.
pub(crate) fn run(series: &[String]) -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
    let named: Vec<&str> = series.iter().map(String::as_str).collect();
    let mut not_measured = Vec::new();
    for series in if named.is_empty() { SERIES.to_vec() } else { named } {
        match one(series) {
            Ok(table) => println!("{table}"),
            Err(error) => {
                say(&format!("{series}: not measured: {error:#}"));
                not_measured.push(series);
            }
        }
    }
    if not_measured.is_empty() { Ok(()) } else { Err(anyhow!("not measured: {}", not_measured.join(", "))) }
}

fn one(series: &str) -> Result<String> {
    let parsed: Series = series.parse()?;
    parsed.need_ours("instructions are counted")?;
    say(&format!("{series}: counting instructions"));
    let run = Run {
        modules: vec![host::repository().join("modules").join(MODULE)],
        files: bpftrace::files()?,
        icount: true,
        memory_mib: bpftrace::MEMORY_MIB,
        timeout: TIMEOUT,
        ..Run::new(parsed, &GUEST.replace("BPFTRACE", bpftrace::COMMAND))
    };
    let outcome = run.run()?;
    if outcome.status != 0 {
        bail!("{}: the measurement exited with {}\n{}", outcome.release, outcome.status, outcome.stderr);
    }
    let figures = parse(&outcome.stdout)
        .with_context(|| format!("{}: it said\n{}", outcome.release, outcome.stdout))?;
    say(&format!("{}: {:.1} s in all", outcome.release, outcome.total.as_secs_f32()));
    render(&outcome.release, &figures)
}

/// Reads the machine's output, and holds it to what was to be attached and seen.
fn parse(text: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut tracer = None;
    let mut counts = 0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("tracer ") {
            let (name, places) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
            let now = Tracer::ALL.into_iter().find(|tracer| tracer.name() == name);
            let now = now.ok_or_else(|| anyhow!("nobody is called `{name}`"))?;
            let wanted: &[&str] = if now.is_attached() { &["call_rcu", "kvfree_call_rcu"] } else { &[] };
            let attached: Vec<&str> = places.split_whitespace().collect();
            if attached != wanted {
                bail!("{name} was measured with probes at {attached:?}, not at {wanted:?}");
            }
            if counts != tracer.map_or(0, Tracer::counts) {
                bail!("bpftrace gave {counts} counts of calls before {name} was measured");
            }
            counts = 0;
            tracer = Some(now);
        } else if let Some((name, count)) = line.strip_prefix('@').and_then(|rest| rest.split_once(": ")) {
            let count: u64 = count.parse().with_context(|| format!("reading `{line}`"))?;
            let calls = if name.starts_with("queued") { QUEUED_CALLS } else { CALLED_CALLS };
            if count < calls {
                bail!("bpftrace saw {count} of {calls} calls ({name}): it was not attached in time");
            }
            counts += 1;
        } else if line.starts_with('{') {
            let summary: Summary = serde_json::from_str(line).with_context(|| format!("reading `{line}`"))?;
            // A run that the kernel skipped is one of thousands, and no median.
            if summary.events < CALLED_CALLS || summary.lost.ring_full > 0 {
                bail!("krcu did not stream everything: {line}");
            }
        } else if let Some(words) = line.strip_prefix("krcu_cost: ") {
            let tracer = tracer.ok_or_else(|| anyhow!("`{line}` is nobody's"))?;
            for (key, value) in words.split_whitespace().filter_map(|word| word.split_once('=')) {
                let value = value.parse().with_context(|| format!("reading `{line}`"))?;
                figures.insert((tracer, key.to_owned()), value);
            }
        }
    }
    Ok(figures)
}

fn render(release: &str, figures: &Figures) -> Result<String> {
    let of = |tracer: Tracer, key: &str| {
        let found = figures.get(&(tracer, key.to_owned())).copied();
        found.ok_or_else(|| anyhow!("{} was not measured with {}", key, tracer.name()))
    };
    let mut text = format!("Linux {release}\n\n");
    let columns =
        ["detached", "+ krcu", "+ krcu, stacks", "+ bpftrace", "+ empty", "krcu / bpftrace", "budget"];
    text.push_str(&line("instructions of one call, median of 256", &columns.map(str::to_owned)));
    for (key, what, budget) in CALLS {
        let detached = of(Tracer::Nobody, key)?;
        let added = |tracer| of(tracer, key).map(|figure| figure - detached);
        let (krcu, bpftrace) = (added(Tracer::Krcu)?, added(Tracer::Bpftrace)?);
        let met = if budget.is_met(krcu, bpftrace) { "met" } else { "MISSED" };
        text.push_str(&line(
            what,
            &[
                detached.to_string(),
                format!("{krcu:+}"),
                format!("{:+}", added(Tracer::KrcuStacks)?),
                format!("{bpftrace:+}"),
                format!("{:+}", added(Tracer::BpftraceEmpty)?),
                ratio(krcu, bpftrace),
                format!("{} {met}", budget.text()),
            ],
        ));
        let again = of(Tracer::NobodyAgain, key)?;
        if again != detached {
            text.push_str(&format!(
                "  detached once more at the end it is {again}: figures differ by as much\n"
            ));
        }
    }
    text.push_str("empty: bpftrace with a program that does nothing\n\n");
    let columns = ["detached", "+ krcu", "+ krcu, stacks", "+ bpftrace", "+ empty"];
    text.push_str(&line("probe effect, at 1,000 instructions a µs", &columns.map(str::to_owned)));
    let effect = |key: &str, show: fn(i64) -> String| -> Result<Vec<String>> {
        Tracer::ALL.into_iter().take(columns.len()).map(|tracer| of(tracer, key).map(show)).collect()
    };
    for (key, what) in STRETCHES {
        text.push_str(&line(&format!("{what}, µs"), &effect(&format!("{key}_ns"), microseconds)?));
        text.push_str(&line(
            "  of them not idle, by the kernel's account",
            &effect(&format!("{key}_busy_ns"), microseconds)?,
        ));
    }
    for (key, what) in GRACE {
        text.push_str(&line(what, &effect(&format!("{key}_ns"), per_second)?));
        text.push_str(&line("  not idle in each, µs", &effect(&format!("{key}_busy_ns"), microseconds)?));
    }
    Ok(text)
}

fn line(what: &str, cells: &[String]) -> String {
    let mut line = format!("{what:<44}");
    for cell in cells {
        line.push_str(&format!("  {cell:>14}"));
    }
    line.push('\n');
    line
}

/// A ratio with two digits behind the point.
fn ratio(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "-".to_owned();
    }
    let hundredths = (part * 100 + whole / 2) / whole;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn microseconds(ns: i64) -> String {
    format!("{}.{}", ns / 1000, ns % 1000 / 100)
}

fn per_second(ns: i64) -> String {
    if ns == 0 { "-".to_owned() } else { (1_000_000_000 / ns).to_string() }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Tracer, parse, ratio, render};

    fn said(krcu: u32) -> String {
        Tracer::ALL
            .iter()
            .map(|tracer| {
                let (places, call) = match tracer {
                    Tracer::Nobody | Tracer::NobodyAgain => ("", 700),
                    Tracer::Krcu | Tracer::KrcuStacks => ("call_rcu kvfree_call_rcu ", 700 + krcu),
                    Tracer::Bpftrace => ("call_rcu kvfree_call_rcu ", 800),
                    Tracer::BpftraceEmpty => ("call_rcu kvfree_call_rcu ", 780),
                };
                let counts: String = (0..tracer.counts()).map(|_| "@queued: 1024\n").collect();
                format!(
                    "tracer {}: {places}\nkrcu_cost: kfree_rcu_kmalloc={call} kfree_rcu_large={call} kfree_rcu_cache={call} \
                     call_rcu_kmalloc={call} call_rcu_module={call}\n\
                     krcu_cost: destroy_empty_ns=1500 destroy_empty_busy_ns=1500 exit_path_ns=9 exit_path_busy_ns=9\n\
                     krcu_cost: grace_ns=12000000 grace_busy_ns=9 expedited_ns=9 expedited_busy_ns=9\n{counts}",
                    tracer.name()
                )
            })
            .collect()
    }

    #[test]
    fn a_missed_budget_is_said_and_a_met_one_too() {
        let table = |krcu| render("6.12", &parse(&said(krcu)).unwrap()).unwrap();
        assert_eq!(table(150).matches("MISSED").count(), 3, "{}", table(150));
        assert_eq!(table(99).matches(" met").count(), 5, "{}", table(99));
        assert!(table(99).contains(" 83 "), "{}", table(99));
        assert!(!Budget::Fewer.is_met(100, 100) && Budget::Twice.is_met(200, 100));
        assert_eq!(ratio(269, 100), "2.69");
    }

    #[test]
    fn a_tracer_that_is_not_attached_is_not_measured() {
        assert!(parse("tracer krcu: call_rcu \n").is_err());
        assert!(parse("tracer nobody: call_rcu kvfree_call_rcu \n").is_err());
        assert!(parse("tracer somebody: \n").is_err());
        let late = said(99).replace("@queued: 1024", "@queued: 1023");
        assert!(parse(&late).is_err(), "it saw one call too few");
        let silent = said(99).replacen("@queued: 1024\n", "", 1);
        assert!(parse(&silent).is_err(), "one of two programs counted nothing");
        let lost = "tracer krcu: call_rcu kvfree_call_rcu \n{\"events\":999,\"lost\":{\"ring_full\":1,\"probe_missed\":0}}";
        assert!(parse(lost).is_err());
    }
}
