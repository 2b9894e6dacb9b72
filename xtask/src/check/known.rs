//! Results that are known: what a check found is kept in the cache by a digest of all that it depends on, and is not
//! computed again while that is the same.
//!
//! Only what passed is kept. What is kept is what the check printed of itself: the counts it found.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::check::retries::date;
use crate::digest;
use crate::host;
use crate::progress::output_of;

/// What the model's checks depend on, from the repository's root: sources, what they are built with, what they are
/// compared with.
const MODEL: [&str; 18] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "docs/approaches.md",
    "docs/walks.md",
    "krcu-common/Cargo.toml",
    "krcu-common/src",
    "krcu-model/Cargo.toml",
    "krcu-model/src",
    "krcu-reference/Cargo.toml",
    "krcu-reference/examples/check.rs",
    "krcu-reference/examples/kept",
    "krcu-reference/src",
    "krcu-reference/tests/check.rs",
    "krcu-reference/tests/counterexamples",
    "krcu-reference/tests/sound",
    "krcu-reference/tests/walk",
    "krcu-reference/tests/walks",
];

/// What a check found.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Known {
    /// When, in seconds since 1970.
    at: u64,
    /// What it printed of itself.
    pub(crate) said: String,
}

impl Known {
    /// The day.
    pub(crate) fn day(&self) -> String {
        date(self.at)
    }
}

/// Where the result of one check of the model is kept.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    name: String,
    arguments: Vec<String>,
}

impl Place {
    /// The place for a check of the model with these arguments, which say how far it goes.
    ///
    /// # Errors
    ///
    /// When a source cannot be read, or the compiler does not say what it is.
    pub(crate) fn of_model(name: &str, arguments: &[&str]) -> Result<Place> {
        let compiler = output_of(Command::new("rustc").arg("-vV"))?;
        let is_flag = |name: &str| name.contains("RUSTFLAGS") || name.starts_with("CARGO_PROFILE_RELEASE_");
        let mut flags: Vec<(String, String)> = env::vars().filter(|(name, _)| is_flag(name)).collect();
        flags.sort();
        let mut text = format!("{compiler}\n{arguments:?}\n{flags:?}\n");
        for source in MODEL {
            let path = host::repository().join(source);
            let digest =
                if path.is_dir() { digest::of_folder(&path, source)? } else { digest::of_file(&path)? };
            text.push_str(&format!("{digest} {source}\n"));
        }
        let path = cache::folder("known")?.join(format!("{name}-{}.json", digest::of_text(&text)?));
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Place { path, name: name.to_owned(), arguments })
    }

    /// What is kept there.
    pub(crate) fn read(&self) -> Option<Known> {
        serde_json::from_str(&fs::read_to_string(&self.path).ok()?).ok()
    }

    /// Keeps what a check that passed has found; nothing, if what the check depends on has changed meanwhile.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn keep(&self, said: &str) -> Result<()> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        if Self::of_model(&self.name, &arguments)?.path != self.path {
            return Ok(());
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let known = serde_json::to_string(&Known { at, said: said.to_owned() })?;
        cache::write_file(&self.path, known.as_bytes()).context("keeping what was found")
    }
}
