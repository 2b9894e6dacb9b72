//! Ship: `krcu ship` beside a run, in a process without privileges.
//!
//! Once the command runs, krcu can start nothing more ([`crate::privileges::calls`]). So this process is started before anything
//! is attached, and waits for a word from krcu. It ships when the run is over, and ends if krcu ends without a word.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    panic,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

use anyhow::{Context as _, anyhow, bail};

use super::Options;
use crate::{
    error::VerbError,
    external,
    privileges::{self, folders, user::User},
    say::say,
};

/// The word that krcu says when the trace is there; any line would do.
const NOW: &[u8] = b"now\n";

/// The process, which waits.
#[derive(Debug)]
pub(super) struct Ship {
    child: Child,
    said: BufReader<ChildStdout>,
    trace: PathBuf,
    fleet: String,
    heir: Option<User>,
}

impl Ship {
    /// Starts it, if it was asked for.
    ///
    /// # Errors
    /// When there is no `krcu-ship`, or it refuses the fleet.
    pub(super) fn of(options: &Options) -> Result<Option<Ship>, VerbError> {
        let (Some(fleet), Some(trace)) = (&options.ship, &options.output) else { return Ok(None) };
        let program = external::program(OsStr::new("ship")).map_err(|_error| {
            anyhow!(
                "--ship needs the program krcu-ship beside krcu or in PATH: `cargo build --release -p krcu-ship` builds it"
            )
        })?;
        Ok(Some(Ship::start(&program, trace, fleet, User::behind_sudo())?))
    }

    fn start(program: &Path, trace: &Path, fleet: &str, heir: Option<User>) -> anyhow::Result<Ship> {
        let mut command = Command::new(program);
        // A key of the terminal that ends the command does not end what ships its trace. The recorder is over by then.
        command.arg(trace).args(["--to", fleet, "--unfinished", "--when-told"]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let starting = || format!("{} cannot be started", program.display());
        let mut child = without_privileges(command, fleet, heir).with_context(starting)?;
        let mut said = BufReader::new(child.stdout.take().with_context(starting)?);
        let mut ready = String::new();
        said.read_line(&mut ready).with_context(starting)?;
        if ready.is_empty() {
            let status = child.wait().with_context(starting)?;
            bail!("`krcu ship` cannot ship to {fleet} ({status}), so the command was not run");
        }
        Ok(Ship { child, said, trace: trace.to_owned(), fleet: fleet.to_owned(), heir })
    }

    /// Who has to be given the trace, to be able to read it.
    pub(super) fn heir(&self) -> Option<User> {
        self.heir
    }

    /// Has the trace shipped, waits for that, and says what came of it.
    pub(super) fn now(self) {
        let (trace, fleet) = (self.trace.clone(), self.fleet.clone());
        match self.shipped() {
            Ok(told) => say(format_args!("{}", told.trim())),
            Err(error) => say(format_args!(
                "{error:#}: the trace is in {}, and `krcu ship {0} --to {fleet}` tries again",
                trace.display()
            )),
        }
    }

    fn shipped(mut self) -> anyhow::Result<String> {
        if let Some(heir) = self.heir {
            heir.give(&self.trace)
                .with_context(|| format!("cannot give the trace to the user {}", heir.uid))?;
        }
        if let Some(mut stdin) = self.child.stdin.take() {
            // What has ended takes no word; its status says so.
            drop(stdin.write_all(NOW));
        }
        let mut told = String::new();
        self.said.read_to_string(&mut told).context("cannot hear what `krcu ship` says")?;
        let status = self.child.wait().context("cannot wait for `krcu ship`")?;
        if !status.success() {
            bail!("`krcu ship` failed ({status})");
        }
        Ok(told)
    }
}

/// Starts a command that has no privileges and changes files of the fleet only. A thread gives up what it has, and the command
/// inherits the rest.
fn without_privileges(mut command: Command, fleet: &str, heir: Option<User>) -> anyhow::Result<Child> {
    let fleet = PathBuf::from(fleet);
    let start = move || {
        nix::sys::prctl::set_no_new_privs().context("cannot give up new privileges")?;
        folders::change_only(&[&fleet])?;
        match heir {
            // Whoever is not root has no capability, and no group of root's.
            Some(User { uid, gid }) => {
                command.uid(uid).gid(gid);
            }
            None => privileges::give_up()?,
        }
        command.spawn().context("the kernel refuses")
    };
    thread::spawn(start).join().unwrap_or_else(|cause| panic::resume_unwind(cause))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// A `krcu ship` of the test's own in a folder with a fleet; what it is told is in its arguments.
    fn stand_in(name: &str, text: &str) -> (PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("krcu-check-ship-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("fleet")).unwrap();
        let program = folder.join("krcu-ship");
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, program)
    }

    #[test]
    fn it_has_no_privilege_and_waits_until_it_is_told() {
        let (folder, program) = stand_in(
            "waits",
            "echo ready; read word
             grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status
             touch \"$3/here\" && echo $1 $word; touch $1/elsewhere 2>&- || echo kept out",
        );
        let fleet = folder.join("fleet");
        let ship = Ship::start(&program, &folder, &fleet.to_string_lossy(), None).unwrap();
        assert!(!fleet.join("here").exists());
        let told = ship.shipped().unwrap();
        let mut lines = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        for (name, value) in [
            ("CapInh:", "0000000000000000"),
            ("CapPrm:", "0000000000000000"),
            ("CapEff:", "0000000000000000"),
            ("CapAmb:", "0000000000000000"),
            ("NoNewPrivs:", "1"),
        ] {
            assert_eq!(lines.next().unwrap(), [name, value]);
        }
        assert_eq!(lines.next().unwrap(), [folder.to_str().unwrap(), "now"]);
        assert!(fleet.join("here").exists());
        // A kernel without Landlock keeps it out of nothing.
        assert_eq!(folder.join("elsewhere").exists(), lines.next().is_none());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn one_that_refuses_or_fails_is_told_and_one_that_krcu_forgets_ships_nothing() {
        let (folder, program) =
            stand_in("refuses", "[ -d \"$3\" ] || exit 3; echo ready; read word && exit 4");
        let fleet = folder.join("fleet").to_string_lossy().into_owned();
        let error = Ship::start(&program, &folder, "/no/such", None).unwrap_err().to_string();
        assert_eq!(error, "`krcu ship` cannot ship to /no/such (exit status: 3), so the command was not run");
        let ship = Ship::start(&program, &folder, &fleet, None).unwrap();
        assert_eq!(ship.shipped().unwrap_err().to_string(), "`krcu ship` failed (exit status: 4)");
        let Ship { mut child, .. } = Ship::start(&program, &folder, &fleet, None).unwrap();
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(1), "the script's `read` found no line");
        fs::remove_dir_all(&folder).unwrap();
    }
}
