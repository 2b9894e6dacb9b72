//! Command: runs the command that is watched, in the same way as it would run without krcu.

use std::{os::unix::process::ExitStatusExt as _, path::Path, process::ExitStatus};

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::Watcher;
use crate::signals::{Came, Signals};

/// Starts a command.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn start(mut command: Command) -> anyhow::Result<Child> {
    let child = command.spawn();
    let program = || format!("cannot start {}", Path::new(command.as_std().get_program()).display());
    child.with_context(program)
}

impl Watcher {
    /// Takes events until a command has ended. Returns its status as a shell reports it. If a signal tells krcu to
    /// end, krcu passes the signal on to the command, and ends when the command has ended.
    ///
    /// # Errors
    /// When the command cannot be waited for, and those of [`Watcher::take`].
    pub(crate) async fn command(
        &mut self,
        mut child: Child,
        signals: &mut Signals,
        mut hand_on: impl FnMut(&Came, &Child),
    ) -> anyhow::Result<u8> {
        let ended = async {
            loop {
                tokio::select! {
                    status = child.wait() => return status.context("cannot wait for the command"),
                    signal = signals.next() => hand_on(&signal, &child),
                }
            }
        };
        Ok(shell_status(self.until(ended).await??))
    }
}

/// The status that a shell would report: 128 plus the signal for a command that was killed.
fn shell_status(status: ExitStatus) -> u8 {
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(number).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_command_has_the_status_that_a_shell_reports() {
        for (raw, expected) in [(0, 0), (7 << 8, 7), (9, 137), (15, 143)] {
            assert_eq!(shell_status(ExitStatus::from_raw(raw)), expected);
        }
    }
}
