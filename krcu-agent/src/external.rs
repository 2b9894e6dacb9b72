//! Another program as a verb: `krcu NAME …` runs `krcu-NAME …`, which lies beside krcu or in the search path.
//!
//! The agent is one small static file; what is large and needs no privilege (`krcu-analyze`) is a file of its own.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command;

/// Why a verb that is another program's cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// There is no such program.
    #[error("there is no verb {verb:?}, and no program {program:?} beside krcu or in PATH (see krcu --help)")]
    NotFound {
        /// The verb.
        verb: OsString,
        /// The program that would do it.
        program: OsString,
    },
    /// It is there and does not start.
    #[error("{} cannot be started", program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// Becomes the program that does this verb; `words` begins with the verb.
#[must_use]
pub fn run(words: &[OsString]) -> ExternalError {
    let (verb, arguments) = match words.split_first() {
        Some((verb, arguments)) => (verb.as_os_str(), arguments),
        None => (OsStr::new(""), words),
    };
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    match find(verb, beside) {
        Ok(program) => {
            let error = Command::new(&program).args(arguments).exec();
            ExternalError::NotStarted { program, error }
        }
        Err(error) => error,
    }
}

/// The program of a verb: beside krcu first, so that what was built or copied together runs together.
fn find(verb: &OsStr, beside: Option<&Path>) -> Result<PathBuf, ExternalError> {
    let mut program = OsString::from("krcu-");
    program.push(verb);
    let not_found = |program: OsString| ExternalError::NotFound { verb: verb.to_owned(), program };
    // A verb is one name, not a way to another folder.
    if Path::new(&program).components().count() != 1 {
        return Err(not_found(program));
    }
    let neighbour = beside.map(|folder| folder.join(&program).into_os_string());
    let found = neighbour.and_then(|file| command::find(&file).ok()).or_else(|| command::find(&program).ok());
    found.ok_or_else(|| not_found(program))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_verb_is_the_program_of_its_name_beside_krcu() {
        let folder = env::temp_dir().join(format!("krcu-external-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("krcu-tell");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let found = |verb: &str| find(verb.as_ref(), Some(&folder)).map_err(|error| error.to_string());
        let not_found = |verb: &str| {
            Err(format!(
                "there is no verb {verb:?}, and no program \"krcu-{verb}\" beside krcu or in PATH (see krcu --help)"
            ))
        };
        assert_eq!(found("tell"), not_found("tell"), "it may not be run yet");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found("tell"), Ok(program));
        assert_eq!(found("tel"), not_found("tel"));
        assert_eq!(found("x/../krcu-tell"), not_found("x/../krcu-tell"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
