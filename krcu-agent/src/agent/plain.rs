//! The metrics in prometheus's older text, which has no `info`, no units, no end, and names counters as their samples are
//! named: for whoever does not ask for OpenMetrics, as `promtool check metrics` and people do not.

use std::fmt::Write as _;

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same metrics in it.
pub(super) fn text(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    // A family's type comes behind its help, and what it is called here depends on it.
    let mut help = None;
    for line in open_metrics.lines() {
        // Text in memory takes all that is written to it.
        let _ = match line.strip_prefix("# ").and_then(|line| line.split_once(' ')) {
            Some(("HELP", words)) => {
                help = words.split_once(' ').map(|(_, words)| words);
                Ok(())
            }
            Some(("TYPE", words)) => {
                let (name, kind) = words.rsplit_once(' ').unwrap_or((words, "untyped"));
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                let help = help.take().unwrap_or_default();
                writeln!(plain, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")
            }
            _ if line.starts_with('#') => Ok(()),
            _ => writeln!(plain, "{line}"),
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn families_are_called_as_their_samples() {
        let open = "# HELP a_build What.\n# TYPE a_build info\na_build_info{v=\"1\"} 1\n# HELP a_events Of all.\n\
                    # TYPE a_events counter\na_events_total 7\n# HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\n\
                    # UNIT a_age_seconds seconds\na_age_seconds 0.5\n# EOF\n";
        assert_eq!(
            text(open),
            "# HELP a_build_info What.\n# TYPE a_build_info gauge\na_build_info{v=\"1\"} 1\n\
             # HELP a_events_total Of all.\n# TYPE a_events_total counter\na_events_total 7\n\
             # HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\na_age_seconds 0.5\n"
        );
    }
}
