//! A trace that goes over a connection is the same trace, and a cut or a changed byte leaves what came before.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use krcu_trace::{
    disk::{Direct, Disk as _},
    private,
    stream::{Cut, HEAD, Received, Sender, receive},
};

use crate::{
    samples::Folder,
    told::{Read, events, judge, record},
};

/// Bytes of a frame before its body.
const FRAME: usize = 9;

/// A connection that keeps what it is given, up to so many bytes.
#[derive(Clone)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.bytes.lock().unwrap();
        if kept.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        kept.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of the recorded run as a stream.
fn sent() -> Vec<u8> {
    let kept = Kept { bytes: Arc::default(), most: usize::MAX };
    let sender = Sender::begin(kept.clone()).unwrap();
    record(Arc::new(sender), Path::new("tcp:a-host:9000"), |_| ()).unwrap().unwrap();
    let bytes = kept.bytes.lock().unwrap();
    bytes.clone()
}

/// What comes of these bytes in this folder.
fn received(bytes: &[u8], folder: &Folder) -> Received {
    drop(fs::remove_dir_all(&folder.0));
    private::folder(&folder.0).unwrap();
    receive(bytes, &folder.0).unwrap()
}

/// The places where frames begin, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut places = vec![HEAD.len()];
    while let Some(size) = bytes.get(places[places.len() - 1] + 1..).and_then(|rest| rest.get(..4)) {
        let size = u32::from_le_bytes(size.try_into().unwrap()) as usize;
        places.push(places[places.len() - 1] + FRAME + size);
    }
    places
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn what_arrives_is_the_trace_that_a_disk_would_have() {
    let here = Folder::new("stream-here");
    record(Arc::new(Direct), &here.0, |_| ()).unwrap().unwrap();
    let bytes = sent();
    let there = Folder::new("stream-there");
    let received = received(&bytes, &there);
    assert_eq!((received.bytes, received.is_trace), (bytes.len() as u64, true));
    assert!(received.cut.is_none(), "{:?}", received.cut);
    assert_eq!(files(&there.0), files(&here.0));
    assert_eq!(judge(&there.0), Read::Whole);
}

#[test]
fn a_stream_that_is_cut_anywhere_leaves_what_came_before() {
    let bytes = sent();
    let folder = Folder::new("stream-cut");
    let places = frames(&bytes);
    assert_eq!(places.last(), Some(&bytes.len()));
    let mut most = 0;
    for place in places.windows(2).flat_map(|frame| [frame[0], frame[0] + 5, frame[1] - 1]) {
        let received = received(&bytes[..place], &folder);
        let cut = received.cut.as_ref().map(ToString::to_string);
        assert_eq!(cut.as_deref(), Some("the sender went before the end of its trace"), "{place}");
        // The last whole frame was taken.
        let whole = places.iter().rev().find(|frame| **frame <= place).unwrap();
        assert_eq!(received.bytes, *whole as u64);
        if !received.is_trace {
            assert_eq!(most, 0, "{place}");
            continue;
        }
        let rows = match judge(&folder.0) {
            Read::Part(rows) => rows,
            Read::Refused => 0,
            Read::Whole => panic!("taken for complete at {place}"),
        };
        assert!(rows >= most, "{place}: {rows} rows after {most}");
        most = rows;
    }
    // All that lacks at the last cut is the goodbye.
    assert_eq!(most, events().len());
}

#[test]
fn a_frame_that_was_changed_ends_the_stream_before_it() {
    let bytes = sent();
    let folder = Folder::new("stream-changed");
    for frame in frames(&bytes).windows(2) {
        let mut changed = bytes.clone();
        changed[frame[0] + FRAME] ^= 1;
        let received = received(&changed, &folder);
        assert_eq!(received.bytes, frame[0] as u64);
        let Some(Cut::Damaged { at, why }) = received.cut else { panic!("{:?}", received.cut) };
        assert_eq!((at, why), (frame[0] as u64, "the checksum"));
    }
}

/// A frame as it is sent.
fn frame(word: u8, number: u32, rest: &[u8]) -> Vec<u8> {
    let body = [&number.to_le_bytes()[..], rest].concat();
    let (size, sum) = (u32::try_from(body.len()).unwrap(), crc32fast::hash(&body));
    [&[word][..], &size.to_le_bytes(), &sum.to_le_bytes(), &body].concat()
}

#[test]
fn nothing_is_written_outside_of_the_folder_and_no_size_is_believed() {
    let outside = "a name that no file of a trace has";
    let begun = || frame(b'f', 0, b"events");
    let cases: [(Vec<u8>, &str); 12] = [
        (frame(b'f', 0, b"../outside"), outside),
        (frame(b'f', 0, b"/outside"), outside),
        (frame(b'f', 0, b".hidden"), outside),
        (frame(b'f', 0, b""), outside),
        (frame(b'f', 0, &[b'a'; 65]), outside),
        (frame(b'f', 0, b"a\0b"), outside),
        ([begun(), begun()].concat(), "a file that there is already"),
        (frame(b'a', 1, b"bytes"), "a file that was not begun"),
        (frame(b's', 1, b""), "a file that was not begun"),
        ([begun(), frame(b'r', 0, b"../outside")].concat(), outside),
        (frame(b'x', 0, b""), "there is no such word"),
        ([&b"a"[..], &u32::MAX.to_le_bytes(), &[0; 4]].concat(), "its size cannot be"),
    ];
    let place = Folder::new("stream-outside");
    for (bytes, expected) in cases {
        drop(fs::remove_dir_all(&place.0));
        private::folder(&place.0).unwrap();
        let folder = place.0.join("a.krcu");
        Direct.folder(&folder).unwrap();
        let received = receive(&[HEAD, &bytes].concat()[..], &folder);
        // A head that is no trace's is told as such.
        let cut = match received {
            Ok(received) => received.cut,
            Err(error) => panic!("{error}"),
        };
        let Some(Cut::Damaged { why, .. }) = cut else { panic!("{cut:?}") };
        assert_eq!(why, expected);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1, "{expected}");
    }
    let other = received(b"krcu-script 1\n", &place);
    assert!(matches!(other.cut, Some(Cut::NoStream)) && !other.is_trace, "{other:?}");
}

#[test]
fn a_connection_that_breaks_cuts_the_trace_short_and_says_what_to_do() {
    let bytes = sent();
    let folder = Folder::new("stream-broken");
    for most in [HEAD.len() + 20, bytes.len() / 2, bytes.len() - 1] {
        let kept = Kept { bytes: Arc::default(), most };
        let sender = Sender::begin(kept.clone()).unwrap();
        let why = match record(Arc::new(sender), Path::new("tcp:a-host:9000"), |_| ()) {
            Ok(finished) => finished.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(why.contains("broken pipe"), "{why}");
        let is_begun = most > bytes.len() / 4;
        let todo = "the trace tcp:a-host:9000 is cut short (broken pipe), the report is not: see at the other end why it does not take more";
        assert_eq!(why == todo, is_begun, "{why}");
        let came = kept.bytes.lock().unwrap().clone();
        assert!(received(&came, &folder).cut.is_some());
    }
}
