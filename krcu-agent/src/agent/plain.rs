//! Plain: the metrics in the Prometheus text format, for clients that do not accept OpenMetrics, such as people and
//! `promtool check metrics`.
//!
//! This format has no `info`, no units and no end, and a counter has the name of its samples.

use std::fmt::Write as _;

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Converts OpenMetrics text to this format.
pub(super) fn text(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    // The name of a family depends on its type, which comes after its help.
    let mut help = None;
    for line in open_metrics.lines() {
        // Writing to a text in memory does not fail.
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
