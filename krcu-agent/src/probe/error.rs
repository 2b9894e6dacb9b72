//! Error: why a probe is not in the kernel: its name, its function, the kernel's errno, and the verifier's log.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use thiserror::Error;

use crate::error::Refusal;
use crate::kernel::catalog::Attach;

/// How many lines of the verifier's log an error shows. The last lines have the conclusion.
const TAIL_LINES: usize = 40;

/// Why the probes are not in the kernel.
///
/// The text of each error has its whole chain of causes. The causes are fields as well.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The plan refuses this kernel or this user.
    #[error("{0}")]
    Refused(Refusal),
    /// The kernel's type information could not be read a second time, for attaching.
    #[error("the kernel's type information cannot be used: {}", chain(&**cause))]
    Btf {
        /// What the reader says.
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// The way from an object to its cache could not be checked.
    #[error("the way from an object to its cache cannot be checked on this kernel: {}", chain(cause))]
    Unchecked {
        /// What aya says.
        cause: Box<ProgramError>,
    },
    /// The way from an object to its cache led elsewhere.
    #[error(
        "krcu does not find the cache of an object on this kernel, though it knows its layout: {saw}; report this kernel"
    )]
    WrongLayout {
        /// Where it led.
        saw: String,
    },
    /// The embedded object, or one of its maps, was refused.
    #[error("the probes' object cannot be loaded: {}", chain(cause))]
    Object {
        /// What aya says.
        cause: Box<EbpfError>,
    },
    /// The object has no program or map of a name.
    #[error(
        "the embedded probes have no {what} {name}, or it is taken: run `cargo xtask build-ebpf` and build again"
    )]
    Absent {
        /// "program" or "map".
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The kernel's verifier refused a program.
    #[error("the kernel refuses probe {program} for {target} ({}): {errno}{}", attach.name(), tail(verifier_log))]
    Verifier {
        /// The program.
        program: &'static str,
        /// What it was to be attached to.
        target: &'static str,
        /// How.
        attach: Attach,
        /// The kernel's answer.
        errno: io::Error,
        /// The verifier's whole log.
        verifier_log: String,
    },
    /// A program could not be prepared or attached.
    #[error("probe {program} cannot be attached to {target} ({}): {}", attach.name(), chain(cause))]
    Attach {
        /// The program.
        program: &'static str,
        /// What it was to be attached to.
        target: &'static str,
        /// How.
        attach: Attach,
        /// What aya says.
        cause: Box<ProgramError>,
    },
    /// A map could not be read.
    #[error("the probes' map {name} cannot be read: {}", chain(cause))]
    Map {
        /// Its name.
        name: &'static str,
        /// What aya says.
        cause: Box<MapError>,
    },
    /// The kernel does not measure how long programs run.
    #[error("the kernel's statistics of programs cannot be switched on: {}", chain(cause))]
    Statistics {
        /// What aya says.
        cause: aya::sys::SyscallError,
    },
    /// The probes' own diagnostics could not be read.
    #[error("the probes' diagnostics cannot be read: {}", chain(cause))]
    Log {
        /// What aya-log says.
        cause: Box<aya_log::Error>,
    },
}

impl LoadError {
    /// Makes an error from what aya says about one program.
    pub(super) fn of_program(
        program: &'static str,
        target: &'static str,
        attach: Attach,
        cause: ProgramError,
    ) -> LoadError {
        match cause {
            ProgramError::LoadError { io_error, verifier_log } => LoadError::Verifier {
                program,
                target,
                attach,
                errno: io_error,
                verifier_log: verifier_log.to_string(),
            },
            cause => LoadError::Attach { program, target, attach, cause: Box::new(cause) },
        }
    }

    /// The verifier's whole log, if the verifier refused the program.
    #[must_use]
    pub fn verifier_log(&self) -> Option<&str> {
        match self {
            LoadError::Verifier { verifier_log, .. } => Some(verifier_log),
            _ => None,
        }
    }

    /// The error without the verifier's log, on one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let text = match self {
            LoadError::Verifier { errno, .. } => format!("the kernel's verifier refuses it: {errno}"),
            LoadError::Attach { cause, .. } => chain(cause.as_ref()),
            error => error.to_string(),
        };
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// An error and its causes, each once, on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some of aya's errors print their cause themselves.
        if !text.ends_with(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    text
}

/// The last lines of the verifier's log, indented under the error.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let left_out = lines.len().saturating_sub(TAIL_LINES);
    let mut text = String::new();
    if left_out > 0 {
        let _ =
            write!(text, "\n  … {left_out} lines of the verifier's log before these; --verbose shows them");
    }
    for line in lines.iter().skip(left_out) {
        let _ = write!(text, "\n  {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(verifier_log: &str) -> LoadError {
        LoadError::Verifier {
            program: "queued",
            target: "kvfree_call_rcu",
            attach: Attach::Fentry,
            errno: io::Error::from_raw_os_error(13),
            verifier_log: verifier_log.to_owned(),
        }
    }

    #[test]
    fn a_refused_program_is_named_with_the_end_of_the_log() {
        let log: String = (0..50).map(|line| format!("insn {line}\n")).collect();
        let error = refused(&log);
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "the kernel refuses probe queued for kvfree_call_rcu (fentry): Permission denied (os error 13)"
        );
        assert_eq!(lines[1], "  … 10 lines of the verifier's log before these; --verbose shows them");
        assert_eq!((lines[2], lines[lines.len() - 1], lines.len()), ("  insn 10", "  insn 49", 42));
        assert_eq!(error.verifier_log(), Some(log.as_str()));
        assert_eq!(error.headline(), "the kernel's verifier refuses it: Permission denied (os error 13)");
    }

    #[test]
    fn a_cause_is_printed_once() {
        let error = LoadError::of_program(
            "queued",
            "kvfree_call_rcu",
            Attach::Fentry,
            ProgramError::IOError(io::Error::from_raw_os_error(16)),
        );
        assert_eq!(
            error.to_string(),
            "probe queued cannot be attached to kvfree_call_rcu (fentry): Device or resource busy (os error 16)"
        );
    }
}
