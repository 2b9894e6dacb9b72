//! Line: one event as `trace-cmd report`, `perf script` and the file `trace` print it.
//!
//! ```text
//!      kworker/0:1-12    [000] d..1.  1234.567890: rcu_callback: rcu_preempt rhp=…     the file `trace`, trace-cmd
//!      kworker/0:1    12 [000]  1234.567890: rcu:rcu_callback: rcu_preempt rhp=…       perf
//! ```

/// One event, not understood yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Printed<'a> {
    pub(super) task: u32,
    pub(super) cpu: u16,
    pub(super) time_ns: u64,
    pub(super) name: &'a str,
    pub(super) told: &'a str,
}

/// Reads a line; nothing for one that tells no event, such as a heading or a frame of a stack, and nothing for one that
/// [`is_ambiguous`].
pub(super) fn read(line: &str) -> Option<Printed<'_>> {
    let mut ways = ways(line);
    let event = ways.next()?;
    ways.next().is_none().then_some(event)
}

/// Whether a line tells one of two events. A task may choose its name so that it looks like the rest of a line: which
/// event is the true one, the text does not say.
pub(super) fn is_ambiguous(line: &str) -> bool {
    ways(line).nth(1).is_some()
}

/// Every way to read a line. A task's name may have brackets too: a time follows the one of the CPU.
fn ways(line: &str) -> impl Iterator<Item = Printed<'_>> {
    let line = line.trim_end();
    line.match_indices('[').filter_map(move |(at, _)| at_cpu(line, at))
}

fn at_cpu(line: &str, at: usize) -> Option<Printed<'_>> {
    let (who, rest) = line.split_at_checked(at)?;
    let (cpu, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let cpu = cpu.parse().ok()?;
    let task = task(who)?;
    let mut rest = rest.trim_start();
    let mut time = rest.split_once(": ")?;
    if time.0.contains(char::is_whitespace) {
        // The flags of `trace`: irqs off, need resched, and so on.
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
        time = rest.split_once(": ")?;
    }
    let time_ns = nanoseconds(time.0.trim())?;
    let (name, told) = time.1.trim_start().split_once(':')?;
    let (name, told) = match told.split_once(':') {
        // perf puts the subsystem before it: `rcu:rcu_callback: …`.
        Some((inner, rest)) if !told.starts_with(' ') && !inner.contains(' ') => (inner, rest),
        _ => (name, told),
    };
    Some(Printed { task, cpu, time_ns, name: name.trim(), told: told.trim() })
}

/// The number at the end of `NAME-PID` or `NAME PID`, with what `trace` puts behind it in parentheses.
fn task(who: &str) -> Option<u32> {
    let who = who.trim_end();
    let who = match who.strip_suffix(')') {
        Some(inside) => inside.rsplit_once('(')?.0.trim_end(),
        None => who,
    };
    who.rsplit([' ', '-', '/']).next()?.parse().ok()
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

/// Events that a line says were lost, and on which CPU.
pub(super) fn lost(line: &str) -> Option<(u16, u64)> {
    let (cpu, rest) = line.trim().strip_prefix("CPU:")?.split_once(' ')?;
    let told = rest.trim().strip_prefix('[')?.strip_suffix(']')?;
    let words = told.strip_prefix("LOST ").or(Some(told))?;
    let count = words.strip_suffix(" EVENTS").or_else(|| words.strip_suffix("EVENTS DROPPED"))?.trim();
    // How many is not always told.
    Some((cpu.parse().ok()?, count.parse().unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_programs_print_the_same_event() {
        let told = "rcu_preempt rhp=00000000a1b2c3d4 func=16 3";
        let expected =
            Printed { task: 12, cpu: 3, time_ns: 1_234_567_890_000, name: "rcu_kvfree_callback", told };
        for line in [
            format!("     kworker/0:1-12      [003] d..1.  1234.567890: rcu_kvfree_callback: {told}"),
            format!(
                "     kworker/0:1-12      (    12) [003] .....  1234.567890: rcu_kvfree_callback: {told}"
            ),
            format!("     kworker/0:1-12    [003]  1234.567890: rcu_kvfree_callback:  {told}"),
            format!("kworker/0:1    12 [003]  1234.567890:      rcu:rcu_kvfree_callback: {told}"),
            format!("a [x] name    12 [003]  1234.567890000: rcu:rcu_kvfree_callback: {told}"),
        ] {
            assert_eq!(read(&line), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_event_is_none() {
        for line in [
            "# tracer: nop",
            "cpus=2",
            "",
            "\tffffffff81234567 kvfree_call_rcu+0x5",
            "a-1 [0] x: y: z",
            "[[[[",
            "x-9 [1] 99999999999999999999.1: a: b",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_name_that_looks_like_an_event_hides_none() {
        for comm in ["a 1 [0] 1.0: b:", "/1[0]1.1: kfree", "x"] {
            let line = format!("{comm}-12      [003] d..1.  1234.567890: rcu_callback: rcu_preempt rhp=1");
            let expected = (comm == "x").then_some("rcu_callback");
            assert_eq!(read(&line).map(|event| event.name), expected, "{line}");
            assert_eq!(is_ambiguous(&line), expected.is_none(), "{line}");
        }
        assert!(!is_ambiguous(
            "a [x] name    12 [003]  1234.567890000: rcu:rcu_kvfree_callback: rhp=1 [mod]"
        ));
    }

    #[test]
    fn what_was_lost_is_read() {
        assert_eq!(lost("CPU:1 [LOST 4321 EVENTS]"), Some((1, 4321)));
        assert_eq!(lost("CPU:0 [EVENTS DROPPED]"), Some((0, 1)));
        assert_eq!(lost("CPU:0 [12 EVENTS DROPPED]"), Some((0, 12)));
        assert_eq!(lost("CPU:0"), None);
    }
}
