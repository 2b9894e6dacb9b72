//! Command: finds the program that a command names, before anything else is done.
//!
//! The search is written here because the crate `which` does not tell a missing file from one that may not be run.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// No file of that name in the search path.
    #[error("there is no command {0:?} in PATH: check its spelling, or give its path")]
    NotFound(OsString),
    /// The whole command is one word.
    #[error(
        "there is no command {0:?} in PATH: give its words one by one (krcu check -- {0}), or to a shell (krcu check -- sh -c '{0}')"
    )]
    OneWord(String),
    /// The file is not there.
    #[error("there is no file {0:?} to run: check the path")]
    NoFile(PathBuf),
    /// The file may not be run.
    #[error("{0:?} is not an executable file: make it one with chmod +x")]
    NotExecutable(PathBuf),
}

/// Finds the file that a command's first word names, as a shell does.
///
/// # Errors
/// When there is none, or it may not be run.
pub fn find(word: &OsString) -> Result<PathBuf, CommandError> {
    let named = Path::new(word);
    if named.components().count() > 1 || named.is_absolute() {
        return match named.metadata() {
            Err(_) => Err(CommandError::NoFile(named.to_owned())),
            Ok(_) if is_executable(named) => Ok(named.to_owned()),
            Ok(_) => Err(CommandError::NotExecutable(named.to_owned())),
        };
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    env::split_paths(&path).map(|folder| folder.join(named)).find(|file| is_executable(file)).ok_or_else(
        || match word.to_str().filter(|text| text.contains(' ')) {
            Some(text) => CommandError::OneWord(text.to_owned()),
            None => CommandError::NotFound(word.clone()),
        },
    )
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_run_is_named() {
        assert_eq!(find(&"no-such-command".into()), Err(CommandError::NotFound("no-such-command".into())));
        assert_eq!(find(&"rmmod my_module".into()), Err(CommandError::OneWord("rmmod my_module".into())));
        assert_eq!(find(&"./no/such".into()), Err(CommandError::NoFile("./no/such".into())));
        assert_eq!(find(&"/etc/passwd".into()), Err(CommandError::NotExecutable("/etc/passwd".into())));
        assert_eq!(find(&"/bin/sh".into()), Ok("/bin/sh".into()));
    }
}
