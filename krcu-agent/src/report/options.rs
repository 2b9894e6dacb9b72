//! Options: the part of a command line that says how a run is judged, and where its report goes. `check` and `replay`
//! have it.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use super::{
    Format, also, kcidb,
    view::{COLUMNS, View},
};
use crate::{
    known,
    outcome::{Outcome, Policy},
};

/// How a run is judged, and where its report goes.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Count `waited` and `unordered` as faults too: the module is not safe on every kernel
    #[arg(long)]
    pub strict: bool,
    /// Fail unless a slab cache is destroyed, or one of this name. May be given several times
    #[arg(long, value_name = "CACHE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub require_destroy: Vec<String>,
    /// Do not count the verdicts that this file (TOML) lists. An entry is a table `[[known]]` with a `signature`,
    /// such as "pending my_module.my_cache", a `reason` in words, and `until`, the last day, such as 2027-01-31. A
    /// function at the end of the signature narrows it to evidence that names this function
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// The format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write the report to this file instead of standard output; with --each, write the reports into this
    /// folder
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the report to this file in this format as well. May be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = also)]
    pub also: Vec<(Format, PathBuf)>,
    /// Leave out of the text what needs no doing
    #[arg(long)]
    pub flagged: bool,
    /// The build that was tested, for --format kcidb: the identifier that the CI system gave to it
    #[arg(long, value_name = "ORIGIN:ID", default_value = "krcu:unknown", value_parser = kcidb::build_id)]
    pub kcidb_build: String,
}

impl Options {
    /// The policy of the run.
    ///
    /// # Errors
    /// When the file of known verdicts cannot be read, or is wrong.
    pub fn policy(&self, exit_flagged: u8) -> anyhow::Result<Policy> {
        let known = self.known.as_deref().map(known::read).transpose()?.unwrap_or_default();
        Ok(Policy { strict: self.strict, exit_flagged, require_destroy: self.require_destroy.clone(), known })
    }

    /// The view of a report that goes to a file or another program.
    #[must_use]
    pub fn plain(&self) -> View {
        View { flagged: self.flagged, kcidb_build: self.kcidb_build.clone(), ..View::default() }
    }

    /// Creates the files of the reports, before anything is done for which they would be needed.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn claim(&self) -> anyhow::Result<Files<'_>> {
        let main = self.report.as_deref().map(create).transpose()?;
        let also = self.also.iter().map(|(format, path)| Ok((*format, create(path)?)));
        Ok(Files { options: self, main, also: also.collect::<anyhow::Result<_>>()? })
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| {
        format!("cannot write the report to {}: name a file that can be written", path.display())
    })
}

/// The files of the reports.
#[derive(Debug)]
pub struct Files<'a> {
    options: &'a Options,
    main: Option<File>,
    also: Vec<(Format, File)>,
}

impl Files<'_> {
    /// Writes every report of a run.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(self, outcome: &Outcome) -> anyhow::Result<()> {
        self.put(outcome, true)
    }

    /// Writes that krcu failed, for those who read nothing but the files. A person reads the error.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write_failure(self, outcome: &Outcome) -> anyhow::Result<()> {
        let has_reader = self.main.is_some() || self.options.format != Format::Text;
        self.put(outcome, has_reader)
    }

    fn put(self, outcome: &Outcome, has_reader: bool) -> anyhow::Result<()> {
        let Files { options, main, also } = self;
        for (format, mut file) in also {
            let text = format.render_for(outcome, &options.plain())?;
            file.write_all(text.as_bytes()).context("cannot write a report")?;
        }
        match main {
            _ if !has_reader => Ok(()),
            Some(mut file) => {
                let text = options.format.render_for(outcome, &options.plain())?;
                file.write_all(text.as_bytes())
            }
            None => {
                let text = options.format.render_for(outcome, &screen(options.plain()))?;
                stdout().lock().write_all(text.as_bytes())
            }
        }
        .context("cannot write the report")
    }
}

/// The narrowest and the widest screen that a report is laid out for.
const FEWEST_COLUMNS: usize = 60;
const MOST_COLUMNS: usize = 140;

/// The same view, for what standard output is.
fn screen(view: View) -> View {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    let terminal = || terminal_size::terminal_size_of(stdout()).map(|(width, _)| usize::from(width.0));
    let columns = asked.or_else(terminal).filter(|columns| *columns > 0);
    let columns = columns.map_or(COLUMNS, |columns| columns.clamp(FEWEST_COLUMNS, MOST_COLUMNS));
    View { columns, colour: wants_colour(), ..view }
}

/// Whether standard output is a terminal that shows colours, and nobody said that they are not wanted.
fn wants_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
