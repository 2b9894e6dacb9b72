//! Kept: the document and the scripts that a check has written, which are written again or compared.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

/// What a check found, as it is kept.
pub(crate) struct Kept<'a> {
    /// The document.
    pub(crate) markdown: &'a str,
    /// The scripts, by the names of their files.
    pub(crate) scripts: BTreeMap<String, String>,
    /// Who finds it, as in "what the check finds".
    pub(crate) finder: &'a str,
    /// The command that writes it.
    pub(crate) command: &'a str,
}

impl Kept<'_> {
    /// Writes the document and the scripts; no other script stays.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub(crate) fn write(&self, docs: &Path, scripts: &Path) -> Result<(), Box<dyn Error>> {
        if scripts.exists() {
            fs::remove_dir_all(scripts)?;
        }
        fs::create_dir_all(scripts)?;
        for (file, script) in &self.scripts {
            fs::write(scripts.join(file), script)?;
        }
        Ok(fs::write(docs, self.markdown)?)
    }

    /// The files that differ from the results, or that are missing.
    ///
    /// # Errors
    /// When the folder of the scripts cannot be read.
    pub(crate) fn differences(self, docs: &Path, scripts: &Path) -> Result<Vec<String>, Box<dyn Error>> {
        let hint = format!("if the change is meant, `{}` writes it again", self.command);
        let differs = |path: &Path| format!("{} differs from what {}: {hint}", path.display(), self.finder);
        let mut found = Vec::new();
        if fs::read_to_string(docs).ok().as_deref() != Some(self.markdown) {
            found.push(differs(docs));
        }
        let mut expected = self.scripts;
        for entry in fs::read_dir(scripts)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if expected.remove(&name) != fs::read_to_string(&path).ok() {
                found.push(differs(&path));
            }
        }
        found.extend(expected.into_keys().map(|name| format!("{name} is missing: {hint}")));
        Ok(found)
    }
}
