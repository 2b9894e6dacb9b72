//! Another program as a verb: `krcu NAME …` runs `krcu-NAME …`, from krcu's own folder or from PATH.
//!
//! The agent is one small static file. Large programs that need no privilege, such as `krcu-analyze`, are files of their
//! own.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process,
};

use clap::{
    Args, Command, CommandFactory as _,
    error::{ContextKind, ContextValue},
};

use crate::{cli::Cli, command};

/// The words that are handed to the other program unchanged.
#[derive(Args, Clone, Debug)]
pub struct Words {
    /// The arguments of this program; its own --help lists them
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Why krcu could not run the program of a verb.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// There is no such program.
    #[error("there is no verb {verb:?}{}, and no program {program:?} beside krcu or in PATH (see krcu --help)",
        did_you_mean(meant.as_deref()))]
    NotFound {
        /// The verb.
        verb: OsString,
        /// The program that krcu looked for.
        program: OsString,
        /// A verb of krcu's own with a similar spelling.
        meant: Option<String>,
    },
    /// The program exists but does not start.
    #[error("{} cannot be started", program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// The reason.
        #[source]
        error: std::io::Error,
    },
}

/// Becomes the program that does this verb.
#[must_use]
pub fn run(verb: &OsStr, arguments: &[OsString]) -> ExternalError {
    match program(verb) {
        Ok(program) => {
            let error = process::Command::new(&program).args(arguments).exec();
            ExternalError::NotStarted { program, error }
        }
        Err(error) => error,
    }
}

/// The program of a verb.
///
/// # Errors
/// When there is none.
pub(crate) fn program(verb: &OsStr) -> Result<PathBuf, ExternalError> {
    let own = env::current_exe().ok();
    find(verb, own.as_deref().and_then(Path::parent))
}

/// The program of a verb. krcu looks in its own folder first, so that programs that were built or copied
/// together run together.
fn find(verb: &OsStr, beside: Option<&Path>) -> Result<PathBuf, ExternalError> {
    let mut program = OsString::from("krcu-");
    program.push(verb);
    let not_found =
        |program: OsString| ExternalError::NotFound { verb: verb.to_owned(), program, meant: meant(verb) };
    // A verb is one name, not a path to another folder.
    if Path::new(&program).components().count() != 1 {
        return Err(not_found(program));
    }
    let neighbour = beside.map(|folder| folder.join(&program).into_os_string());
    let found = neighbour.and_then(|file| command::find(&file).ok()).or_else(|| command::find(&program).ok());
    found.ok_or_else(|| not_found(program))
}

/// The verb of krcu's own whose spelling is nearest, if one is near: clap finds it in a command that allows
/// no other verbs.
fn meant(verb: &OsStr) -> Option<String> {
    let own = Command::new("krcu")
        .disable_help_subcommand(true)
        .subcommands(Cli::command().get_subcommands().cloned());
    let error = own.try_get_matches_from([OsStr::new("krcu"), verb]).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    }
}

fn did_you_mean(verb: Option<&str>) -> String {
    verb.map(|verb| format!(" (did you mean `{verb}`?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_verb_is_the_program_of_its_name_beside_krcu() {
        let folder = env::temp_dir().join(format!("krcu-external-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("krcu-quux");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let found = |verb: &str| find(verb.as_ref(), Some(&folder)).map_err(|error| error.to_string());
        let not_found = |verb: &str| {
            Err(format!(
                "there is no verb {verb:?}, and no program \"krcu-{verb}\" beside krcu or in PATH (see krcu --help)"
            ))
        };
        assert_eq!(found("quux"), not_found("quux"), "it may not be run yet");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found("quux"), Ok(program));
        assert_eq!(found("quu"), not_found("quu"));
        assert_eq!(found("x/../krcu-quux"), not_found("x/../krcu-quux"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_slip_of_the_pen_is_told_what_was_meant() {
        let told = |verb: &str| find(verb.as_ref(), None).map_err(|error| error.to_string()).unwrap_err();
        assert!(
            told("chek").starts_with("there is no verb \"chek\" (did you mean `check`?), and no program")
        );
        assert!(told("zzz").starts_with("there is no verb \"zzz\", and no program"));
    }
}
