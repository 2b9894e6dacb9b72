//! Folders: which files the agent can reach once its probes are attached. Landlock refuses all others, whatever the
//! user id allows.
//!
//! Landlock holds for the thread that asks for it and for threads that it starts later. Newer kernels add more: no
//! TCP connection or listener (6.7), no signal and no abstract socket of other processes (6.12).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

/// What this version of Landlock can refuse is refused where the kernel has it, and nothing newer.
const NEWEST: ABI = ABI::V6;

/// The folders that stay.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// Files below these can be read.
    pub(crate) read: Vec<PathBuf>,
    /// Files below these can be read, written, created and deleted.
    pub(crate) write: Vec<PathBuf>,
    /// Files directly in these can be deleted.
    pub(crate) delete: Vec<PathBuf>,
}

/// How much of this the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Files outside the folders cannot be reached.
    Away,
    /// This kernel has no Landlock, or it is switched off.
    No,
}

impl Folders {
    /// Refuses all other files to this thread, for ever. Needs that no new privileges can be had.
    ///
    /// # Errors
    /// When the kernel has Landlock and refuses this.
    pub(crate) fn only(&self) -> anyhow::Result<Kept> {
        self.restrict().context("cannot give up other folders")
    }

    fn restrict(&self) -> Result<Kept, landlock::RulesetError> {
        let rules = |paths: &[PathBuf], access: BitFlags<AccessFs>| {
            path_beneath_rules(paths.to_vec(), access).collect::<Vec<_>>()
        };
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(rules(&self.read, read))?
            .add_rules(rules(&self.write, AccessFs::from_all(NEWEST) & !AccessFs::Execute))?
            .add_rules(rules(&self.delete, AccessFs::RemoveFile.into()))?
            .restrict_self()?;
        Ok(if status.ruleset == RulesetStatus::NotEnforced { Kept::No } else { Kept::Away })
    }
}

/// Refuses this thread to change anything outside these folders, for ever; it can read and run what it could. Needs that no new
/// privileges can be had.
///
/// # Errors
/// When the kernel has Landlock and refuses this.
pub(crate) fn change_only(folders: &[&Path]) -> anyhow::Result<()> {
    let changes = AccessFs::from_write(NEWEST);
    let restrict = || -> Result<(), landlock::RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(changes)?
            .create()?
            .add_rules(path_beneath_rules(folders, changes))?
            .restrict_self()
            .map(drop)
    };
    restrict().context("cannot give up other folders")
}

/// The folder of a file, as it can be opened.
pub(crate) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_path_buf(),
        None => PathBuf::from("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind, thread};

    use super::*;

    #[test]
    fn only_the_folders_that_are_named_can_be_reached() {
        let base = std::env::temp_dir().join(format!("krcu-folders-{}", std::process::id()));
        for folder in ["read", "write", "delete", "other"] {
            fs::create_dir_all(base.join(folder)).unwrap();
            fs::write(base.join(folder).join("file"), folder).unwrap();
        }
        let at = base.clone();
        let within = move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            let one = |name: &str| vec![at.join(name)];
            let folders = Folders { read: one("read"), write: one("write"), delete: one("delete") };
            if folders.only().unwrap() == Kept::No {
                return Vec::new();
            }
            let file = |folder: &str| at.join(folder).join("file");
            let kind = |result: std::io::Result<()>| result.err().map(|error| error.kind());
            vec![
                kind(fs::read(file("read")).map(drop)),
                kind(fs::write(file("read"), "")),
                kind(fs::read(file("write")).map(drop)),
                kind(fs::rename(file("write"), at.join("write/new"))),
                kind(fs::read(file("delete")).map(drop)),
                kind(fs::remove_file(file("delete"))),
                kind(fs::read(file("other")).map(drop)),
                kind(fs::read("/etc/passwd").map(drop)),
            ]
        };
        let denied = Some(ErrorKind::PermissionDenied);
        let expected = [None, denied, None, None, denied, None, denied, denied];
        let found = thread::spawn(within).join().unwrap();
        // A kernel without Landlock has nothing to refuse; the scenario `agent_walls` has kernels with it.
        assert!(found.is_empty() || found == expected, "{found:?}");
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn the_folder_of_a_file_can_be_opened() {
        for (file, folder) in [("/run/krcu/krcu.sock", "/run/krcu"), ("sock", "."), ("/sock", "/")] {
            assert_eq!(folder_of(Path::new(file)), Path::new(folder));
        }
    }
}
