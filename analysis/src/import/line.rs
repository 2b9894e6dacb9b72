//! Line: what a line of such a text is: events, a mark of a loss, a heading, or something odd.
//!
//! ```text
//!      kworker/0:1-12    [000] d..1.  1234.567890: rcu_callback: rcu_preempt rhp=…     the file `trace`, trace-cmd
//!      kworker/0:1    12 [000]  1234.567890: rcu:rcu_callback: rcu_preempt rhp=…       perf
//!     kworker/-12       0d..1. 1234567us : rcu_callback: rcu_preempt rhp=…             latency format, ftrace_dump
//! ```
//!
//! Before all of these may stand the marks of a quoted mail, the time of the kernel's log, or what a log daemon adds.

use super::lost;

/// The longest name of a task.
const LONGEST_COMM: usize = 15;
/// Tracepoints that are understood: their subsystem and their name.
const KNOWN: [(&str, &str); 13] = [
    ("rcu", "rcu_kvfree_callback"),
    ("rcu", "rcu_kfree_callback"),
    ("rcu", "rcu_invoke_kvfree_callback"),
    ("rcu", "rcu_invoke_kfree_callback"),
    ("rcu", "rcu_invoke_kfree_bulk_callback"),
    ("rcu", "rcu_callback"),
    ("rcu", "rcu_invoke_callback"),
    ("rcu", "rcu_barrier"),
    ("rcu", "rcu_grace_period"),
    ("kmem", "kmem_cache_alloc"),
    ("kmem", "kmem_cache_free"),
    ("module", "module_load"),
    ("module", "module_free"),
];
/// Before Linux 6.1, an allocation on a chosen node had a tracepoint of its own.
const KNOWN_TOO: (&str, &str) = ("kmem", "kmem_cache_alloc_node");

/// One event, not understood yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Printed<'a> {
    pub(super) task: u32,
    pub(super) cpu: u16,
    pub(super) time_ns: u64,
    pub(super) name: &'a str,
    pub(super) told: &'a str,
    /// Whether it is of a tracepoint that is understood.
    pub(super) is_known: bool,
}

/// Why an event of a known tracepoint, or the line, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Odd {
    /// It has no CPU.
    NoCpu,
    /// Its time is a count of cycles or of events.
    Clock,
    /// It ends before all is said.
    Cut,
    /// Its pointer was not printed.
    Pointer,
    /// A task's name may be the rest of a line, or the line may hold another event.
    Ambiguous,
    /// The line is longer than any that is read.
    Long,
    /// The line has no form that is known. Whether it tells an event cannot be said.
    Form,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Events; more than one if the lines of several ran together.
    Events(Vec<Printed<'a>>),
    /// Events were lost: on which CPU, if that is told, and how many.
    Lost(u16, u64),
    /// A heading, a frame of a stack, or nothing.
    Heading,
    /// Something that is not taken.
    Odd(Odd),
}

/// Reads a line.
pub(super) fn read(line: &str) -> Line<'_> {
    let line = without_wrapping(line);
    if let Some((cpu, events)) = lost::read(line) {
        return Line::Lost(cpu, events);
    }
    if is_heading(line) {
        return Line::Heading;
    }
    let heads = heads(line);
    match heads.iter().filter(|head| head.is_whole).count() {
        0 if heads.is_empty() => other_form(line),
        1 => together(line, &heads),
        _ => Line::Odd(Odd::Ambiguous),
    }
}

/// The line without what others put around it.
fn without_wrapping(line: &str) -> &str {
    let mut line = line.trim_end();
    while let Some(quoted) = line.trim_start().strip_prefix('>') {
        line = quoted;
    }
    if let Some((_, logged)) = line.split_once(" kernel: ") {
        line = logged;
    }
    // The time of the kernel's log, and its caller: `[   12.345678][    C0] `.
    while let Some((stamp, rest)) = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        let is_stamp = |letter: char| letter.is_ascii_digit() || " .TC".contains(letter);
        if !stamp.chars().all(is_stamp) {
            break;
        }
        line = rest;
    }
    line
}

/// Whether a line tells no event: headings of the programs that print them, rules, and frames of stacks.
fn is_heading(line: &str) -> bool {
    let text = line.trim();
    let of_program =
        ["#", "=>", "<stack trace>", "version = ", "cpus=", "Dumping ftrace buffer", "(ftrace buffer empty)"];
    let is_frame = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.bytes().all(|byte| byte == b'-')
        || of_program.into_iter().any(|begin| text.starts_with(begin))
        || (text.starts_with("CPU ") && text.ends_with(" is empty"))
        || (line.starts_with([' ', '\t']) && text.split_whitespace().next().is_some_and(is_frame))
}

/// A place in a line where an event may begin.
struct Head<'a> {
    /// Where the last word of its task begins.
    begin: usize,
    /// Whether all that stands before its CPU can be a task's name and number.
    is_whole: bool,
    /// `None` if its time is no number of seconds.
    time_ns: Option<u64>,
    event: Printed<'a>,
}

/// All places where an event may begin. A task's name may have brackets too: a time follows the one of the CPU.
fn heads(line: &str) -> Vec<Head<'_>> {
    line.match_indices('[').filter_map(|(at, _)| head(line, at)).collect()
}

fn head(line: &str, at: usize) -> Option<Head<'_>> {
    let (who, rest) = line.split_at_checked(at)?;
    let (cpu, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let cpu = cpu.parse().ok()?;
    let who = task(who)?;
    let mut rest = rest.trim_start();
    let mut time = rest.split_once(':')?;
    if time.0.contains(char::is_whitespace) {
        // The flags of `trace`: irqs off, need resched, and so on.
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
        time = rest.split_once(':')?;
    }
    let clock = time.0.trim();
    let time_ns = nanoseconds(clock);
    if time_ns.is_none() && (clock.is_empty() || !clock.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let (name, told, is_known) = named(time.1);
    let event = Printed { task: who.task, cpu, time_ns: time_ns.unwrap_or(0), name, told, is_known };
    Some(Head { begin: who.last_word, is_whole: who.comm <= LONGEST_COMM, time_ns, event })
}

/// A task, as it stands before the CPU.
struct Who {
    task: u32,
    /// Bytes of its name.
    comm: usize,
    last_word: usize,
}

/// The number at the end of `NAME-PID` or `NAME PID`, with what `trace` puts behind it in parentheses.
fn task(text: &str) -> Option<Who> {
    let who = text.trim_end();
    let who = match who.strip_suffix(')') {
        Some(inside) => inside.rsplit_once('(')?.0.trim_end(),
        None => who,
    };
    let digits = who.rsplit([' ', '-', '/']).next()?;
    let comm = who[..who.len() - digits.len()].trim_start();
    let comm = comm.strip_suffix(['-', '/']).unwrap_or(comm).trim_end();
    // perf prints the process before the thread: `NAME PID/TID`.
    let comm = match comm.rsplit_once(' ') {
        Some((name, process)) if process.bytes().all(|byte| byte.is_ascii_digit()) => name.trim_end(),
        _ => comm,
    };
    let last_word = who.rfind(char::is_whitespace).map_or(0, |space| space + 1);
    Some(Who { task: digits.parse().ok()?, comm: comm.len(), last_word })
}

/// The tracepoint's name, what it tells, and whether it is known.
fn named(text: &str) -> (&str, &str, bool) {
    let Some((name, told)) = text.split_once(':') else {
        let name = text.trim();
        let is_cut = KNOWN.into_iter().any(|(_, known)| known.starts_with(name));
        return (name, "", is_cut && !name.is_empty());
    };
    match told.split_once(':') {
        // perf puts the subsystem before it, and may put the period before that: `1 rcu:rcu_callback: …`.
        Some((inner, rest)) if !told.starts_with(' ') && !inner.contains(' ') => {
            let subsystem = name.split_whitespace().next_back().unwrap_or_default();
            (inner, rest.trim(), is_known(inner, |known| known == subsystem))
        }
        _ => {
            let (name, told) = (name.trim(), told.trim());
            // A probe of a user's own tells its place first: `rcu_barrier: (rcu_barrier+0x0/0x2d0)`.
            (name, told, is_known(name, |_| true) && !is_place(told))
        }
    }
}

fn is_known(name: &str, is_of: impl Fn(&str) -> bool) -> bool {
    KNOWN.into_iter().chain([KNOWN_TOO]).any(|(subsystem, known)| known == name && is_of(subsystem))
}

fn is_place(told: &str) -> bool {
    let place = told.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    place.is_some_and(|(place, _)| {
        place.contains("+0x") || place.bytes().all(|byte| byte.is_ascii_hexdigit()) || place.contains(" <- ")
    })
}

/// The events of a line whose first one is whole: those that begin later ran together with it.
fn together<'a>(line: &'a str, heads: &[Head<'a>]) -> Line<'a> {
    let Some(first) = heads.iter().find(|head| head.is_whole) else { return Line::Odd(Odd::Form) };
    if heads.len() > 1 {
        let later_is_known = heads.iter().skip(1).any(|head| head.event.is_known);
        if !first.event.is_known {
            // What a foreign event tells may be anything, also what a user wrote.
            return if later_is_known { Line::Odd(Odd::Ambiguous) } else { Line::Events(vec![first.event]) };
        }
        let begins: Vec<usize> = heads.iter().map(|head| head.begin).chain([line.len()]).collect();
        let parts = begins.windows(2).map(|part| line.get(part[0]..part[1]).unwrap_or_default());
        let mut events = Vec::new();
        for part in parts {
            match self::heads(part).as_slice() {
                [Head { time_ns: Some(_), is_whole: true, event, .. }] => events.push(*event),
                _ => return Line::Odd(Odd::Ambiguous),
            }
        }
        return Line::Events(events);
    }
    if first.time_ns.is_none() && first.event.is_known {
        return Line::Odd(Odd::Clock);
    }
    Line::Events(vec![first.event])
}

/// The latency format; what has no CPU; and what is no event at all.
fn other_form(line: &str) -> Line<'_> {
    let mut before_colons = line.match_indices(':').map(|(at, _)| line.split_at(at));
    let found = before_colons.find_map(|(before, rest)| {
        let rest = rest.get(1..)?;
        if let Some(event) = latency(before, rest) {
            let (_, told, _) = named(rest);
            let is_alone = !told.match_indices(':').any(|(at, _)| latency(&told[..at], "").is_some());
            return Some(if is_alone || !event.is_known {
                Line::Events(vec![event])
            } else {
                Line::Odd(Odd::Ambiguous)
            });
        }
        let (who, clock) = before.trim_end().rsplit_once(char::is_whitespace)?;
        nanoseconds(clock)?;
        task(who)?;
        let (name, told, is_known) = named(rest);
        let event = Printed { task: 0, cpu: 0, time_ns: 0, name, told, is_known };
        Some(if is_known { Line::Odd(Odd::NoCpu) } else { Line::Events(vec![event]) })
    });
    found.unwrap_or(Line::Odd(Odd::Form))
}

/// `COMM-PID CPUFLAGS TIMEus`, with a mark of the time that passed behind it.
fn latency<'a>(before: &str, rest: &'a str) -> Option<Printed<'a>> {
    let before = before.trim_end_matches([' ', '!', '+', '#', '*', '@', '$']);
    let (who, time) = before.strip_suffix("us")?.rsplit_once(char::is_whitespace)?;
    let time_ns = time.parse::<u64>().ok()?.checked_mul(1000)?;
    let (who, cpu) = who.trim_end().rsplit_once(char::is_whitespace)?;
    let digits = cpu.find(|letter: char| !letter.is_ascii_digit())?;
    let cpu = cpu[..digits].parse().ok()?;
    let who = task(who).filter(|who| who.comm <= LONGEST_COMM)?;
    let (name, told, is_known) = named(rest);
    Some(Printed { task: who.task, cpu, time_ns, name, told, is_known })
}

/// Seconds with six or nine digits behind the point.
fn nanoseconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    if !part.bytes().all(|byte| byte.is_ascii_digit()) || part.is_empty() || part.len() > 9 {
        return None;
    }
    let unit = 10u64.pow(9 - u32::try_from(part.len()).ok()?);
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part.parse::<u64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "rcu_preempt rhp=00000000a1b2c3d4 func=16 3";

    fn event(name: &'static str) -> Printed<'static> {
        Printed { task: 12, cpu: 3, time_ns: 1_234_567_890_000, name, told: TOLD, is_known: true }
    }

    #[test]
    fn four_programs_print_the_same_event() {
        for line in [
            format!("     kworker/0:1-12      [003] d..1.  1234.567890: rcu_kvfree_callback: {TOLD}"),
            format!(
                "     kworker/0:1-12      (    12) [003] .....  1234.567890: rcu_kvfree_callback: {TOLD}"
            ),
            format!("     kworker/0:1-12    [003]  1234.567890: rcu_kvfree_callback:  {TOLD}"),
            format!("kworker/0:1    12 [003]  1234.567890:      rcu:rcu_kvfree_callback: {TOLD}"),
            format!("kworker/0:1    12/12 [003]  1234.567890:    1 rcu:rcu_kvfree_callback: {TOLD}"),
            format!("a [x] name    12 [003]  1234.567890000: rcu:rcu_kvfree_callback: {TOLD}"),
            format!("> > kworker/-12        3d..1. 1234567890us : rcu_kvfree_callback: {TOLD}\r"),
            format!(
                "[   12.345678][    C3] kworker/-12        3d..1. 1234567890us!: rcu_kvfree_callback: {TOLD}"
            ),
            format!(
                "Nov 28 21:00:00 host kernel: kworker/-12     3.N.1. 1234567890us+: rcu_kvfree_callback: {TOLD}"
            ),
        ] {
            assert_eq!(read(&line), Line::Events(vec![event("rcu_kvfree_callback")]), "{line}");
        }
    }

    #[test]
    fn what_is_no_event_is_told_from_what_is_odd() {
        for line in [
            "# tracer: nop",
            "cpus=2",
            "",
            "\tffffffff81234567 kvfree_call_rcu+0x5",
            " => kvfree_call_rcu",
            "[    1.000000] ---------------------------------",
            "CPU 1 is empty",
        ] {
            assert_eq!(read(line), Line::Heading, "{line}");
        }
        for line in ["a-1 [0] x: y: z", "[[[[", "x-9 [1] 99999999999999999999.1: a: b", "hello"] {
            assert_eq!(read(line), Line::Odd(Odd::Form), "{line}");
        }
    }

    #[test]
    fn a_name_that_looks_like_an_event_hides_none() {
        for comm in ["a 1 [0] 1.0: b:", "/1[0]1.1: kfree"] {
            let line = format!("{comm}-12      [003] d..1.  1234.567890: rcu_callback: rcu_preempt rhp=1");
            assert_eq!(read(&line), Line::Odd(Odd::Ambiguous), "{line}");
        }
        // What a user wrote into the trace is no event, whatever it says.
        let line =
            format!("x-1 [000] .... 1.0: tracing_mark_write: y-12 [003] .... 2.0: rcu_callback: {TOLD}");
        assert_eq!(read(&line), Line::Odd(Odd::Ambiguous));
    }

    #[test]
    fn a_probe_of_a_user_s_own_is_not_taken_for_the_kernel_s() {
        for line in [
            "rmmod-91 [001] ..... 10.0: rcu_barrier: (rcu_barrier+0x0/0x2d0)",
            "rmmod-91 [001] ..... 10.0: rcu_barrier: (free_it+0x10/0x20 <- rcu_barrier)",
            "rmmod 91 [001] 10.0: probe:rcu_barrier: (ffffffff81234560)",
            "rmmod 91 [001] 10.0: kprobes:rcu_callback: rcu_preempt rhp=1 func=1 1",
        ] {
            let Line::Events(events) = read(line) else { panic!("{line}") };
            assert!(events.len() == 1 && !events[0].is_known, "{line}: {events:?}");
        }
    }
}
