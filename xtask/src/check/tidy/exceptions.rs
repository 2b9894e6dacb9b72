//! What still breaks a rule, and why that is so.

use super::Complaint;

/// An offence that is let pass.
#[derive(Debug)]
pub(super) struct Exception {
    /// The rule's name.
    pub(super) rule: &'static str,
    /// How the path begins.
    pub(super) path: &'static str,
    /// What the complaint has in it; empty for any.
    pub(super) has: &'static str,
    /// Why it is let pass.
    pub(super) because: &'static str,
}

const fn pass(rule: &'static str, path: &'static str, has: &'static str, because: &'static str) -> Exception {
    Exception { rule, path, has, because }
}

const ENGINE: &str = "the engine of a run is being made a room of its own";
const JUDGE: &str = "the judge is being cut into folders";
const NAMES: &str = "one of its homes is being given another name";
const PROSE: &str = "the file is being changed by others; the next change breaks the line";

/// All of them.
pub(super) const EXCEPTIONS: &[Exception] = &[
    pass("circle of files", "krcu-agent/src/cli.rs", "", ENGINE),
    pass("long function", "krcu-agent/src/agent/mod.rs", "`live`", ENGINE),
    pass("long function", "krcu-model/", "", JUDGE),
    pass("one word for one thing", "", "`words`", NAMES),
    pass("width", "analysis/src/cli.rs", "", PROSE),
    pass("width", "krcu-agent/src/", "", PROSE),
    pass("width of comments", "analysis/", "", PROSE),
];

/// The complaints that no exception lets pass, and one for each exception that lets nothing pass.
pub(super) fn left(complaints: Vec<Complaint>, exceptions: &[Exception]) -> Vec<Complaint> {
    let passes = |exception: &Exception, complaint: &Complaint| {
        exception.rule == complaint.rule
            && complaint.path.starts_with(exception.path)
            && complaint.what.contains(exception.has)
    };
    let idle = exceptions.iter().filter(|exception| !complaints.iter().any(|other| passes(exception, other)));
    let idle: Vec<Complaint> = idle
        .map(|exception| Complaint {
            path: "xtask/src/check/tidy/exceptions.rs".to_owned(),
            line: 1,
            rule: "exception",
            what: format!(
                "nothing below `{}` breaks the rule `{}` any more ({}): take the exception away",
                exception.path, exception.rule, exception.because
            ),
        })
        .collect();
    let is_left = |complaint: &Complaint| !exceptions.iter().any(|exception| passes(exception, complaint));
    complaints.into_iter().filter(is_left).chain(idle).collect()
}
