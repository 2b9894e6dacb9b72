//! Recorded: the folder `NAME.krcu/` that `krcu record` and `krcu check -o` write.

use std::{path::Path, sync::mpsc, thread};

use krcu_model::Event;
use krcu_trace::{How, Reader, TraceError};

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
        recorded: Some(Box::new(told.clone())),
    };
    Ok(Trace::new(meta, move |each| feed(&reader, each)))
}

/// Events that are decoded before they are handed over together.
const AT_ONCE: usize = 4096;
/// How many such pieces there are.
const PIECES: usize = 4;

/// Decodes in a thread of its own: of a large trace that is half of the work.
fn feed(reader: &Reader, each: &mut dyn FnMut(Event) -> bool) -> Result<(), SourceError> {
    let (full, filled) = mpsc::sync_channel::<Result<Vec<Event>, TraceError>>(PIECES);
    let (empty, emptied) = mpsc::channel();
    for _ in 0..PIECES {
        // The other end is in this function.
        let _ = empty.send(Vec::with_capacity(AT_ONCE));
    }
    // Both ends of ours go when this is left early, and the decoder with them.
    thread::scope(move |scope| {
        scope.spawn(move || decode(reader, &emptied, &full));
        for piece in filled {
            let mut piece = piece.map_err(SourceError::Recorded)?;
            for event in piece.drain(..) {
                if !each(event) {
                    return Ok(());
                }
            }
            // It is needed no more where the decoder has come to its end.
            let _ = empty.send(piece);
        }
        Ok(())
    })
}

/// Fills pieces until the trace ends, one of its parts cannot be read, or nobody takes them.
fn decode(
    reader: &Reader,
    empty: &mpsc::Receiver<Vec<Event>>,
    full: &mpsc::SyncSender<Result<Vec<Event>, TraceError>>,
) {
    let mut events = match reader.salvage() {
        Ok(events) => events,
        Err(error) => return drop(full.send(Err(error))),
    };
    while let Ok(mut piece) = empty.recv() {
        piece.extend(events.by_ref().take(AT_ONCE));
        let is_over = piece.len() < AT_ONCE;
        if full.send(Ok(piece)).is_err() {
            return;
        }
        if is_over {
            // Nobody may be there to be told.
            return drop(events.into_damage().map(|error| full.send(Err(error))));
        }
    }
}

fn ending(how: Option<How>) -> &'static str {
    match how {
        None => "no goodbye: the recorder was killed, or is still at work; what follows is missing",
        Some(How::Exit) => "the command ended",
        Some(How::Signal) => "krcu was told to end",
        Some(How::Duration) => "the time that was asked for was over",
        Some(How::CutShort) => "not every event could be written, or waited for: they are not all here",
    }
}
