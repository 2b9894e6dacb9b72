//! Recorded: the folder `NAME.krcu/` that `krcu record` and `krcu check -o` write.

use std::path::Path;

use krcu_trace::{How, Reader};

use super::{Meta, SourceError, Trace};

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<Trace, SourceError> {
    let reader = Reader::open(path).map_err(SourceError::Recorded)?;
    let told = reader.meta();
    let watch = told
        .watch()
        .map_err(|reason| SourceError::Kind { path: path.to_owned(), complaint: reason.to_string() })?;
    let unknown = || "unknown".to_owned();
    let meta = Meta {
        path: path.to_owned(),
        watch,
        release: told.kernel.release.clone(),
        host: told.kernel.host.clone().unwrap_or_else(unknown),
        boot: told.kernel.boot_id.clone().unwrap_or_else(unknown),
        ending: Some(ending(told.ended.as_ref().map(|end| end.how)).to_owned()),
        undecidable: told.undecidable.clone(),
    };
    Ok(Trace::new(meta, move |each| feed(&reader, each)))
}

fn feed(reader: &Reader, each: &mut dyn FnMut(krcu_model::Event) -> bool) -> Result<(), SourceError> {
    for event in reader.events() {
        if !each(event.map_err(SourceError::Recorded)?) {
            break;
        }
    }
    Ok(())
}

fn ending(how: Option<How>) -> &'static str {
    match how {
        None => "no goodbye: the recorder was killed, or is still at work; what follows is missing",
        Some(How::Exit) => "the command ended",
        Some(How::Signal) => "krcu was told to end",
        Some(How::Duration) => "the time that was asked for was over",
        Some(How::CutShort) => "the events could not be written: they are not all here",
    }
}
