//! Confine: the agent gives up what it does not need once its probes are attached, and tells what it has to keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    config::{Config, Level, PATH},
    log::Log,
};
use crate::{
    modules,
    privileges::{
        self,
        calls::{self, Caller},
        folders::{Folders, Kept, folder_of},
    },
};

/// What the agent has given up. What it keeps, it has logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Confined {
    /// Every capability.
    pub(super) capabilities: bool,
    /// Files outside its folders.
    pub(super) folders: bool,
    /// System calls that it does not make.
    pub(super) calls: bool,
}

/// Gives up all that can be given up. `file` is the configuration's file, if one was named.
pub(super) fn confine(config: &Config, file: Option<&Path>, log: &Log) -> Confined {
    let told = |outcome: anyhow::Result<Kept>, what: &str| match outcome {
        Ok(Kept::Away) => true,
        Ok(Kept::No) => {
            log.say(Level::Info, format!("this kernel has no Landlock: the agent keeps {what}"));
            false
        }
        Err(error) => {
            log.say(Level::Warn, format!("{error:#}: the agent keeps {what}"));
            false
        }
    };
    let away = |outcome: anyhow::Result<()>| outcome.map(|()| Kept::Away);
    Confined {
        capabilities: told(away(privileges::give_up()), "its privileges"),
        folders: told(folders(config, file).only(), "the files that its user can reach"),
        calls: told(away(calls::list_only(Caller::Agent)), "all system calls"),
    }
}

/// What the agent still reads and writes: its configuration, the kernel's counters, its traces, and its socket, which it
/// deletes.
fn folders(config: &Config, file: Option<&Path>) -> Folders {
    let file = file.unwrap_or(Path::new(PATH));
    // Which processors there are is asked for with each reading of the counters. A trace tells the versions of modules.
    let mut read: Vec<PathBuf> =
        ["/proc", "/sys/devices/system/cpu", modules::FOLDER].map(PathBuf::from).into();
    read.push(folder_of(file));
    // The file may be a link to another folder.
    read.extend(fs::canonicalize(file).map(|file| folder_of(&file)));
    let (traces, socket) = (&config.record.folder, &config.socket.path);
    if !traces.as_os_str().is_empty() {
        // Only a folder that is there can be named. The recorder says if it cannot be created.
        let _ = fs::create_dir_all(traces);
    }
    let some = |path: PathBuf, is_there: bool| is_there.then_some(path).into_iter().collect();
    Folders {
        read,
        write: some(traces.clone(), !traces.as_os_str().is_empty()),
        delete: some(folder_of(socket), !socket.as_os_str().is_empty()),
    }
}
