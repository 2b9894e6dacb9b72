//! Lost: the ways in which `trace`, trace-cmd and perf say that events are missing.

/// Where a CPU is not told, the loss is given to the first.
const UNTOLD_CPU: u16 = 0;

/// The CPU of a loss, and the number of events; 1 where the number is not told.
pub(super) fn read(line: &str) -> Option<(u16, u64)> {
    let line = line.trim();
    marked(line).or_else(|| overwritten(line)).or_else(|| counted(line)).or_else(|| of_perf(line))
}

/// `CPU:1 [LOST 4321 EVENTS]` of `trace`, `CPU:1 [4321 EVENTS DROPPED]` of trace-cmd, and both without a number.
fn marked(line: &str) -> Option<(u16, u64)> {
    let (cpu, rest) = line.strip_prefix("CPU:")?.split_once(' ')?;
    let told = rest.trim().strip_prefix('[')?.strip_suffix(']')?;
    let told = told.strip_prefix("LOST").unwrap_or(told).trim();
    let count = told.strip_suffix("EVENTS").or_else(|| told.strip_suffix("EVENTS DROPPED"))?.trim();
    if !count.is_empty() && count.parse::<u64>().is_err() {
        return None;
    }
    Some((cpu.parse().ok()?, count.parse().unwrap_or(1)))
}

/// `# entries-in-buffer/entries-written: 205/1250   #P:4` of `trace`: what was overwritten is lost.
fn overwritten(line: &str) -> Option<(u16, u64)> {
    let (_, counts) = line.strip_prefix('#')?.split_once("entries-in-buffer/entries-written:")?;
    let (kept, written) = counts.split_whitespace().next()?.split_once('/')?;
    let lost = written.parse::<u64>().ok()?.checked_sub(kept.parse().ok()?)?;
    (lost > 0).then_some((UNTOLD_CPU, lost))
}

/// `overrun: 12`, `commit overrun: 1` and `dropped events: 3`, of trace-cmd and of the kernel's `per_cpu/cpu*/stats`.
fn counted(line: &str) -> Option<(u16, u64)> {
    let (what, count) = line.split_once(": ")?;
    let is_loss = ["overrun", "commit overrun", "dropped events"].contains(&what.trim());
    let lost = count.trim().parse().ok().filter(|lost| is_loss && *lost > 0)?;
    Some((UNTOLD_CPU, lost))
}

/// `… PERF_RECORD_LOST lost 123`, `… PERF_RECORD_LOST_SAMPLES lost 5`, and `Processed 900 events and lost 2 chunks!`.
fn of_perf(line: &str) -> Option<(u16, u64)> {
    if let Some((before, count)) = line.rsplit_once(" lost ") {
        let count: String = count.chars().take_while(char::is_ascii_digit).collect();
        if before.ends_with("PERF_RECORD_LOST") || before.ends_with("PERF_RECORD_LOST_SAMPLES") {
            let cpu = before.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
            return Some((cpu.unwrap_or(UNTOLD_CPU), count.parse().unwrap_or(1)));
        }
        if before.starts_with("Processed ") {
            // Chunks and percents are no events.
            return Some((UNTOLD_CPU, 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn each_program_has_its_own_ways() {
        for (line, expected) in [
            ("CPU:1 [LOST 4321 EVENTS]", Some((1, 4321))),
            ("CPU:2 [LOST EVENTS]", Some((2, 1))),
            ("CPU:0 [EVENTS DROPPED]", Some((0, 1))),
            ("  CPU:0 [12 EVENTS DROPPED]", Some((0, 12))),
            ("# entries-in-buffer/entries-written: 205/1250   #P:4", Some((0, 1045))),
            ("# entries-in-buffer/entries-written: 205/205   #P:4", None),
            ("overrun: 12", Some((0, 12))),
            ("commit overrun: 0", None),
            ("dropped events: 3", Some((0, 3))),
            ("rmmod    91 [003]    10.000100: PERF_RECORD_LOST lost 77", Some((3, 77))),
            ("swapper 0 [001] 1.0: PERF_RECORD_LOST_SAMPLES lost 5 (BPF)", Some((1, 5))),
            ("Processed 4815 events and lost 3 chunks!", Some((0, 1))),
            ("Processed 20 samples and lost 5.00%!", Some((0, 1))),
            ("CPU:0", None),
            ("CPU:0 [SOME EVENTS]", None),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
