//! The queue to a disk that hangs, and to one that is full.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
};

use super::*;

/// A disk that does nothing before it is let go on, and then fails from the byte `full` on.
#[derive(Clone, Debug)]
struct Hangs {
    gate: Arc<Mutex<Receiver<()>>>,
    done: Arc<Mutex<Vec<String>>>,
    full: usize,
}

#[derive(Debug)]
struct HangsFile(Hangs, PathBuf);

impl Hangs {
    fn call(&self, text: String, bytes: usize) -> io::Result<()> {
        let _ = self.gate.lock().unwrap().recv();
        let mut done = self.done.lock().unwrap();
        if bytes > self.full {
            return Err(io::Error::from_raw_os_error(28));
        }
        done.push(text);
        Ok(())
    }
}

impl Disk for Hangs {
    fn folder(&self, path: &Path) -> io::Result<()> {
        self.call(format!("folder {}", path.display()), 0)
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        self.call(format!("file {}", path.display()), 0)?;
        Ok(Box::new(HangsFile(self.clone(), path.to_owned())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(format!("rename {} {}", from.display(), to.display()), 0)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(format!("sync {}/", path.display()), 0)
    }
}

impl Appended for HangsFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.call(format!("append {} {}", self.1.display(), bytes.len()), bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.call(format!("sync {}", self.1.display()), 0)
    }
}

#[test]
fn a_disk_that_hangs_holds_nobody_up_and_is_told_once_too_much_waits() {
    let (go_on, gate) = channel();
    let done = Arc::<Mutex<Vec<String>>>::default();
    let hangs = Hangs { gate: Arc::new(Mutex::new(gate)), done: Arc::clone(&done), full: usize::MAX };
    let disk = Queued::start(Arc::new(hangs)).unwrap();
    // Nothing of this is done, and each call returns.
    disk.folder(Path::new("a")).unwrap();
    let file = disk.file(Path::new("a/b")).unwrap();
    let megabyte = vec![0; 1 << 20];
    for _ in 0..63 {
        file.append(&megabyte).unwrap();
        file.sync().unwrap();
    }
    let error = file.append(&megabyte).unwrap_err().to_string();
    assert!(error.starts_with("the disk is too slow: 66"), "{error}");
    assert!(done.lock().unwrap().is_empty());
    drop(go_on);
    // It was refused, and what waited is done in its order.
    disk.settle().unwrap();
    let done = done.lock().unwrap();
    assert_eq!(done.len(), 2 + 2 * 63);
    assert_eq!(done[..4], ["folder a", "file a/b", "append a/b 1048576", "sync a/b"]);
}

#[test]
fn an_error_of_the_disk_reaches_the_next_call_and_the_end_once() {
    let (go_on, gate) = channel();
    let done = Arc::<Mutex<Vec<String>>>::default();
    let disk = Hangs { gate: Arc::new(Mutex::new(gate)), done: Arc::clone(&done), full: 9 };
    let disk = Queued::start(Arc::new(disk)).unwrap();
    let file = disk.file(Path::new("b")).unwrap();
    file.append(&[0; 10]).unwrap();
    file.append(&[0; 3]).unwrap();
    drop(go_on);
    let error = disk.settle().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    // What came after the error is left out; after it was told, there is another try.
    assert_eq!(*done.lock().unwrap(), ["file b"]);
    file.append(&[0; 4]).unwrap();
    file.append(&[0; 11]).unwrap();
    while file.append(&[0; 5]).is_ok() {
        thread::yield_now();
    }
    assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(disk.settle().is_err() && disk.settle().is_ok());
    assert_eq!(done.lock().unwrap()[..2], ["file b", "append b 4"]);
    assert!(!done.lock().unwrap().iter().any(|call| call == "sync b"));
}
